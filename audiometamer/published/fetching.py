"""Fetch what papers published: a network becomes a folder of a model, recordings a folder of clips, listeners a table."""

import os
import shutil
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain, groupby
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from audiometamer.errors import AudioMetamerError, first_few
from audiometamer.io.archives import LocalFile, fetch_file, fetch_members, is_called
from audiometamer.io.callbacks import Notify, Progress, silent
from audiometamer.io.files import atomic_folder, is_temporary, make_folder, temporary_path
from audiometamer.io.label_files import read_label_file
from audiometamer.io.locks import file_lock
from audiometamer.io.partial_files import leftovers_of, record_of
from audiometamer.io.tar_headers import members_from
from audiometamer.models.published import Published, published, published_entry, published_home
from audiometamer.models.published_checkpoints import import_checkpoint
from audiometamer.published.listeners import published_listeners
from audiometamer.published.stimuli import published_stimuli

_SMALLEST = 1e-4  # 10⁹ bytes, where a size is not known
_RECORD = ".sha256"  # suffix of the records of hashes, which are never cleaned


def get(
    name: str,
    *,
    sources: Sequence[str | os.PathLike[str]] = (),
    trust: bool = False,
    progress: Progress = silent,
    notify: Notify = silent,
) -> Path:
    """Fetch something that a paper published, unless it is here already.

    Of an archive only the wanted member is stored. A network becomes the folder of a model, and `audiometamer.load_model` then
    takes its name.

    Parameters
    ----------
    name : str
        Such as ``feather2023/cochresnet50``; see `audiometamer.models.published.published`.
    sources : sequence of path
        Archives, folders they were unpacked into, or single files, to take it from. Nothing then comes from the internet.
        Default: none.
    trust : bool
        Whether a checkpoint may run code of its own while it is read; see `import_checkpoint`. Default False.
    progress : callable
        Takes the fraction that is done, and a message. Default: nothing is shown.
    notify : callable
        Takes lines that the user should know. Default: nothing is shown.

    Returns
    -------
    Path
        Its folder: of a model, of clips, or with the file of labels; for a permuted control, that of the network it is made from.

    Raises
    ------
    AudioMetamerError
        If there is nothing of that name; if it cannot be fetched, is not in `sources`, or is not what it should be.
    """
    return get_all([name], sources=sources, trust=trust, progress=progress, notify=notify)[name]


def get_all(
    names: Iterable[str],
    *,
    sources: Sequence[str | os.PathLike[str]] = (),
    trust: bool = False,
    progress: Progress = silent,
    notify: Notify = silent,
) -> dict[str, Path]:
    """Fetch several at once, each archive read only once; see `get`.

    Returns
    -------
    dict of str to Path
        Folder of each, by name.

    Raises
    ------
    AudioMetamerError
        See `get`.
    """
    entries = [published_entry(name) for name in names]
    originals = [published()[each.original] for each in entries]
    labels = [published()[label] for each in originals for label in each.labels]
    if missing := [source for source in map(Path, sources) if not source.exists()]:
        raise AudioMetamerError(f"{missing[0]} does not exist; it should be an archive, a folder or a file")
    with _held():
        wanted = {each.name: each for each in (*labels, *originals) if not each.is_here}
        by_address = sorted(wanted.values(), key=lambda each: (each.kind != "data", each.address))
        groups = [list(group) for _, group in groupby(by_address, key=lambda each: each.address)]
        for together, share in zip(groups, _shares(groups, progress), strict=True):
            for entry, file in zip(together, _fetched(together, [*map(Path, sources)], share, notify), strict=True):
                try:
                    for line in _converted(entry, file, trust=trust):
                        notify(f"{entry.name}: {line}")
                except AudioMetamerError:
                    if sources:  # a wrong file must not stand in the way of the right one
                        _remove(file)
                    raise
    return {each.name: each.folder for each in entries}


@contextmanager
def _held(*, waits: bool = True) -> Iterator[None]:
    """The folder of what has been fetched, in which one process at a time adds or removes."""
    try:
        make_folder(published_home())
    except OSError as error:
        raise AudioMetamerError(
            f"could not write into {published_home()} ({error.strerror}); AUDIOMETAMER_HOME names another folder"
        ) from error
    try:
        with file_lock(published_home() / ".lock", timeout=-1 if waits else 0):
            yield
    except TimeoutError as error:
        raise AudioMetamerError(f"something is being fetched into {published_home()}; wait until that has ended") from error


