"""Atomic writes: a file or folder is complete or absent, even after a power cut."""

import errno
import itertools
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from audiometamer.errors import AudioMetamerError, WritingError
from audiometamer.io.paths import real_path

# How fsync, or opening a folder for it, answers where there is none: FUSE mounts, network shares, folders one may not list.
_NO_SYNC = {errno.EINVAL, errno.EBADF, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EACCES, errno.EISDIR}
_CONCURRENT_SYNCS = 16  # file systems commit those that wait together
_TEMPORARY = re.compile(r"\.[0-9a-f]{8}-.+")


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
    temporary = temporary_path(path)
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
    at = real_path(out)  # a link stays one; "." has no name
    folder, old = temporary_path(at), temporary_path(at)
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
    with ThreadPoolExecutor(_CONCURRENT_SYNCS) as pool:
        for paths in (files, folders):
            list(pool.map(_sync, paths))


def holds_only_zeros(path: Path) -> bool:
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
        elif holds_only_zeros(path):
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


def temporary_path(path: Path) -> Path:
    """A name in the folder of `path` that nobody else takes, for what will be renamed to it."""
    return path.with_name(f".{secrets.token_hex(4)}-{path.name}")


def check_writable(path: Path) -> None:
    """Raise now what `atomic_write` would raise after the work whose result is to be written."""
    temporary = temporary_path(path)
    try:
        make_folder(path.parent)
        temporary.touch()
        temporary.unlink()
    except OSError as error:
        raise WritingError(f"could not write {path}: {error.strerror or error}") from error


def is_temporary(name: str) -> bool:
    """Whether a file's name is from `temporary_path`: a process that is killed leaves such files."""
    return _TEMPORARY.fullmatch(name) is not None


def create_exclusively(path: Path, content: bytes) -> None:
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
    temporary = temporary_path(path)
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
