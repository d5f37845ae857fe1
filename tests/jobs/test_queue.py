"""The queue, with work whose every step is known: numbers that are made into files."""

import pytest

from audiometamer.errors import AudioMetamerError, WritingError
from audiometamer.jobs.queue import Maker, Queue


class Numbers(Maker[int, str]):
    """Makes files out of numbers, in groups of tens; notes each batch."""

    batches_per_claim = 2

    def __init__(self, folder, *, bad=(), closed=()):
        self.folder, self.bad, self.closed = folder, bad, closed
        self.batches = []

    def key(self, item):
        return f"key{item}"

    def place(self, item):
        return f"item {item}"

    def group(self, item):
        return item // 10

    def need(self, item):
        return None if (self.folder / f"{item}").exists() else "a file"

    def open(self, item):
        if item // 10 in self.closed:
            raise ValueError(f"group {item // 10} is closed")
        return 2

    def make(self, tasks, queue):
        assert all(task.need == "a file" for task in tasks)
        self.batches.append([task.item for task in tasks])
        for task in tasks:
            if task.item in self.bad:
                raise RuntimeError(f"{task.item} is bad")
            yield task.item, (self.folder / f"{task.item}").touch

    def save_failure(self, item, error):
        (self.folder / f"{item}.error").write_text(str(error))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "made").mkdir()
    return tmp_path / "made"


def queue(maker, items, **options):
    return Queue(maker, items, maker.folder.parent / "claims", **options)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_items_are_made_in_groups_and_claims(folder):
    """Twice two are claimed together, never of two groups; what is there is left alone, and all claims are given back."""
    (folder / "3").touch()
    maker = Numbers(folder)
    assert queue(maker, [1, 2, 3, 4, 5, 6, 11]).work() == 6
    assert maker.batches == [[1, 2, 4, 5], [6], [11]]
    assert names(folder.parent / "claims") == []


def test_workers_leave_a_share_for_each_other(folder):
    maker = Numbers(folder)
    assert queue(maker, [1, 2, 3, 4, 5], workers=3).work() == 5
    assert maker.batches == [[1, 2], [3], [4], [5]]


def test_the_item_to_blame_is_found_by_halves(folder):
    """Made before it failed: 1. Of 2, 3, 4 the first half is 2; then 3 and 4, then 3 alone, and 4."""
    maker = Numbers(folder, bad=[2])
    assert queue(maker, [1, 2, 3, 4]).work() == 3
    assert maker.batches == [[1, 2, 3, 4], [2], [3, 4]]
    assert names(folder) == ["1", "2.error", "3", "4"]
    assert (folder / "2.error").read_text() == "2 is bad"
    assert names(folder.parent / "claims") == []


def test_a_group_that_cannot_be_opened_fails_by_itself(folder):
    maker = Numbers(folder, closed=[0])
    assert queue(maker, [1, 2, 11]).work() == 1
    assert names(folder) == ["1.error", "11", "2.error"]
    assert (folder / "1.error").read_text() == "group 0 is closed"


def test_what_another_holds_is_left_alone(folder):
    maker = Numbers(folder)
    first, second = queue(maker, [1, 2, 3]), queue(maker, [1, 2, 3])
    mine, rest = first.claim([1, 2, 3], 2)
    assert ([task.item for task in mine], rest) == ([1, 2], [3])
    others, rest = second.claim([1, 2, 3], 2)
    assert ([task.item for task in others], rest) == ([3], [])


def test_what_is_left_is_made_in_the_next_batch(folder):
    class Hesitant(Numbers):
        def make(self, tasks, queue):
            yield from super().make(tasks[:1], queue)

    maker = Hesitant(folder)
    assert queue(maker, [1, 2, 3]).work() == 3
    assert maker.batches == [[1], [2], [3]]


def test_an_item_that_is_released_or_reported_counts_as_seen_to(folder):
    class Choosy(Numbers):
        def make(self, tasks, queue):
            for task in tasks:
                if task.item == 2:
                    queue.fail(2, ValueError("not this one"))
            yield from super().make([task for task in tasks if task.item != 2], queue)

    assert queue(Choosy(folder), [1, 2, 3]).work() == 2
    assert names(folder) == ["1", "2.error", "3"]


@pytest.mark.parametrize("error", [WritingError("could not write it: the disk is full"), AudioMetamerError("it is in the way")])
def test_an_error_of_writing_is_no_items_fault(folder, error):
    class Full(Numbers):
        def make(self, tasks, queue):
            def write():
                raise error

            yield from ((task.item, write) for task in tasks)

    with pytest.raises(AudioMetamerError, match=str(error)):
        queue(Full(folder), [1, 2]).work()
    assert names(folder) == []
    assert names(folder.parent / "claims") == []


def test_progress_counts_what_is_made_and_in_the_making(folder):
    class Talkative(Numbers):
        def make(self, tasks, queue):
            queue.report(0.5, "halfway")
            yield from super().make(tasks, queue)
            queue.report(0, "done")

    reports = []
    queue(Talkative(folder), [1, 2], progress=lambda *report: reports.append(report)).work()
    assert reports == [(0.5, "halfway"), (2, "done")]
