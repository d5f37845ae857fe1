"""Claims: files by which several workers, also on several machines, share the items of one folder."""

import errno
import os
import platform
import secrets
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from audiometamer.errors import AudioMetamerError, AudioMetamerWarning, WritingError
from audiometamer.io.files import create_exclusively, make_folder
from audiometamer.io.locks import LOCKS_UNSUPPORTED, describe_holder, file_lock
from audiometamer.io.processes import has_ended, pid_namespace, start_time
from audiometamer.io.reading import JSON_ERRORS

if sys.platform != "win32":
    import fcntl

LOCK = ".lock"  # in a folder of claims, and in the folder whose items are made
HEARTBEAT = 5.0  # seconds between two heartbeats of a worker
STALE_AFTER = 120.0  # seconds without a heartbeat after which a worker on another machine counts as gone
_GRACE = 3  # heartbeats after which an unreadable claim is not being written any more


class Claim(msgspec.Struct, frozen=True):
    """The content of a claim: the process that holds it.

    Parameters
    ----------
    host : str
    pid : int
    since : float
        Time of the claim, in UTC seconds.
    token : str
        Unique to this claim.
    numbering : str or None
        Namespace of the process number; see `audiometamer.io.processes.pid_namespace`. Default None: an earlier version's claim.
    began : int or None
        Start time of the process; see `audiometamer.io.processes.start_time`. Default None: unknown.
    """

    host: str
    pid: Annotated[int, Meta(ge=0, lt=2**31)]
    since: float
    token: str
    numbering: str | None = None
    began: int | None = None

    @property
    def is_local(self) -> bool:
        """Whether its process, if alive, is visible to this one."""
        return self.host == platform.node() if self.numbering is None else self.numbering == pid_namespace() != ""

    @property
    def is_dead(self) -> bool:
        """Whether its worker is known to be gone: the process has ended, or its number is another's now."""
        is_another = self.numbering is None and self.pid == os.getpid()  # this version writes other claims
        return self.is_local and (is_another or has_ended(self.pid, self.began))


UNREADABLE = Claim("", 0, 0.0, "")  # for a claim that cannot be read


