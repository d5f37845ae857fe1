"""Tables on the terminal."""

from collections.abc import Iterable

from rich.console import Console
from rich.table import Column, Table


def plain_table(*words: Column | str, numbers: Iterable[str] = ()) -> Table:
    """A table without lines: columns of words, then of numbers, which are aligned on the right."""
    table = Table(*words, box=None, header_style="bold")
    for name in numbers:
        table.add_column(name, justify="right")
    return table


def print_table(table: Table, *, least_width: int = 0) -> None:
    """Print a table as wide as the terminal, or wider: a pipe counts as 80 columns, which would fold a row of many numbers."""
    console = Console()
    console.width = max(console.width, least_width)
    console.print(table)
