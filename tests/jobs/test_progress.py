"""How far a run is and how long it will take."""

import pytest

from audiometamer.jobs import progress
from audiometamer.jobs.progress import CompletionCounter, RunProgress, format_duration


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is moved."""

    class Clock:
        now = 100.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


@pytest.mark.parametrize(("seconds", "words"), [(40, "40 s"), (150, "2 min"), (5400, "1.5 h"), (200_000, "2.3 days")])
def test_durations_in_words(seconds, words):
    assert format_duration(seconds) == words


def test_what_is_attempted_again_is_not_counted_twice():
    """Three items are there; two of them are attempted again, and no more than three can be there."""
    reports = []
    RunProgress(3, lambda: 3, lambda share, message: reports.append((share, message))).update_from_worker(2.0, "step 1")
    assert reports == [(1, "3 of 3; step 1")]


def test_the_rate_is_that_of_this_run(clock):
    """Two of ten are there at the start, two more after a minute: six more take three."""
    complete, reports = [2], []
    pace = RunProgress(10, lambda: complete[0], lambda *report: reports.append(report))
    clock.now, complete[0] = 160.0, 4
    pace.update_from_disk(3)
    assert reports == [(0.4, "4 of 10, 120 an hour, 3 min left; 3 workers")]


def test_a_complete_item_is_looked_at_once(tmp_path):
    items, seen = [tmp_path / name for name in "abc"], []

    def is_complete(path):
        seen.append(path.name)
        return path.exists()

    (tmp_path / "b").touch()
    count = CompletionCounter(items, is_complete)
    assert (count(), count.total) == (1, 3)
    (tmp_path / "a").touch()
    assert (count(), count()) == (2, 2)
    assert seen == ["a", "b", "c", "a", "c", "c"]


def test_slow_looks_at_the_disk_are_rare(clock):
    """A look that takes 3 s is repeated only after a minute."""
    looks = []

    def count():
        clock.now += 3
        looks.append(clock.now)
        return 0

    pace = RunProgress(10, count, None)
    for _ in range(62):
        clock.now += 1
        pace.update_from_disk(1)
    assert looks == [103.0, 166.0]
