"""Two small models that disagree, and a plan of every kind of sounds for them."""

from pathlib import Path

import tiny_models
from tiny_plan import write_plan

import audiometamer as am

PLAN = """\
output = "set"
layers = ["relu0"]
rate = 8000
level = 0.05

[clips]
table = "clips.csv"

[[models]]
name = "tiny_comparisons:first"

[[models]]
name = "tiny_comparisons:second"

[[comparisons]]
kind = "eigendistortions"
levels = [-10]

[[comparisons]]
kind = "finite"
levels = [-10]
steps = 5

[[comparisons]]
kind = "principal"
levels = [-10, 0]

[[comparisons]]
kind = "mad"
noise = -10
steps = 10

[[comparisons]]
kind = "controversial"
words = ["yes", "no"]
steps = 40

[[comparisons]]
kind = "distant"
count = 2
rounds = 1
steps = 3
synthesis_steps = 10
"""


def _model(name: str, seed: int) -> am.Model:
    network = tiny_models.seeded(tiny_models.TinyNetwork(), seed)
    return am.Model(
        network, front_end=tiny_models.front_end(), sample_rate=tiny_models.SAMPLE_RATE, duration=tiny_models.DURATION,
        labels={"word": tiny_models.WORDS}, name=name, check=False,
    )  # fmt: skip


def first() -> am.Model:
    """One model."""
    return _model("first", 1)


def second() -> am.Model:
    """Another, of other weights."""
    return _model("second", 2)


def third() -> am.Model:
    """A third."""
    return _model("third", 3)


def write_comparison_plan(folder: Path, text: str = PLAN, *, n_clips: int = 1) -> Path:
    """A plan with its clips."""
    return write_plan(folder, text, n_clips=n_clips)
