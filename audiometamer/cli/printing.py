"""Tables on the terminal."""

from rich.console import Console
from rich.table import Table


def print_table(table: Table, *, least_width: int = 0) -> None:
    """Print a table as wide as the terminal, or wider: a pipe counts as 80 columns, which would fold a row of many numbers."""
    console = Console()
    console.width = max(console.width, least_width)
    console.print(table)
