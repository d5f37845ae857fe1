"""The trial table of an exploration: reading, checking, writing."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import msgspec

from audiometamer.dimensions.dimensions import Dimension
from audiometamer.errors import AudioMetamerError
from audiometamer.exploration.presented_trial import PresentedTrial
from audiometamer.io.tables import read_table, write_table
from audiometamer.listening.adaptive import DecidedTrial
from audiometamer.listening.folder import interval_choices
from audiometamer.listening.messages import Timestamp
from audiometamer.listening.tables import (
    NonNegativeInt,
    cells,
    normalize_names,
    note_unused,
    record_from,
    required_columns,
)

Name = Annotated[str, msgspec.Meta(min_length=1)]
Above = Annotated[float, msgspec.Meta(gt=0)]


class AnsweredTrial(msgspec.Struct, frozen=True, kw_only=True):
    """One answer of one listener to a comparison of a reference with the same signal moved along a dimension.

    Its fields are the columns of the table, in this order; after `dimension` come its ``layer``, ``component`` and ``sign``.
    Unknown values are empty.

    Parameters
    ----------
    listener : str
    list : int
        Number of the listener's list, from which all random draws follow.
    trial : int
        Number of the trial, from 1 for each listener.
    kind : str
        ``practice``, ``catch`` or ``main``; only main trials are of the adaptive procedures.
    task : str
        ``abx`` or ``odd-one-out``.
    dimension : str
        Name of the dimension, as in ``relu2/3/+``.
    reference : str
        Name of the clip.
    requested : float
        The change that the procedure requested, in standard deviations of the bank, as all changes here; column ``wished``.
    made : float
        The requested change of the stimulus that was presented: the nearest of the ladder, or one made online.
    reached : float
        The change that this stimulus reached.
    leakage : float
        See `audiometamer.dimensions.moved.MovedRecord`.
    snr_db, modulation, level_db : float
        See `audiometamer.dimensions.physical.Physical`; an infinite SNR is empty.
    way : str
        Source of the stimulus: ``ladder``, ``online``, or ``fallback``, of the ladder as none was made online in time.
    waited_s : float
        How long the listener waited for the stimulus, in s.
    arrangement : int
        Order of the intervals.
    rove_db : str
        Gain of each interval, in dB: a list in JSON. Empty if unknown.
    answer, right : str
        The listener's answer, and the correct one.
    correct : bool
    reaction_time_ms : float or None
    plays : int or None
        How often the sounds were played, or the images shown.
    started, answered : datetime or None
        UTC.
    playback : str
        What the browser reported about how sounds were played, or for how long images were shown: JSON.
    """

    listener: Name
    list: NonNegativeInt
    trial: NonNegativeInt
    kind: Literal["practice", "catch", "main"]
    task: Literal["abx", "odd-one-out"]
    dimension: Name
    reference: Name
    requested: Above = msgspec.field(name="wished")
    made: Above
    reached: float
    leakage: Annotated[float, msgspec.Meta(ge=0)]
    snr_db: float | None = None
    modulation: Annotated[float, msgspec.Meta(ge=0)]
    level_db: float
    way: Literal["ladder", "online", "fallback"] = "ladder"
    waited_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    arrangement: NonNegativeInt = 0
    rove_db: str = ""
    answer: Name
    right: Name
    correct: bool
    reaction_time_ms: Annotated[float, msgspec.Meta(ge=0)] | None = None
    plays: NonNegativeInt | None = None
    started: Timestamp | None = None
    answered: Timestamp | None = None
    playback: str = ""

    def __post_init__(self) -> None:
        normalize_names(self, "listener")

    @classmethod
    def to(cls, decided: DecidedTrial, *, listener: str, task: str, answer: str, **details: Any) -> Self:
        """The answer of a listener to a decided trial.

        Parameters
        ----------
        decided : DecidedTrial
        listener, task, answer : str
        **details
            Other fields of the answer, such as `reaction_time_ms`.
        """
        about = msgspec.convert(decided.about, PresentedTrial)
        shared = {name: value for name, value in msgspec.to_builtins(about).items() if name in cls.__struct_encode_fields__}
        row = {
            "listener": listener, "list": about.number, "trial": decided.trial.trial, "kind": decided.trial.kind, "task": task,
            **shared, "rove_db": msgspec.json.encode(about.rove_db).decode(), "waited_s": about.waited, "answer": answer,
            "right": decided.answer, "correct": answer == decided.answer,
        }  # fmt: skip
        return msgspec.convert({**row, **details}, cls)


_FIELDS = AnsweredTrial.__struct_encode_fields__
_AFTER = _FIELDS.index("dimension") + 1
_PARTS = ("layer", "component", "sign")
COLUMNS = (*_FIELDS[:_AFTER], *_PARTS, *_FIELDS[_AFTER:])


def level_of(reached: float) -> float:
    """The level of a trial for procedures: the reached change, or NaN if the stimulus went to the other side, or nowhere."""
    return reached if reached > 0 else math.nan


def read_answered_trials(path: Path) -> list[AnsweredTrial]:
    """Read and check a trial table; a column that may be empty may be missing.

    Warns
    -----
    AudioMetamerWarning
        If there are unknown columns, which are ignored.

    Raises
    ------
    AudioMetamerError
        If it cannot be read or lacks a required column; if a cell has a wrong type or contradicts another cell of its row; if a
        listener has two answers to one trial, or two lists; if trials are of two tasks.
    """
    trials: list[AnsweredTrial] = []
    answered: dict[tuple[str, int], int] = {}
    lists: dict[str, int] = {}
    needed = {*required_columns(AnsweredTrial), *_PARTS}
    rows = read_table(path, required=[name for name in COLUMNS if name in needed])
    note_unused(path, [name for name in rows[0] if name not in COLUMNS])
    for row in rows:
        trial = record_from(path, row.line, {name: row[name] for name in _FIELDS if name in row}, AnsweredTrial)
        where = f"{path}, line {row.line}: listener {trial.listener}, trial {trial.trial}"
        if wrong := _wrong(trial, row):
            raise AudioMetamerError(f"{where}: {wrong}")
        if (first := answered.setdefault((trial.listener, trial.trial), row.line)) != row.line:
            raise AudioMetamerError(f"{where} is also in line {first}; there must be one answer to each trial")
        if (own := lists.setdefault(trial.listener, trial.list)) != trial.list:
            raise AudioMetamerError(f"{where} is of list {trial.list}, earlier ones are of list {own}; a listener has one list")
        if trials and trial.task != trials[0].task:
            raise AudioMetamerError(
                f"{where} is {trial.task}, earlier ones are {trials[0].task}; they cannot be analysed together"
            )
        trials.append(trial)
    return trials


def write_answered_trials(path: Path, trials: Iterable[AnsweredTrial]) -> None:
    """Write a trial table that is safe to open in a spreadsheet (see `audiometamer.listening.tables.write_trials`)."""
    write_table(path, COLUMNS, map(row_of, trials))


def row_of(trial: AnsweredTrial) -> dict[str, Any]:
    """A row of the table, by column."""
    return {**cells(trial), **_parts(trial.dimension)}


def _parts(dimension: str) -> dict[str, Any]:
    layer, component, sign = Dimension.parse(dimension)
    return {"layer": layer, "component": component, "sign": "+" if sign > 0 else "-"}


def _wrong(trial: AnsweredTrial, row: Mapping[str, str]) -> str | None:
    """A contradiction within a row, if any."""
    for name, value in zip(_FIELDS, msgspec.structs.astuple(trial), strict=True):
        if isinstance(value, float) and name != "modulation" and not math.isfinite(value):
            return f"{name} is {value:g}; it must be finite"
    try:
        parts = _parts(trial.dimension)
    except AudioMetamerError as error:
        return str(error)
    for name, part in parts.items():
        if row[name] != str(part):
            return f"{name} is {row[name]!r}, and the dimension is {trial.dimension}"
    if trial.right not in (possible := interval_choices(trial.task)):
        return f"right is {trial.right!r}; of {trial.task} it is one of {', '.join(possible)}"
    if trial.correct != (trial.answer == trial.right):
        return f"correct is {str(trial.correct).lower()}, the answer is {trial.answer!r} and the right one {trial.right!r}"
    if trial.started and trial.answered and trial.answered < trial.started:
        return f"answered at {trial.answered} before it started, at {trial.started}"
    return None
