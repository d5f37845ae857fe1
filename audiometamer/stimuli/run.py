"""Make what a plan asks for: batches across the items of one model and layer, by as many workers as there are."""

import itertools
import math
import multiprocessing
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from audiometamer.audio import Clip
from audiometamer.criteria import NullDistribution
from audiometamer.devices import choose_device, worker_device
from audiometamer.errors import AudioMetamerError, AudioMetamerWarning, WritingError
from audiometamer.files import in_turn
from audiometamer.metamers.batch_size import fitting_batch_size
from audiometamer.metamers.evidence import sha256_of
from audiometamer.metamers.settings import Settings
from audiometamer.metamers.synthesis import Metamer, Progress, iterate_metamers, places
from audiometamer.metamers.unfinished import Checkpoints
from audiometamer.models import Model
from audiometamer.stimuli.claims import Claims
from audiometamer.stimuli.items import Expansion, Planned, identity_of
from audiometamer.stimuli.layout import CHECKPOINT, CLAIMS, LOCK, is_complete, read_failure, read_item
from audiometamer.stimuli.plan import open_model, write_resolved
from audiometamer.stimuli.records import save_failure, save_item, write_planned
from audiometamer.stimuli.set import conclude

# Items that a worker claims at once: full batches for a while, and still enough left for the others.
_BATCHES_AT_ONCE = 4
# A retry begins from other noise; no user numbers so many seeds.
RETRY_STRIDE = 1_000_000
# What a model, or a clip, can do wrong: it concerns the item, not the run.
_FAULTS = (AudioMetamerError, RuntimeError, ValueError, TypeError, LookupError, ArithmeticError, MemoryError, AssertionError)
_RESTARTS = 3
_POLL = 2.0  # seconds between two looks at the disk

# Items made so far, and what is going on.
Report = Callable[[float, str], None]


@dataclass
class Interruption:
    """Whether somebody has asked this process to stop.

    Parameters
    ----------
    asked : bool
        Default False.
    """

    asked: bool = False
    _can_wait: bool = False

    def ask(self) -> None:
        """Raise a KeyboardInterrupt, unless the work can stop by itself; then only the second time."""
        if self.asked or not self._can_wait:
            raise KeyboardInterrupt
        self.asked = True

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """While this lasts, the work looks at `asked` and stops by itself; if it ends before, it is stopped then."""
        self._can_wait = True
        try:
            yield
        finally:
            self._can_wait = False
        if self.asked:
            raise KeyboardInterrupt


