"""An experiment's folder: where things lie in it, and what is read back from it."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from audiometamer.errors import AudioMetamerError
from audiometamer.listening.design import INTERVALS, TEXTS, CommonDesign, read_answer_list, read_text
from audiometamer.listening.headphones import N_INTERVALS
from audiometamer.listening.trials import KeyEntry, Lists, Trial

if TYPE_CHECKING:
    from audiometamer.listening.adaptive import AdaptiveSequence

DESIGN = "design.toml"
LISTS = "lists.json"
KEY = "key.json"
NAMES_KEY = "names.key"  # private: the sounds' names, right answers and all draws follow from it
SECRET = "results.secret"  # noqa: S105 (the name of a file)
MISSING = "missing.tsv"
ANSWERS = "answers.txt"
SOUNDS = "sounds"
PICTURES = "pictures"
TEXTS_FOLDER = "texts"
PAGE = "page"
DATABASE = "answers.db"
CALIBRATION_NOISE = "calibrationnoise"  # the one sound whose name says what it is


@dataclass(frozen=True)
class Experiment:
    """A built experiment.

    Parameters
    ----------
    folder : Path
    design : CommonDesign
    lists : Lists
    key : dict of str to KeyEntry
        By the opaque name of the sound.
    adaptive : AdaptiveSequence, optional
        What follows each list, where it is decided on the way. Default: nothing does.
    """

    folder: Path
    design: CommonDesign
    lists: Lists
    key: dict[str, KeyEntry]
    adaptive: "AdaptiveSequence | None" = None

    @cached_property
    def answers(self) -> list[str]:
        """The closed list; the numbers of the intervals where sounds are compared."""
        if self.design.answers.kind in INTERVALS:
            return interval_choices(self.design.answers.kind)
        return read_answer_list(self.folder / ANSWERS)

    @cached_property
    def texts(self) -> dict[str, str]:
        """Consent, instructions and debriefing, in Markdown."""
        return {name: read_text(self.folder / DESIGN, self.design, name) for name in TEXTS}

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of everything by which answers are understood."""
        digest = hashlib.sha256()
        drawn_by = [NAMES_KEY] if self.adaptive is not None and self.lists.keyed else []  # what comes next is drawn on the way
        for name in (DESIGN, KEY, LISTS, *drawn_by):
            digest.update((self.folder / name).read_bytes())
        return digest.hexdigest()

    @cached_property
    def secret(self) -> str:
        """What opens the results."""
        found = _text(self.folder / SECRET).strip()
        if not found:  # or whoever gives nothing has it
            raise AudioMetamerError(f"{self.folder / SECRET} is empty; it must hold what opens the results")
        return found

    @cached_property
    def sounds(self) -> dict[str, Path]:
        """The files of all sounds that were made beforehand, by name; the noise that sets the level among them."""
        noise = [CALIBRATION_NOISE] if self.design.image_settings is None else []
        return {name: self.folder / SOUNDS / f"{name}.wav" for name in (*self.key, *noise)}

    def trials(self, number: int) -> list[Trial]:
        """The list of this number, from 1."""
        return self.lists.listeners[number - 1].trials

    def options(self, trial: Trial) -> list[str]:
        """The answers that a trial takes."""
        if trial.kind == "headphones":
            return [str(k) for k in range(1, N_INTERVALS + 1)]
        return trial.options or self.answers

    def correct(self, stimulus: str, answer: str) -> bool:
        """Whether this is the right answer to this sound."""
        return self.design.answers.same(answer, self.key[stimulus].answer)


def interval_choices(kind: str) -> list[str]:
    """What listeners answer where sounds are compared: the sound that the last is, or that differs, from 1."""
    return ["1", "2"] if kind == "abx" else ["1", "2", "3"]


def read_lists(folder: Path) -> tuple[Lists, dict[str, KeyEntry]]:
    """The lists of an experiment of any kind, and the key to their sounds; raises as `read_experiment`."""
    if not (folder / LISTS).is_file():
        raise AudioMetamerError(
            f"{folder} is no experiment: it has no {LISTS}; give the folder that `experiment build` or `explore build` made"
        )
    try:
        lists = msgspec.json.decode(_text(folder / LISTS), type=Lists)
        key = msgspec.json.decode(_text(folder / KEY), type=dict[str, KeyEntry])
    except msgspec.MsgspecError as error:
        raise AudioMetamerError(f"{folder} is no experiment that can be read: {error}") from error
    for k, one in enumerate(lists.listeners, start=1):
        if [one.number, *(trial.trial for trial in one.trials)] != [k, *range(1, len(one.trials) + 1)]:
            raise AudioMetamerError(f"{folder / LISTS} was changed: list {k} is not numbered from 1")
        if unknown := [trial.stimulus for trial in one.trials if trial.stimulus not in key]:
            raise AudioMetamerError(f"{folder / LISTS} names {unknown[0]}, which {KEY} does not know")
    return lists, key


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AudioMetamerError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
