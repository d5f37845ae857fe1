"""A small experiment whose trials are decided on the way, a staircase over prepared sounds; it can be served."""

import argparse
import hashlib
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from audiometamer import experiment
from audiometamer.io.draws import Draws
from audiometamer.io.files import json_text, write_private, write_text
from audiometamer.io.toml_files import toml_text
from audiometamer.listening import folder as layout
from audiometamer.listening.adaptive import CompletedTrial, DecidedTrial, TrialRequest
from audiometamer.listening.design import TEXTS, CommonDesign, ResponseFormat, Texts, read_common
from audiometamer.listening.folder import Experiment, read_lists
from audiometamer.listening.gates import Headphones
from audiometamer.listening.trials import KeyEntry, Lists, Trial, TrialList
from audiometamer.signals.presentation import PresentationSettings, write_pcm

EXAMPLES = Path(experiment.__file__).parent / "texts" / "en"
LEVELS = 8
SECONDS = 0.05  # of each of the three intervals
GAP = 0.05
SERVE = (sys.executable, __file__)


class StaircaseDesign(CommonDesign, forbid_unknown_fields=True, frozen=True, kw_only=True):
    practice: int = 2
    trials: int = 12  # main trials
    catch: int = 4  # one after so many main trials
    makes: float = 0.0  # s that a sound takes to be made
    longest_wait: float = 0.3

    @property
    def answers(self) -> ResponseFormat:
        return ResponseFormat(kind="abx")

    def example(self, text: str) -> Path:
        """One of a recognition experiment."""
        return EXAMPLES / ("instructions-abx.md" if text == "instructions" else f"{text}.md")

    @property
    def gap(self) -> float:
        return GAP


@dataclass
class Staircase:
    """One down after a right answer, one up after a wrong one; after every fourth main trial there is a catch trial."""

    design: StaircaseDesign
    folder: Path
    first: int  # number of the first trial that is decided

    def is_made(self, seconds):
        """Whether a sound is there so many s after it was wanted."""
        return seconds >= self.design.makes

    def next(self, number, heard):
        kinds = [one.decided.trial.kind for one in heard]
        main = [one for one in heard if one.decided.trial.kind == "main"]
        if len(heard) < self.design.practice:
            kind, level = "practice", LEVELS - 1
        elif main and len(main) % self.design.catch == 0 and kinds[-1] == "main":
            kind, level = "catch", LEVELS - 1
        elif len(main) < self.design.trials:
            kind, level = "main", _level(main)
        else:
            return None
        return TrialRequest(self.first + len(heard), kind, {"level": level, "list": number})

    def ahead(self, number, heard, pending):
        """Only after the last trial of a block does the next not depend on the answer."""
        both = [self.next(number, [*heard, CompletedTrial(pending, "", correct)]) for correct in (False, True)]
        return both[0] if both[0] == both[1] else None

    def decide(self, wanted, waited, gone):
        begins = time.monotonic()
        while not (made := self.is_made(time.monotonic() - begins)) and waited() <= self.design.longest_wait:
            if gone():
                return None
            time.sleep(0.01)
        name = hashlib.sha256(f"{wanted.about['list']} {wanted.trial}".encode()).hexdigest()[:12]
        trial = Trial(wanted.trial, wanted.kind, name)
        return DecidedTrial(trial, str(1 + int(name, 16) % 2), {**wanted.about, "made": made, "waited": round(waited(), 3)})

    def stimulus(self, decided):
        path = self.folder / "levels" / f"{decided.about['level']}.wav"
        return path.read_bytes() if decided.trial.kind == "catch" else path

    def check(self, number, decided):
        if "level" not in decided.about:
            raise ValueError("it has no level")

    def progress(self, number, heard):
        return sum(one.decided.trial.kind == "main" for one in heard) / self.design.trials

    columns = ("listener", "trial", "kind", "level", "correct")

    def row(self, listener, decided, answer):
        trial, level = decided.trial, decided.about["level"]
        return dict(zip(self.columns, (listener, trial.trial, trial.kind, level, answer.answer == decided.answer), strict=True))


def _level(main):
    level = LEVELS - 1
    for one in main:
        level = min(max(level + (-1 if one.correct else 1), 0), LEVELS - 1)
    return level


def write_course(folder: Path, *, page: Path | None = None, listeners=3, checks=1, **settings) -> Path:
    """The folder of an experiment; `page`: of another one, to be copied."""
    design = StaircaseDesign("Just noticeable", listeners, headphones=Headphones(trials=max(checks, 1), minimum=1), **settings)
    sounds, draws = PresentationSettings(sample_rate=48_000), Draws(0, b"tiny")
    generator = np.random.default_rng(0)
    noise = 0.02 * generator.standard_normal((3, round(SECONDS * 48_000)))
    gap = np.zeros(round(GAP * 48_000))
    for level in range(LEVELS):
        parts = [noise[0], gap, noise[1] * (1 + level / LEVELS), gap, noise[2]]
        write_pcm(folder / "levels" / f"{level}.wav", np.concatenate(parts), sounds, name=str(level), draws=draws)
    key = {f"check{k}": KeyEntry("", "headphones", "", "", "", False, {}, "2") for k in range(checks)}
    for name in (*key, layout.CALIBRATION_NOISE):
        write_pcm(
            folder / layout.SOUNDS / f"{name}.wav", np.concatenate([noise[0], gap, noise[1]]), sounds, name=name, draws=draws
        )
    names = {name: f"{layout.TEXTS_FOLDER}/{name}.md" for name in TEXTS}
    for name, path in names.items():
        write_text(folder / path, design.example(name).read_text(encoding="utf-8"))
    write_text(folder / layout.DESIGN, toml_text(msgspec.structs.replace(design, texts=Texts(**names))))
    write_private(folder / layout.KEY, json_text(key))
    write_private(folder / layout.SECRET, "a secret\n")
    trials = [Trial(k, "headphones", name) for k, name in enumerate(key, start=1)]
    lists = [TrialList(k + 1, trials) for k in range(listeners)]
    write_text(folder / layout.LISTS, json_text(Lists(0, "x", None, lists, adaptive_command="staircase")))
    if page is None:
        (folder / layout.PAGE).mkdir()
    else:
        (folder / layout.PAGE).symlink_to(page)
    return folder


def read_course(folder: Path) -> Experiment:
    lists, key = read_lists(folder)
    design = read_common(folder / layout.DESIGN, StaircaseDesign)
    return Experiment(folder, design, lists, key, Staircase(design, folder, len(lists.listeners[0].trials) + 1))


def main() -> None:
    from audiometamer.listening.server import serve

    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--answers", type=Path)
    parser.add_argument("--port", type=int)
    asked = parser.parse_args()
    serve(read_course(asked.folder), port=asked.port, database=asked.answers, started=print)


if __name__ == "__main__":
    main()
