"""Read the JSON records of metamers and the headers of checkpoints, and detect damaged files; read without torch."""

import struct
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from audiometamer.errors import AudioMetamerError, AudioMetamerWarning, BrokenError, first_line
from audiometamer.io.reading import JSON_ERRORS
from audiometamer.io.safetensors_header import read_metadata
from audiometamer.metamers.settings import Settings
from audiometamer.signals.integrity import is_intact
from audiometamer.version import __version__

T = TypeVar("T")
CHECKPOINT_KEY = "unfinished"  # in the metadata of a checkpoint's safetensors file


class BrokenOriginalError(BrokenError):
    """The original of an intact metamer is missing or truncated: only the original is written again."""


class _Versions(msgspec.Struct):
    versions: dict[str, str] = {}
    evidence: "_Versions | None" = None


def decode_record(record: Path, decoder: "msgspec.json.Decoder[T]", kind: str) -> T:
    """Decode a record.

    Parameters
    ----------
    record : path
    decoder : msgspec.json.Decoder
    kind : str
        What the record describes, for messages: ``a metamer``.

    Raises
    ------
    BrokenError
        If it holds something else.
    AudioMetamerError
        If another version wrote it, or it may not be read.
    """
    try:
        return decoder.decode(record.read_bytes())
    except OSError as error:
        raise AudioMetamerError(f"{record} cannot be read: {error.strerror}") from error
    except JSON_ERRORS as error:
        if version := _other_version(record):
            raise AudioMetamerError(f"{record} is not the record of {kind}{version}: {error}") from error
        raise BrokenError(f"{record} is not the record of {kind}: {first_line(error)}") from error


def _other_version(record: Path) -> str:
    """Words for the version of audiometamer that wrote a record; empty if it is this one, or not recorded."""
    try:
        whole = msgspec.json.decode(record.read_bytes(), type=_Versions)
    except (OSError, *JSON_ERRORS):
        return ""
    found = (whole.evidence or whole).versions.get("audiometamer", __version__)
    return "" if found == __version__ else f" of this version ({__version__}; {found} wrote it)"


class _CheckpointHeader(msgspec.Struct):
    """The part of a checkpoint's header that says whose it is."""

    settings: Settings


def read_checkpoint_settings(path: Path) -> Settings:
    """The settings of the unfinished metamer that a checkpoint keeps; its tensors are not read.

    Raises
    ------
    AudioMetamerError
        If the file is no checkpoint, or cannot be read.
    """
    try:
        return msgspec.json.decode(read_metadata(path).get(CHECKPOINT_KEY, ""), type=_CheckpointHeader).settings
    except (OSError, struct.error, ValueError, *JSON_ERRORS) as error:
        raise AudioMetamerError(f"{path} is not a checkpoint: {first_line(error)}") from error


def check_whole(record: Path, signal: Path, original: Path | None = None) -> None:
    """Raise `BrokenError` or `BrokenOriginalError` if a signal or an original is missing or truncated."""
    for path, what, kind in ((signal, "signal", BrokenError), (original, "original", BrokenOriginalError)):
        if path is not None and not is_intact(path):
            raise kind(f"{path}, the {what} of {record.name}, is {'cut short' if path.exists() else 'gone'}")


def warn_about_broken(broken: Sequence[str], consequence: str) -> None:
    """Warn about broken files in one line, if there are any.

    Parameters
    ----------
    broken : sequence of str
        A description of each.
    consequence : str
        How they are treated.
    """
    if broken:
        more = f" (and {len(broken) - 1} more like it)" if len(broken) > 1 else ""
        warnings.warn(f"{broken[0]}{more}: {consequence}", AudioMetamerWarning, stacklevel=3)
