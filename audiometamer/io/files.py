"""Files that are either whole or absent, also after a power cut, and their sums."""

import codecs
import errno
import itertools
import os
import re
import secrets
import select
import shutil
import stat
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO

import msgspec

from audiometamer.errors import AudioMetamerError, AudioMetamerWarning, WritingError, first_line

if TYPE_CHECKING:
    from filelock import BaseFileLock

# What decoding broken JSON raises.
JSON_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
# How flock answers where there are no locks: a mount without them, NFS without a lock daemon.
NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP}
# How fsync, or opening a folder for it, answers where there is none: FUSE mounts, network shares, folders one may not list.
_NO_SYNC = {errno.EINVAL, errno.EBADF, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EACCES, errno.EISDIR}
_SYNCS_AT_ONCE = 16  # file systems commit those that wait together
_LARGEST = 1e15  # of the numbers in files of settings
_PATIENCE = 3.0  # seconds after which it is said which lock is waited for
_RECOVERY = 4.0  # seconds in which filelock takes over a lock whose record makes no sense; it watches it for two
_LONGEST_RECORD = 1000  # characters of the file of a lock
_LONGEST_NAME = 255  # bytes that file systems take
_DEEPEST = 64  # levels of a file of settings
_PART = r"""(?:(?<![\w-])[\w-]++|"[^"\n]*+"|'[^'\n]*+')"""  # of a dotted key of TOML
_DEEP_KEY = re.compile(rf"(?<!\.){_PART}(?:[ \t]*+\.[ \t]*+{_PART}){{{_DEEPEST}}}")
_MOST_BYTES = 1 << 30  # of a file that is read at once
# As it is, on Windows; elsewhere without waiting for whoever would write into a pipe.
_READ = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
_PIPE_PATIENCE = 30  # seconds to wait for whoever writes into a pipe
_TEMPORARY = re.compile(r"\.[0-9a-f]{8}-.+")


def readable(path: str | os.PathLike[str]) -> str:
    """A path as text of one line that can be shown and stored.

    Bytes that are not UTF-8 are read as Latin-1, or else replaced by �; control characters and line breaks are escaped.
    """
    latin = re.sub("[\udca0-\udcff]", lambda byte: chr(ord(byte[0]) - 0xDC00), os.fspath(path))
    whole = re.sub("[\ud800-\udfff]", "�", latin)
    return re.sub("[\x00-\x1f\x7f-\x9f\u2028\u2029]", lambda c: c[0].encode("unicode_escape").decode(), whole)


def is_within(name: str) -> bool:
    """Whether a name out of a file, as a path from its folder, stays in that folder and can be one."""
    parts = name.replace("\\", "/").split("/")
    return "\0" not in name and not {"", ".", ".."} & {*parts} and all(len(os.fsencode(part)) <= _LONGEST_NAME for part in parts)


def resolved(path: str | os.PathLike[str]) -> Path:
    """A path without links; links that lead in a circle stay."""
    return Path(os.path.realpath(path))  # Path.resolve raises RuntimeError at a circle before Python 3.13


def content_of(path: str | os.PathLike[str]) -> bytes:
    """All bytes of a file or a pipe, at most 1 GiB.

    Raises
    ------
    OSError
        If it cannot be read, is longer, is a folder or a device such as /dev/zero, which has no end, or is a pipe that nobody
        writes into.
    """
    with _opened(path) as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise OSError(errno.EFBIG, f"it is larger than {_MOST_BYTES >> 30} GiB", os.fspath(path))
    return content


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    try:
        descriptor = os.open(path, _READ)
    except ValueError as error:  # NUL in a name
        raise OSError(errno.EINVAL, str(error), readable(path)) from error
    mode = os.fstat(descriptor).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        os.close(descriptor)
        what = "a folder" if stat.S_ISDIR(mode) else "a device"
        raise OSError(errno.EINVAL, f"it is {what}, not a file", os.fspath(path))
    with open(descriptor, "rb") as file:  # noqa: PTH123 (a descriptor)
        if not stat.S_ISREG(mode) and not is_written(file, _PIPE_PATIENCE):
            raise OSError(errno.ETIMEDOUT, f"it is a pipe into which nothing was written for {_PIPE_PATIENCE} s", os.fspath(path))
        yield file


