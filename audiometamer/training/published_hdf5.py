"""The HDF5 files on which the published networks were trained: words in natural backgrounds, two seconds a row."""

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiometamer.errors import AudioMetamerError, first_line
from audiometamer.io.label_files import read_label_file
from audiometamer.training.recordings import NO_GROUPS, Recording, Samples, checked

SAMPLE_RATE = 20_000
LABEL_FILE = "word_and_speaker_encodings_jsinv3.pckl"
FILES = {"train": "train_*/JSIN_all__run_*.h5", "valid": "valid_*/JSIN_all__run_*.h5"}

_SIGNAL, _NOISE = "sources/signal/signal", "sources/noise/signal"
_CLASSES = {"word": "sources/signal/word_int", "speaker": "sources/signal/speaker_int"}
_SOUNDS = "sources/noise/labels_binary_via_int"
_MOST_ROWS, _MOST_FLAGS = 1_000_000, 2_000_000_000  # of a file; all published files have 230,000 rows of 516 classes
_LARGEST_PIECE = 1 << 28  # bytes that must be in memory to read a number
_BLOCK = 1 << 24  # labels at a time


def open_published_hdf5(folder: Path) -> list[Recording]:
    """Every row of the files, as a recording whose background is the noise of the same row.

    ``train_*`` is the split ``train``, ``valid_*`` the split ``valid``. A recording has labels of the tasks ``word`` and
    ``speaker``, its background has none, one or several labels of the task ``noise``. Classes are named by the
    label file in the folder, or by their number.

    Raises
    ------
    AudioMetamerError
        If there are no such files, a file cannot be read or lacks a dataset, or h5py is not installed.
    """
    label_file = folder / LABEL_FILE
    names = read_label_file(label_file) if label_file.exists() else {}
    recordings: list[Recording] = []
    for split, pattern in FILES.items():
        for path in sorted(folder.glob(pattern)):
            table = _Table.opened(path, split, names)
            recordings += [_Row(table, row) for row in range(len(table.sounds))]
    if not recordings:
        raise AudioMetamerError(f"{folder} holds no rows in {' or '.join(FILES.values())}")
    return recordings


@dataclass(eq=False)
class _Table:
    """One file: labels of all its rows in memory, samples read on demand."""

    path: Path
    split: str
    names: Mapping[str, list[str]]
    classes: Mapping[str, NDArray[np.int32]]  # by task, shape=(rows,)
    sounds: NDArray[np.uint8]  # shape=(rows, classes / 8), a bit for each class
    n_sounds: int
    n_samples: Mapping[str, int]  # of a row, by dataset
    _handle: tuple[int, Any] | None = field(default=None, repr=False)  # process and its open file

    @classmethod
    def opened(cls, path: Path, split: str, names: Mapping[str, list[str]]) -> "_Table":
        with _open(path) as file:
            shapes = {dataset: _dataset(file, path, dataset).shape for dataset in (_SIGNAL, _NOISE, _SOUNDS, *_CLASSES.values())}
            n_rows = shapes[_SIGNAL][0] if shapes[_SIGNAL] else 0
            for dataset, shape in shapes.items():
                fits = math.prod(shape) == n_rows if dataset in _CLASSES.values() else len(shape) == 2 and shape[0] == n_rows
                if not fits:
                    raise AudioMetamerError(
                        f"{path}: {dataset} has the shape {shape}, which does not fit {n_rows} rows of {_SIGNAL}"
                    )
            if n_rows > _MOST_ROWS or math.prod(shapes[_SOUNDS]) > _MOST_FLAGS:
                raise AudioMetamerError(
                    f"{path} has {n_rows} rows of {shapes[_SOUNDS][1]} classes of noise; at most {_MOST_ROWS:,} rows and "
                    f"{_MOST_FLAGS:,} labels in all are read"
                )
            classes = {task: _numbers(file, path, dataset) for task, dataset in _CLASSES.items()}
            sounds = _flags(file, path, shapes[_SOUNDS])
        n_samples = {dataset: shapes[dataset][1] for dataset in (_SIGNAL, _NOISE)}
        return cls(path, split, names, classes, sounds, shapes[_SOUNDS][1], n_samples)

    def read(self, dataset: str, row: int) -> Samples:
        return np.asarray(_rows(self._file(), self.path, dataset, row), dtype=np.float32)

    def classes_of(self, row: int) -> dict[str, tuple[str, ...]]:
        return {task: (self._label(task, int(numbers[row])),) for task, numbers in self.classes.items()}

    def sounds_of(self, row: int) -> dict[str, tuple[str, ...]]:
        present = np.flatnonzero(np.unpackbits(self.sounds[row], count=self.n_sounds))
        return {"noise": tuple(self._label("noise", int(number)) for number in present)}

    def _label(self, task: str, number: int) -> str:
        names = self.names.get(task, ())
        return names[number] if 0 <= number < len(names) else str(number)

    def _file(self) -> Any:
        """The file, opened by this process: HDF5 cannot read a file in both processes after a fork."""
        process, file = self._handle or (0, None)
        if process != os.getpid():
            if file is not None:
                file.close()
            self._handle = os.getpid(), (file := _open(self.path))
        return file

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_handle": None}


