"""The sounds of one trial: a reference and the moved signal, in the order of the trial, as one WAV."""

import threading
from pathlib import Path

import numpy as np

from audiometamer.experiment.lists import arranged
from audiometamer.exploration.design import ExplorationDesign
from audiometamer.exploration.presented import Presented
from audiometamer.stimuli.export import Sound, pcm_wav, presented


class Latest:
    """The WAVs that were kept last, by name. May be used by several threads.

    Parameters
    ----------
    most : int
        How many. Default 32.
    """

    def __init__(self, most: int = 32) -> None:
        self.most, self._kept, self._lock = most, dict[str, bytes](), threading.Lock()

    def get(self, name: str) -> bytes | None:
        """The WAV of a name, if it is kept."""
        return self._kept.get(name)

    def keep(self, name: str, wav: bytes) -> None:
        """Keep a WAV, in the place of the one that is here longest if there are too many."""
        with self._lock:
            self._kept[name] = wav
            if len(self._kept) > self.most:
                del self._kept[next(iter(self._kept))]


def trial_wav(folder: Path, trial: Presented, design: ExplorationDesign, *, name: str) -> bytes:
    """A WAV with all intervals of a trial and the silence between them.

    Each sound is at the sample rate, level and ramps of the design, and then has the gain of its interval.

    Parameters
    ----------
    folder : path
        Of the experiment.
    trial : Presented
    design : ExplorationDesign
    name : str
        Of the WAV: its dither follows from it and the seed.

    Raises
    ------
    AudioMetamerError
        If a file is missing or is no sound that can be presented, or a sample would clip.
    """
    settings = design.sounds.settings(design.seed)
    pair = [presented(folder / file, settings) for file in (trial.original, trial.sound)]
    order, _ = arranged(design.task.kind, trial.arrangement)
    gap = np.zeros(round(design.gap * settings.sample_rate))
    pieces: list[Sound] = []
    for k, decibels in zip(order, trial.rove_db, strict=True):
        pieces += [pair[k] * float(10 ** (decibels / 20)), gap]
    return pcm_wav(np.concatenate(pieces[:-1]), settings, name=name)


def headroom_db(sound: Path, design: ExplorationDesign) -> float:
    """By how much a sound could be louder than the design says before a sample would clip; negative if it would as it is."""
    settings = design.sounds.settings(design.seed)
    peak = float(np.abs(presented(sound, settings)).max())
    return float(20 * np.log10(settings.highest / peak))
