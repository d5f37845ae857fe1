"""Worker processes that share long work through the disk: how they are started, watched and asked to stop."""

import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import FrameType
from typing import Any

import torch

from audiometamer.devices import worker_device
from audiometamer.errors import AudioMetamerError, AudioMetamerWarning, first_few, one_line
from audiometamer.io.processes import describe_exit

# What a model, or a clip, can do wrong: it concerns the item, not the run.
ITEM_ERRORS = (AudioMetamerError, RuntimeError, ValueError, TypeError, LookupError, ArithmeticError, MemoryError, AssertionError)
_RESTARTS = 3
_LONGEST = 200  # characters of a fault that is not ours
_POLL = 2.0  # seconds between two looks at the workers


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


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """While this lasts, SIGTERM, SIGUSR1 and SIGUSR2, as schedulers send before a time limit, stop the work with nothing lost.

    Ctrl-C stops it at once: what was unfinished resumes from its latest checkpoint.
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


# What a worker does, until there is nothing left for it.
Work = Callable[[torch.device, Interruption], object]


def run_processes(work: Work, workers: int, *, device: str, watch: Callable[[int], None]) -> None:
    """Do work in several processes, and put another in the place of one that is killed.

    Parameters
    ----------
    work : callable
        A function of a module, or a `functools.partial` of one: each process is given it with a device.
    workers : int
    device : str
        As `choose_device` takes it; the accelerators of that kind are dealt out in turn.
    watch : callable
        Told the number of processes at work every other second.

    Raises
    ------
    AudioMetamerError
        If a worker ended with an error, or workers are killed again and again.
    """
    context = multiprocessing.get_context("spawn")
    threads = max(torch.get_num_threads() // workers, 1)
    faults: dict[str, list[int]] = {}  # who ended so

    def start(k: int) -> _Running:
        told, tell = context.Pipe(duplex=False)
        process = context.Process(target=_work, args=(work, str(worker_device(device, k)), threads, tell))
        process.start()
        tell.close()
        return _Running(process, told)

    restarts = 0
    running = {k: start(k) for k in range(workers)}
    try:
        while running:
            time.sleep(_POLL)
            watch(len(running))
            for k, one in tuple(running.items()):
                has_ended = not one.process.is_alive()  # before it is listened to: of its last words none is missed
                one.listen()
                if not has_ended:
                    continue
                del running[k]
                status = one.process.exitcode
                if status and status < 0 and restarts < _RESTARTS:  # killed from outside
                    restarts += 1
                    running[k] = start(k)
                elif status:
                    faults.setdefault(one.fault or _end(status), []).append(k)
    finally:
        for one in running.values():
            one.process.terminate()
        for one in running.values():
            one.process.join()
    if faults:
        ends = (f"worker{'s' * (len(who) > 1)} {first_few([*map(str, sorted(who))])} {how}" for how, who in faults.items())
        raise AudioMetamerError(f"{'; '.join(ends)}; what they had finished is kept")


@dataclass
class _Running:
    """A worker's process, and what it reports.

    Parameters
    ----------
    process : multiprocessing process
    told : Connection
        Where its notes come from, and at its end the fault.
    fault : str
        How it failed. Default empty: unknown.
    """

    process: Any
    told: Connection
    fault: str = ""

    def listen(self) -> None:
        """Pass its notes on, and keep its fault."""
        with suppress(EOFError, OSError):  # it has ended, and told all
            while self.told.poll():
                text, is_fault = self.told.recv()
                if is_fault:
                    self.fault = f"failed: {text}"
                else:
                    warnings.warn(text, AudioMetamerWarning, stacklevel=3)


def _end(status: int) -> str:
    """How a worker ended that reported nothing."""
    guess = ": out of memory?" if status == -getattr(signal, "SIGKILL", 0) else ""
    return f"{describe_exit(status)}{guess}"


def _work(work: Work, device: str, threads: int, tell: Connection) -> None:
    """A worker's process; what its parent should say goes through the pipe, a fault of this package also to the terminal."""

    def send(text: str, *, is_fault: bool) -> None:
        with suppress(OSError):  # the parent was killed
            tell.send((text, is_fault))

    def show(message: Warning | str, category: type[Warning], *rest: Any) -> None:
        if issubclass(category, AudioMetamerWarning):
            send(str(message), is_fault=False)
        else:
            plain(message, category, *rest)

    torch.set_num_threads(threads)
    with warnings.catch_warnings():
        warnings.simplefilter("always", AudioMetamerWarning)
        plain = warnings.showwarning
        warnings.showwarning = show  # type: ignore[assignment]  # mypy wants the parameters' names repeated
        try:
            with interruptible() as interruption:
                work(torch.device(device), interruption)
        except KeyboardInterrupt:
            return
        except AudioMetamerError as error:
            send(one_line(error), is_fault=True)
            sys.exit(1)
        except Exception as error:
            send(f"{type(error).__name__}: {one_line(error)}"[:_LONGEST], is_fault=True)
            raise


def stop_if_orphaned() -> None:
    """Raise a KeyboardInterrupt in a worker whose parent has been killed."""
    parent = multiprocessing.parent_process()
    if parent is not None and not parent.is_alive():
        raise KeyboardInterrupt
