"""Make moved signals in a process of its own with lower priority, so that the server stays responsive."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from audiometamer.errors import AudioMetamerError
from audiometamer.io.own_process import keep_memory, wait_idly
from audiometamer.io.processes import describe_exit

if TYPE_CHECKING:
    from audiometamer.dimensions.moved import MovedStimulus
    from audiometamer.exploration.render_queue import Mover, MoveRequest

_RESTARTS = 3
_NICENESS = 2  # of 19 steps; with each, a Unix process gets a fifth less of the contended processor time
_PATIENCE = 5.0  # seconds for a process to terminate before it is killed


class MoverProcess:
    """Implements `audiometamer.exploration.render_queue.Mover` with another mover in another process.

    The process opens that mover itself. It ignores Ctrl-C, and ends whenever this process ends. If it is killed, for instance by
    the system for its memory, the signals in progress are not made, and it is restarted, up to three times.

    Parameters
    ----------
    opened : function
        Returns the other mover: a function of a module, or a `functools.partial` of one.

    Raises
    ------
    AudioMetamerError
        If `opened` raises it, with its message; if the process ends before it is ready.
    """

    def __init__(self, opened: "Callable[[], Mover]") -> None:
        self._opened = opened
        self._lock = threading.Lock()  # no process is started after `close`
        self._closed, self._restarts = False, 0
        try:
            self._start()
        except OSError as error:
            raise AudioMetamerError(f"the process that moves signals could not be started: {error.strerror or error}") from error
        try:
            self.batch_size = self._ready()
        except (EOFError, OSError) as error:
            raise AudioMetamerError(f"the process that moves signals {self._how_it_ended()} before it was ready") from error

    @property
    def pid(self) -> int:
        """The number of the process."""
        assert self._process.pid is not None
        return self._process.pid

    def __call__(self, requests: "Sequence[MoveRequest]") -> "list[MovedStimulus | str]":
        """The other mover's result; one line for each signal if its process is lost."""
        try:
            if not self._is_ready:
                self._ready()
            self._connection.send(list(requests))
            found: list[MovedStimulus | str] = self._connection.recv()
        except AudioMetamerError as error:
            return [str(error)] * len(requests)
        except (EOFError, OSError):
            return [self._lost()] * len(requests)
        return found

    def close(self) -> None:
        """End the process, whatever it is doing; files stay whole or absent."""
        with self._lock:
            self._closed = True
        self._process.terminate()
        self._process.join(_PATIENCE)
        self._process.kill()
        self._process.join()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        connection, other = context.Pipe()
        process = context.Process(target=_work, args=(other,), name="mover", daemon=True)
        try:
            with _interrupts_held():
                process.start()
        except OSError:
            connection.close()
            raise
        finally:
            other.close()
        self._connection, self._process, self._is_ready = connection, process, False
        with suppress(OSError):  # a process that has ended already is noticed where it is waited for
            self._connection.send(self._opened)

    def _ready(self) -> int:
        """Wait until the process is ready; its batch size."""
        reply = self._connection.recv()
        if isinstance(reply, str):
            raise AudioMetamerError(reply)
        self._is_ready = True
        return int(reply)

    def _lost(self) -> str:
        """Restart a process that ended, unless that happened too often; a description of what happened."""
        with self._lock:
            if self._closed:
                return "the process that moves signals was ended"
            lost = f"the process that moves signals {self._how_it_ended()}"
            if self._restarts == _RESTARTS:
                return f"{lost}; it is not started again"
            self._restarts += 1
            try:
                self._start()
            except OSError as error:  # for instance out of memory; the next request may succeed
                return f"{lost}; it could not be started again: {error.strerror or error} ({self._restarts} of {_RESTARTS})"
            return f"{lost}; it is started again ({self._restarts} of {_RESTARTS})"

    def _how_it_ended(self) -> str:
        self._process.join(_PATIENCE)
        return describe_exit(self._process.exitcode)


def _work(connection: Connection) -> None:
    """Run in the process: open a mover, and serve requests until the connection closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _lower_priority()  # before torch is imported: threads inherit the priority
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    try:
        mover = connection.recv()()
        reply = mover.batch_size
    except AudioMetamerError as error:
        reply = str(error)
    with suppress(EOFError, ConnectionError):
        connection.send(reply)
        while not isinstance(reply, str):
            connection.send(mover(connection.recv()))


def _end_with_parent() -> None:
    """End with the parent even in the middle of a signal: a restarted server must not share the processor with it."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _lower_priority() -> None:
    """Lower the priority of this process.

    Threads that busily wait for each other would defeat this: with two other processes on two cores, a sound sometimes took
    minutes instead of 4 s.
    """
    wait_idly()
    keep_memory()
    if sys.platform == "win32":
        import psutil

        psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
    else:
        os.nice(_NICENESS)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Block Ctrl-C for processes that are started meanwhile, before they can ignore it themselves."""
    if sys.platform == "win32":
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # it would unblock the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
