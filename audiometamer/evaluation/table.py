"""The table that an evaluation gives: a row for each number."""

import math
from collections.abc import Iterable
from pathlib import Path

import msgspec

from audiometamer.errors import AudioMetamerError
from audiometamer.io import tables
from audiometamer.statistics.bootstrap import IntervalEstimate

OTHERS = "(others)"  # in the place of a judge: all but the generating model together


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One number of ``evaluation.tsv``; what does not apply is empty.

    Parameters
    ----------
    judge : str
        The model that hears; ``(others)``: the mean of all judging models but the generating one.
    generator : str
        The model that made the metamers.
    layer : str
        The layer that was matched; ``natural``: the clips themselves.
    measured_layer : str
        The judge's layer at which activations were compared.
    attack : str
        Where and in which norm clips were attacked, as in ``cochleagram:l2``.
    radius : float or None
        Largest norm of the attack; 0 is none.
    task : str
    measure : str
        See `audiometamer.evaluation.measures` and `audiometamer.evaluation.evaluate`.
    value, low, high : float
        Mean over sounds and its 95 % interval over clips, NaN where there is a single clip. Shares are from 0 to 1.
    clips, sounds : int
        How many there are of each; seeds of a clip are several sounds.
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
    def of(cls, estimate: IntervalEstimate, **fields: str | float | None) -> "Row":
        """A row with the numbers of an estimate."""
        return msgspec.convert({**estimate._asdict(), **fields}, cls)


COLUMNS = (
    "judge", "generator", "layer", "measured_layer", "attack", "radius", "task", "measure", "value", "low", "high", "clips",
    "sounds",
)  # fmt: skip


def write_table(path: Path, rows: Iterable[Row]) -> None:
    """Write rows as ``evaluation.tsv``: tab-separated, the columns as in `Row`."""
    tables.write_table(path, COLUMNS, ({column: getattr(row, column) for column in COLUMNS} for row in rows))


def read_table(path: Path) -> list[Row]:
    """Read back what `write_table` wrote.

    Raises
    ------
    AudioMetamerError
        If it is not such a table.
    """
    try:
        rows = tables.read_table(path)
        return [msgspec.convert({column: cell for column, cell in row.items() if cell}, Row, strict=False) for row in rows]
    except msgspec.ValidationError as error:
        raise AudioMetamerError(f"{path} is not the table of an evaluation: {error}") from error
