"""The folder of an experiment: names of its files, and what is read from them."""

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
NAMES_KEY = "names.key"  # private: names of sounds, right answers and all draws follow from it
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
        Entries by the opaque name of the sound.
    adaptive : AdaptiveSequence, optional
        The trials that follow each list. Default: none.
    """

    folder: Path
    design: CommonDesign
    lists: Lists
    key: dict[str, KeyEntry]
    adaptive: "AdaptiveSequence | None" = None

    @cached_property
    def answers(self) -> list[str]:
        """All possible answers; where sounds are compared, the numbers of the intervals."""
        if self.design.answers.kind in INTERVALS:
            return interval_choices(self.design.answers.kind)
        return read_answer_list(self.folder / ANSWERS)

    @cached_property
    def texts(self) -> dict[str, str]:
        """Consent, instructions and debriefing, in Markdown."""
        return {name: read_text(self.folder / DESIGN, self.design, name) for name in TEXTS}

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of everything that is needed to interpret answers."""
        digest = hashlib.sha256()
        drawn_by = [NAMES_KEY] if self.adaptive is not None and self.lists.keyed else []  # adaptive trials are drawn later
        for name in (DESIGN, KEY, LISTS, *drawn_by):
            digest.update((self.folder / name).read_bytes())
        return digest.hexdigest()

    @cached_property
    def secret(self) -> str:
        """Password of the results."""
        found = _text(self.folder / SECRET).strip()
        if not found:  # an empty password would open it to everybody
            raise AudioMetamerError(f"{self.folder / SECRET} is empty; it must hold the password of the results")
        return found

    @cached_property
    def sounds(self) -> dict[str, Path]:
        """Files of all sounds that were made beforehand, by name, including the noise for setting the level."""
        noise = [CALIBRATION_NOISE] if self.design.image_settings is None else []
        return {name: self.folder / SOUNDS / f"{name}.wav" for name in (*self.key, *noise)}

    def trials(self, number: int) -> list[Trial]:
        """The trials of list `number`, from 1."""
        return self.lists.listeners[number - 1].trials

    def options(self, trial: Trial) -> list[str]:
        """The answers that a trial accepts."""
        if trial.kind == "headphones":
            return [str(k) for k in range(1, N_INTERVALS + 1)]
        return trial.options or self.answers

    def correct(self, stimulus: str, answer: str) -> bool:
        """Whether this is the right answer to this sound."""
        return self.design.answers.same(answer, self.key[stimulus].answer)


def interval_choices(kind: str) -> list[str]:
    """The answers where sounds are compared: the interval, or the pair, from 1, that the last repeats, or that differs (more).

    Where sounds are compared with an original, intervals are counted after it.
    """
    return ["1", "2", "3"] if kind == "odd-one-out" else ["1", "2"]


def read_lists(folder: Path) -> tuple[Lists, dict[str, KeyEntry]]:
    """Read the lists of an experiment of any kind, and the key to their sounds.

    Raises
    ------
    AudioMetamerError
        If the folder holds no experiment, or its lists and key cannot be read or do not fit each other.
    """
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
