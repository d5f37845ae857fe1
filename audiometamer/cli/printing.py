"""Printing: literal strings, and tables that are never cut."""

import shutil
import sys
from collections.abc import Iterable
from textwrap import fill
from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Column, Table
from rich.text import Text

from audiometamer.cli.streams import ERRORS


class PlainConsole(Console):
    """A console for literal strings: without markup or emoji codes, and with control characters escaped."""

    def render_str(self, text: str, **options: Any) -> Text:
        kept = {key: options[key] for key in ("style", "justify", "overflow") if key in options}
        return Text(self.shown(text), **kept)

    def shown(self, text: str) -> str:
        """A string as it will be printed, which determines its width."""
        escaped = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
        return escaped.encode(self.encoding, ERRORS).decode(self.encoding)

    def on_broken_pipe(self) -> None:
        """Let `audiometamer.cli.main` handle it."""
        raise BrokenPipeError


def plain_table(*words: Column | str, numbers: Iterable[str] = ()) -> Table:
    """A table without lines: columns of words, then of numbers, which are aligned on the right."""
    table = Table(*words, box=None, header_style="bold")
    for name in numbers:
        table.add_column(name, justify="right")
    return table


def print_table(table: Table) -> None:
    """Print a table with one line per row, wider than the terminal (or a pipe's 80 columns) if needed, never cut."""
    console = PlainConsole()
    natural = Measurement.get(console, console.options.update(max_width=sys.maxsize), table).maximum
    console.width = max(console.width, natural)
    console.print(table)


def paragraph(text: str, *, indent: int = 2) -> str:
    """Wrap text between words to the width of the terminal, and indent it."""
    left = " " * indent
    return fill(
        text, shutil.get_terminal_size().columns, initial_indent=left, subsequent_indent=2 * left, break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip
