"""Trials: what a list of one listener holds, and the key to its sounds."""

from pathlib import Path
from typing import Literal

import msgspec

from audiometamer.io.draws import Draws, read_key

TrialKind = Literal["headphones", "practice", "demonstration", "catch", "main"]
ARRANGEMENTS = {"abx": 4, "odd-one-out": 6}


def interval_order(kind: str, arrangement: int) -> tuple[list[int], str]:
    """What is played one after the other where two sounds are compared, and the right answer.

    ABX: both in either order, then one of them again. Odd one out: one of three differs, and either sound is the one.

    Parameters
    ----------
    kind : {"abx", "odd-one-out"}
    arrangement : int
        From 0 to one below ``ARRANGEMENTS[kind]``.

    Returns
    -------
    list of int
        0, the reference, or 1, the other sound, in each interval.
    str
        The interval of A and B that is played as X, or the odd one; from 1.
    """
    if kind == "abx":
        first, last = arrangement % 2, arrangement // 2
        order = [first, 1 - first]
        return [*order, order[last]], str(last + 1)
    place, common = arrangement % 3, arrangement // 3
    return [1 - common if k == place else common for k in range(3)], str(place + 1)


class Trial(msgspec.Struct, frozen=True, omit_defaults=True):
    """A trial of a list: what is played, and from which answers one is chosen where these are the trial's own."""

    trial: int
    kind: TrialKind
    stimulus: str
    options: list[str] = []


class TrialList(msgspec.Struct, frozen=True):
    """All trials of one listener, in order."""

    number: int
    trials: list[Trial]


class Lists(msgspec.Struct, frozen=True, omit_defaults=True):
    """``lists.json``: everybody's trials, drawn before the first listener.

    Parameters
    ----------
    stimuli_sha256 : str or None
        Of the set's manifest, or, for an exploration, of all files of its ladder.
    adaptive_command : str
        The command that decides on the way what follows them, as in ``explore``. Default: none; nothing follows.
    keyed : bool
        Whether draws follow from the seed and the private key in ``names.key``. Default: from the seed alone.
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
    """A metamer's condition, as the key names it."""

    model: str
    layer: str
    seed: int


class KeyEntry(msgspec.Struct, frozen=True):
    """What a sound is: an entry of ``key.json``.

    Parameters
    ----------
    file : str
        As it lies in the stimulus set; empty for the headphone check.
    condition : ConditionKey or "natural" or "headphones"
        Where a metamer is missing, the condition that it is missing from.
    clip, word, speaker : str
        Empty where they are not known.
    missing : bool
        Whether the natural clip stands in for a metamer.
    recognised_by : dict of str to str
        What models take this very sound for.
    answer : str
        The right one.
    """

    file: str
    condition: ConditionKey | Literal["natural", "headphones"]
    clip: str
    word: str
    speaker: str
    missing: bool
    recognised_by: dict[str, str]
    answer: str
