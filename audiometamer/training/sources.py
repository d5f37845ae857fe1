"""Data sets on disk, of several layouts, as recordings with labels and splits.

A data set is named by its path, if that shows its layout, or as ``KIND:PATH``:

``clips``
    A folder with ``clips.csv``, or a CSV file: columns ``path`` (relative to the file), ``split`` (train, valid, test or
    background), and one for each task, with labels separated by ``;``, empty where there is none.
``tree``
    ``PATH/<split>/<class>/…`` with audio files at any depth; ``PATH/background/…`` without classes. The classes are words, or of
    another task: ``tree.speaker:PATH``. Without folders of splits, ``PATH/<class>/…``: of each class, in the order of the SHA-256
    of their paths below PATH, the first recording is for training, the next tenth (at least one) is test, the next tenth valid,
    and the rest training.
``speechcommands``
    Speech Commands, version 0.01 or 0.02, as unpacked, with its own lists of splits; tasks ``word`` and ``speaker``.
``librispeech``
    LibriSpeech, every subset that is there; task ``speaker``. Its own splits share no speakers, so none could be learned and
    tested: here, of each speaker's utterances in order, every tenth from the tenth is test and every tenth from the fifth is
    valid; of fewer than ten, but more than one, the last is test.
``hdf5``
    The layout of the published training set: see `audiometamer.training.published_hdf5`.
"""

import hashlib
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from audiometamer.audio import SOUND_ENDINGS
from audiometamer.errors import AudioMetamerError
from audiometamer.tables import read_cells
from audiometamer.training.published_hdf5 import FILES, open_published_hdf5
from audiometamer.training.recordings import SPLITS, AudioFile, Recording

KINDS = {
    "clips": "a folder with clips.csv",
    "speechcommands": "a folder with SpeechCommands/speech_commands_v0.02",
    "librispeech": "a folder with LibriSpeech/<subset>",
    "hdf5": f"a folder with {FILES['train']}",
    "tree": "a folder with audio files in <split>/<class>/ or <class>/",
}

AUDIO = tuple(sorted(SOUND_ENDINGS))
SUBSETS = ("train-clean-100", "train-clean-360", "train-other-500", "dev-clean", "dev-other", "test-clean", "test-other")

_SPEC = re.compile(r"(?P<kind>clips|tree(\.(?P<task>\w+))?|speechcommands|librispeech|hdf5):(?P<path>.+)")
_NOT_TASKS = {"path", "split", "source", "seconds", "sample_rate", ""}


def open_source(spec: str) -> list[Recording]:
    """The recordings of a data set, none of them read yet.

    Parameters
    ----------
    spec : str
        A path, or ``KIND:PATH`` with one of the kinds ``clips``, ``tree``, ``speechcommands``, ``librispeech`` and ``hdf5``.

    Returns
    -------
    list of Recording
        In an order that depends on nothing but the data set.

    Raises
    ------
    AudioMetamerError
        If the path does not exist or shows no known layout, if what is there does not fit its kind, or if a library that reads
        it is not installed.
    """
    found = _SPEC.fullmatch(spec)
    path = Path(found["path"] if found else spec).expanduser()
    if not path.exists():
        raise AudioMetamerError(
            f"{path} does not exist; a data set is PATH or KIND:PATH, with the kinds {', '.join(KINDS)} or tree.TASK"
        )
    kind = found["kind"].partition(".")[0] if found else _recognised(path)
    if kind == "tree":
        return _tree(path, task=(found and found["task"]) or "word")
    openers = {"clips": _clips, "speechcommands": _speech_commands, "librispeech": _librispeech, "hdf5": open_published_hdf5}
    return openers[kind](path)


def _recognised(path: Path) -> str:
    if path.suffix.lower() == ".csv" or (path / "clips.csv").exists():
        return "clips"
    if _speech_commands_folder(path):
        return "speechcommands"
    if _librispeech_folder(path):
        return "librispeech"
    if any(next(path.glob(pattern), None) for pattern in FILES.values()):
        return "hdf5"
    if any(file.parent != path for file in _audio(path)):
        return "tree"
    raise AudioMetamerError(f"{path} is none of these: " + "; ".join(f"{looks} ({kind})" for kind, looks in KINDS.items()))


def _clips(path: Path) -> list[Recording]:
    table = path / "clips.csv" if path.is_dir() else path
    if not table.exists():
        raise AudioMetamerError(f"{table} does not exist; it lists recordings, with columns path, split and tasks")
    columns, rows = read_cells(table, short_rows=True)
    if missing := {"path", "split"} - set(columns):
        raise AudioMetamerError(f"{table} has no column {' and no column '.join(sorted(missing))}")
    recordings = [_clip(dict(zip(columns, cells, strict=True)), table, line) for line, cells in enumerate(rows, start=2)]
    return _some(recordings, f"{table} lists no recordings")


def _clip(row: Mapping[str, str], table: Path, line: int) -> Recording:
    path, split = table.parent / row["path"], row["split"]
    if split not in SPLITS:
        raise AudioMetamerError(f"{table}, line {line}: the split is {split!r}; it would be one of {', '.join(SPLITS)}")
    if not path.is_file():
        raise AudioMetamerError(f"{table}, line {line}: {path} is not a file")
    cells = {task: cell.split(";") for task, cell in row.items() if task not in _NOT_TASKS}
    labels = {task: tuple(name for label in cell if (name := label.strip())) for task, cell in cells.items()}
    return AudioFile(path, split, {task: names for task, names in labels.items() if names})


