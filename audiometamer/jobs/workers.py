"""Worker processes that share long work through the disk: started, watched, replaced and asked to stop."""

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

# Errors of a model or a clip: they concern an item, not the run.
ITEM_ERRORS = (AudioMetamerError, RuntimeError, ValueError, TypeError, LookupError, ArithmeticError, MemoryError, AssertionError)
_RESTARTS = 3
_LONGEST = 200  # characters of an error that is not ours
_POLL = 2.0  # seconds between two looks at the workers


@dataclass
class Interruption:
    """A request that this process stop.

    Parameters
    ----------
    asked : bool
        Whether it was made. Default False.
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
        """While this lasts, the work checks `asked` and stops by itself; otherwise it is stopped at the end."""
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

    Ctrl-C stops it immediately: unfinished items resume from their latest checkpoints.
    """
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return

    def interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 (the signature of handlers)
        interruption.ask()

    numbers = [signal.SIGTERM, *([signal.SIGUSR1, signal.SIGUSR2] if os.name == "posix" else [])]
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# The work of a worker, until nothing is left for it.
Work = Callable[[torch.device, Interruption], object]


def run_processes(work: Work, workers: int, *, device: str, watch: Callable[[int], None]) -> None:
    """Work in several processes; one that is killed is replaced.

    Parameters
    ----------
    work : callable
        A function of a module, or a `functools.partial` of one; called in each process with a device.
    workers : int
    device : str
        As `choose_device` takes it; the accelerators of that kind are dealt out in turn.
    watch : callable
        Called every other second with the number of processes at work.

    Raises
    ------
    AudioMetamerError
        If a worker ended with an error, or workers are killed again and again.
    """
    context = multiprocessing.get_context("spawn")
    threads = max(torch.get_num_threads() // workers, 1)
    ends: dict[str, list[int]] = {}  # numbers of the workers that ended in a way

    def start(k: int) -> _Running:
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_work, args=(work, str(worker_device(device, k)), threads, sender))
        process.start()
        sender.close()
        return _Running(process, receiver)

    restarts = 0
    running = {k: start(k) for k in range(workers)}
    try:
        while running:
            time.sleep(_POLL)
            watch(len(running))
            for k, worker in tuple(running.items()):
                has_ended = not worker.process.is_alive()  # checked first, so that none of its last messages is missed
                worker.listen()
                if not has_ended:
                    continue
                del running[k]
                status = worker.process.exitcode
                if status and status < 0 and restarts < _RESTARTS:  # killed from outside
                    restarts += 1
                    running[k] = start(k)
                elif status:
                    ends.setdefault(worker.fault or _end(status), []).append(k)
    finally:
        for worker in running.values():
            worker.process.terminate()
        for worker in running.values():
            worker.process.join()
    if ends:
        lines = (f"worker{'s' * (len(who) > 1)} {first_few([*map(str, sorted(who))])} {how}" for how, who in ends.items())
        raise AudioMetamerError(f"{'; '.join(lines)}; what they had finished is kept")


@dataclass
class _Running:
    """A worker's process and its messages.

    Parameters
    ----------
    process : multiprocessing process
    receiver : Connection
        Source of its warnings and, if it fails, of the error.
    fault : str
        How it failed. Default empty: unknown.
    """

    process: Any
    receiver: Connection
    fault: str = ""

    def listen(self) -> None:
        """Pass its warnings on, and keep its error."""
        with suppress(EOFError, OSError):  # it has ended, and everything was received
            while self.receiver.poll():
                text, is_fault = self.receiver.recv()
                if is_fault:
                    self.fault = f"failed: {text}"
                else:
                    warnings.warn(text, AudioMetamerWarning, stacklevel=3)


def _end(status: int) -> str:
    """State how a worker that reported no error ended."""
    guess = ": out of memory?" if status == -getattr(signal, "SIGKILL", 0) else ""
    return f"{describe_exit(status)}{guess}"


def _work(work: Work, device: str, threads: int, sender: Connection) -> None:
    """A worker's process; warnings and errors go to its parent, an unexpected error also to the terminal."""

    def send(text: str, *, is_fault: bool) -> None:
        with suppress(OSError):  # the parent was killed
            sender.send((text, is_fault))

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
