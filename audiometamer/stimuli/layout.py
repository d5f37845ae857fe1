"""Where things lie in a stimulus set, and its items in brief: what is read without its plan, models and clips."""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from audiometamer.errors import AudioMetamerError
from audiometamer.files import clip_name
from audiometamer.metamers.settings import Settings
from audiometamer.verdicts import Verdict

ITEMS, ORIGINALS, CLAIMS = "items", "originals", "claims"
# In an item's folder:
RECORD, ERROR, ATTEMPTS, CHECKPOINT = "item.json", "error.json", "attempts", "checkpoint.safetensors"
PLANNED, LOCK = "planned.tsv", ".lock"
# What a set says of itself:
INDEX, PARQUET = "index.tsv", "index.parquet"
CLIPS, LICENCES = "clips.tsv", "LICENCES.tsv"
DESCRIPTION, README, MANIFEST = "dataset_description.json", "README.md", "MANIFEST.sha256"
OWN_COLUMNS = ("name", "path", "start", "duration")  # of a table of clips; all others are what its owner tells of them


class Summary(msgspec.Struct, frozen=True):
    """Of an item's evidence, what a table of thousands needs; the rest, its loss curves first, is passed over in reading."""

    settings: Settings
    verdict: Verdict
    similarity: dict[str, dict[str, float | None]]
    seconds: float
    rms: float
    peak: float
    sample_rate: int | None


class Item(msgspec.Struct, frozen=True):
    """A complete item in brief, from its ``item.json``; `audiometamer.stimuli.records.Record` is the whole of it.

    Parameters
    ----------
    key : str
        The first 12 hexadecimal digits of its identity.
    file : str
        The signal, as seen from the item's folder: of several attempts, the best.
    original : str
        What it is a metamer of, as it lies in the set.
    attempts : list of int
        Seeds that were tried.
    evidence : Summary
    """

    key: str
    file: str
    original: str
    attempts: list[int]
    evidence: Summary

    @property
    def passed(self) -> bool | None:
        """Whether its verdict was passed; None if there was nothing to judge by."""
        return self.evidence.verdict.passed


class Failure(msgspec.Struct, frozen=True):
    """``error.json``: why an item could not be made."""

    message: str
    type: str
    when: str


class Wanted(NamedTuple):
    """A row of ``planned.tsv``: an item that the latest plan of a set asks for, and its folder as it lies in the set."""

    key: str
    clip: str
    model: str
    layer: str
    seed: int
    folder: str


T = TypeVar("T")
_items = msgspec.json.Decoder(Item)
_failures = msgspec.json.Decoder(Failure)


def check_set(folder: Path) -> None:
    """Raise if a folder is no stimulus set."""
    if not (folder / ITEMS).is_dir() and not (folder / PLANNED).exists():
        missing = f"has no folder {ITEMS}" if folder.is_dir() else "is a file" if folder.exists() else "does not exist"
        raise AudioMetamerError(f"{folder} is no stimulus set: it {missing}; give the folder that `audiometamer run` made")


def is_complete(at: Path) -> bool:
    """Whether the item in a folder is complete."""
    return (at / RECORD).exists()


def read_item(at: Path) -> Item | None:
    """The item in a folder, in brief; None if it is not complete.

    Raises
    ------
    AudioMetamerError
        If its record is there, but not as it should be.
    """
    return _read(at / RECORD, _items, "the record of an item")


def read_failure(at: Path) -> Failure | None:
    """Why the item in a folder could not be made; None if nothing is known."""
    return _read(at / ERROR, _failures, "the error of an item")


def _read(path: Path, decoder: msgspec.json.Decoder[T], what: str) -> T | None:
    try:
        return decoder.decode(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise AudioMetamerError(f"{path} is not {what}: {error}; delete it, and `audiometamer run` makes it again") from error


def read_items(stimulus_set: Path) -> Iterator[tuple[str, Item]]:
    """The complete items of a set, of whichever plan, with their folders as they lie in it; in the order of these.

    Raises
    ------
    AudioMetamerError
        If it is no folder of a set, or a record cannot be read.
    """
    check_set(stimulus_set)
    for path in sorted((stimulus_set / ITEMS).glob(f"*/*/*/{RECORD}")):
        item = read_item(path.parent)
        if item is not None:
            yield path.parent.relative_to(stimulus_set).as_posix(), item


def read_planned(stimulus_set: Path) -> list[Wanted]:
    """What the latest plan of a set asks for.

    Raises
    ------
    AudioMetamerError
        If there is no list of it: the folder is no set, or its run never began.
    """
    path = stimulus_set / PLANNED
    try:
        with path.open(newline="", encoding="utf-8") as file:
            header, *rows = list(csv.reader(file, delimiter="\t"))
        if tuple(header) != Wanted._fields:
            raise ValueError(f"its columns are {', '.join(header)}")
        return [Wanted(key, clip, model, layer, int(seed), folder) for key, clip, model, layer, seed, folder in rows]
    except FileNotFoundError as error:
        raise AudioMetamerError(
            f"{stimulus_set} is no stimulus set: it has no {PLANNED}, which `audiometamer run` writes"
        ) from error
    except (OSError, ValueError, csv.Error) as error:
        raise AudioMetamerError(f"{path} cannot be read: {error}") from error


def name_of(row: Mapping[str, str]) -> str:
    """What a clip of a table is called: as its ``name`` says, or else as its file without the ending."""
    return row.get("name") or clip_name(row.get("path", ""))
