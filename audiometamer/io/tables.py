"""Text tables: tab-separated if the file's suffix is ``.tsv``, otherwise comma-separated.

No spreadsheet runs the content of a cell: text that it would read as a formula is written after an apostrophe, which reading
removes (see `escape_formula`).
"""

import csv
import difflib
import io
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import IO, Any

from audiometamer.errors import AudioMetamerError
from audiometamer.io.files import atomic_write
from audiometamer.io.reading import read_unicode

_SEPARATORS = "\t,;"  # semicolons: of spreadsheets with decimal commas
# What spreadsheets skip before a formula: blanks of any kind, control and invisible characters.
_UNSEEN = (
    r"\s\x00-\x1f\x7f-\xa0\xad\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202f\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb"
)
# The signs that begin one, also full-width, small, super- and subscript; perhaps already escaped.
_FORMULA = re.compile(rf"['{_UNSEEN}]*[=+\-@＝＋－＠﹦﹢﹣﹫⁼⁺⁻₌₊₋−]")
SIGN = re.compile(r"[+-]")
NUMBER = re.compile(r"[+-]|-(?:\d+\.?\d*(?:[eE][+-]?\d+)?|inf)", re.ASCII)  # a negative number, or a sign alone


class TableRow(dict[str, str]):
    """A row of a table, by column.

    Parameters
    ----------
    cells : mapping of str to str
    line : int
        Line of the file on which it begins, from 1.
    """

    def __init__(self, cells: Iterable[tuple[str, str]], line: int) -> None:
        super().__init__(cells)
        self.line = line


def read_cells(path: Path) -> tuple[list[str], list[list[str]]]:
    """Read header and rows; both empty if the file is. Empty rows, and columns without a name or a cell, are left out.

    Raises
    ------
    AudioMetamerError
        If it cannot be read, two columns have the same name, or a row has more or fewer cells than the header.
    """
    header, rows = _read(path)
    return header, [cells for _, cells in rows]


def read_table(path: Path, *, required: Sequence[str] = (), short_rows: bool = False) -> list[TableRow]:
    """Read the rows of a table, each a mapping from column to cell; otherwise as `read_cells`.

    Parameters
    ----------
    path : path
    required : sequence of str
        Columns that it must have; they also decide between tabs, commas and semicolons. Default: none, and the file's suffix
        decides.
    short_rows : bool
        Whether cells at the end of a row may be missing; they are then empty. Default False.

    Raises
    ------
    AudioMetamerError
        As `read_cells`; or if it has no rows or lacks a required column.
    """
    header, rows = _read(path, required=required, short_rows=short_rows)
    if missing := [column for column in required if column not in header]:
        named = [f"{column} (nearest: {near})" if (near := nearest(column, header)) else column for column in missing]
        raise AudioMetamerError(f"{path} has no column {', '.join(named)}; it has {', '.join(header) or 'none'}")
    if not rows:
        raise AudioMetamerError(f"{path} has no rows")
    return [TableRow(zip(header, cells, strict=True), line) for line, cells in rows]


def _read(path: Path, *, required: Sequence[str] = (), short_rows: bool = False) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Header, and rows with their first lines."""
    try:
        text = read_unicode(path)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=_separator(path, text, required), strict=True)
        (_, header), *rows = [*_numbered(reader)] or [(1, [])]
    except (OSError, ValueError, csv.Error) as error:
        raise AudioMetamerError(f"{path} cannot be read as a table: {getattr(error, 'strerror', None) or error}") from error
    header = [unescape_formula(column.strip()) for column in header]
    for line, cells in rows:
        cells += [""] * (len(header) - len(cells)) * short_rows
        if len(cells) != len(header):
            raise AudioMetamerError(
                f"{path}, line {line}: {len(cells)} cell{'s' * (len(cells) != 1)}; there should be {len(header)}"
            )
    kept = [k for k, name in enumerate(header) if name or any(cells[k] for _, cells in rows)]
    header = [header[k] for k in kept]
    if repeated := [name for name, count in Counter(header).items() if count > 1]:
        raise AudioMetamerError(
            f"{path} has several columns called {', '.join(map(repr, repeated))}; rename or remove all but one"
        )
    return header, [(line, [unescape_formula(cells[k]) for k in kept]) for line, cells in rows]


def _numbered(reader: Any) -> Iterator[tuple[int, list[str]]]:
    """The rows of a `csv.reader` that are not empty, each with its first line."""
    begins = 1
    for cells in reader:
        if any(map(str.strip, cells)):
            yield begins, cells
        begins = reader.line_num + 1


def nearest(name: str, known: Sequence[str]) -> str | None:
    """The known name that `name` is most likely to mean, ignoring case."""
    folded = {each.casefold(): each for each in reversed(known)}
    close = difflib.get_close_matches(name.strip().casefold(), folded, n=1, cutoff=0.8)
    return folded[close[0]] if close else None


def write_table(path: Path, columns: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a table with a header; None and NaN are empty cells, fractions have six digits."""
    rounded = ({column: _rounded(value) for column, value in row.items()} for row in rows)
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        _write(file, columns, rounded, _delimiter(path))


def table_text(
    columns: Iterable[str], rows: Iterable[Mapping[str, Any]], *, delimiter: str = "\t", harmless: re.Pattern[str] = NUMBER
) -> str:
    """Rows as text with a header; None is an empty cell, and fractions keep all digits.

    Parameters
    ----------
    columns : iterable of str
    rows : iterable of mapping
    delimiter : str
        Default: a tab.
    harmless : pattern
        Texts that look like a formula and need no escape. Default: negative numbers, and a sign alone.
    """
    text = io.StringIO(newline="")
    _write(text, columns, rows, delimiter, harmless)
    return text.getvalue()


def _write(
    file: IO[str], columns: Iterable[str], rows: Iterable[Mapping[str, Any]], delimiter: str, harmless: re.Pattern[str] = NUMBER
) -> None:
    """Write rows; not by the csv module, which does not quote carriage returns, at which readers begin a new row."""
    unsafe = re.compile(f'["\r\n{delimiter}]')

    def cell(value: Any) -> str:
        text = "" if value is None else str(value)
        if isinstance(value, str) and not harmless.fullmatch(text):
            text = escape_formula(text)
        return '"{}"'.format(text.replace('"', '""')) if unsafe.search(text) else text

    names = tuple(columns)
    for row in chain([dict(zip(names, names, strict=True))], rows):
        line = delimiter.join(cell(row.get(name)) for name in names)
        file.write((line or '""') + "\n")


def escape_formula(text: str) -> str:
    """Text that no spreadsheet reads as a formula: an apostrophe is put before what would be one."""
    return f"'{text}" if _FORMULA.match(text) else text


def unescape_formula(text: str) -> str:
    """Undo `escape_formula`."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


def _separator(path: Path, text: str, required: Sequence[str]) -> str:
    """The separator with which the header has the required columns; if there is none, that of the file's suffix."""
    usual = _delimiter(path)
    for separator in (usual, *_SEPARATORS):
        header = next(csv.reader(io.StringIO(text, newline=""), delimiter=separator), [])
        if {*required} <= {column.strip() for column in header}:
            return separator
    return usual


def _delimiter(path: Path) -> str:
    return "\t" if path.suffix.lower() == ".tsv" else ","


def _rounded(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return "" if math.isnan(value) else f"{value:.6g}"