def is_written(pipe: IO[bytes], within: float) -> bool:
    """Whether something comes through a pipe, or it ends, in so many seconds; reading it blocks from then on.

    Windows cannot tell; there it is always True.
    """
    if os.name == "nt":
        return True
    is_ready = bool(select.select([pipe], [], [], within)[0])
    os.set_blocking(pipe.fileno(), True)
    return is_ready


def read_unicode(path: Path) -> str:
    """A text file in UTF-8, with or without a byte order mark, or in UTF-16 with one.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it is in another encoding.
    """
    content = content_of(path)
    utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return content.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from error


def parse_toml(text: str) -> dict[str, Any]:
    """TOML; a ValueError names what keeps it from being parsed, or is nested deeper than settings that make sense are."""
    too_deep = f"it is nested more than {_DEEPEST} levels deep"
    if _DEEP_KEY.search(text):  # a key of n parts takes the parser time and memory that grow with n²
        raise ValueError(too_deep)
    try:
        content: dict[str, Any] = msgspec.toml.decode(text)
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from error
    except (RecursionError, ValueError) as error:  # ValueError: of Python's limit to the digits of an integer
        raise ValueError(f"it is nested too deeply, or a number has too many digits: {first_line(error)}") from error
    level: list[Any] = [content]
    for _ in range(_DEEPEST):
        inner = (value.values() if isinstance(value, dict) else value for value in level if isinstance(value, dict | list))
        level = [*itertools.chain.from_iterable(inner)]
    if level:
        raise ValueError(too_deep)
    return content


def check_numbers(content: Any) -> None:
    """Raise a ValueError that names the first number of a file of settings that is not finite or is beyond 1e15."""
    for place, number in odd_numbers(content):
        raise ValueError(f"{place} is {number}; a number must be finite and at most {_LARGEST:g}")


