"""The queue: workers share the items of a folder; each is claimed, made, and written only by the holder of its claim."""

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar, Generic, NamedTuple, TypeVar

import torch

from audiometamer.devices import choose_device
from audiometamer.errors import WritingError
from audiometamer.jobs.claims import Claims
from audiometamer.jobs.progress import ProgressCallback, RunProgress
from audiometamer.jobs.workers import ITEM_ERRORS, Interruption, interruptible, run_processes, stop_if_orphaned

Item = TypeVar("Item")
Need = TypeVar("Need")


class ClaimedItem(NamedTuple, Generic[Item, Need]):
    """An item that this worker has claimed, and what it needs."""

    item: Item
    need: Need


class Maker(ABC, Generic[Item, Need]):
    """One kind of work: what each item still needs, and how items are made and written."""

    batches_per_claim: ClassVar[int] = 1
    """Number of batches that a worker claims together."""

    @abstractmethod
    def key(self, item: Item) -> str:
        """The name of an item's claim."""

    @abstractmethod
    def place(self, item: Item) -> str:
        """Location of an item in its folder; for messages."""

    @abstractmethod
    def group(self, item: Item) -> Hashable:
        """Properties that items made together must share."""

    @abstractmethod
    def need(self, item: Item) -> Need | None:
        """Remaining work on an item, according to the disk; None if it is done or cannot be made."""

    @abstractmethod
    def open(self, item: Item) -> int:
        """Get ready for the items of a group; the size of its batches."""

    @abstractmethod
    def make(
        self, tasks: Sequence[ClaimedItem[Item, Need]], queue: "Queue[Item, Need]"
    ) -> Iterator[tuple[Item, Callable[[], object]]]:
        """Make items of one group: each with the function that writes it, as soon as it is made.

        Items that need nothing any more may be released, those that fail by themselves reported with `Queue.fail`, and others
        left for the next call. An exception of `audiometamer.jobs.workers.ITEM_ERRORS` is the fault of one of those that remain.
        """

    @abstractmethod
    def save_failure(self, item: Item, error: BaseException) -> None:
        """Write why an item could not be made."""


