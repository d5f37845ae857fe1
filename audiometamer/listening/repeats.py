"""A log that stays short: repeated lines are counted."""

import logging
import threading
import time
from typing import NamedTuple

SECONDS = 60.0  # in which a line is written once
MAX_LINES = 100  # that differ, in these seconds


class _Line(NamedTuple):
    """A line that was written, and how often it came again since."""

    record: logging.LogRecord
    since: float
    again: int = 0


class RepeatFilter(logging.Filter):
    """Lets each line through once a minute, with how often it came meanwhile; of too many that differ, only the number.

    `flush` is to be called now and then, for lines that do not come again. Safe to be used by several threads.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lines: dict[tuple[str, str], _Line] = {}
        self._lock = threading.Lock()  # handlers filter before they take theirs

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line is to be written now."""
        if getattr(record, "counted", False):
            return True
        with self._lock:
            return self._is_due(record)

    def _is_due(self, record: logging.LogRecord) -> bool:
        now = time.monotonic()
        key = record.name, record.getMessage()
        if key not in self._lines and len(self._lines) >= MAX_LINES:
            record.msg, record.args, record.exc_info = f"more than {MAX_LINES} lines that differ", (), None
            key = record.name, record.msg
        known = self._lines.get(key)
        if known is not None and now - known.since < SECONDS:
            self._lines[key] = known._replace(again=known.again + 1)
            return False
        if known is not None and known.again:
            record.msg, record.args = f"{record.getMessage()} ({known.again} more times since this was last written)", ()
        self._lines[key] = _Line(record, now)
        return True

    def flush(self) -> None:
        """Write how often lines came again that have not come for a while, and forget them."""
        now = time.monotonic()
        with self._lock:
            due = [(key, line) for key, line in self._lines.items() if now - line.since >= SECONDS]
            for key, _ in due:
                del self._lines[key]
        for (_, text), line in due:
            if line.again:
                again = f"{text} ({line.again} more times since this was last written)"
                logging.getLogger(line.record.name).log(line.record.levelno, "%s", again, extra={"counted": True})


def log_settings(repeats: RepeatFilter) -> dict[str, object]:
    """Warnings and errors of all libraries to standard error, once each; as `logging.config.dictConfig` takes it."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(message)s"}},
        "filters": {"repeats": {"()": lambda: repeats}},
        "handlers": {"error": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["repeats"]}},
        "root": {"level": "WARNING", "handlers": ["error"]},
    }
