"""Trials, the lists of listeners, and the key to their sounds."""

from pathlib import Path
from typing import Final, Literal

import msgspec

from audiometamer.io.draws import Draws, read_key

TrialKind = Literal["headphones", "practice", "demonstration", "catch", "main"]
ARRANGEMENTS = {"abx": 4, "odd-one-out": 6, "triads": 2, "quadruples": 4}
PATH: Final = "path"  # the condition of trials that compare sounds along a path


def interval_order(kind: str, arrangement: int) -> tuple[list[int], str]:
    """The order of sounds in the intervals of a comparison, and the right answer.

    ABX: both sounds in either order, then one of them again. Odd one out: one of three intervals differs, and holds either sound.
    Triads: three sounds along a path, or backwards. Quadruples: two pairs along a path, in either order, or both backwards.

    Parameters
    ----------
    kind : {"abx", "odd-one-out", "triads", "quadruples"}
    arrangement : int
        Number of the order, from 0 to one below ``ARRANGEMENTS[kind]``.

    Returns
    -------
    list of int
        0 for the reference or 1 for the other sound, in each interval; of triads and quadruples, the places of the sounds among
        those of the trial.
    str
        The interval, from 1, that X repeats, or that is the odd one; empty where no answer is right.
    """
    if kind == "triads":
        return [[0, 1, 2], [2, 1, 0]][arrangement], ""
    if kind == "quadruples":
        return [[0, 1, 2, 3], [3, 2, 1, 0], [2, 3, 0, 1], [1, 0, 3, 2]][arrangement], ""
    if kind == "abx":
        first, last = arrangement % 2, arrangement // 2
        order = [first, 1 - first]
        return [*order, order[last]], str(last + 1)
    place, common = arrangement % 3, arrangement // 3
    return [1 - common if k == place else common for k in range(3)], str(place + 1)


class Trial(msgspec.Struct, frozen=True, omit_defaults=True):
    """A trial: its stimulus, and the possible answers where they are the trial's own."""

    trial: int
    kind: TrialKind
    stimulus: str
    options: list[str] = []


class TrialList(msgspec.Struct, frozen=True):
    """All trials of one listener, in order."""

    number: int
    trials: list[Trial]


class Lists(msgspec.Struct, frozen=True, omit_defaults=True):
    """``lists.json``: the trials of all listeners, drawn before the first of them.

    Parameters
    ----------
    stimuli_sha256 : str or None
        Hash of the set's manifest or, for an exploration, of all files of its ladder.
    adaptive_command : str
        Command whose adaptive sequence follows the lists, as in ``explore``. Default: none follows.
    keyed : bool
        Whether draws follow from the seed and the private key in ``names.key``, rather than the seed alone. Default False.
    """

    seed: int
    audiometamer: str
    stimuli_sha256: str | None
    listeners: list[TrialList]
    adaptive_command: str = msgspec.field(default="", name="course")
    keyed: bool = False

    def draws(self, names_key: Path) -> Draws:
        """The draws of an experiment whose private key is in this file."""
        return Draws(self.seed, read_key(names_key) if self.keyed else None)


class ConditionKey(msgspec.Struct, frozen=True):
    """Condition of a metamer, as the key names it."""

    model: str
    layer: str
    seed: int


class KeyEntry(msgspec.Struct, frozen=True):
    """The contents of a sound: an entry of ``key.json``.

    Parameters
    ----------
    file : str
        Path in the stimulus set; empty for the headphone check, and where there is a `sequence`.
    condition : ConditionKey or "natural" or "headphones" or "path"
        Condition of the trial; if a metamer is missing, the condition that it is missing from.
    clip, word, speaker : str
        Empty where unknown.
    missing : bool
        Whether the natural clip stands in for a metamer.
    recognised_by : dict of str to str
        What models recognise in this very sound.
    answer : str
        The right answer; empty if there is none.
    sequence : list of str
        Files of the folder of a path that are played one after the other.
    """

    file: str
    condition: ConditionKey | Literal["natural", "headphones", "path"]
    clip: str
    word: str
    speaker: str
    missing: bool
    recognised_by: dict[str, str]
    answer: str
    sequence: list[str] = []