class Queue(Generic[Item, Need]):
    """One worker's view of the items that several workers share.

    Parameters
    ----------
    maker : Maker
    items : sequence
        In the order in which they are made; those of a group side by side.
    folder : path
        Folder of the claims.
    workers : int
        Number of workers that share the items. Default 1.
    progress : callable, optional
        Called with the number of items this worker has made, a fraction for those in the making, and a message.
    """

    def __init__(
        self,
        maker: Maker[Item, Need],
        items: Sequence[Item],
        folder: Path,
        *,
        workers: int = 1,
        progress: ProgressCallback | None = None,
    ) -> None:
        self.maker, self.items, self.workers = maker, items, workers
        self.claims = Claims(folder)
        self.made = 0
        self._progress = progress
        self._done: set[str] = set()  # keys of items that this worker does not look at again

    def work(self) -> int:
        """Make everything that no other worker makes; return the number of items made."""
        with self.claims.heartbeat():
            while self._turn() or self.wait():
                pass
        return self.made

    def wait(self) -> bool:
        """Wait for the other workers; whether there may be something to do afterwards."""
        return self.claims.wait([self.maker.key(item) for item in self._missing()])

    def claim(self, waiting: Sequence[Item], count: int) -> tuple[list[ClaimedItem[Item, Need]], list[Item]]:
        """Claim up to `count` items; those claimed, and those not looked at."""
        tasks: list[ClaimedItem[Item, Need]] = []
        for k, item in enumerate(waiting):
            if len(tasks) >= count:
                return tasks, list(waiting[k:])
            if self._need(item) is None or not self.claims.take(self.maker.key(item)):
                continue
            need = self._need(item)  # another worker may have made it just before the claim
            if need is None:
                self.release(item)
            else:
                tasks.append(ClaimedItem(item, need))
        return tasks, []

    def make(self, tasks: Sequence[ClaimedItem[Item, Need]]) -> None:
        """Make claimed items of one group together; if that fails, each half by itself, down to the one that is to blame."""
        stop_if_orphaned()
        try:
            for item, write in self._results(tasks):
                if self.write(item, write):
                    self.release(item)
                    self.made += 1
        except _ItemFault as fault:
            rest = self._unfinished(tasks)
            if len(rest) == 1:
                self.fail(rest[0].item, fault.error)
                return
            half = len(rest) // 2
            parts = [rest[:half], rest[half:]]
        else:
            parts = [self._unfinished(tasks)]
        for part in filter(None, parts):
            self.make(part)

    def fail(self, item: Item, error: BaseException) -> None:
        """Write why an item could not be made, and give it up."""
        self._done.add(self.maker.key(item))
        if self.write(item, partial(self.maker.save_failure, item, error)):
            self.release(item)

    def write(self, item: Item, write: Callable[[], object]) -> bool:
        """Write files of an item if this worker still holds its claim; whether it does."""
        return self.claims.write(self.maker.key(item), self.maker.place(item), write)

    def release(self, item: Item) -> None:
        """Give the claim on an item back."""
        self.claims.release(self.maker.key(item))

    def report(self, share: float, message: str) -> None:
        """Report progress: `share` of an item, or of several, beyond those that are made."""
        if self._progress is not None:
            self._progress(self.made + share, message)

    def _turn(self) -> bool:
        """Go through the items once; whether anything was attempted."""
        attempted = False
        for _, group in itertools.groupby(self._missing(), key=self.maker.group):
            attempted |= self._make_group(list(group))
        return attempted

    def _make_group(self, waiting: list[Item]) -> bool:
        """Claim and make items of one group; whether any was attempted."""
        attempted = False
        while waiting:
            first, waiting = self.claim(waiting, 1)
            if not first:
                break
            attempted = True
            try:
                size = self.maker.open(first[0].item)
            except WritingError:
                raise
            except ITEM_ERRORS as error:
                others, waiting = self.claim(waiting, len(waiting))
                for task in (*first, *others):
                    self.fail(task.item, error)
            else:
                share = -(-(len(waiting) + 1) // self.workers)
                others, waiting = self.claim(waiting, min(self.maker.batches_per_claim * size, share) - 1)
                self.make([*first, *others])
        return attempted

    def _missing(self) -> list[Item]:
        return [item for item in self.items if self._need(item) is not None]

    def _need(self, item: Item) -> Need | None:
        if (key := self.maker.key(item)) in self._done:
            return None
        if (need := self.maker.need(item)) is None:
            self._done.add(key)
        return need

    def _results(self, tasks: Sequence[ClaimedItem[Item, Need]]) -> Iterator[tuple[Item, Callable[[], object]]]:
        try:
            yield from self.maker.make(tasks, self)
        except WritingError:
            raise
        except ITEM_ERRORS as error:
            raise _ItemFault(error) from error

    def _unfinished(self, tasks: Sequence[ClaimedItem[Item, Need]]) -> list[ClaimedItem[Item, Need]]:
        """Those that this worker still holds, with what they need now."""
        found = []
        for task in tasks:
            if self.maker.key(task.item) in self.claims.held:
                if (need := self._need(task.item)) is None:
                    self.release(task.item)
                else:
                    found.append(ClaimedItem(task.item, need))
        return found


class _ItemFault(Exception):  # noqa: N818 (it only carries one)
    """An error raised while items were made, as opposed to while they were written."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error))
        self.error = error


# A worker of a run: it computes on a device, may be interrupted, and reports progress if it is the only one.
RunWork = Callable[[torch.device, Interruption, ProgressCallback | None], object]


def run_queue(
    work: RunWork,
    finalize: Callable[[], None],
    *,
    total: int,
    count_complete: Callable[[], int],
    device: str = "auto",
    workers: int = 1,
    progress: ProgressCallback | None = None,
) -> None:
    """Make the items of a run, in this process or in several, then finalize what they belong to.

    Parameters
    ----------
    work : callable
        A function of a module, or a `functools.partial` of one: makes items until nothing is left.
    finalize : callable
        Called once at the end.
    total : int
        Number of items.
    count_complete : callable
        Counts the complete items on the disk.
    device : str
        As `choose_device` takes it; the accelerators of that kind are dealt out to the workers in turn. Default "auto".
    workers : int
        Number of processes. Default 1: this one.
    progress : callable, optional
        Called with the share of the run that is done, and a message.
    """
    chosen = choose_device(device)
    pace = RunProgress(total, count_complete, progress)
    with interruptible() as interruption:
        if workers == 1:
            work(chosen, interruption, pace.update_from_worker)
        else:
            run_processes(partial(_work_silently, work), workers, device=device, watch=pace.update_from_disk)
        if progress is not None:
            progress(1, "index and tables")
        finalize()


def _work_silently(work: RunWork, device: torch.device, interruption: Interruption) -> None:
    work(device, interruption, None)
