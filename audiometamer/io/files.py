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

# Errors of fsync, or of opening a folder for it, where it is not supported: FUSE mounts, network shares, unlistable folders.
_NO_SYNC = {errno.EINVAL, errno.EBADF, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EACCES, errno.EISDIR}
_CONCURRENT_SYNCS = 16  # file systems commit concurrent ones together
_TEMPORARY = re.compile(r"\.[0-9a-f]{8}-.+")


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Write to a temporary path beside `path`, which is renamed to `path` if the block succeeds and removed if it fails.

    After the block the file survives a power cut: its content is synced before the rename, its folder after it. A file inside an
    `atomic_folder` is synced together with that folder.

    Parameters
    ----------
    path : path
        Final path. Its folder is created if missing.

    Yields
    ------
    Path
        Path to write to; it has the suffix of `path`, for libraries that choose a format by suffix.

    Raises
    ------
    WritingError
        If the operating system refuses: no space, no permission, or a folder of that name.
    """
    path = Path(path)
    temporary = temporary_path(path)
    try:
        durable = not any(map(is_temporary, path.absolute().parent.parts))
        make_folder(path.parent, durable=durable)
        yield temporary
        if durable:
            sync(temporary)
        temporary.replace(path)
        if durable:
            sync(path.parent)
    except OSError as error:
        raise WritingError(f"could not write {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):  # what cannot be written may not be removable either
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(out: Path, *, replace: bool = False) -> Iterator[Path]:
    """Fill a temporary folder beside `out`, which is renamed to `out` if the block succeeds and removed if it fails.

    After the block the folder survives a power cut, with everything in it.

    Parameters
    ----------
    out : path
    replace : bool
        Whether to delete an existing folder, with everything in it, once the block has succeeded. Default False.

    Yields
    ------
    Path
        Path to write to.

    Raises
    ------
    AudioMetamerError
        If the operating system refuses, or `out` exists, is not empty and `replace` is False.
    """
    target = real_path(out)  # a link stays a link; "." has no name
    folder, old = temporary_path(target), temporary_path(target)
    try:
        make_folder(folder)
        yield folder
        _sync_tree(folder)
        if target.exists() and (replace or not any(target.iterdir())):
            target.replace(old)
        folder.replace(target)
        sync(target.parent)
    except OSError as error:
        raise AudioMetamerError(f"could not write {out}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if old.exists() and not target.exists():
            old.replace(target)
        shutil.rmtree(old, ignore_errors=True)


def make_folder(folder: Path, *, durable: bool = True) -> None:
    """Create a folder and its parents, unless they exist; if `durable`, they survive a power cut.

    Raises
    ------
    OSError
        If it cannot be created.
    """
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    if durable:
        for each in reversed(missing):
            sync(each.parent)


def sync(path: Path) -> None:
    """Wait until a file's content, or a folder's entries, are on the disk, where the file system supports that.

    Raises
    ------
    OSError
        If the disk fails, or the path cannot be opened.
    """
    writes = os.name == "nt"  # Windows syncs only what is open for writing, and no folders
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
    """Sync all files in a folder, and then all folders."""
    inside = [path for path in folder.rglob("*") if not path.is_symlink()]
    files = [path for path in inside if path.is_file()]
    folders = [folder, *(path for path in inside if path.is_dir())]
    with ThreadPoolExecutor(_CONCURRENT_SYNCS) as pool:
        for paths in (files, folders):
            list(pool.map(sync, paths))


def holds_only_zeros(path: Path) -> bool:
    """Whether a file holds nothing but zeros, with which some file systems replace lost content."""
    with path.open("rb") as file:
        return not any(block.strip(b"\0") for block in iter(lambda: file.read(1 << 20), b""))


def set_aside(path: Path) -> None:
    """Rename a broken file or folder to ``<name>.broken`` (or ``.broken-2`` …), so that nothing is lost; delete an empty one.

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
    """Write UTF-8 with Unix line endings, atomically."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_private(path: Path, text: str) -> None:
    """Write a file that is never readable by anyone but its owner."""
    with atomic_write(path) as temporary:
        temporary.touch(mode=stat.S_IRUSR | stat.S_IWUSR)
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, content: Any) -> None:
    """Write what msgspec can encode as JSON with a line for each field."""
    write_text(path, json_text(content) + "\n")


def json_text(content: Any) -> str:
    """JSON with a line for each field."""
    return msgspec.json.format(msgspec.json.encode(content), indent=1).decode()


def temporary_path(path: Path) -> Path:
    """An unused hidden name in the folder of `path`, for what will be renamed to `path`."""
    return path.with_name(f".{secrets.token_hex(4)}-{path.name}")


def refuse_existing(*paths: Path) -> None:
    """Raise an `AudioMetamerError` if one of the paths is taken: what a command makes goes to a new place."""
    for path in paths:
        if path.exists():
            raise AudioMetamerError(f"{path} exists; nothing is overwritten: choose another --out")


def check_writable(path: Path) -> None:
    """Raise what `atomic_write` would raise, before the work whose result it would write."""
    temporary = temporary_path(path)
    try:
        make_folder(path.parent)
        temporary.touch()
        temporary.unlink()
    except OSError as error:
        raise WritingError(f"could not write {path}: {error.strerror or error}") from error


def is_temporary(name: str) -> bool:
    """Whether a name is one of `temporary_path`: killed processes leave such files."""
    return _TEMPORARY.fullmatch(name) is not None


def create_exclusively(path: Path, content: bytes) -> None:
    """Write a file that must not exist yet: of several processes that try at the same time, one succeeds.

    Where the file system has hard links, the file is never seen incomplete, even after a power cut; elsewhere it may be empty
    for a moment.

    Raises
    ------
    FileExistsError
        If it exists.
    OSError
        If it cannot be written.
    """
    temporary = temporary_path(path)
    try:
        temporary.write_bytes(content)
        sync(temporary)
        try:
            os.link(temporary, path)
            linked = True
        except FileExistsError:
            raise
        except OSError:  # exFAT, many network shares and FUSE mounts have no links; their errors differ
            linked = False
    finally:
        temporary.unlink(missing_ok=True)
    if linked:
        sync(path.parent)
        return
    with path.open("xb") as file:
        try:
            file.write(content)
            file.flush()
            sync(path)
            sync(path.parent)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