@dataclass(frozen=True, slots=True)
class _Row:
    """The speech or the noise of a row."""

    table: _Table
    row: int
    dataset: str = _SIGNAL

    @property
    def name(self) -> str:
        return f"{self.table.path}, row {self.row} of {self.dataset}"

    @property
    def split(self) -> str:
        return self.table.split

    @property
    def labels(self) -> Mapping[str, tuple[str, ...]]:
        return self.table.classes_of(self.row) if self.dataset == _SIGNAL else self.table.sounds_of(self.row)

    @property
    def groups(self) -> Mapping[str, str]:
        return NO_GROUPS

    @property
    def background(self) -> Recording | None:
        return _Row(self.table, self.row, _NOISE) if self.dataset == _SIGNAL else None

    @property
    def seconds(self) -> float:
        return self.table.n_samples[self.dataset] / SAMPLE_RATE

    def read(self) -> tuple[Samples, int]:
        samples = self.table.read(self.dataset, self.row)
        return checked(samples, self.name, may_be_silent=True), SAMPLE_RATE  # some rows hold no word


def _open(path: Path) -> Any:
    try:
        import h5py
    except ImportError as error:
        raise AudioMetamerError(f"{path} needs h5py, which is not installed: pip install 'audiometamer[train]'") from error
    if not path.is_file():
        raise AudioMetamerError(f"{path} is not a file")
    with _one_line_errors(f"{path} cannot be read as HDF5"):
        return h5py.File(path, "r")


@contextmanager
def _one_line_errors(what: str) -> Iterator[None]:
    """Turn any error that HDF5 raises for a broken file, of which there is no complete list, into one line."""
    try:
        yield
    except AudioMetamerError:
        raise
    except Exception as error:
        reason = error.args[0] if isinstance(error, KeyError) else first_line(error)  # str() of a KeyError adds quotes
        raise AudioMetamerError(f"{what}: {reason}") from error


def _dataset(file: Any, path: Path, dataset: str) -> Any:
    """A numeric dataset stored completely in the file itself, in chunks that fit into memory.

    Raises
    ------
    AudioMetamerError
        If it is missing or of another kind: a link could lead to any file of this computer, and data that were never written
        take no space in the file but any amount of memory.
    """
    import h5py

    with _one_line_errors(f"{path}: dataset {dataset} cannot be opened"):
        place = file
        for name in dataset.split("/"):
            if not isinstance(place, h5py.Group) or name not in place:
                raise KeyError("it doesn't exist")
            if not isinstance(place.get(name, getlink=True), h5py.HardLink):
                raise AudioMetamerError(f"{path}: {dataset} is a link; write the numbers themselves into the file")
            place = place[name]
        if not isinstance(place, h5py.Dataset) or place.shape is None or place.dtype.kind not in "biuf":
            raise AudioMetamerError(f"{path}: {dataset} is not a table of numbers")
        if place.external or place.is_virtual:
            raise AudioMetamerError(f"{path}: the numbers of {dataset} are stored in other files; write them into this one")
        piece = math.prod(place.chunks or place.shape[1:]) * place.dtype.itemsize
        if piece > _LARGEST_PIECE:
            raise AudioMetamerError(f"{path}: {dataset} is in pieces of {piece:,} bytes; at most {_LARGEST_PIECE:,} are read")
        if math.prod(place.shape) and not _is_written(place):
            raise AudioMetamerError(f"{path}: {dataset} announces {place.shape[:1]} rows that were never written")
    return place


def _is_written(table: Any) -> bool:
    """Whether every number of a dataset is stored in the file."""
    if table.chunks is None:
        return bool(table.id.get_storage_size() >= table.size * table.dtype.itemsize)
    needed = math.prod(-(-length // chunk) for length, chunk in zip(table.shape, table.chunks, strict=True))
    return bool(table.id.get_num_chunks() >= needed)


def _rows(file: Any, path: Path, dataset: str, row: int | slice = slice(None)) -> NDArray[Any]:
    """Rows of a dataset that `_dataset` has checked."""
    with _one_line_errors(f"{path}: {dataset} cannot be read"):
        return np.asarray(file[dataset][row])


def _numbers(file: Any, path: Path, dataset: str) -> NDArray[np.int32]:
    """Class numbers of all rows, [shape=(rows,)]."""
    numbers = _rows(file, path, dataset).reshape(-1)
    integers = numbers.astype(np.int32) if (np.abs(numbers.astype(np.float64)) < 2**31).all() else np.zeros(0, dtype=np.int32)
    if not np.array_equal(integers, numbers):
        raise AudioMetamerError(f"{path}: {dataset} holds values that cannot be class numbers, such as NaN, 0.5 or 2^31")
    return integers


def _flags(file: Any, path: Path, shape: Sequence[int]) -> NDArray[np.uint8]:
    """The noise labels of each row, one bit per class, [shape=(rows, classes / 8)]; read in blocks of rows."""
    step = max(_BLOCK // max(shape[1], 1), 1)
    flags = np.zeros((shape[0], -(-shape[1] // 8)), dtype=np.uint8)
    for first in range(0, shape[0], step):
        rows = slice(first, first + step)
        flags[rows] = np.packbits(_rows(file, path, _SOUNDS, rows).astype(bool), axis=1)
    return flags
