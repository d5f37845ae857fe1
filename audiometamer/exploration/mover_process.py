"""Moved signals made in a process of its own, that gives way to this one: what it computes keeps no listener waiting here."""

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
from audiometamer.io.processes import describe_exit

if TYPE_CHECKING:
    from audiometamer.dimensions.ladder import MovedStimulus
    from audiometamer.exploration.making import Mover, MoveRequest

_RESTARTS = 3
_NICER = 2  # of 19 steps; with each, on Unix, a process has a fifth less of the time for which others compete
_SPINS = "5000"  # a tenth of a ms; of a GNU OpenMP thread that waits for another, by default so long that both lose their turns
_PATIENCE = 5.0  # s for a process that is asked to end; then it is killed


class MoverProcess:
    """Implements `audiometamer.exploration.making.Mover` by another one, in another process.

    The process opens that mover itself. It leaves Ctrl-C to this one, and ends when this one does, however that is. If it ends
    by itself, killed perhaps for its memory, the signals that it was making are not made, and it is started again, three times.

    Parameters
    ----------
    opened : function
        The other mover: a function of a module, or a `functools.partial` of one.

    Raises
    ------
    AudioMetamerError
        If `opened` raises it, in its words; if the process ends before.
    """

    def __init__(self, opened: "Callable[[], Mover]") -> None:
        self._opened = opened
        self._lock = threading.Lock()  # so that none is started once this is closed
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
        """Of the process."""
        assert self._process.pid is not None
        return self._process.pid

    def __call__(self, wishes: "Sequence[MoveRequest]") -> "list[MovedStimulus | str]":
        """What the other mover returns; of each signal the same line if its process cannot be had."""
        try:
            if not self._is_ready:
                self._ready()
            self._connection.send(list(wishes))
            found: list[MovedStimulus | str] = self._connection.recv()
        except AudioMetamerError as error:
            return [str(error)] * len(wishes)
        except (EOFError, OSError):
            return [self._lost()] * len(wishes)
        return found

    def close(self) -> None:
        """End the process, whatever it is doing; files are whole or absent."""
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
        """Wait until the process is ready; how many signals it makes side by side."""
        told = self._connection.recv()
        if isinstance(told, str):
            raise AudioMetamerError(told)
        self._is_ready = True
        return int(told)

    def _lost(self) -> str:
        """Start another process in the place of one that ended, unless that happened too often; what happened."""
        with self._lock:
            if self._closed:
                return "the process that moves signals was ended"
            told = f"the process that moves signals {self._how_it_ended()}"
            if self._restarts == _RESTARTS:
                return f"{told}; it is not started again"
            self._restarts += 1
            try:
                self._start()
            except OSError as error:  # of memory, for instance; it may be there at the next wish
                return f"{told}; it could not be started again: {error.strerror or error} ({self._restarts} of {_RESTARTS})"
            return f"{told}; it is started again ({self._restarts} of {_RESTARTS})"

    def _how_it_ended(self) -> str:
        self._process.join(_PATIENCE)
        return describe_exit(self._process.exitcode)


def _work(connection: Connection) -> None:
    """The process: open a mover, and make what is wished for until there is nobody any more who wishes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _give_way()  # before torch is imported: threads have the priority of who starts them
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    try:
        mover = connection.recv()()
        told = mover.batch_size
    except AudioMetamerError as error:
        told = str(error)
    with suppress(EOFError, ConnectionError):
        connection.send(told)
        while not isinstance(told, str):
            connection.send(mover(connection.recv()))


def _end_with_parent() -> None:
    """Whatever is being made: who is started in the place of a server that was killed does not share the processor with it."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _give_way() -> None:
    """Compute when others do not, or less than they.

    Threads that keep a core busy while they wait for each other would give way to nobody, and each other least: beside two other
    processes on two cores, a sound took minutes at times rather than 4 s.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)
    if sys.platform == "win32":
        import psutil

        psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
    else:
        os.nice(_NICER)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Processes that are started meanwhile do not hear of Ctrl-C in their terminal, even before they can say so."""
    if sys.platform == "win32":
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # which would end the holding
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
