"""The tables of an exploration's design."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from audiometamer.listening.design import PositiveInt, Text
from audiometamer.listening.tables import NonNegativeInt

Above = Annotated[float, Meta(gt=0)]
Seconds = Annotated[float, Meta(ge=0, le=60)]
Decibels = Annotated[float, Meta(ge=0, le=20)]
STAIRCASE_KEYS = ("start", "steps", "reversals", "discard", "max_trials", "most_trials")
BAYESIAN_KEYS = ("target", "trials", "slopes", "lapses")
PROCEDURE_KEYS = {
    "staircase": (*STAIRCASE_KEYS, "down", "first_down"),
    "weighted": (*STAIRCASE_KEYS, "target"),
    "psi": BAYESIAN_KEYS,
    "quest+": BAYESIAN_KEYS,
}


class LadderSelection(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Which part of a ladder is explored.

    Parameters
    ----------
    folder : str
        The folder of `audiometamer explore ladder`, relative to the design's folder.
    choose : list of str, optional
        Dimensions; ``relu2/3`` stands for both its sides. Default: all dimensions of the ladder.
    each : int, optional
        Number of them for each listener. Default: all.
    """

    folder: Text
    choose: Annotated[list[Text], Meta(min_length=1)] | None = None
    each: PositiveInt | None = None


class ProcedureSettings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Rule that chooses levels from the answers; see `audiometamer.psychophysics`. Changes are in standard deviations.

    Parameters
    ----------
    kind : {"staircase", "weighted", "psi", "quest+"}
        Default "staircase".
    least, most : float, optional
        The range of the changes. Default: that of the ladder.
    start : float, optional
        First change of a staircase. Default: the largest change.
    steps : list of float, optional
        Step sizes of a staircase, as ratios above 1. Default: two steps of the ladder at first, then one.
    down, first_down : int, optional
        Correct answers in a row before a staircase goes down, and the same until the first reversal. Default: 3 and 1.
    reversals, discard, max_trials : int, optional
        Number of reversals of a staircase, number of first reversals that do not count, and maximal number of trials. Default:
        12, 4 and 100.
    target : float, optional
        Proportion correct at threshold; that of a staircase follows from `down`. Default: 0.794.
    trials : int, optional
        Number of trials of psi and quest+. Default: 40.
    slopes : list of float, optional
        Slopes in the prior of psi and quest+, per natural logarithm of the change. Default: ten from 0.5 to 8.
    lapses : list of float, optional
        Lapse rates in the prior. Default: 0.02 for psi, which takes one; 0.01, 0.03 and 0.1 for quest+.
    """

    kind: Literal["staircase", "weighted", "psi", "quest+"] = "staircase"
    least: Above | None = None
    most: Above | None = None
    start: Above | None = None
    steps: list[float] | None = None
    down: PositiveInt | None = None
    first_down: PositiveInt | None = None
    reversals: PositiveInt | None = None
    discard: NonNegativeInt | None = None
    max_trials: PositiveInt | None = None
    most_trials: PositiveInt | None = None  # what `max_trials` was called; see `read_exploration_design`
    target: float | None = None
    trials: PositiveInt | None = None
    slopes: list[float] | None = None
    lapses: list[float] | None = None

    def given(self, *names: str) -> dict[str, Any]:
        """Those of some keys that the design has, with their values."""
        return {name: value for name in names if (value := getattr(self, name)) is not None}


class TaskSettings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The listener's task.

    Parameters
    ----------
    kind : {"abx", "odd-one-out"}
        Whether the third stimulus is the first or the second; which of three stimuli differs. Default "abx".
    gap : float
        Pause between the stimuli, in s. Default 0.5.
    rove : float
        Level rove: the largest random change of each sound's level, in dB. Default 0.
    """

    kind: Literal["abx", "odd-one-out"] = "abx"
    gap: Seconds = 0.5
    rove: Decibels = 0.0


class RenderingSettings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The source of stimuli.

    Parameters
    ----------
    way : {"ladder", "online"}
        The nearest of those made beforehand, or made while the listener hears the previous trial. Default "ladder".
    dimensions : str, optional
        For ``online``: the folder of `audiometamer explore dimensions`, relative to the design's folder.
    model : str, optional
        For ``online``: the name or folder of the model, or package.module:function. Default: the model of the ladder.
    longest_wait : float
        For ``online``: time in s after which the nearest of the ladder is presented instead. Default 2.
    ahead : int
        For ``online``: number of trials for which stimuli are made in advance. Default 4.
    """

    way: Literal["ladder", "online"] = "ladder"
    dimensions: Text | None = None
    model: Text | None = None
    longest_wait: Seconds = 2.0
    ahead: NonNegativeInt = 4


class PracticeSettings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Trials at the largest changes, with feedback.

    Parameters
    ----------
    trials : int
        Number of trials. Default 8.
    """

    trials: NonNegativeInt = 8


class CatchSettings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Easy trials among the others: the largest change along that dimension of a listener that alters signals most.

    The analysis excludes listeners who get many of them wrong.

    Parameters
    ----------
    every : int
        One trial in `every` is a catch trial, at a random position; 2 or more, or 0 for none. Default 20.
    """

    every: NonNegativeInt = 20
