"""What is printed: strings as they are, and tables that cut nothing."""

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
    """A console that takes strings as they are: no markup, no emoji codes, and control characters are escaped."""

    def render_str(self, text: str, **options: Any) -> Text:
        kept = {key: options[key] for key in ("style", "justify", "overflow") if key in options}
        return Text(self.shown(text), **kept)

    def shown(self, text: str) -> str:
        """A string as it will be printed, which decides how wide it is."""
        escaped = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
        return escaped.encode(self.encoding, ERRORS).decode(self.encoding)

    def on_broken_pipe(self) -> None:
        """Leave it to `audiometamer.cli.main`."""
        raise BrokenPipeError


def plain_table(*words: Column | str, numbers: Iterable[str] = ()) -> Table:
    """A table without lines: columns of words, then of numbers, which are aligned on the right."""
    table = Table(*words, box=None, header_style="bold")
    for name in numbers:
        table.add_column(name, justify="right")
    return table


def print_table(table: Table) -> None:
    """Print a table, a line for each row: rather wider than the terminal, or the 80 columns of a pipe, than cut."""
    console = PlainConsole()
    natural = Measurement.get(console, console.options.update(max_width=sys.maxsize), table).maximum
    console.width = max(console.width, natural)
    console.print(table)


def paragraph(text: str, *, indent: int = 2) -> str:
    """Text that is folded between words to the width of the terminal, and indented."""
    left = " " * indent
    return fill(
        text, shutil.get_terminal_size().columns, initial_indent=left, subsequent_indent=2 * left, break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip
