"""Who makes which item: claims that several workers, also on several machines, lay on items of one folder."""

import os
import platform
import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import msgspec
import psutil

from audiometamer.errors import AudioMetamerError
from audiometamer.files import create, in_turn, make_folder
from audiometamer.metamers.results import NOT_JSON
from audiometamer.stimuli.layout import LOCK

BEAT = 5.0  # seconds between two signs of life of a worker
SILENCE = 120.0  # seconds without one after which a worker on another machine counts as gone
_GRACE = 3  # beats after which a claim that cannot be read is not being written any more


@cache
def _token(pid: int) -> str:  # noqa: ARG001 (one for each)
    """What only this process knows: numbers of processes come again, after a restart of a container at once."""
    return secrets.token_hex(8)


class Claim(msgspec.Struct, frozen=True):
    """What a claim's file says: who holds it, since when in UTC seconds, and a token that no other process has."""

    host: str
    pid: int
    since: float
    token: str

    @property
    def is_dead(self) -> bool:
        """Whether its worker is known to be gone: a process of this machine that is no more, or whose number is now ours."""
        if self.host != platform.node() or self.is_ours:
            return False
        return self.pid == os.getpid() or _is_gone(self.pid)

    @property
    def is_ours(self) -> bool:
        """Whether it is this process's."""
        return self.token == _token(os.getpid())


NOBODYS = Claim("", 0, 0.0, "")  # for a claim that cannot be read


def _is_gone(pid: int) -> bool:
    """Whether a process of this machine has ended; its number may be kept for a parent that does not ask after it."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


class Claims:
    """The claims of one worker on the items of a set.

    A claim is a file made with the promise that it was not there. Its worker touches it while it lives. Other workers trust
    neither the clock nor the file's time: a claim is stale when its process is known to be gone, or when they have seen it
    unchanged for `SILENCE` seconds by their own stopwatch; one that cannot be read, already for a few beats.

    Parameters
    ----------
    folder : path
    beat, silence : float
        Seconds; default `BEAT` and `SILENCE`.
    """

    def __init__(self, folder: Path, *, beat: float = BEAT, silence: float = SILENCE) -> None:
        self.folder, self.beat, self.silence = folder, beat, silence
        self.held: set[str] = set()
        self._seen: dict[str, tuple[tuple[int, int], float, bool]] = {}  # claim's stamp, since when, whether it ever changed

    @contextmanager
    def alive(self) -> Iterator[None]:
        """While this lasts, the claims show signs of life; all are given back at its end."""
        ended = threading.Event()

        def beat() -> None:
            while not ended.wait(self.beat):
                for key in tuple(self.held):
                    try:
                        os.utime(self.folder / key)
                    except OSError:  # taken away, or the disk does not answer: the worker itself will see it
                        continue

        thread = threading.Thread(target=beat, daemon=True)
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
        return self._create(key) or (self._is_stale(key) and self._take_over(key))

    def _create(self, key: str) -> bool:
        path = self.folder / key
        content = msgspec.json.encode(Claim(platform.node(), os.getpid(), time.time(), _token(os.getpid())))
        try:
            make_folder(self.folder)
            try:
                create(path, content)
                self.held.add(key)
            except FileExistsError:
                return False
            except KeyboardInterrupt:  # it may have come just before the claim was noted
                self.release(key)
                raise
        except OSError as error:
            raise AudioMetamerError(f"could not write {path}: {error.strerror or error}") from error
        return True

    def release(self, key: str) -> None:
        """Give a claim back, if it still is this worker's."""
        claim = read_claim(self.folder / key)
        if claim is not None and claim.is_ours:
            with suppress(OSError):  # of a disk that is read-only now; it is stale when this process has ended
                (self.folder / key).unlink(missing_ok=True)
        self.held.discard(key)  # last: interrupted before, it is given back at the end

    def is_free(self, key: str) -> bool:
        """Whether nobody claims an item."""
        return not (self.folder / key).exists()

    def is_silent(self, key: str) -> bool:
        """Whether an item is claimed by a worker that has not yet been seen alive; it may be gone."""
        return not self.is_free(key) and (self._is_stale(key) or not self._seen[key][2])

    def wait(self, keys: Sequence[str]) -> bool:
        """Wait until others' claims have shown whether they live; whether any has not yet, or was given back."""
        silent = [key for key in keys if self.is_silent(key)]  # of all of them: each is timed from the first look on
        if silent:
            time.sleep(self.beat / 2)
        return bool(silent) or any(self.is_free(key) for key in keys)

    def _is_stale(self, key: str) -> bool:
        claim = read_claim(self.folder / key)
        if claim is None:
            self._seen[key] = ((0, 0), time.monotonic(), True)
            return False
        if claim.is_dead:
            return True
        now = stamp(self.folder / key)
        before, since, changed = self._seen.get(key, (now, time.monotonic(), False))
        if now != before:
            since, changed = time.monotonic(), True
        self._seen[key] = (now, since, changed)
        patience = min(_GRACE * self.beat, self.silence) if claim == NOBODYS else self.silence
        return time.monotonic() - since > patience

    def _take_over(self, key: str) -> bool:
        """Remove a stale claim and lay one's own; one worker at a time, that nobody removes a claim just laid."""
        stale = read_claim(self.folder / key)
        try:
            with in_turn(self.folder / LOCK, timeout=self.beat):
                if stale is not None and read_claim(self.folder / key) == stale and self._is_stale(key):
                    (self.folder / key).unlink(missing_ok=True)
                return self._create(key)
        except TimeoutError:
            return False


def read_claim(path: Path) -> Claim | None:
    """A claim; None if there is none. One that cannot be read is nobody's: it is being written, or was when the power failed."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Claim)
    except FileNotFoundError:
        return None
    except NOT_JSON:
        return NOBODYS
    except OSError as error:
        raise AudioMetamerError(f"{path} cannot be read: {error.strerror}") from error


def forget_dead(folder: Path) -> bool:
    """Remove the claims of workers that are gone; whether no other is left."""
    if not folder.is_dir():
        return True
    with in_turn(folder / LOCK):
        claims = {path: read_claim(path) for path in folder.glob("[!.]*")}
        dead = [path for path, claim in claims.items() if claim is not None and (claim.is_dead or _is_left(path, claim))]
        for path in dead:
            path.unlink(missing_ok=True)
    return len(dead) == len(claims)


def _is_left(path: Path, claim: Claim) -> bool:
    """Whether a claim cannot be read and is not being written, by the time of its file."""
    return claim == NOBODYS and time.time() - stamp(path)[0] / 1e9 > SILENCE


def stamp(path: Path) -> tuple[int, int]:
    """Time and number of a file: others when it was touched, or another was renamed to it; zeros if there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return (0, 0)
    return found.st_mtime_ns, found.st_ino


def is_running(path: Path) -> bool:
    """Whether a claim's worker seems to live: as a process of this machine, or by a file touched of late."""
    claim = read_claim(path)
    if claim is None or claim.is_dead:
        return False
    return claim.host == platform.node() or time.time() - stamp(path)[0] / 1e9 < SILENCE
