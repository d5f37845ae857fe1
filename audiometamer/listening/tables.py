"""The tables of trials and listeners: reading, checking, writing."""

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_args, get_type_hints

import msgspec

from audiometamer.errors import AudioMetamerError, AudioMetamerWarning
from audiometamer.io.tables import nearest, read_table, write_table
from audiometamer.listening.identity import composed
from audiometamer.listening.messages import Timestamp
from audiometamer.listening.trials import PATH, TrialKind
from audiometamer.models.inputs import NATURAL

if TYPE_CHECKING:
    import pandas as pd

NonNegativeInt = Annotated[int, msgspec.Meta(ge=0)]
RecordType = TypeVar("RecordType", bound=msgspec.Struct)

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_MSGSPEC_ERROR = re.compile(r"(?:Expected `(\w+)[^`]*`( >=? [\d.]+)?)?.* - at `\$\.(\w+)`")  # msgspec's wording
_EXPECTED = {
    "bool": "true or false", "int": "a whole number{}", "float": "a number{} (decimals after a point)",
    "datetime": "a time with its zone, as in 2026-11-02T12:00:06Z",
}  # fmt: skip


class TrialRow(msgspec.Struct, frozen=True, kw_only=True):
    """One answer of one listener; the fields are the columns of the table, in this order. What does not apply is empty.

    Parameters
    ----------
    listener : str
    trial : int
        Number of the trial in the listener's list.
    kind : str
        ``headphones``, ``practice``, ``demonstration``, ``catch`` or ``main``.
    stimulus : str
        Opaque name of the sound that was played.
    clip, model, layer : str
        The stimulus: a metamer of `clip` for a layer of a model, or, if the layer is ``natural``, the clip itself; if it is
        ``path``, the clips that were played one after the other.
    seed : int or None
        Seed of the metamer.
    missing : bool
        There was no metamer of this clip in this condition, and the natural clip was played in its place.
    word, speaker : str
        Word and speaker of the clip.
    answer : str
    correct : bool
        False where no answer is right.
    reaction_time_ms : float or None
        ms.
    plays : int or None
        How often the sound was played.
    started, answered : datetime or None
        UTC.
    network_correct : bool or None
        Whether the model that the metamer was made for recognises this very sound.
    browser, playback : str
        Browser of the listener, and how it played the sound, as JSON.
    confidence : float or None
        How sure the listener was, from 0 to 100.
    """

    listener: str
    trial: NonNegativeInt
    kind: TrialKind
    stimulus: str = ""
    clip: str = ""
    model: str = ""
    layer: str = ""
    seed: int | None = None
    missing: bool = False
    word: str = ""
    speaker: str = ""
    answer: str = ""
    correct: bool
    reaction_time_ms: Annotated[float, msgspec.Meta(ge=0)] | None = None
    plays: NonNegativeInt | None = None
    started: Timestamp | None = None
    answered: Timestamp | None = None
    network_correct: bool | None = None
    browser: str = ""
    playback: str = ""
    confidence: Annotated[float, msgspec.Meta(ge=0, le=100)] | None = None

    def __post_init__(self) -> None:
        normalize_names(self, "listener", "model", "layer")


class ListenerRow(msgspec.Struct, frozen=True, kw_only=True):
    """One listener; the fields are the columns of the table, in this order, followed by those of the questionnaire.

    Spaces around names are ignored, as is the encoding of accents: ``"young "`` and ``"young"`` are one group.

    Parameters
    ----------
    listener : str
    group : str
        Group of listeners, if the experiment compares some.
    headphones_correct, headphones_trials : int or None
        Result of the headphone check; empty if there was none.
    practice_correct : int or None
    finished : bool or None
        Whether the last trial was answered.
    excluded : bool
        Whether the experimenter or a rule of the analysis excludes the listener.
    reason : str
        Why the listener is excluded, or not analysed.
    questionnaire : dict of str to str
        Answers by column.
    """

    listener: str
    group: str = ""
    headphones_correct: NonNegativeInt | None = None
    headphones_trials: NonNegativeInt | None = None
    practice_correct: NonNegativeInt | None = None
    finished: bool | None = None
    excluded: bool = False
    reason: str = ""
    questionnaire: dict[str, str] = {}

    def __post_init__(self) -> None:
        normalize_names(self, "listener", "group")


