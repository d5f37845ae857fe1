"""The trial table of an exploration: reading, checking, writing."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import msgspec

from audiometamer.dimensions.dimensions import Dimension
from audiometamer.errors import AudioMetamerError
from audiometamer.exploration.presented import Presented
from audiometamer.io.tables import read_table, write_table
from audiometamer.listening.adaptive import DecidedTrial
from audiometamer.listening.folder import interval_choices
from audiometamer.listening.tables import (
    NonNegativeInt,
    Timestamp,
    cells,
    normalize_names,
    note_unused,
    record_from,
    required_columns,
)

Name = Annotated[str, msgspec.Meta(min_length=1)]
Above = Annotated[float, msgspec.Meta(gt=0)]


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """One answer of one listener to a comparison of a reference with the same signal moved along a dimension.

    Its fields are the columns of the table, in this order; after `dimension` come its ``layer``, ``component`` and ``sign``. What
    is not known is empty.

    Parameters
    ----------
    listener : str
    list : int
        Number of the listener's list, that all that was drawn follows from.
    trial : int
        Its number among the listener's.
    kind : str
        ``practice``, ``catch`` or ``main``; only the last are trials of the adaptive procedures.
    task : str
        What the listener was asked: ``abx`` or ``odd-one-out``, of three.
    dimension : str
        As `Dimension` is written: ``relu2/3/+``.
    reference : str
        The clip.
    wished : float
        The change that the procedure asked for, in standard deviations of the bank, as all changes here.
    made : float
        The wished change of the sound that was played: the ladder's nearest, or made on-line.
    reached : float
        By that sound.
    leakage : float
        See `audiometamer.dimensions.moving.MovedRecord`.
    snr_db, modulation, level_db : float
        See `audiometamer.dimensions.physical.Physical`; an SNR without end is empty.
    way : str
        ``ladder``; ``online``; ``fallback``, of the ladder since the sound was not there in time.
    waited_s : float
        How long the listener waited for the sound.
    arrangement : int
        Order of the intervals.
    rove_db : str
        Gain of each interval, in dB: a list in JSON. Empty where nothing is known of it.
    answer, right : str
        The listener's, and the right one.
    correct : bool
    reaction_time_ms : float or None
    plays : int or None
        How often the sound was played, or the images shown.
    started, answered : datetime or None
        UTC.
    playback : str
        What the browser told of how the sound was played, or for how long images were on the screen: JSON.
    """

    listener: Name
    list: NonNegativeInt
    trial: NonNegativeInt
    kind: Literal["practice", "catch", "main"]
    task: Literal["abx", "odd-one-out"]
    dimension: Name
    reference: Name
    wished: Above
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
    def to(cls, decided: DecidedTrial, *, listener: str, task: str, answer: str, **told: Any) -> Self:
        """The answer of a listener to what a course has decided, and what else is told of it."""
        about = msgspec.convert(decided.about, Presented)
        shared = {name: getattr(about, name) for name in cls.__struct_fields__ if name in Presented.__struct_fields__}
        row = {
            "listener": listener, "list": about.number, "trial": decided.trial.trial, "kind": decided.trial.kind, "task": task,
            **shared, "rove_db": msgspec.json.encode(about.rove_db).decode(), "waited_s": about.waited, "answer": answer,
            "right": decided.answer, "correct": answer == decided.answer,
        }  # fmt: skip
        return msgspec.convert({**row, **told}, cls)


_FIELDS = Answered.__struct_fields__
_AFTER = _FIELDS.index("dimension") + 1
_PARTS = ("layer", "component", "sign")
COLUMNS = (*_FIELDS[:_AFTER], *_PARTS, *_FIELDS[_AFTER:])


def level_of(reached: float) -> float:
    """Of a trial, as procedures are told it: the reached change; none where the sound went to the other side, or nowhere."""
    return reached if reached > 0 else math.nan


def read_answered(path: Path) -> list[Answered]:
    """Read and check a trial table; a column that may be empty may be missing.

    Warns
    -----
    AudioMetamerWarning
        If there are columns beyond `COLUMNS`, which are ignored.

    Raises
    ------
    AudioMetamerError
        If it cannot be read, lacks a column that every trial needs, a cell is not of its kind, cells of a row do not fit each
        other, a listener has two answers to one trial or two lists, or trials are of two tasks.
    """
    trials: list[Answered] = []
    answered: dict[tuple[str, int], int] = {}
    lists: dict[str, int] = {}
    needed = {*required_columns(Answered), *_PARTS}
    rows = read_table(path, required=[name for name in COLUMNS if name in needed])
    note_unused(path, [name for name in rows[0] if name not in COLUMNS])
    for row in rows:
        trial = record_from(path, row.line, {name: row[name] for name in _FIELDS if name in row}, Answered)
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


def write_answered(path: Path, trials: Iterable[Answered]) -> None:
    """Write a trial table, which spreadsheets run nothing of (see `audiometamer.listening.tables.write_trials`)."""
    write_table(path, COLUMNS, map(row_of, trials))


def row_of(trial: Answered) -> dict[str, Any]:
    """A row of the table, by column."""
    return {**cells(trial), **_parts(trial.dimension)}


def _parts(dimension: str) -> dict[str, Any]:
    layer, component, sign = Dimension.parse(dimension)
    return {"layer": layer, "component": component, "sign": "+" if sign > 0 else "-"}


def _wrong(trial: Answered, row: Mapping[str, str]) -> str | None:
    """What does not fit within a row, if anything."""
    for name in _FIELDS:
        value = getattr(trial, name)
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
