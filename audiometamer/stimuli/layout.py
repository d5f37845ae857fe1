"""Files of a stimulus set besides its items; read without its plan, models and clips."""

import re
from pathlib import Path

import msgspec

from audiometamer.errors import AudioMetamerError
from audiometamer.io.files import holds_only_zeros
from audiometamer.io.reading import JSON_ERRORS
from audiometamer.metamers.layout import RECORD

ORIGINALS, CLAIMS = "originals", "claims"
COMPARISONS = "comparisons"  # items of sounds that tell models apart
# In an item's folder:
ERROR, ATTEMPTS, CHECKPOINT = "error.json", "attempts", "checkpoint.safetensors"
# Files that describe a set:
PARQUET = "index.parquet"
CLIPS, LICENCES = "clips.tsv", "LICENCES.tsv"
NATURAL_CLIPS = "natural.tsv"
DESCRIPTION, README, MANIFEST = "dataset_description.json", "README.md", "MANIFEST.sha256"
CLIP_COLUMNS = ("name", "path", "start", "duration")  # of a table of clips; all others are its owner's
INITIAL = "initial"  # but this one, which a table has only if its clips start from given signals


class Failure(msgspec.Struct, frozen=True):
    """``error.json``: why an item could not be made."""

    message: str
    type: str
    when: str


_failures = msgspec.json.Decoder(Failure)


def is_complete(at: Path) -> bool:
    """Whether the item in a folder is complete, judging by its record: there, and not empty."""
    try:
        return (at / RECORD).stat().st_size > 0
    except FileNotFoundError:
        return False


def read_failure(at: Path) -> Failure | None:
    """Why the item in a folder could not be made; None if nothing is recorded, or the record is broken."""
    path = at / ERROR
    try:
        return _failures.decode(path.read_bytes())
    except (FileNotFoundError, *JSON_ERRORS):
        return None
    except OSError as error:
        raise AudioMetamerError(f"{path} cannot be read: {error.strerror}") from error


def clip_tables(stimulus_set: Path) -> list[Path]:
    """The tables of clips of a set's plans, the first plan's first; without those that a power cut has emptied."""
    tables = [path for path in stimulus_set.glob("clips*.csv") if re.fullmatch(r"clips(-\d+)?\.csv", path.name)]
    return sorted((path for path in tables if not holds_only_zeros(path)), key=lambda path: (len(path.name), path.name))