@dataclass
class Worker:
    """One process at work on a plan.

    Parameters
    ----------
    expansion : Expansion
    device : torch.device
    attempts : int
        Of an item that fails its verdict, at most. Default 1.
    report : callable, optional
        Told the number of items this worker has made, with the share of those in the making, and what is going on.
    workers : int
        With how many in all it shares the items. Default 1.
    interruption : Interruption
        Lets a signal wait until what is unfinished is kept.
    claims : Claims
    """

    expansion: Expansion
    device: torch.device
    attempts: int = 1
    report: Report | None = None
    workers: int = 1
    interruption: Interruption = field(default_factory=Interruption)
    claims: Claims = field(init=False)
    made: int = 0

    def __post_init__(self) -> None:
        self.claims = Claims(self.expansion.folder / CLAIMS)
        folder = self.expansion.folder
        self._in_vain: set[str] = set()
        self._old_failures = {item.key: read_failure(folder / item.folder) for item in self.expansion.items}

    def work(self) -> int:
        """Make all that nobody else makes; returns the number of items made."""
        with self.claims.alive():
            while self._turn() or self._wait():
                pass
        return self.made

    def _turn(self) -> bool:
        """Go once through the items; whether anything was attempted."""
        attempted = False
        for entry, of_model in itertools.groupby(self.expansion.items, key=lambda item: item.entry):
            items = [item for item in of_model if self._next_attempt(item) is not None]
            if items:
                attempted |= self._make_of_model(entry, items)
        return attempted

    def _wait(self) -> bool:
        """Wait until the other workers' claims have shown whether they live; whether any has not yet, or was given back."""
        others = [item.key for item in self.expansion.items if self._next_attempt(item) is not None]
        silent = [key for key in others if self.claims.is_silent(key)]  # of all of them: each is timed from the first look on
        if silent:
            time.sleep(self.claims.beat / 2)
        return bool(silent) or any(self.claims.is_free(key) for key in others)

    def _next_attempt(self, item: Planned) -> int | None:
        """The number of the attempt that an item wants, from 0; None if it is done with, or failed in this run."""
        at = self.expansion.folder / item.folder
        if item.key in self._in_vain or read_failure(at) != self._old_failures[item.key]:
            return None
        if not is_complete(at):
            return 0
        if self.attempts == 1 or (found := read_item(at)) is None or found.passed is not False:
            return None
        return len(found.attempts) if len(found.attempts) < self.attempts else None

    def _make_of_model(self, entry: int, items: Sequence[Planned]) -> bool:
        """Items of one model; whether any was attempted."""
        plan, attempted = self.expansion.plan, False
        opened: tuple[Model, NullDistribution | None] | None = None
        for layer, of_layer in itertools.groupby(items, key=lambda item: item.identity.settings.layer):
            waiting = list(of_layer)
            size = plan.batch_size
            while waiting:
                chunk, waiting = self._claimed(waiting, 1)
                if not chunk:
                    break
                attempted = True
                try:
                    if opened is None:
                        opened = self._opened(entry, chunk[0][0])
                    size = size or fitting_batch_size(opened[0], places(layer))
                except _FAULTS as error:
                    more, _ = self._claimed(waiting, len(waiting))
                    waiting = []
                    for item, _ in (*chunk, *more):
                        self._failed(item, error)
                    continue
                share = -(-(len(waiting) + len(chunk)) // self.workers)
                more, waiting = self._claimed(waiting, min(_BATCHES_AT_ONCE * size, share) - len(chunk))
                self._make(opened, [*chunk, *more], size)
        return attempted

    def _opened(self, entry: int, item: Planned) -> tuple[Model, NullDistribution | None]:
        """The model of some items, as it was when the plan was expanded."""
        path, plan = self.expansion.path, self.expansion.plan
        model, null = open_model(path, plan.models[entry], place=f"models[{entry}]")
        now, then = identity_of(model, null, item.identity.settings.layer, plan), item.identity
        for what, found, expected in (
            ("weights", now.settings.weights_sha256, then.settings.weights_sha256),
            ("structure", now.structure_sha256, then.structure_sha256),
            ("null distribution or labels", now.judge_sha256, then.judge_sha256),
        ):
            if found != expected:
                raise AudioMetamerError(f"{model.name} has other {what} than when the run began; start the run again")
        return model.to(self.device), null

    def _claimed(self, waiting: Sequence[Planned], count: int) -> tuple[list[tuple[Planned, int]], list[Planned]]:
        """Up to so many items with the number of their next attempt, now this worker's; and those not looked at."""
        found: list[tuple[Planned, int]] = []
        for k, item in enumerate(waiting):
            if len(found) >= count:
                return found, list(waiting[k:])
            if self._next_attempt(item) is None or not self.claims.take(item.key):
                continue
            attempt = self._next_attempt(item)  # another worker may have made it just before the claim
            if attempt is None:
                self.claims.release(item.key)
            else:
                found.append((item, attempt))
        return found, []

    def _make(self, opened: tuple[Model, NullDistribution | None], chunk: Sequence[tuple[Planned, int]], size: int) -> None:
        """Make items of one layer together; if that fails, each half of them by itself, down to the one that is to blame."""
        _stop_without_parent()
        jobs: dict[tuple[str, int], tuple[Planned, int, Clip]] = {}
        for item, attempt in chunk:
            try:
                clip = self._clip(opened[0], item)
            except _FAULTS as error:
                self._failed(item, error)
            else:
                jobs[clip.name, item.identity.settings.seed + attempt * RETRY_STRIDE] = (item, attempt, clip)
        found = self._metamers(opened, jobs, size)
        try:
            for metamer in found:
                settings = metamer.evidence.settings
                item, attempt, _ = jobs.pop((settings.clip, settings.seed))
                save_item(self.expansion.folder, item, metamer, attempt=attempt)
                self.claims.release(item.key)
                self.made += 1
        except _Fault as fault:
            rest = [(item, attempt) for item, attempt, _ in jobs.values()]
            if len(rest) == 1:
                self._failed(rest[0][0], fault.error)
                return
            half = len(rest) // 2
            for part in (rest[:half], rest[half:]):
                self._make(opened, part, size)

    def _metamers(
        self, opened: tuple[Model, NullDistribution | None], jobs: dict[tuple[str, int], tuple[Planned, int, Clip]], size: int
    ) -> Iterator[Metamer]:
        model, null = opened
        plan = self.expansion.plan
        wanted = [(clip, item.identity.settings.layer, seed) for (_, seed), (item, _, clip) in jobs.items()]

        def progress(p: Progress) -> None:
            if self.report is not None:
                snr = "" if math.isinf(p.snr_db) else f", SNR {p.snr_db:.1f} dB"
                share = p.signals * min(p.step / p.steps, 1)
                self.report(self.made + share, f"{model.name} {p.layer}: step {p.step}/{p.steps} of {p.signals}{snr}")

        def checkpoint(settings: Settings) -> Path:
            return self.expansion.folder / jobs[settings.clip, settings.seed][0].folder / CHECKPOINT

        try:
            with self.interruption.deferred():
                yield from iterate_metamers(
                    model, wanted, method=plan.method, steps=plan.steps, null=null, batch_size=size, progress=progress,
                    checkpoints=Checkpoints(checkpoint, stop=lambda: self.interruption.asked),
                )  # fmt: skip
        except WritingError:  # of a checkpoint
            raise
        except _FAULTS as error:
            raise _Fault(error) from error

    def _clip(self, model: Model, item: Planned) -> Clip:
        """An item's clip, as it was when the plan was expanded."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AudioMetamerWarning)  # told when the plan was expanded, and in the evidence
            clip = item.source.read(model, self.expansion.plan.level)
        if sha256_of(clip.samples) != item.identity.settings.clip_sha256:
            raise AudioMetamerError(f"{item.source.path} has changed since the run began; start the run again")
        return clip

    def _failed(self, item: Planned, error: BaseException) -> None:
        self._in_vain.add(item.key)
        save_failure(self.expansion.folder, item, error)
        self.claims.release(item.key)


class _Fault(Exception):  # noqa: N818 (it only carries one)
    """What went wrong while metamers were made, as against while they were written."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error))
        self.error = error


def prepare(expansion: Expansion) -> Path:
    """Make the set's folder, with the resolved plan and the list of its items; returns where the table of its clips lies."""
    folder = expansion.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AudioMetamerError(f"could not write into {folder}: {error.strerror or error}") from error
    with in_turn(folder / LOCK):
        clips = write_resolved(expansion.path, expansion.plan, expansion.sources, expansion.layers, folder)
        write_planned(folder, expansion.items)
    return clips


def run(expansion: Expansion, *, device: str = "auto", workers: int = 1, attempts: int = 1, report: Report | None = None) -> None:
    """Make what is missing of a set, then write what it says of itself; several runs, also on several machines, share the work.

    An item's target, start and number of steps do not depend on who makes it, or with whom in a batch. Rounding does, and the
    steps amplify it: after hundreds of them two results of one item can be different signals that match equally well.

    Parameters
    ----------
    expansion : Expansion
    device : str
        As `choose_device` takes it; the accelerators of that kind are dealt out to the workers in turn. Default "auto".
    workers : int
        Processes. Default 1: this one.
    attempts : int
        Of an item that fails its verdict, with other seeds, at most; all are kept. Default 1.
    report : callable, optional
        Told the share of this run's work that is done, and what is going on.

    Raises
    ------
    AudioMetamerError
        If the folder cannot be written to (disk full, read-only), or workers are killed again and again. What cannot be made
        of a single item is written beside it, and stops nothing.
    """
    chosen = choose_device(device)
    clips = prepare(expansion)
    pace = Pace(expansion, report)
    with interruptible() as interruption:
        if workers == 1:
            Worker(expansion, chosen, attempts, pace.of_worker, interruption=interruption).work()
        else:
            _run_many(expansion, device, workers, attempts, pace)
        if report is not None:
            report(1, "index and manifest")
        conclude(expansion.folder, clips=clips)


def _run_many(expansion: Expansion, device: str, workers: int, attempts: int, pace: "Pace") -> None:
    context = multiprocessing.get_context("spawn")
    threads = max(torch.get_num_threads() // workers, 1)

    def start(k: int) -> Any:
        process = context.Process(target=_work, args=(expansion, str(worker_device(device, k)), attempts, workers, threads))
        process.start()
        return process

    restarts = 0
    running = {k: start(k) for k in range(workers)}
    faults: list[str] = []
    try:
        while running:
            time.sleep(_POLL)
            pace.of_disk(len(running))
            for k, process in tuple(running.items()):
                if process.is_alive():
                    continue
                del running[k]
                if process.exitcode and process.exitcode < 0 and restarts < _RESTARTS:  # killed from outside
                    restarts += 1
                    running[k] = start(k)
                elif process.exitcode:
                    faults.append(f"worker {k} ended with status {process.exitcode}")
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            process.join()
    if faults:
        raise AudioMetamerError(f"{'; '.join(faults)}; what they had finished is kept")


def _work(expansion: Expansion, device: str, attempts: int, workers: int, threads: int) -> None:
    """A worker's process."""
    torch.set_num_threads(threads)
    try:
        with interruptible() as interruption:
            Worker(expansion, torch.device(device), attempts, workers=workers, interruption=interruption).work()
    except KeyboardInterrupt:
        return
    except AudioMetamerError as error:
        raise SystemExit(f"audiometamer: worker: {error}") from error


def _stop_without_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None and not parent.is_alive():
        raise KeyboardInterrupt


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """While this lasts, SIGTERM, SIGUSR1 and SIGUSR2, as schedulers send before a time limit, stop the work with nothing lost.

    Ctrl-C stops it at once: what was unfinished goes on from its latest checkpoint.
    """
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return

    def interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 (Python calls it so)
        interruption.ask()

    numbers = [signal.SIGTERM, *([signal.SIGUSR1, signal.SIGUSR2] if os.name == "posix" else [])]
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Pace:
    """How far a run is, how fast, and how long it will take.

    Parameters
    ----------
    expansion : Expansion
    report : callable or None
    """

    def __init__(self, expansion: Expansion, report: Report | None) -> None:
        self.folders: list[Path] = [expansion.folder / item.folder for item in expansion.items]
        self.report, self.began, self.looked = report, time.monotonic(), time.monotonic()
        self.first = self.there = self._complete()

    def _complete(self) -> int:
        return sum(map(is_complete, self.folders))

    def of_worker(self, made: float, message: str) -> None:
        """Told by the only worker here; others elsewhere are seen on the disk."""
        if time.monotonic() - self.looked > 10 * _POLL:
            self.there, self.looked = self._complete(), time.monotonic()
        self._tell(max(self.first + made, self.there), message)

    def of_disk(self, workers: int) -> None:
        """Look at the disk."""
        self._tell(self._complete(), f"{workers} workers")

    def _tell(self, there: float, message: str) -> None:
        if self.report is None:
            return
        total, seconds = len(self.folders), time.monotonic() - self.began
        rate = (there - self.first) / seconds if seconds else 0
        left = f", {3600 * rate:.0f} an hour, {spell((total - there) / rate)} left" if rate > 0 and there < total else ""
        self.report(min(there / total, 1), f"{int(there)} of {total}{left}; {message}")


def spell(seconds: float) -> str:
    """Seconds in words: ``40 s``, ``12 min``, ``3.5 h``, ``2.1 days``."""
    for size, unit, digits in ((86400, "days", 1), (3600, "h", 1), (60, "min", 0)):
        if seconds >= 2 * size or (unit == "h" and seconds >= size):
            return f"{seconds / size:.{digits}f} {unit}"
    return f"{seconds:.0f} s"