def normalize_names(record: msgspec.Struct, *names: str) -> None:
    """Make names that look alike equal: trim spaces, collapse them, and compose accents (NFC)."""
    for name in names:
        msgspec.structs.force_setattr(record, name, composed(getattr(record, name)))


TRIAL_COLUMNS = TrialRow.__struct_fields__
_EXPORTED = ("counted_as",)  # written by `experiment export` for people: `correct` follows from it
LISTENER_COLUMNS = tuple(name for name in ListenerRow.__struct_fields__ if name != "questionnaire")


def read_trials(path: Path) -> list[TrialRow]:
    """Read and check a trial table; a column that may be empty may be missing.

    Warns
    -----
    AudioMetamerWarning
        If there are columns beyond those of `TrialRow`, which are ignored.

    Raises
    ------
    AudioMetamerError
        If it cannot be read, lacks a column that every trial needs, a cell is not of its type, a main trial names no layer, an
        answer came before its trial, or a listener has two answers to one trial.
    """
    rows = read_table(path, required=required_columns(TrialRow))
    note_unused(path, [name for name in rows[0] if name not in (*TRIAL_COLUMNS, *_EXPORTED)])
    trials: list[TrialRow] = []
    answered: dict[tuple[str, int], int] = {}
    for row in rows:
        trial = record_from(path, row.line, {name: row[name] for name in TRIAL_COLUMNS if name in row}, TrialRow)
        where = f"{path}, line {row.line}: listener {trial.listener}, trial {trial.trial}"
        if trial.kind == "main" and not (trial.layer and trial.clip):
            raise AudioMetamerError(f"{where} is of the main part and names no {'clip' if trial.layer else 'layer'}")
        if trial.kind == "main" and trial.layer not in (NATURAL, PATH) and not trial.model:
            raise AudioMetamerError(f"{where} is a metamer at {trial.layer} and names no model")
        if trial.started and trial.answered and trial.answered < trial.started:
            raise AudioMetamerError(f"{where} was answered at {trial.answered} before it started, at {trial.started}")
        if (first := answered.setdefault((trial.listener, trial.trial), row.line)) != row.line:
            raise AudioMetamerError(f"{where} is also in line {first}; there must be one answer to each trial")
        trials.append(trial)
    return trials


def required_columns(kind: type[msgspec.Struct]) -> list[str]:
    """Columns that a table of these records must have: the fields without a default."""
    return [field.encode_name for field in msgspec.structs.fields(kind) if field.required]


def note_unused(path: Path, columns: Sequence[str]) -> None:
    """Warn about columns that no analysis knows."""
    if columns:
        warnings.warn(f"{path}: unknown columns are ignored: {', '.join(columns)}", AudioMetamerWarning, stacklevel=3)


def write_trials(path: Path, trials: Iterable[TrialRow]) -> None:
    """Write a trial table.

    A spreadsheet that opens it executes nothing that a listener wrote (see `audiometamer.io.tables.escape_formula`, which
    reading reverts); control characters become spaces, and halves of surrogate pairs question marks.
    """
    write_table(path, TRIAL_COLUMNS, map(cells, trials))


