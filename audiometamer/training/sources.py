"""Data sets on disk, of several layouts, as recordings with labels and splits.

A data set is named by its path, if its layout can be recognised, or as ``KIND:PATH``:

``clips``
    A folder with ``clips.csv``, or a CSV file: columns ``path`` (relative to the file), ``split`` (train, valid, test or
    background), and one for each task, with labels separated by ``;``, empty if unlabelled. Recipes and tests can also group
    recordings by the values of any column, such as ``source``.
``tree``
    ``PATH/<split>/<class>/…`` with audio files at any depth; ``PATH/background/…`` without classes. The classes are words, or
    those of another task: ``tree.speaker:PATH``. Without folders of splits, ``PATH/<class>/…``: of each class, in the order of
    the SHA-256 of their paths below PATH, the first recording is for training, the next tenth (at least one) is test, the next
    tenth valid, and the rest training. Names of splits may be in upper case, and training, validation, val, dev and testing are
    accepted; ``_background_noise_`` is background too.
``speechcommands``, ``commonvoice``, ``librispeech``, ``vctk``, ``timit``, ``timit.word``
    Published data sets as unpacked, under any name: see `audiometamer.training.layouts`.
``hdf5``
    The layout of the published training set: see `audiometamer.training.published_hdf5`.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from audiometamer.errors import AudioMetamerError
from audiometamer.io.callbacks import Notify, silent
from audiometamer.io.tables import TableRow, read_table
from audiometamer.training import layouts
from audiometamer.training.copies import without_copies
from audiometamer.training.listing import audio_files, listed_files
from audiometamer.training.published_hdf5 import FILES, open_published_hdf5
from audiometamer.training.recipe import Recipe
from audiometamer.training.recordings import SPLITS, AudioFile, AudioPart, Recording
from audiometamer.training.selection import select

KINDS = ("clips", "speechcommands", "commonvoice", "librispeech", "vctk", "timit", "hdf5", "tree")

_SPLIT_NAMES = {
    "train": "train", "training": "train", "valid": "valid", "validation": "valid", "val": "valid", "dev": "valid",
    "test": "test", "testing": "test", "background": "background", "_background_noise_": "background",
}  # fmt: skip
_SPLITS = frozenset({"train", "valid", "test"})  # which show that a tree is divided into splits
_SPEC = re.compile(rf"(?P<kind>{'|'.join(KINDS)})(\.(?P<task>\w+))?:(?P<path>.+)")
_NOT_TASKS = {"path", "split", "source", "licence", "seconds", "sample_rate", ""}


def open_sources(specs: Sequence[str], notify: Notify = silent) -> list[Recording]:
    """The recordings of several data sets; `notify` is called with a line for each, stating what was recognised."""
    recordings: list[Recording] = []
    for spec in specs:
        kind, path, own = _opened(spec)
        notify(f"{spec}: {kind}; {summary(own)}{_others(kind, path, own)}")
        recordings += own
    return recordings


def open_selected(recipe: Recipe, specs: Sequence[str], notify: Notify = silent) -> list[Recording]:
    """The recordings of several data sets that a recipe selects, without copies across splits; `notify` as in `open_sources`."""
    recordings = without_copies(open_sources(specs, notify), notify)
    return select(recordings, recipe.sources, by=next(iter(recipe.tasks)), seed=recipe.seed)


def open_source(spec: str) -> list[Recording]:
    """The recordings of a data set, none of them read yet.

    Parameters
    ----------
    spec : str
        A path, or ``KIND:PATH`` with one of the kinds above.

    Returns
    -------
    list of Recording
        In an order that depends on nothing but the data set.

    Raises
    ------
    AudioMetamerError
        If the path does not exist or has no known layout, if its content does not fit the kind, or if a library needed to read
        it is not installed.
    """
    return _opened(spec)[-1]


def summary(recordings: Sequence[Recording]) -> str:
    """Numbers of recordings in each split and of classes in each task, in words."""
    splits = {split: sum(r.split == split for r in recordings) for split in SPLITS}
    classes: dict[str, set[str]] = defaultdict(set)
    for recording in recordings:
        for task, labels in recording.labels.items():
            classes[task].update(labels)
    counts = [f"{n} {split}" for split, n in splits.items() if n]
    return "; ".join([", ".join(counts), *(f"{task}: {len(labels)} classes" for task, labels in classes.items())])


def _others(kind: str, path: Path, recordings: Sequence[Recording]) -> str:
    """State how many audio files are not part of a published layout, if any."""
    if kind in ("clips", "tree", "hdf5") or not path.is_dir():
        return ""
    used = {r.path.resolve() for r in recordings if isinstance(r, AudioFile | AudioPart)}
    others = [file for file in listed_files(path) if file.stat().st_size and file.resolve() not in used]
    return f"; {len(others)} other audio files are not used" if others else ""


def _opened(spec: str) -> tuple[str, Path, list[Recording]]:
    """The kind of a data set, where it is, and its recordings."""
    found = _SPEC.fullmatch(spec)
    path = Path(found["path"] if found else spec).expanduser()
    if not path.exists():
        raise AudioMetamerError(
            f"{path} does not exist; a data set is PATH or KIND:PATH, with the kinds {', '.join(KINDS)}, tree.TASK or timit.word"
        )
    kind = found["kind"] if found else _recognised(path)
    openers: dict[str, Callable[[Path], list[Recording]]] = {
        "clips": _clips, "speechcommands": layouts.speech_commands, "commonvoice": layouts.common_voice,
        "hdf5": open_published_hdf5, "tree": partial(_tree, task="word"), "timit.word": layouts.timit_words,
    }  # fmt: skip
    if task := found and found["task"]:
        openers["tree"] = partial(_tree, task=task)
        if kind != "tree" and (kind := f"{kind}.{task}") not in openers:
            raise AudioMetamerError(f"{kind}: is no kind of data set; only tree.TASK: and timit.word: name a task")
    opener = openers.get(kind) or partial(layouts.read_speech, kind)
    return kind, path, _require(opener(path), f"{path} holds no recordings that can be used")


def _recognised(path: Path) -> str:
    if path.suffix.lower() == ".csv" or (path / "clips.csv").exists():
        return "clips"
    files = listed_files(path) if path.is_dir() else []
    if layout := layouts.recognised_layout(path, files):
        return layout
    if any(next(path.glob(pattern), None) for pattern in FILES.values()):
        return "hdf5"
    if any(file.parent != path for file in files):
        return "tree"
    raise AudioMetamerError(
        f"{path} has none of the known layouts ({', '.join(KINDS)}); most simply, give a folder of audio files in "
        "<split>/<class>/ or <class>/, or one with a clips.csv"
    )


def _clips(path: Path) -> list[Recording]:
    table = path / "clips.csv" if path.is_dir() else path
    if not table.exists():
        raise AudioMetamerError(f"{table} does not exist; it lists recordings, with columns path, split and tasks")
    return [_clip(row, table) for row in read_table(table, required=["path", "split"], short_rows=True)]


def _clip(row: TableRow, table: Path) -> Recording:
    path, split = table.parent / row["path"], _SPLIT_NAMES.get(row["split"].strip().lower())
    if split is None:
        raise AudioMetamerError(f"{table}, line {row.line}: the split is {row['split']!r}; it must be one of {', '.join(SPLITS)}")
    if not path.is_file():
        raise AudioMetamerError(f"{table}, line {row.line}: {path} is not a file")
    cells = {task: cell.split(";") for task, cell in row.items() if task not in _NOT_TASKS}
    labels = {task: tuple(name for label in cell if (name := label.strip())) for task, cell in cells.items()}
    groups = {column: cell.strip() for column, cell in row.items() if column not in ("path", "split", "")}
    return AudioFile(path, split, {task: names for task, names in labels.items() if names}, groups=groups)


def _tree(path: Path, task: str) -> list[Recording]:
    files = [(file, file.relative_to(path).parts) for file in audio_files(path)]
    if deep := next((file for file, parts in files if _SPLITS.isdisjoint(map(str.lower, parts[:1])) and _is_deep(parts)), None):
        raise AudioMetamerError(
            f"{deep} is in a split folder below another folder: splits come first, as in {path}/train/<class>/; name "
            "the folder that holds them"
        )
    with_splits = any(parts[0].lower() in _SPLITS for _, parts in files)
    recordings: list[Recording] = []
    classes: dict[str, list[Path]] = defaultdict(list)
    for file, (top, *below) in files:
        split = _SPLIT_NAMES.get(top.lower())
        if split == "background" and below:
            recordings.append(AudioFile(file, split))
        elif with_splits and split is None:
            raise AudioMetamerError(f"{path / top} is not one of the splits {', '.join(SPLITS)} beside it")
        elif len(below) < 1 + with_splits:
            raise AudioMetamerError(f"{file} is in no class folder: expected {file.parent / '<class>' / file.name}")
        elif with_splits and split is not None:
            recordings.append(AudioFile(file, split, {task: (below[0],)}))
        else:
            classes[top].append(file)
    for name, members in classes.items():
        recordings += [AudioFile(file, split, {task: (name,)}) for file, split in _split_files(path, members)]
    return _require(recordings, f"{path} holds no audio files (.wav, .flac, .mp3 and the like)")


def _is_deep(parts: Sequence[str]) -> bool:
    """Whether a folder below the first is named as a split."""
    return not _SPLITS.isdisjoint(part.lower() for part in parts[1:-1])


def _split_files(root: Path, files: list[Path]) -> Iterator[tuple[Path, str]]:
    """Files with their splits, independent of the location of the data set."""
    files = sorted(files, key=lambda file: hashlib.sha256(file.relative_to(root).as_posix().encode()).digest())
    tenth = max(len(files) // 10, 1)
    splits = ["train"] + ["test"] * tenth + ["valid"] * tenth + ["train"] * len(files)
    return zip(files, splits, strict=False)


def _require(recordings: list[Recording], error: str) -> list[Recording]:
    if not recordings:
        raise AudioMetamerError(error)
    return recordings
