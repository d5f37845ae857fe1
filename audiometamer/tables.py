"""Tables as text: tab-separated if the name of the file ends in ``.tsv``, else with commas."""

import csv
import difflib
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from audiometamer.errors import AudioMetamerError
from audiometamer.files import whole_file

_SEPARATORS = "\t,;"  # semicolons: spreadsheets where commas separate decimals


def read_cells(path: Path, *, encoding: str = "utf-8", required: Sequence[str] = ()) -> tuple[list[str], list[list[str]]]:
    """Header and rows, as they are; both empty if the file is.

    Parameters
    ----------
    path : path
    encoding : str
        Default UTF-8.
    required : sequence of str
        Columns by which tabs, commas and semicolons are told apart. Default: none; the file's name says what separates cells.

    Raises
    ------
    AudioMetamerError
        If it cannot be read.
    """
    try:
        with path.open(encoding=encoding, newline="") as file:
            text = file.read()
        separator = _separator(path, text, required)
        header, *rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)) or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise AudioMetamerError(f"{path} cannot be read as a table: {error}") from error
    return header, rows


def read_table(path: Path, *, required: Sequence[str] = ()) -> list[dict[str, str]]:
    """Rows of a table with a header, by column; its cells may be separated by tabs, commas or semicolons.

    Raises
    ------
    AudioMetamerError
        If it cannot be read, has no rows, lacks a required column, or a row has more or fewer cells than the header.
    """
    header, rows = read_cells(path, encoding="utf-8-sig", required=required)  # as spreadsheets save it
    header = [column.strip() for column in header]
    if missing := [column for column in required if column not in header]:
        told = [f"{column} (nearest: {near})" if (near := nearest(column, header)) else column for column in missing]
        raise AudioMetamerError(f"{path} has no column {', '.join(told)}; it has {', '.join(header) or 'none'}")
    if not rows:
        raise AudioMetamerError(f"{path} has no rows")
    for line, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise AudioMetamerError(f"{path}, row {line}: {len(row)} cells; there should be {len(header)}")
    return [dict(zip(header, row, strict=True)) for row in rows]


def nearest(name: str, known: Sequence[str]) -> str | None:
    """The one of the known names that `name` may stand for, whatever its letter case."""
    folded = {each.casefold(): each for each in reversed(known)}
    close = difflib.get_close_matches(name.strip().casefold(), folded, n=1, cutoff=0.8)
    return folded[close[0]] if close else None


def write_table(path: Path, columns: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a table with a header; None and NaN are empty cells, other fractions have six digits."""
    with whole_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, tuple(columns), restval="", delimiter=_delimiter(path), lineterminator="\n")
        writer.writeheader()
        writer.writerows({column: _cell(value) for column, value in row.items()} for row in rows)


def _separator(path: Path, text: str, required: Sequence[str]) -> str:
    """The one by which the header has the required columns; if there is none, that of the file's name."""
    usual = _delimiter(path)
    for separator in (usual, *_SEPARATORS):
        header = next(csv.reader(io.StringIO(text, newline=""), delimiter=separator), [])
        if {*required} <= {column.strip() for column in header}:
            return separator
    return usual


def _delimiter(path: Path) -> str:
    return "\t" if path.suffix == ".tsv" else ","


def _cell(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return "" if math.isnan(value) else f"{value:.6g}"
