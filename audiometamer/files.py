"""Files that are either whole or absent, and their sums."""

import codecs
import errno
import hashlib
import itertools
import os
import re
import secrets
import select
import shutil
import stat
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from audiometamer.errors import AudioMetamerError, WritingError, first_line

# How flock answers where there are no locks: a mount without them, NFS without a lock daemon.
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP}
_LARGEST = 1e15  # of the numbers in files of settings
_LONGEST_NAME = 255  # bytes that file systems take
_DEEPEST = 64  # levels of a file of settings
_MOST_BYTES = 1 << 30  # of a file that is read at once
_PATIENCE = 30  # seconds to wait for whoever writes into a pipe
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
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # to open a pipe without a writer would block
    except ValueError as error:  # NUL in a name
        raise OSError(errno.EINVAL, str(error), readable(path)) from error
    mode = os.fstat(descriptor).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
        os.close(descriptor)
        what = "a folder" if stat.S_ISDIR(mode) else "a device"
        raise OSError(errno.EINVAL, f"it is {what}, not a file", os.fspath(path))
    with open(descriptor, "rb") as file:  # noqa: PTH123 (a descriptor)
        if not stat.S_ISREG(mode) and not is_written(file, _PATIENCE):
            raise OSError(errno.ETIMEDOUT, f"it is a pipe into which nothing was written for {_PATIENCE} s", os.fspath(path))
        yield file


def is_written(pipe: BinaryIO, within: float) -> bool:
    """Whether something comes through a pipe, opened without blocking, in so many seconds; from then on it blocks."""
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
        raise ValueError(f"it is nested more than {_DEEPEST} levels deep")
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
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary name in the folder of `path`, renamed to `path` if the block ends well and removed if it does not.

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
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise WritingError(f"could not write {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):  # what could not be written may not be removed either
            temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(out: Path, *, replace: bool = False) -> Iterator[Path]:
    """A folder beside `out`, renamed to it if the block ends well, and removed if it does not.

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
    at = out.resolve()  # a link stays one; "." has no name
    folder, old = temporary_beside(at), temporary_beside(at)
    try:
        folder.mkdir(parents=True)
        yield folder
        if at.exists() and (replace or not any(at.iterdir())):
            at.replace(old)
        folder.replace(at)
    except OSError as error:
        raise AudioMetamerError(f"could not write {out}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if old.exists() and not at.exists():
            old.replace(at)
        shutil.rmtree(old, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 with the line ends of Unix; whole or not at all."""
    with whole_file(path) as temporary:
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
    """Raise now what `whole_file` would raise after the work whose result is to be written."""
    temporary = temporary_beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch()
        temporary.unlink()
    except OSError as error:
        raise WritingError(f"could not write {path}: {error.strerror or error}") from error


def is_temporary(name: str) -> bool:
    """Whether a file's name is from `temporary_beside`: a process that is killed leaves such files."""
    return _TEMPORARY.fullmatch(name) is not None


@contextmanager
def in_turn(lock: Path, *, timeout: float = -1) -> Iterator[None]:
    """Hold a lock; where the file system has none, filelock holds a file that only one process can create.

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
    """
    from filelock import FileLock

    held = FileLock(lock, timeout=timeout)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "flock not supported", UserWarning)  # filelock has found another way
            held.acquire()
    except TimeoutError:
        raise
    except OSError as error:
        if error.errno in _NO_LOCKS:
            raise AudioMetamerError(
                f"the file system of {lock.parent} has no locks ({error.strerror}; NFS without a lock daemon?): choose a folder "
                "on another one"
            ) from error
        raise AudioMetamerError(f"could not write {lock}: {error.strerror or error}") from error
    try:
        yield
    finally:
        held.release()


@contextmanager
def only_writer(out: Path) -> Iterator[None]:
    """Hold a folder for one run; a second run into it is refused.

    The file ``.lock`` stays: a run that has opened it as another ends would hold a file that is not there any more, and a third
    run would take a new one beside it.

    Raises
    ------
    AudioMetamerError
        If another run is writing into it, or it cannot be made.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AudioMetamerError(f"could not write into {out}: {error.strerror or error}") from error
    with ExitStack() as stack:
        try:
            stack.enter_context(in_turn(out / ".lock", timeout=0))
        except TimeoutError as error:
            raise AudioMetamerError(f"another run is writing into {out}; wait for it, or choose another --out") from error
        yield


def create(path: Path, content: bytes) -> None:
    """Write a file that must not be there yet: of several who try at once, one succeeds.

    It is whole from its first moment where the file system has hard links. Where it has none, it may be seen empty for a moment.

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
        try:
            os.link(temporary, path)
            return
        except FileExistsError:
            raise
        except OSError:  # exFAT, many network shares and FUSE mounts have no links, and answer in many ways
            pass
    finally:
        temporary.unlink(missing_ok=True)
    with path.open("xb") as file:
        try:
            file.write(content)
            file.flush()
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, read a piece at a time."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise AudioMetamerError(f"{path} cannot be read: {error.strerror}") from error