def _shares(groups: Sequence[Sequence[Published]], progress: Progress) -> Iterator[Progress]:
    """The progress of each group as a part of that of all, by the sizes of what they are taken from."""
    parts = [max(group[0].gigabytes, _SMALLEST) for group in groups]
    total = sum(parts)

    def report(begin: float, part: float, done: float, message: str) -> None:
        progress((begin + part * done) / total, message)

    for k, part in enumerate(parts):
        yield partial(report, sum(parts[:k]), part)


def _fetched(entries: Sequence[Published], sources: Sequence[Path], progress: Progress, notify: Notify) -> list[Path]:
    """The files of entries that have the same address, checked by their hashes; they are deleted once they are converted."""
    folder = _download_folder(entries[0])
    if entries[0].files:
        return [_several_files(entry, sources, folder, progress, notify) for entry in entries]
    hashes = {each.member: each.sha256 for each in entries if each.sha256}
    for source, group in groupby(entries, key=lambda each: _source(each, each.member, sources)):
        members = [each.member for each in group]
        if _is_archive(source, entries[0]):
            fetch_members(source, members, folder, sha256=hashes, progress=progress, notify=notify)
        else:
            fetch_file(source, folder / members[0], sha256=hashes.get(members[0]), progress=progress, notify=notify)
    return [folder / each.member for each in entries]


def _download_folder(entry: Published) -> Path:
    return _downloads() / _base_of(entry).removesuffix(".tar").removesuffix(".pckl")


def _base_of(entry: Published) -> str:
    """Name of what is at the address."""
    return PurePosixPath(urlsplit(entry.address).path).name


def _is_archive(source: str | Path, entry: Published) -> bool:
    return entry.in_archive and (isinstance(source, str) or not is_called(source.as_posix(), entry.member))


def _several_files(entry: Published, sources: Sequence[Path], folder: Path, progress: Progress, notify: Notify) -> Path:
    """The folder that the files of an entry are copied to from the sources, or fetched to."""
    found = {file: _source(entry, PurePosixPath(file).name, sources, address=f"{entry.address}/{file}") for file in entry.files}
    for k, (file, source) in enumerate(found.items()):
        fetch_file(source, folder / file, sha256=entry.files[file], notify=notify)
        progress((k + 1) / len(found), file)
    return folder


def _source(entry: Published, name: str, sources: Sequence[Path], *, address: str | None = None) -> str | Path:
    """Where a file of an entry is: the first of the sources, or of the files in a folder, that is or holds it; or its address.

    `name` is that of the file, or the end of its path; an archive in a folder has its published name.
    """
    if not sources:
        return address or entry.address
    for source in sources:
        names = (PurePosixPath(name).name, _base_of(entry))
        for file in [each for base in names for each in sorted(source.rglob(base))] if source.is_dir() else [source]:
            if is_called(file.as_posix(), name) or (entry.in_archive and _holds(file, name)):
                return file
    given = first_few([str(source) for source in sources])
    raise AudioMetamerError(
        f"{entry.name} is made from {name}, which is missing; where there is internet, `audiometamer published get {entry.name}` "
        f"fetches it (not found in {given})"
    )


def _holds(archive: Path, member: str) -> bool:
    if not archive.is_file() or not tarfile.is_tarfile(archive):
        return False
    with LocalFile(archive) as file:
        return any(is_called(each.name, member) for each in members_from(file, 0, str(archive)))


def _converted(entry: Published, file: Path, *, trust: bool) -> list[str]:
    """Make the folder of an entry from its file or the folder of its files, which are deleted; return lines for the user."""
    lines: list[str] = []
    if entry.kind == "data":
        with atomic_folder(entry.folder) as folder:
            lines = _CONVERTERS.get(entry.name, _kept)(file, folder)
    else:
        _import(entry, file, trust=trust)
    for each in [file] if file.is_file() else _files([file]):
        each.unlink()
    return lines


def _kept(file: Path, folder: Path) -> list[str]:
    """The file as it is."""
    shutil.copy2(file, folder / file.name)
    return []


