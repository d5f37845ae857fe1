"""Batches by epoch and step, prepared by worker processes, and interrupts between them."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch.utils.data import DataLoader, Dataset, Sampler

from audiometamer.errors import AudioMetamerError
from audiometamer.training.cochleagram_cache import CochleagramBatch, CochleagramCache
from audiometamer.training.excerpts import TrainingBatch, TrainingSet


class BatchKeys(Sampler[tuple[int, int]]):
    """(epoch, step) of every batch, starting at a given one."""

    def __init__(self, epoch: int, step: int, *, epochs: int, per_epoch: int) -> None:
        self.first, self.stop, self.per_epoch = epoch * per_epoch + step, epochs * per_epoch, per_epoch

    def __len__(self) -> int:
        return self.stop - self.first

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return (divmod(k, self.per_epoch) for k in range(self.first, self.stop))


class BatchesByKey(Dataset[Any]):
    """Batches by (epoch, step); an error in a clip is returned as a value, so that it is reported in one line."""

    def __init__(self, training_set: TrainingSet, share: tuple[int, int], cache: CochleagramCache | None = None) -> None:
        self.training_set, self.share, self.cache = training_set, share, cache

    def __getitem__(self, key: tuple[int, int]) -> TrainingBatch | CochleagramBatch | AudioMetamerError:
        try:
            cached = self.cache.load(self.place(*key)) if self.cache is not None else None
            return cached or self.training_set.batch(*key, share=self.share)
        except AudioMetamerError as error:
            return error

    def place(self, epoch: int, step: int) -> str:
        """Name of a batch in the cache: epoch, step, process and number of processes."""
        epoch, step = self.training_set.place(epoch, step)
        return f"{epoch}/{step}-{self.share[0]}-{self.share[1]}"


def loaded_batches(loader: "DataLoader[Any]") -> Iterator[Any]:
    """The batches of a loader; the death of a worker is reported in one line."""
    try:
        yield from loader
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise AudioMetamerError(
            "a worker that prepares batches was killed, perhaps for lack of memory; try fewer --workers"
        ) from error


def ignore_interrupts(_: int) -> None:
    """Leave Ctrl-C, and a scheduler's signal to all processes, to the parent: it ends its workers between two batches."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def catch_interrupts() -> Iterator[Callable[[], bool]]:
    """Yield a function that returns whether SIGINT or SIGTERM has arrived; a second signal acts as usual. Main thread only."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    caught = {number: handler for number, handler in handlers.items() if handler is not signal.SIG_IGN}
    if threading.current_thread() is not threading.main_thread():
        caught = {}
    interrupted = False

    def restore() -> None:
        for number, handler in caught.items():
            signal.signal(number, handler)

    def note(*_: Any) -> None:
        nonlocal interrupted
        interrupted = True
        restore()

    for number in caught:
        signal.signal(number, note)
    try:
        yield lambda: interrupted
    finally:
        restore()
