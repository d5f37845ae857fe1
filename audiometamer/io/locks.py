"""Locks between processes: a lock file, and a folder held by one run."""

import errno
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from audiometamer.errors import AudioMetamerError, AudioMetamerWarning
from audiometamer.io.files import make_folder

if TYPE_CHECKING:
    from filelock import BaseFileLock

# Errors of flock where the file system has no locks: a mount without them, NFS without a lock daemon.
LOCKS_UNSUPPORTED = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP}
_PATIENCE = 3.0  # seconds of waiting before a warning
_RECOVERY = 4.0  # seconds in which filelock takes over a lock with an invalid record; it watches it for two
_MAX_RECORD = 1000  # characters of a lock file


@contextmanager
def file_lock(lock: Path, *, timeout: float = -1) -> Iterator[None]:
    """Hold a lock; where the file system has no locks, filelock creates a file that only one process can create.

    Without a timeout, a warning after a few seconds names the process that holds the lock. A lock left by a killed process of
    this host is taken over.

    Parameters
    ----------
    lock : path
        The lock file.
    timeout : float
        Seconds to wait for the lock. Default: no limit.

    Raises
    ------
    TimeoutError
        If another process still holds it.
    AudioMetamerError
        If the lock file cannot be created, or the file system has no locks.

    Warns
    -----
    AudioMetamerWarning
        If the wait is long.
    """
    from filelock import FileLock

    held = FileLock(lock)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "flock not supported", UserWarning)  # filelock has found another way
            _acquire(held, lock, timeout)
    except TimeoutError:
        raise
    except OSError as error:
        if error.errno in LOCKS_UNSUPPORTED:
            raise AudioMetamerError(
                f"the file system of {lock.parent} has no locks ({error.strerror}; NFS without a lock daemon?): choose a folder "
                "on another one"
            ) from error
        raise AudioMetamerError(f"could not write {lock}: {error.strerror or error}") from error
    try:
        yield
    finally:
        held.release()


def _acquire(held: "BaseFileLock", lock: Path, timeout: float) -> None:
    """Acquire a lock, with a warning if that takes long.

    Where locks are files, filelock takes over those of ended processes of this host, and those with an invalid record. An empty
    one was left where the file system had other locks, or by a process that was killed while creating it.
    """
    end, patience, marked = time.monotonic() + timeout, timeout if 0 <= timeout < _PATIENCE else _PATIENCE, False
    while True:
        try:
            held.acquire(timeout=patience)
        except TimeoutError:
            is_file = hasattr(held, "pid")  # otherwise the system releases it when its holder ends
            if is_file and not marked and not _record(lock):
                with suppress(FileNotFoundError), lock.open("r+") as file:
                    file.write("left over\n")
                marked, patience = True, _RECOVERY
                continue
            if timeout >= 0 and time.monotonic() >= end:
                raise
            if timeout < 0:
                warnings.warn(f"waiting for {describe_holder(lock)}", AudioMetamerWarning, stacklevel=4)
            patience = -1 if timeout < 0 else end - time.monotonic()
        else:
            return


def describe_holder(lock: Path) -> str:
    """The holder of a lock, in words, and what to do if that process has ended."""
    if record := _record(lock):
        pid, host = record
        return f"process {pid} on {host}, which holds {lock}; if it has ended, delete that file"
    return f"another process, which holds {lock}"


def _record(lock: Path) -> tuple[str, str] | None:
    """PID and host of the process that holds a lock, where locks are files."""
    try:
        lines = lock.read_text(errors="replace")[:_MAX_RECORD].split("\n")
    except OSError:
        return None
    return (lines[0], lines[1].partition("?pidns-")[0]) if len(lines) > 1 and lines[0].isdigit() else None


@contextmanager
def exclusive_folder(out: Path) -> Iterator[None]:
    """Hold a folder for one run; a second run into it is refused.

    The file ``.lock`` is never deleted: a run that opened it just before would then hold a deleted file, and a third run could
    lock a new one.

    Raises
    ------
    AudioMetamerError
        If another run is writing into it, or it cannot be created.
    """
    try:
        make_folder(out)
    except OSError as error:
        raise AudioMetamerError(f"could not write into {out}: {error.strerror or error}") from error
    lock = out / ".lock"
    with ExitStack() as stack:
        try:
            stack.enter_context(file_lock(lock, timeout=0))
        except TimeoutError as error:
            who = "" if _record(lock) is None else f": {describe_holder(lock)}"
            raise AudioMetamerError(f"another run is writing into {out}; wait for it, or choose another --out{who}") from error
        yield
