"""A log that stays short: repeated lines are counted instead of written."""

import logging
import threading
import time
from typing import NamedTuple

SECONDS = 60.0  # within which a line is written once
MAX_LINES = 100  # different lines within these seconds


class _Line(NamedTuple):
    """A line that was written, and how often it was repeated since."""

    record: logging.LogRecord
    since: float
    repeats: int = 0


class RepeatFilter(logging.Filter):
    """Passes each line once a minute, with the number of repeats; of too many different lines, only their number.

    Call `flush` regularly, for lines that are not repeated any more. Safe to be used by several threads.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lines: dict[tuple[str, str], _Line] = {}
        self._lock = threading.Lock()  # handlers filter before they take theirs

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to write a line now."""
        if getattr(record, "counted", False):
            return True
        with self._lock:
            return self._is_due(record)

    def _is_due(self, record: logging.LogRecord) -> bool:
        now = time.monotonic()
        key = record.name, record.getMessage()
        if key not in self._lines and len(self._lines) >= MAX_LINES:
            record.msg, record.args, record.exc_info = f"more than {MAX_LINES} different lines", (), None
            key = record.name, record.msg
        known = self._lines.get(key)
        if known is not None and now - known.since < SECONDS:
            self._lines[key] = known._replace(repeats=known.repeats + 1)
            return False
        if known is not None and known.repeats:
            record.msg, record.args = f"{record.getMessage()} ({known.repeats} more times since this was last written)", ()
        self._lines[key] = _Line(record, now)
        return True

    def flush(self) -> None:
        """Write the number of repeats of lines that have not occurred for a while, and forget them."""
        now = time.monotonic()
        with self._lock:
            due = [(key, line) for key, line in self._lines.items() if now - line.since >= SECONDS]
            for key, _ in due:
                del self._lines[key]
        for (_, text), line in due:
            if line.repeats:
                repeated = f"{text} ({line.repeats} more times since this was last written)"
                logging.getLogger(line.record.name).log(line.record.levelno, "%s", repeated, extra={"counted": True})


def log_settings(repeats: RepeatFilter) -> dict[str, object]:
    """Settings for `logging.config.dictConfig`: warnings and errors of all libraries to standard error, repeats counted."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(message)s"}},
        "filters": {"repeats": {"()": lambda: repeats}},
        "handlers": {"error": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["repeats"]}},
        "root": {"level": "WARNING", "handlers": ["error"]},
    }
