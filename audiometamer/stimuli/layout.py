"""Where things lie in a stimulus set, and the light record of one item: what is needed without its loss curves."""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from audiometamer.criteria import Verdict
from audiometamer.errors import AudioMetamerError
from audiometamer.metamers.evidence import Settings

ITEMS = "items"
ORIGINALS = "originals"
CLAIMS = "claims"
LOCK = ".lock"
ITEM = "item.json"
INDEX = "index.tsv"
PARQUET = "index.parquet"
CLIPS = "clips.tsv"
LICENCES = "LICENCES.tsv"
DESCRIPTION = "dataset_description.json"
README = "README.md"
MANIFEST = "MANIFEST.sha256"


class Summary(msgspec.Struct, frozen=True):
    """Of an item's evidence, what a table of a set needs; the rest is passed over in reading."""

    settings: Settings
    verdict: Verdict
    similarity: dict[str, dict[str, float | None]]
    seconds: float
    rms: float
    peak: float
    sample_rate: int | None
    versions: dict[str, str]
    domain: str = "Waveform"


class Record(msgspec.Struct, frozen=True):
    """``item.json``, the last file of a complete item.

    Parameters
    ----------
    key : str
        The first 12 hexadecimal digits of the item's identity.
    file : str
        The signal, beside the record.
    original : str
        What it is a metamer of; as it lies in the set.
    attempts : list of int
        Seeds that were tried, the one of this signal last.
    evidence : Summary
    """

    key: str
    file: str
    original: str
    evidence: Summary
    attempts: list[int] = []


@dataclass(frozen=True)
class Item:
    """A complete item of a set.

    Parameters
    ----------
    folder : str
        As it lies in the set, with forward slashes.
    record : Record
    """

    folder: str
    record: Record

    @property
    def file(self) -> str:
        """The signal, as it lies in the set."""
        return f"{self.folder}/{self.record.file}"


_decoder = msgspec.json.Decoder(Record)


def read_items(stimulus_set: Path) -> list[Item]:
    """The complete items of a set, in the order of their folders.

    Raises
    ------
    AudioMetamerError
        If it is no folder of a set, or a record cannot be read.
    """
    items = stimulus_set / ITEMS
    if not items.is_dir():
        missing = (
            "has no folder items" if stimulus_set.is_dir() else "does not exist" if not stimulus_set.exists() else "is a file"
        )
        raise AudioMetamerError(f"{stimulus_set} is no stimulus set: it {missing}; give the folder that `audiometamer run` made")
    found = []
    for path in sorted(items.glob(f"*/*/*/{ITEM}")):
        try:
            record = _decoder.decode(path.read_bytes())
        except (OSError, msgspec.MsgspecError) as error:
            raise AudioMetamerError(f"{path} is not the record of an item: {error}") from error
        found.append(Item(path.parent.relative_to(stimulus_set).as_posix(), record))
    return found
