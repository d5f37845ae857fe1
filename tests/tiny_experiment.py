"""A small stimulus set, a design for it, and the experiment that comes out."""

from pathlib import Path

import tiny_stimuli as tiny

from audiometamer.experiment.build import build
from audiometamer.stimuli.set import write_set

WORDS = ("apple", "bread", "chair", "dog", "eagle", "fish", "goat", "house", "ink", "juice", "kite", "lamp")
LAYERS = ("relu0", "relu1")
DESIGN = """
title = "Words in noise"
listeners = 6
seed = 1

[headphones]
trials = 2
minimum = 1

[practice]
trials = 1

[demonstration]
trials = 2
minimum = 1

[catch]
trials = 2

[clips]
speaker = "voice"

[[questions]]
name = "age"
text = "How old are you?"
kind = "number"

[[questions]]
name = "remarks"
text = "Anything else?"
"""


def write_stimuli(folder: Path, words=WORDS, voices=("slt", "rms"), **settings) -> Path:
    clips = [f"{word}_{voice}" for word in words for voice in voices]
    tiny.write_items(folder, clips=clips, layers=LAYERS, **settings)
    write_set(folder, clips=tiny.write_clips(folder.parent / "clips.csv", clips))
    return folder


def write_design(folder: Path, text=DESIGN) -> Path:
    path = folder / "design.toml"
    path.write_text(text, encoding="utf-8")
    return path


def build_experiment(folder: Path, text=DESIGN) -> Path:
    """Set, design and experiment in one folder."""
    build(write_stimuli(folder / "set"), write_design(folder, text), folder / "experiment")
    return folder / "experiment"
