"""Progress of a run: work done, speed and remaining time."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path

ProgressCallback = Callable[[float, str], None]
"""Called with how much is done (a share, or a number of items) and a message."""

_BETWEEN_LOOKS = 20.0  # seconds between two looks at the disk by a worker that is on its own
_SPARING = 20  # looks at the disk take at most 1 / _SPARING of the time


class CompletionCounter:
    """Counts the items that are complete on the disk. One that was complete is not looked at again.

    Parameters
    ----------
    items : iterable of path
    is_complete : callable
        Whether the item at a path is complete.
    """

    def __init__(self, items: Iterable[Path], is_complete: Callable[[Path], bool]) -> None:
        self._incomplete = list(items)
        self._is_complete = is_complete
        self.total = len(self._incomplete)

    def __call__(self) -> int:
        """Number of complete items."""
        self._incomplete = [item for item in self._incomplete if not self._is_complete(item)]
        return self.total - len(self._incomplete)


class RunProgress:
    """Progress of a run: work done, speed and remaining time.

    Parameters
    ----------
    total : int
        Number of items.
    count_complete : callable
        Counts the complete items on the disk. It is called the less often the longer it takes.
    progress : callable or None
        Called with the share of the run that is done, and a message.
    """

    def __init__(self, total: int, count_complete: Callable[[], int], progress: ProgressCallback | None) -> None:
        self.total, self.progress = total, progress
        self._count_complete = count_complete
        self._first = self._complete = self._look()
        self._began = time.monotonic()

    def update_from_worker(self, made: float, message: str) -> None:
        """Report what the only worker here has made; what workers elsewhere make is counted on the disk."""
        self._look_again(_BETWEEN_LOOKS)
        self._report(max(self._first + made, self._complete), message)

    def update_from_disk(self, workers: int) -> None:
        """Report what is complete on the disk, and the number of workers here."""
        self._look_again(0.0)
        self._report(self._complete, f"{workers} workers")

    def _look_again(self, interval: float) -> None:
        """Count again, unless that was done less than `interval` seconds ago, or takes long and was done lately."""
        if time.monotonic() - self._looked >= max(interval, _SPARING * self._took):
            self._complete = self._look()

    def _look(self) -> int:
        began = time.monotonic()
        complete = self._count_complete()
        self._looked = time.monotonic()
        self._took = self._looked - began
        return complete

    def _report(self, complete: float, message: str) -> None:
        if self.progress is None:
            return
        complete = min(complete, self.total)  # an item that is attempted again was complete before
        seconds = time.monotonic() - self._began
        rate = (complete - self._first) / seconds if seconds else 0
        left = ""
        if rate > 0 and complete < self.total:
            left = f", {3600 * rate:.0f} an hour, {format_duration((self.total - complete) / rate)} left"
        self.progress(complete / self.total, f"{int(complete)} of {self.total}{left}; {message}")


def format_duration(seconds: float) -> str:
    """Seconds in words: ``40 s``, ``12 min``, ``3.5 h``, ``2.1 days``."""
    for size, unit, digits in ((86400, "days", 1), (3600, "h", 1), (60, "min", 0)):
        if seconds >= 2 * size or (unit == "h" and seconds >= size):
            return f"{seconds / size:.{digits}f} {unit}"
    return f"{seconds:.0f} s"