def read_listeners(path: Path) -> list[ListenerRow]:
    """Read and check a table of listeners; unknown columns are answers to the questionnaire.

    Warns
    -----
    AudioMetamerWarning
        If one of these is almost the name of a missing column.

    Raises
    ------
    AudioMetamerError
        If it cannot be read, has no column ``listener``, a cell is not of its type, or a listener appears twice.
    """
    listeners: dict[str, ListenerRow] = {}
    rows = read_table(path, required=required_columns(ListenerRow))
    _note_mistaken(path, list(rows[0]))
    for row in rows:
        about = {name: row.pop(name) for name in LISTENER_COLUMNS if name in row}
        listener = record_from(path, row.line, {**about, "questionnaire": dict(row)}, ListenerRow)
        if listener.listener in listeners:
            raise AudioMetamerError(f"{path}, line {row.line}: listener {listener.listener} appears twice")
        if (right := listener.headphones_correct or 0) > (trials := listener.headphones_trials or 0):
            raise AudioMetamerError(f"{path}, line {row.line}: {right} right of {trials} headphone trials")
        listeners[listener.listener] = listener
    return list(listeners.values())


def read_persons(path: Path) -> dict[str, str]:
    """Read who listeners are to their recruitment service, by listener, from ``participants.tsv``; unnamed ones are left out.

    Raises
    ------
    AudioMetamerError
        If it cannot be read, or lacks a column.
    """
    rows = read_table(path, required=["listener", "service", "participant"])
    return {row["listener"].strip(): f"{row['service']} {row['participant']}" for row in rows if row["participant"].strip()}


def _note_mistaken(path: Path, header: Sequence[str]) -> None:
    absent = [name for name in LISTENER_COLUMNS if name not in header]
    for name in header:
        if name not in LISTENER_COLUMNS and (meant := nearest(name, absent)):
            warnings.warn(
                f"{path}: column {name} is taken for a question; if it is {meant}, rename it",
                AudioMetamerWarning,
                stacklevel=3,
            )


def write_listeners(path: Path, listeners: Iterable[ListenerRow]) -> None:
    """Write a table of listeners, as `write_trials` writes trials."""
    rows = [cells(listener) for listener in listeners]
    write_table(path, dict.fromkeys((*LISTENER_COLUMNS, *(column for row in rows for column in row))), rows)


def trial_frame(trials: Sequence[TrialRow]) -> "pd.DataFrame":
    """The trials as a pandas data frame, a column for each field.

    Raises
    ------
    AudioMetamerError
        If pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise AudioMetamerError("a data frame needs pandas; `pip install 'audiometamer[analysis]'` installs it") from error
    return pd.DataFrame([msgspec.structs.asdict(trial) for trial in trials], columns=list(TRIAL_COLUMNS))


def cells(record: msgspec.Struct) -> dict[str, Any]:
    """Cells of a record, by column."""
    row: dict[str, Any] = msgspec.to_builtins(record)
    row.update({_text(question): answer for question, answer in row.pop("questionnaire", {}).items()})
    return {name: _cell(value) for name, value in row.items()}


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return _text(value) if isinstance(value, str) else value


def _text(text: str) -> str:
    return _CONTROL.sub(" ", text.encode("utf-8", "replace").decode("utf-8"))


def json_cell(content: Mapping[str, Any]) -> str:
    """Cell for what is not a single value: JSON on one line, with sorted keys."""
    return msgspec.json.encode(content, order="deterministic").decode()


def record_from(path: Path, line: int, row: Mapping[str, Any], kind: type[RecordType]) -> RecordType:
    """The record of a row of a table; blank cells get their defaults."""
    filled = {name: cell for name, cell in row.items() if not isinstance(cell, str) or cell.strip()}
    try:
        return msgspec.convert(filled, kind, strict=False)
    except msgspec.ValidationError as error:
        raise AudioMetamerError(f"{path}, line {line}: {_explained(str(error), filled, kind)}") from error


def _explained(message: str, row: Mapping[str, Any], kind: type[msgspec.Struct]) -> str:
    """Msgspec's error about a row, with the column, the content of the cell, and what is expected."""
    if (known := _MSGSPEC_ERROR.fullmatch(message)) is None:
        return message
    type_name, least, column = known.groups()
    if message.startswith("Invalid enum value"):
        expected = "one of " + ", ".join(get_args(get_type_hints(kind)[column]))
    else:
        expected = _EXPECTED.get(type_name or "datetime", f"of type {type_name}").format(least or "")
    return f"{column} is {row[column]!r}; it must be {expected}"