class Claims:
    """The claims of one worker on the items of a folder.

    A claim is a file created exclusively. Its worker touches it while it lives. Other workers trust neither the clock nor the
    file's time: a claim is stale when its process is known to be gone, or when they have seen it unchanged for `STALE_AFTER`
    seconds by their own stopwatch; an unreadable one, already after a few heartbeats. A worker that was only suspended that long
    finds out when it writes: every file of an item is written through `write`, and nobody takes the claim over meanwhile.

    Parameters
    ----------
    folder : path
    beat, silence : float
        Seconds; default `HEARTBEAT` and `STALE_AFTER`.
    """

    def __init__(self, folder: Path, *, beat: float = HEARTBEAT, silence: float = STALE_AFTER) -> None:
        self.folder, self.beat, self.silence = folder, beat, silence
        self.held: dict[str, str] = {}  # token by key
        self._seen: dict[str, tuple[tuple[int, int], float, bool]] = {}  # claim's stamp, since when, and whether it ever changed
        self._warned = False  # that another process holds the lock

    @contextmanager
    def heartbeat(self) -> Iterator[None]:
        """Keep the claims alive while this lasts; all are released at its end."""
        ended = threading.Event()

        def touch() -> None:
            while not ended.wait(self.beat):
                for key in tuple(self.held):
                    with suppress(OSError, AudioMetamerError):  # the disk does not answer: the worker itself will notice
                        if self._is_ours(key):
                            os.utime(self.folder / key)

        thread = threading.Thread(target=touch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            for key in tuple(self.held):
                self.release(key)

    def take(self, key: str) -> bool:
        """Claim an item; False if another worker holds it, or may hold it."""
        if self._is_ours(key):
            return False
        return self._create(key) or (self._is_stale(key) and self._take_over(key))

    def _create(self, key: str) -> bool:
        path, pid, token = self.folder / key, os.getpid(), secrets.token_hex(8)
        content = msgspec.json.encode(Claim(platform.node(), pid, time.time(), token, pid_namespace(), start_time(pid)))
        self.held[key] = token  # first: if interrupted once the file exists, it is released at the end
        try:
            make_folder(self.folder)
            create_exclusively(path, content)
        except FileExistsError:
            del self.held[key]
            return False
        except OSError as error:
            raise AudioMetamerError(f"could not write {path}: {error.strerror or error}") from error
        return True

    def write(self, key: str, what: str, write: Callable[[], object]) -> bool:
        """Write files of an item, as only its holder may; False, with one warning, if this worker does not hold it any more.

        Parameters
        ----------
        key : str
        what : str
            The item, for the warning.
        write : callable
            Called while nobody can take the claim over.
        """
        with _locked(self.folder / key, wait=True):
            if ours := self._is_ours(key):
                write()
        if not ours and self.held.pop(key, None) is not None:
            why = "was taken over by another worker while this one was suspended; this result is discarded"
            warnings.warn(f"{what} {why}", AudioMetamerWarning, stacklevel=2)
        return ours

    def release(self, key: str) -> None:
        """Release a claim, if this worker still holds it."""
        if self._is_ours(key):
            with suppress(OSError):  # the disk is read-only now; the claim is stale once this process has ended
                (self.folder / key).unlink(missing_ok=True)
        self.held.pop(key, None)  # last: if interrupted before, it is released at the end

    def _is_ours(self, key: str) -> bool:
        """Whether the claim on an item is still this worker's."""
        claim = read_claim(self.folder / key)
        return claim is not None and claim.token == self.held.get(key)

    def is_unclaimed(self, key: str) -> bool:
        """Whether an item is unclaimed."""
        return not (self.folder / key).exists()

    def may_be_gone(self, key: str) -> bool:
        """Whether an item is claimed by a worker whose heartbeat has not been seen yet; it may be gone."""
        return not self.is_unclaimed(key) and (self._is_stale(key) or not self._seen[key][2])

    def wait(self, keys: Sequence[str]) -> bool:
        """Wait for other workers; whether any of their claims has shown no heartbeat yet, or was released."""
        silent = [key for key in keys if self.may_be_gone(key)]  # looks at all of them: each is timed from the first look
        if silent:
            time.sleep(self.beat / 2)
        return bool(silent) or any(self.is_unclaimed(key) for key in keys)

    def _is_stale(self, key: str) -> bool:
        claim = read_claim(self.folder / key)
        if claim is None:
            self._seen[key] = ((0, 0), time.monotonic(), True)
            return False
        if claim.is_dead:
            return True
        now = file_stamp(self.folder / key)
        before, since, changed = self._seen.get(key, (now, time.monotonic(), False))
        if now != before:
            since, changed = time.monotonic(), True
        self._seen[key] = (now, since, changed)
        patience = min(_GRACE * self.beat, self.silence) if claim == UNREADABLE else self.silence
        return time.monotonic() - since > patience

    def _take_over(self, key: str) -> bool:
        """Replace a stale claim by one's own; one worker at a time, so that nobody removes a claim just written."""
        stale = read_claim(self.folder / key)
        try:
            with file_lock(self.folder / LOCK, timeout=self.beat):
                if stale is not None and read_claim(self.folder / key) == stale and self._is_stale(key):
                    with _locked(self.folder / key, wait=False):
                        (self.folder / key).unlink(missing_ok=True)
                return self._create(key)
        except BlockingIOError:  # its holder is writing: it is alive, or suspended just then
            return False
        except TimeoutError:
            if not self._warned:
                self._warned = True
                warnings.warn(f"waiting for {describe_holder(self.folder / LOCK)}", AudioMetamerWarning, stacklevel=2)
            return False


@contextmanager
def _locked(path: Path, *, wait: bool) -> Iterator[None]:
    """Lock a claim so that it cannot be taken over, or written by; a process that is killed holds no lock.

    Where the file system has no locks, nothing is locked: only a worker that is suspended in the milliseconds of writing, and
    until its claim is taken over, could do harm. Windows removes no file that is open.

    Raises
    ------
    BlockingIOError
        If another process holds the lock, without `wait`.
    WritingError
        If the disk does not answer, or is read-only now.
    """
    with ExitStack() as stack:
        try:
            file = stack.enter_context(path.open("rb+"))
            if sys.platform != "win32":
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise
        except OSError as error:
            if error.errno not in {*LOCKS_UNSUPPORTED, errno.ENOENT}:  # taken away: its worker sees that
                raise WritingError(f"could not write {path}: {error.strerror or error}") from error
        yield


def read_claim(path: Path) -> Claim | None:
    """A claim; None if there is none. An unreadable one is being written, or was when the power failed: `UNREADABLE`."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Claim)
    except FileNotFoundError:
        return None
    except JSON_ERRORS:
        return UNREADABLE
    except OSError as error:
        raise AudioMetamerError(f"{path} cannot be read: {error.strerror}") from error


def remove_dead_claims(folder: Path) -> bool:
    """Remove the claims of workers that are gone; whether no claim is left."""
    if not folder.is_dir():
        return True
    with file_lock(folder / LOCK):
        claims = {path: read_claim(path) for path in folder.iterdir() if is_claim(path)}
        dead = [path for path, claim in claims.items() if claim is not None and (claim.is_dead or _is_leftover(path, claim))]
        for path in dead:
            path.unlink(missing_ok=True)
    return len(dead) == len(claims)


def is_claim(path: Path) -> bool:
    """Whether a path in the folder of claims may be one: a file named after a key. Anything else is left there."""
    return not path.suffix and not path.name.startswith(".") and path.is_file() and not path.is_symlink()


def _is_leftover(path: Path, claim: Claim) -> bool:
    """Whether a claim is unreadable and, by the time of its file, not being written."""
    return claim == UNREADABLE and time.time() - file_stamp(path)[0] / 1e9 > STALE_AFTER


def file_stamp(path: Path) -> tuple[int, int]:
    """Modification time and inode: they change when the file is touched or replaced; zeros if there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return (0, 0)
    return found.st_mtime_ns, found.st_ino


def is_running(path: Path) -> bool:
    """Whether a claim's worker seems to be alive: as a process of this machine, or by a recent heartbeat."""
    claim = read_claim(path)
    if claim is None or claim.is_dead:
        return False
    return claim.is_local or time.time() - file_stamp(path)[0] / 1e9 < STALE_AFTER