def _listeners(source: Path, folder: Path) -> list[str]:
    groups = published_listeners(source, folder)
    listeners = {(group.experiment, listener) for group in groups for listener in group.listeners}
    experiments = {group.experiment for group in groups}
    return [f"{len(listeners)} listeners, at metamers of {len(groups)} networks in {len(experiments)} experiments"]


_CONVERTERS: dict[str, Callable[[Path, Path], list[str]]] = {
    "feather2023/stimuli": published_stimuli,
    "feather2023/listeners": _listeners,
}


def _import(entry: Published, file: Path, *, trust: bool) -> None:
    """Make the folder of a model from a checkpoint."""
    labels: dict[str, list[str]] = {}
    for name in entry.labels:
        named = published()[name]
        labels |= read_label_file(named.folder / named.member)
    details = {
        "name": entry.name,
        "description": f"{entry.what}. Published by {entry.paper}.",
        "paper": entry.paper,
        "licence": entry.licence,
        "layers": list(entry.layers),
        "data": {"source": f"{entry.member} of {entry.address}"},
        "limits": _limits(entry),
    }
    import_checkpoint(file, network=entry.network, labels=labels, out=entry.folder, trust=trust, details=details)


def _limits(entry: Published) -> list[str]:
    known = "Its accuracy has not been measured here."
    if entry.correct_percent is not None:
        known += (
            f" Its authors: {entry.correct_percent} % of the metamers of the cochleagrams of their clips are labelled correctly."
        )
    untrained = [task for task in entry.classes if task not in entry.trained]
    return [known, *(f"Its read-out {task} was not trained." for task in untrained)]


def sizes(names: Iterable[str] | None = None) -> dict[str, int]:
    """Bytes on this computer by name; what interrupted work has left is called ``unfinished``.

    Parameters
    ----------
    names : iterable of str, optional
        Default: all that is here.

    Raises
    ------
    AudioMetamerError
        If a name is unknown.
    """
    places = _places(names)
    return {name: size for name, place in places.items() if (size := sum(file.stat().st_size for file in _files(place)))}


def clean(names: Iterable[str] | None = None) -> int:
    """Remove what has been fetched, but not the record of its hashes; a file that never became a model loses its record, too.

    Parameters
    ----------
    names : iterable of str, optional
        Default: all that is here, and what interrupted work has left. A permuted control is removed with its original, from
        which it is made whenever it is loaded.

    Returns
    -------
    int
        Number of bytes freed.

    Raises
    ------
    AudioMetamerError
        If a name is unknown, something cannot be removed, or something is being fetched.
    """
    places = _places(names)
    with _held(waits=False):
        freed = sum(sizes(names).values())
        try:
            for path in chain(*places.values()):
                _remove(path)
        except OSError as error:
            raise AudioMetamerError(f"could not remove {error.filename}: {error.strerror}") from error
    return freed


def _remove(path: Path) -> None:
    """Remove the folder of an entry; or a download, or all in a folder of downloads, with the records of their hashes."""
    if path.is_relative_to(_downloads()):
        for file in _files([path]):
            file.unlink()
            record_of(file).unlink(missing_ok=True)
    elif path.exists():
        doomed = temporary_path(path)  # an interruption leaves no half of a model under its name
        path.rename(doomed)
        shutil.rmtree(doomed)


def _downloads() -> Path:
    return published_home() / "downloads"


def _places(names: Iterable[str] | None) -> dict[str, list[Path]]:
    """The folders and downloads that are removed, by name."""
    if names is not None:
        originals = {entry.original: published()[entry.original] for entry in map(published_entry, names)}
        return {name: [entry.folder, *_downloads_of(entry)] for name, entry in originals.items()}
    here = {entry.original: [entry.folder] for entry in published().values()}
    left = [path for path in published_home().glob("*/*/*") if is_temporary(path.name)]  # by killed processes
    return here | {"unfinished": [_downloads(), *left]}


def _downloads_of(entry: Published) -> list[Path]:
    files = [_download_folder(entry) / file for file in (entry.files or [entry.member])]
    return [each for file in files for each in (file, *leftovers_of(file))]


def _files(paths: Iterable[Path]) -> list[Path]:
    """The files among paths and in folders, but not the records of hashes, nor what lists archives and locks."""
    files = (file for path in paths for file in (path, *path.rglob("*")) if file.is_file())
    return sorted(file for file in files if file.suffix != _RECORD and not file.name.startswith("."))
