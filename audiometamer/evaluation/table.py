"""The table of an evaluation: one number in each row."""

import math
from collections.abc import Iterable
from pathlib import Path

import msgspec

from audiometamer.errors import AudioMetamerError
from audiometamer.io import tables
from audiometamer.statistics.bootstrap import IntervalEstimate

OTHERS = "(others)"  # in place of a judge: all judges but the generating model


class EvaluationRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One number of ``evaluation.tsv``; fields that do not apply are empty.

    Parameters
    ----------
    judge : str
        The model that recognises; ``(others)``: the mean of all judging models but the generating one.
    generator : str
        The model that made the metamers.
    layer : str
        The layer that was matched; ``natural``: the clips themselves.
    measured_layer : str
        The judge's layer at which activations were compared.
    attack : str
        Input and norm of the attack on the clips, as in ``cochleagram:l2``.
    radius : float or None
        Largest norm of the attack; 0: no attack.
    task : str
    measure : str
        See `audiometamer.evaluation.measures` and `audiometamer.evaluation.evaluate`.
    value, low, high : float
        Mean over sounds and its 95 % interval over clips, NaN for a single clip. Proportions are from 0 to 1.
    clips, sounds : int
        Numbers of clips and of sounds; each seed of a clip is a sound.
    """

    judge: str
    measure: str
    value: float
    clips: int
    sounds: int
    low: float = math.nan
    high: float = math.nan
    generator: str = ""
    layer: str = ""
    measured_layer: str = ""
    attack: str = ""
    radius: float | None = None
    task: str = ""

    @classmethod
    def of(cls, estimate: IntervalEstimate, **fields: str | float | None) -> "EvaluationRow":
        """A row with the numbers of an estimate."""
        return msgspec.convert({**estimate._asdict(), **fields}, cls)


COLUMNS = (
    "judge", "generator", "layer", "measured_layer", "attack", "radius", "task", "measure", "value", "low", "high", "clips",
    "sounds",
)  # fmt: skip


def write_table(path: Path, rows: Iterable[EvaluationRow]) -> None:
    """Write rows as ``evaluation.tsv``: tab-separated, the columns as in `EvaluationRow`."""
    tables.write_table(path, COLUMNS, ({column: getattr(row, column) for column in COLUMNS} for row in rows))


def read_table(path: Path) -> list[EvaluationRow]:
    """Read back what `write_table` wrote.

    Raises
    ------
    AudioMetamerError
        If the file is not such a table.
    """
    try:
        rows = tables.read_table(path)
        return [
            msgspec.convert({column: cell for column, cell in row.items() if cell}, EvaluationRow, strict=False) for row in rows
        ]
    except msgspec.ValidationError as error:
        raise AudioMetamerError(f"{path} is not the table of an evaluation: {error}") from error