def odd_numbers(value: Any, place: str = "") -> Iterator[tuple[str, float]]:
    """Numbers of a file that are not finite or are beyond 1e15, as no setting that makes sense is, with their places."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from odd_numbers(inner, f"{place}.{key}" if place else key)
    elif isinstance(value, list):
        for k, inner in enumerate(value):
            yield from odd_numbers(inner, f"{place}[{k}]")
    elif isinstance(value, int | float) and not abs(value) <= _LARGEST:  # nor of nan
        yield place, value


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary name in the folder of `path`, renamed to `path` if the block ends well and removed if it does not.

    After the block the file survives a power cut: its content is on the disk before the rename, the rename after it. What is
    written inside a `atomic_folder` is put on the disk with that folder, all at once.

    Parameters
    ----------
    path : path
        Where the file will be. Its folder is made if it is missing.

    Yields
    ------
    Path
        Where to write. It ends as `path` does, so that libraries which look at the ending see the right one.

    Raises
    ------
    WritingError
        If the operating system refuses: no space, no permission, a folder in the way.
    """
    path = Path(path)
    temporary = temporary_beside(path)
    try:
        durable = not any(map(is_temporary, path.absolute().parent.parts))
        make_folder(path.parent, durable=durable)
        yield temporary
        if durable:
            _sync(temporary)
        temporary.replace(path)
        if durable:
            _sync(path.parent)
    except OSError as error:
        raise WritingError(f"could not write {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):  # what could not be written may not be removed either
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(out: Path, *, replace: bool = False) -> Iterator[Path]:
    """A folder beside `out`, renamed to it if the block ends well, and removed if it does not.

    After the block it survives a power cut, with all that is in it.

    Parameters
    ----------
    out : path
    replace : bool
        Whether the folder that is there, with all that is in it, makes room once the block has ended well. Default False.

    Yields
    ------
    Path
        Where to write.

    Raises
    ------
    AudioMetamerError
        If the operating system refuses, or the folder is there, is not empty and is not to be replaced.
    """
    at = resolved(out)  # a link stays one; "." has no name
    folder, old = temporary_beside(at), temporary_beside(at)
    try:
        make_folder(folder)
        yield folder
        _sync_tree(folder)
        if at.exists() and (replace or not any(at.iterdir())):
            at.replace(old)
        folder.replace(at)
        _sync(at.parent)
    except OSError as error:
        raise AudioMetamerError(f"could not write {out}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if old.exists() and not at.exists():
            old.replace(at)
        shutil.rmtree(old, ignore_errors=True)


def make_folder(folder: Path, *, durable: bool = True) -> None:
    """Make a folder with its parents, unless it is there; with `durable`, so that a power cut takes none of them.

    Raises
    ------
    OSError
        If it cannot be made.
    """
    missing = [at for at in (folder, *folder.parents) if not at.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    if durable:
        for at in reversed(missing):
            _sync(at.parent)


def _sync(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk, where the file system offers that."""
    writes = os.name == "nt"  # Windows only syncs what is open for writing, and no folders
    if writes and path.is_dir():
        return
    try:
        opened = os.open(path, os.O_RDWR if writes else os.O_RDONLY)
    except OSError as error:
        if path.is_dir() and error.errno in _NO_SYNC:
            return
        raise
    try:
        os.fsync(opened)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
    finally:
        os.close(opened)


def _sync_tree(folder: Path) -> None:
    """`_sync` all files in a folder, and then all folders."""
    inside = [path for path in folder.rglob("*") if not path.is_symlink()]
    files = [path for path in inside if path.is_file()]
    folders = [folder, *(path for path in inside if path.is_dir())]
    with ThreadPoolExecutor(_SYNCS_AT_ONCE) as pool:
        for paths in (files, folders):
            list(pool.map(_sync, paths))


def is_empty(path: Path) -> bool:
    """Whether a file holds nothing but zeros, which is what some file systems fill in for what they have lost."""
    with path.open("rb") as file:
        return not any(block.strip(b"\0") for block in iter(lambda: file.read(1 << 20), b""))


def set_aside(path: Path) -> None:
    """Rename a broken file or folder to ``<name>.broken`` (or ``.broken-2`` …), so that nothing is lost; an empty one goes.

    Raises
    ------
    WritingError
        If the operating system refuses.
    """
    try:
        if path.is_symlink():
            pass
        elif path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
                return
        elif is_empty(path):
            path.unlink()
            return
        names = itertools.chain([".broken"], (f".broken-{number}" for number in itertools.count(2)))
        path.rename(next(new for name in names if not (new := path.with_name(path.name + name)).exists()))
    except FileNotFoundError:
        return
    except OSError as error:
        raise WritingError(f"could not set {path} aside: {error.strerror or error}") from error


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 with the line ends of Unix; whole or not at all."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, from its first byte on."""
    with atomic_write(path) as temporary:
        temporary.touch(mode=stat.S_IRUSR | stat.S_IWUSR)
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, content: Any) -> None:
    """Write what msgspec can encode, for readers: a line for each field."""
    write_text(path, json_text(content) + "\n")


def json_text(content: Any) -> str:
    """JSON with a line for each field."""
    return msgspec.json.format(msgspec.json.encode(content), indent=1).decode()


def temporary_beside(path: Path) -> Path:
    """A name in the folder of `path` that nobody else takes, for what will be renamed to it."""
    return path.with_name(f".{secrets.token_hex(4)}-{path.name}")


def check_writable(path: Path) -> None:
    """Raise now what `atomic_write` would raise after the work whose result is to be written."""
    temporary = temporary_beside(path)
    try:
        make_folder(path.parent)
        temporary.touch()
        temporary.unlink()
    except OSError as error:
        raise WritingError(f"could not write {path}: {error.strerror or error}") from error


def is_temporary(name: str) -> bool:
    """Whether a file's name is from `temporary_beside`: a process that is killed leaves such files."""
    return _TEMPORARY.fullmatch(name) is not None


@contextmanager
def file_lock(lock: Path, *, timeout: float = -1) -> Iterator[None]:
    """Hold a lock; where the file system has none, filelock holds a file that only one process can create.

    Without a limit, a warning says after a few seconds who is waited for. A lock left by a process of this host that was killed
    is taken over.

    Parameters
    ----------
    lock : path
        Its file.
    timeout : float
        Seconds to wait for whoever holds it. Default: as long as it takes.

    Raises
    ------
    TimeoutError
        If somebody else still holds it.
    AudioMetamerError
        If its file cannot be made, or the file system has no locks.

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
        if error.errno in NO_LOCKS:
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
    """Acquire a lock, and warn of what is waited for if that takes long.

    Of locks that are files, filelock takes over those of processes of this host that have ended, and those whose record makes no
    sense. An empty one was left where the file system had other locks, or by a process that was killed as it made it.
    """
    end, patience, marked = time.monotonic() + timeout, timeout if 0 <= timeout < _PATIENCE else _PATIENCE, False
    while True:
        try:
            held.acquire(timeout=patience)
        except TimeoutError:
            is_file = hasattr(held, "pid")  # else the system lets go of it when its holder ends
            if is_file and not marked and not _record(lock):
                with suppress(FileNotFoundError), lock.open("r+") as file:
                    file.write("left over\n")
                marked, patience = True, _RECOVERY
                continue
            if timeout >= 0 and time.monotonic() >= end:
                raise
            if timeout < 0:
                warnings.warn(f"waiting for {holder_of(lock)}", AudioMetamerWarning, stacklevel=4)
            patience = -1 if timeout < 0 else end - time.monotonic()
        else:
            return


def holder_of(lock: Path) -> str:
    """Who holds a lock, in words, and what to do if nobody does any more."""
    if record := _record(lock):
        pid, host = record
        return f"process {pid} on {host}, which holds {lock}; if it has ended, delete that file"
    return f"another process, which holds {lock}"


def _record(lock: Path) -> tuple[str, str] | None:
    """Number and host of the process that holds a lock that is a file."""
    try:
        lines = lock.read_text(errors="replace")[:_LONGEST_RECORD].split("\n")
    except OSError:
        return None
    return (lines[0], lines[1].partition("?pidns-")[0]) if len(lines) > 1 and lines[0].isdigit() else None


@contextmanager
def exclusive_folder(out: Path) -> Iterator[None]:
    """Hold a folder for one run; a second run into it is refused.

    The file ``.lock`` stays: a run that has opened it as another ends would hold a file that is not there any more, and a third
    run would take a new one beside it.

    Raises
    ------
    AudioMetamerError
        If another run is writing into it, or it cannot be made.
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
            who = "" if _record(lock) is None else f": {holder_of(lock)}"
            raise AudioMetamerError(f"another run is writing into {out}; wait for it, or choose another --out{who}") from error
        yield


def create(path: Path, content: bytes) -> None:
    """Write a file that must not be there yet: of several who try at once, one succeeds.

    It is whole from its first moment, and after a power cut, where the file system has hard links. Where it has none, it may be
    seen empty for a moment.

    Raises
    ------
    FileExistsError
        If it is there.
    OSError
        If it cannot be written.
    """
    temporary = temporary_beside(path)
    try:
        temporary.write_bytes(content)
        _sync(temporary)
        try:
            os.link(temporary, path)
            linked = True
        except FileExistsError:
            raise
        except OSError:  # exFAT, many network shares and FUSE mounts have no links, and answer in many ways
            linked = False
    finally:
        temporary.unlink(missing_ok=True)
    if linked:
        _sync(path.parent)
        return
    with path.open("xb") as file:
        try:
            file.write(content)
            file.flush()
            _sync(path)
            _sync(path.parent)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
