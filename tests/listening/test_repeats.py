"""A log in which the same line again and again is counted."""

import logging
from concurrent.futures import ThreadPoolExecutor

import pytest

from audiometamer.listening import repeats


class Lines(logging.Handler):
    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


@pytest.fixture
def clock(monkeypatch):
    """A clock that is set by hand."""
    now = [100.0]
    monkeypatch.setattr(repeats.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def found():
    """The filter, a logger that is filtered, and what it wrote."""
    counted, handler = repeats.RepeatFilter(), Lines()
    handler.addFilter(counted)
    logger = logging.getLogger("audiometamer.tests.repeats")
    logger.propagate = False
    logger.addHandler(handler)
    yield counted, logger, handler.lines
    logger.removeHandler(handler)


def test_the_same_line_is_written_once_a_minute_with_how_often_it_came(found, clock):
    _, logger, lines = found
    for _ in range(1000):
        logger.error("disk %s", "full")
    logger.error("disk %s", "gone")
    assert lines == ["disk full", "disk gone"]
    clock[0] += 61
    logger.error("disk full")
    assert lines[2:] == ["disk full (999 more times since this was last written)"]


def test_what_does_not_come_again_is_told_later(found, clock):
    counted, logger, lines = found
    for _ in range(3):
        logger.error("100 %s", "%")
    logger.error("once")
    counted.flush()
    assert lines == ["100 %", "once"]
    clock[0] += 61
    counted.flush()
    counted.flush()
    assert lines[2:] == ["100 % (2 more times since this was last written)"]


def test_too_many_lines_that_differ_are_counted_together(found, clock):
    counted, logger, lines = found
    for k in range(10_000):
        logger.error("line %d", k)
    assert len(lines) == 101
    clock[0] += 61
    counted.flush()
    assert lines[101:] == ["more than 100 different lines (9899 more times since this was last written)"]
    assert not counted._lines


def test_lines_of_several_threads_are_all_counted(found, clock):
    _, logger, lines = found
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: logger.error("full"), range(2000)))
    clock[0] += 61
    logger.error("full")
    assert lines == ["full", "full (1999 more times since this was last written)"]
