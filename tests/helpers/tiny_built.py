"""A small exploration: a design, the experiment that comes of it, and listeners whose answers follow a rule."""

import sys
from pathlib import Path

import msgspec
import tiny_models
from tiny_ladder import write_ladder
from tiny_ladder_plan import write_ladder_plan

import audiometamer as am
from audiometamer.dimensions.ladder import read_ladder
from audiometamer.dimensions.ladder_plan import read_ladder_plan
from audiometamer.dimensions.ladder_run import run_ladder
from audiometamer.exploration.design import read_exploration_design
from audiometamer.exploration.presented_trial import PresentedTrial
from audiometamer.exploration.sequence import ExplorationSequence
from audiometamer.io.draws import Draws
from audiometamer.listening.adaptive import CompletedTrial

TESTS = str(Path(__file__).parent)
DIMENSIONS = ("relu0/0/+", "relu0/0/-", "relu1/2/+")
CLIPS = ("vowel", "noise", "bell")
CHANGES = (0.1, 0.2, 0.4, 0.8)
DESIGN = """
title = "How far?"
listeners = 4
seed = 1

[ladder]
folder = "ladder"

[procedure]
reversals = 4
discard = 2
max_trials = 12

[practice]
trials = 3

[catch]
every = 5

[headphones]
trials = 2
minimum = 1
"""


def write_design(folder: Path, text: str = DESIGN) -> Path:
    """A design beside its ladder."""
    if not (folder / "ladder").exists():
        write_ladder(folder / "ladder", DIMENSIONS, CLIPS, CHANGES)
    path = folder / "design.toml"
    path.write_text(text, encoding="utf-8")
    return path


def course_of(folder: Path, text: str = DESIGN) -> ExplorationSequence:
    """The course of a design, without an experiment around it."""
    design = read_exploration_design(write_design(folder, text))
    return ExplorationSequence(folder, design, read_ladder(folder / "ladder"), Draws(design.seed, None))


def of_settings(folder: Path, old: str, new: str) -> ExplorationSequence:
    """The trials of the tiny design with a part of it replaced."""
    assert old in DESIGN
    return course_of(folder, DESIGN.replace(old, new))


def decide(course, wanted):
    """At once."""
    return course.decide(wanted, lambda: 0.0, lambda: False)


def presented(decided) -> PresentedTrial:
    return msgspec.convert(decided.about, PresentedTrial)


def take(course, number=1, right=lambda about: about.reached > 0.3, trials=10_000):
    """All that a listener hears whose answers are right by this rule, in at most so many trials."""
    heard: list[CompletedTrial] = []
    while len(heard) < trials and (wanted := course.next(number, heard)) is not None:
        decided = decide(course, wanted)
        correct = bool(right(presented(decided)))
        heard.append(CompletedTrial(decided, decided.answer if correct else "0", correct))
    return heard


def of_kind(heard, kind):
    return [presented(one.decided) for one in heard if one.decided.trial.kind == kind]


# Real signals of a tiny model, for sounds that are made on-line.
ONLINE = """
title = "How far?"
listeners = 3
seed = 2

[ladder]
folder = "ladder"
choose = ["relu0/0", "relu1/2/-"]

[procedure]
steps = [1.3]
reversals = 4
discard = 2
max_trials = 8

[making]
way = "online"
dimensions = "dimensions"
model = "tiny_models:sound_model"
longest_wait = 0.5

[practice]
trials = 1

[catch]
every = 0

[headphones]
test = "none"
"""
# The command, where the tests' models can be found.
SERVE = (
    sys.executable,
    "-c",
    f"import sys; sys.path.append({TESTS!r}); from audiometamer.cli import run; run()",
    "explore",
    "serve",
)


def other_model() -> am.Model:
    """The tiny network with other weights."""
    network = tiny_models.seeded(tiny_models.TinyNetwork(), seed=9)
    rate, duration = tiny_models.SAMPLE_RATE, tiny_models.DURATION
    return am.Model(network, front_end=tiny_models.front_end(), sample_rate=rate, duration=duration, name="tiny")


def write_online_design(folder: Path, model, text: str = ONLINE) -> Path:
    """A design beside a ladder that was made, and the dimensions that it was made along."""
    plan = write_ladder_plan(folder, model)
    run_ladder(plan, read_ladder_plan(plan), device="cpu", workers=1)
    path = folder / "design.toml"
    path.write_text(text, encoding="utf-8")
    return path
