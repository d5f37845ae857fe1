"""Excerpts of textures as the stimuli of an experiment: texture and exemplar discrimination."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.available import NATURAL_CONDITION, AvailableStimuli, Condition
from audiometamer.experiment.design import Excerpts
from audiometamer.signals.presentation import Excerpt

_TEXTURE = "texture"  # column of the clip that an exemplar is a metamer of


def exemplars_by_duration(available: AvailableStimuli, excerpts: Excerpts, stimulus_set: Path) -> AvailableStimuli:
    """The stimuli of a design with excerpts: each metamer of a clip is an exemplar, and each duration a condition.

    Parameters
    ----------
    available : AvailableStimuli
        Those of the set, with a condition for each model, layer and seed.
    excerpts : Excerpts
    stimulus_set : path

    Raises
    ------
    AudioMetamerError
        If metamers are of several layers, one does not hold two excerpts of the longest duration, or there is one texture only,
        and textures are compared.
    """
    from audiometamer.signals.audio import file_duration  # only here: a server of experiments needs no torch

    layers = {(condition.model, condition.layer) for condition in available.conditions}
    if len(layers) > 1:
        raise AudioMetamerError(
            f"excerpts are of metamers at one layer of one model, and there are {len(layers)}: name one in conditions.layers"
        )
    if excerpts.task == "texture discrimination" and len(available.clips) < 2:
        raise AudioMetamerError(f"textures are told apart, and {stimulus_set} holds metamers of one clip; two or more are needed")
    sounds, metadata = {}, {}
    for (clip, condition), sound in available.sounds.items():
        if condition == NATURAL_CONDITION or clip not in available.clips:
            continue
        longest, lasts = max(excerpts.durations), file_duration(stimulus_set / sound.file)
        if lasts < 2 * longest:
            raise AudioMetamerError(f"{stimulus_set / sound.file} lasts {lasts:g} s; it must hold two excerpts of {longest:g} s")
        exemplar = f"{clip}, {condition}"
        metadata[exemplar] = available.metadata[clip] | {_TEXTURE: clip}
        sounds[exemplar, NATURAL_CONDITION] = sound
        sounds |= {(exemplar, _of(condition.model, seconds)): sound for seconds in excerpts.durations}
    conditions = list(dict.fromkeys(condition for _, condition in sounds if condition != NATURAL_CONDITION))
    return replace(available, conditions=conditions, clips=sorted(metadata), sounds=sounds, metadata=metadata, further=[])


def _of(model: str, seconds: float) -> Condition:
    return Condition(model, f"{seconds:g} s", 0)


def drawn_excerpts(
    available: AvailableStimuli,
    excerpts: Excerpts,
    stimulus_set: Path,
    exemplar: str,
    condition: Condition,
    order: Sequence[int],
    generator: np.random.Generator,
) -> list[Excerpt]:
    """The excerpts of a trial.

    Parameters
    ----------
    available : AvailableStimuli
        As `exemplars_by_duration` gives them.
    excerpts : Excerpts
    stimulus_set : path
    exemplar : str
    condition : Condition
        Its layer is the duration.
    order : sequence of int
        0 or 1 for each interval; one of them is the odd one.
    generator : Generator
    """
    from audiometamer.signals.audio import file_duration

    seconds = float(condition.layer.removesuffix(" s"))

    def apart(name: str) -> list[Excerpt]:
        """Two excerpts of an exemplar that do not overlap, in random order."""
        file = available.sound(name, condition).file
        early, late = sorted(generator.uniform(0, file_duration(stimulus_set / file) - 2 * seconds, 2))
        found = [Excerpt(file, early, seconds), Excerpt(file, late + seconds, seconds)]
        return found if generator.integers(2) else found[::-1]

    own = apart(exemplar)
    if excerpts.task == "exemplar discrimination":
        return [own[k] for k in order]
    texture = available.metadata[exemplar][_TEXTURE]
    others = [
        clip for clip, row in available.metadata.items() if row[_TEXTURE] != texture and (clip, condition) in available.sounds
    ]
    unheard = [own, apart(others[int(generator.integers(len(others)))])]
    return [unheard[k].pop() for k in order]
