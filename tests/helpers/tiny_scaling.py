"""A small path of sounds, an experiment with triads or quadruples of it, and the answers of simulated listeners."""

from pathlib import Path

import numpy as np
from tiny_experiment import write_names_key

from audiometamer.experiment.reading import read_experiment
from audiometamer.experiment.scaling.build import build_scaling
from audiometamer.experiment.scaling.observers import ScaleListener
from audiometamer.listening.tables import TrialRow
from audiometamer.signals.audio import write_wav

RATE = 8000
DESIGN = """
title = "Steps"
listeners = 4
seed = 1

[headphones]
test = "none"

[answers]
kind = "KIND"
"""


def write_path(folder: Path, sounds: int = 5, *, seconds: float = 0.05) -> Path:
    """Tones that rise along the path."""
    folder.mkdir(exist_ok=True)
    time = np.arange(round(seconds * RATE)) / RATE
    for k in range(sounds):
        write_wav(folder / f"s{k}.wav", (0.1 * np.sin(2 * np.pi * (300 + 200 * k) * time)).astype(np.float32), RATE)
    return folder


def write_design(folder: Path, kind: str = "triads", text: str = DESIGN) -> Path:
    path = folder / "design.toml"
    path.write_text(text.replace("KIND", kind), encoding="utf-8")
    return path


def build_tiny(folder: Path, kind: str = "triads", text: str = DESIGN, *, sounds: int = 5):
    """Sounds, design and experiment in one folder."""
    path, design, key = write_path(folder / "path", sounds), write_design(folder, kind, text), write_names_key(folder)
    build_scaling(path, design, folder / "experiment", key=key)
    return read_experiment(folder / "experiment")


def rows_of(experiment, listeners=None, *, scale=None, sigma: float = 0.2, repetitions: int = 1, seed: int = 0) -> list[TrialRow]:
    """Rows of the table of trials, as simulated listeners with one scale answer; `repetitions` of each list."""
    reply, rows = ScaleListener.of(experiment, scale, sigma=sigma), []
    for one in experiment.lists.listeners[:listeners]:
        generator = np.random.default_rng([seed, one.number])
        trials = one.trials * repetitions
        for number, trial in enumerate(trials, start=1):
            answer, _ = reply(trial.stimulus, experiment.answers, generator)
            rows.append(
                TrialRow(
                    listener=str(one.number), trial=number, kind="main", stimulus=trial.stimulus, clip="-", layer="path",
                    answer=answer, correct=False,
                )
            )  # fmt: skip
    return rows