def _tree(path: Path, task: str) -> list[Recording]:
    files = [(file, file.relative_to(path).parts) for file in _audio(path)]
    with_splits = any(parts[0] in ("train", "valid", "test") for _, parts in files)
    recordings: list[Recording] = []
    classes: dict[str, list[Path]] = defaultdict(list)
    for file, (top, *below) in files:
        if top == "background" and below:
            recordings.append(AudioFile(file, "background"))
        elif with_splits and top not in SPLITS:
            raise AudioMetamerError(f"{path / top} is none of the splits {', '.join(SPLITS)}, which lie beside it")
        elif len(below) < 1 + with_splits:
            raise AudioMetamerError(f"{file} lies in no folder of a class: it would be {file.parent / '<class>' / file.name}")
        elif with_splits:
            recordings.append(AudioFile(file, top, {task: (below[0],)}))
        else:
            classes[top].append(file)
    for name, members in classes.items():
        recordings += [AudioFile(file, split, {task: (name,)}) for file, split in _divided(path, members)]
    return _some(recordings, f"{path} holds no audio files ({', '.join(AUDIO)})")


def _divided(root: Path, files: list[Path]) -> Iterator[tuple[Path, str]]:
    """Files with their splits: the same wherever the data set lies."""
    files = sorted(files, key=lambda file: hashlib.sha256(file.relative_to(root).as_posix().encode()).digest())
    tenth = max(len(files) // 10, 1)
    splits = ["train"] + ["test"] * tenth + ["valid"] * tenth + ["train"] * len(files)
    return zip(files, splits, strict=False)


def _speech_commands(path: Path) -> list[Recording]:
    folder = _speech_commands_folder(path)
    if folder is None:
        raise AudioMetamerError(f"{path} is not {KINDS['speechcommands']}, nor one of these folders")
    data_set = _torchaudio("SPEECHCOMMANDS")
    recordings: list[Recording] = []
    for split, subset in {"train": "training", "valid": "validation", "test": "testing"}.items():
        try:
            part = data_set(folder.parent, url=folder.name, folder_in_archive="", subset=subset)
            utterances = [part.get_metadata(i) for i in range(len(part))]
        except (OSError, ValueError) as error:
            raise AudioMetamerError(f"{folder} is not Speech Commands as it was published: {error}") from error
        for file, _, word, speaker, _ in utterances:
            if not (folder.parent / file).is_file():
                raise AudioMetamerError(f"{folder.parent / file} does not exist, but the list of the {subset} subset names it")
            recordings.append(AudioFile(folder.parent / file, split, {"word": (word,), "speaker": (speaker,)}))
    recordings += [AudioFile(file, "background") for file in sorted((folder / "_background_noise_").glob("*.wav"))]
    return _some(recordings, f"{folder} holds no recordings")


def _speech_commands_folder(path: Path) -> Path | None:
    """Where the words of the newest version at a path are."""
    versions = "speech_commands_v0.02", "speech_commands_v0.01"
    below = [folder / version for version in versions for folder in (path / "SpeechCommands", path)]
    return next((folder for folder in (*below, path) if folder.name in versions and folder.is_dir()), None)


def _librispeech(path: Path) -> list[Recording]:
    folder = _librispeech_folder(path)
    if folder is None:
        raise AudioMetamerError(f"{path} is not {KINDS['librispeech']} ({', '.join(SUBSETS)}), nor LibriSpeech itself")
    data_set = _torchaudio("LIBRISPEECH")
    speakers: dict[int, list[tuple[int, int, Path]]] = defaultdict(list)
    for subset in SUBSETS:
        if (folder / subset).is_dir():
            try:
                part = data_set(folder, url=subset, folder_in_archive="")
                utterances = [part.get_metadata(i) for i in range(len(part))]
            except (OSError, ValueError) as error:
                raise AudioMetamerError(f"{folder / subset} is not LibriSpeech as it was published: {error}") from error
            for file, _, _, speaker, chapter, number in utterances:
                speakers[speaker].append((chapter, number, folder / file))
    recordings: list[Recording] = []
    for speaker, utterances in sorted(speakers.items()):
        for i, (_, _, file) in enumerate(sorted(utterances)):
            recordings.append(AudioFile(file, _turn(i, len(utterances)), {"speaker": (str(speaker),)}))
    return _some(recordings, f"{folder} holds no utterances")


def _librispeech_folder(path: Path) -> Path | None:
    """Where the subsets at a path are."""
    return next((f for f in (path / "LibriSpeech", path) if any((f / subset).is_dir() for subset in SUBSETS)), None)


def _turn(i: int, n: int) -> str:
    if i % 10 == 9 or (1 < n < 10 and i == n - 1):
        return "test"
    return "valid" if i % 10 == 4 else "train"


def _torchaudio(name: str) -> Any:
    try:
        import torchaudio.datasets
    except (ImportError, OSError) as error:
        raise AudioMetamerError(
            f"this data set needs torchaudio, which could not be imported ({error}); install the release that fits torch"
        ) from error
    return getattr(torchaudio.datasets, name)


def _audio(folder: Path) -> list[Path]:
    """Audio files at any depth, in order; what has a leading dot is the system's, no recording."""
    found = []
    for where, folders, files in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(where, name) for name in files if not name.startswith(".") and Path(name).suffix.lower() in AUDIO]
    return sorted(found)


def _some(recordings: list[Recording], otherwise: str) -> list[Recording]:
    if not recordings:
        raise AudioMetamerError(otherwise)
    return recordings
