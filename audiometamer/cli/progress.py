"""Progress of long work: a bar on a terminal, plain lines otherwise."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from audiometamer.cli.printing import PlainConsole

_SECONDS_BETWEEN_LINES = 10.0


class Tracker(Protocol):
    """Takes the fraction of the work that is done and a description of the current work."""

    def __call__(self, done: float, message: str) -> None: ...


@contextmanager
def tracked() -> Iterator[Tracker]:
    """Show progress on standard error for the duration of the block."""
    if not sys.stderr.isatty():
        yield _PlainLines()
        return
    columns = (
        BarColumn(),
        TextColumn("{task.percentage:3.0f}%"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False),
    )
    console = PlainConsole(stderr=True)
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=1.0)

        def show(done: float, message: str) -> None:
            bar.update(task, completed=max(done, bar.tasks[task].completed), description=console.shown(message))

        yield show


class _PlainLines:
    def __init__(self) -> None:
        self.next_line = time.monotonic()
        self.done = 0.0

    def __call__(self, done: float, message: str) -> None:
        done = self.done = max(done, self.done)  # a second attempt does not reduce the progress of the first
        if time.monotonic() >= self.next_line or done >= 1:
            print(f"{100 * done:3.0f}% {message}", file=sys.stderr, flush=True)
            self.next_line = time.monotonic() + _SECONDS_BETWEEN_LINES
