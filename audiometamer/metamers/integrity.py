"""Check that a metamer's record, its signal and its original belong together; read without torch."""

import hashlib
import re
import struct
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from audiometamer.errors import AudioMetamerError
from audiometamer.io.hashes import file_sha256
from audiometamer.metamers.results import Result
from audiometamer.metamers.summaries import EvidenceSummary
from audiometamer.signals.integrity import is_intact

FileHash = Callable[[Path], str]


def check_integrity(result: Result, file_hash: FileHash = file_sha256) -> None:
    """Raise unless the signal and the original of a record are those that it was written for.

    Parameters
    ----------
    result : Result
    file_hash : callable
        Returns the SHA-256 of a file; one with a cache saves time where metamers share originals. Default `file_sha256`.

    Raises
    ------
    AudioMetamerError
        If one is not, or cannot be read.
    """
    if not is_signal(result.evidence, result.path, file_hash):
        if result.path.suffix != ".png":
            hash_original(result.path, result.evidence.settings.layer)  # reports a file that cannot be read
        record = result.folder / result.record
        raise AudioMetamerError(f"{result.path} is not the signal of {record}; put back what was there, or make it again")
    check_original(result, file_hash)


def check_original(result: Result, file_hash: FileHash = file_sha256) -> None:
    """Raise unless the original of a metamer is what it was made from; `file_hash` as in `check_integrity`.

    Raises
    ------
    AudioMetamerError
        If it is not, or cannot be read.
    """
    original = result.folder / result.original
    if not is_original(result.evidence, original, file_hash):
        raise AudioMetamerError(f"{original} is not the original of {result.path}; put back what was there, or make it again")


def is_signal(evidence: EvidenceSummary, signal: Path, file_hash: FileHash = file_sha256) -> bool:
    """Whether a file is the signal of a record; True if the record has no checksum. `file_hash` as in `check_integrity`."""
    return not evidence.signal_sha256 or file_hash(signal) == evidence.signal_sha256


def is_original(evidence: EvidenceSummary, original: Path, file_hash: FileHash = file_sha256) -> bool:
    """Whether a file is what a metamer was made from: by its checksum, or in records without one by that of its samples."""
    if evidence.original_sha256:
        return file_hash(original) == evidence.original_sha256
    settings = evidence.settings
    if original.suffix == ".png":  # rounded to 16 bits; in a set its name holds the hash
        named = re.search(r"-([0-9a-f]{8})$", original.stem)
        return named is None or settings.clip_sha256.startswith(named[1])
    return hash_original(original, settings.layer) == settings.clip_sha256


def hash_original(original: Path, layer: str) -> str:
    """SHA-256 of the samples of a WAV or ``.npy`` file, or of the activations of a layer that were given in their place.

    Raises
    ------
    AudioMetamerError
        If it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        if original.exists() and not is_intact(original):
            raise AudioMetamerError(f"{original} is truncated or damaged")
        for values in _values(original, layer):
            digest.update(np.ascontiguousarray(values).tobytes())
    except (OSError, EOFError, ValueError, struct.error) as error:
        raise AudioMetamerError(f"{original} cannot be read: {error}") from error
    return digest.hexdigest()


def _values(original: Path, layer: str) -> list[np.ndarray]:
    if original.suffix == ".safetensors":
        from audiometamer.metamers.targets import read_target

        target = read_target(original)
        return [target.at(place).cpu().numpy() for place in dict.fromkeys(layer.split("+"))]
    # Memory-mapped: a header that announces too much costs no memory.
    if original.suffix == ".npy":
        return [np.load(original, mmap_mode="r")]
    from scipy.io import wavfile

    with warnings.catch_warnings():
        warnings.simplefilter("error", wavfile.WavFileWarning)
        try:
            return [wavfile.read(original, mmap=True)[1].T]
        except wavfile.WavFileWarning as error:
            raise AudioMetamerError(f"{original} is truncated: {error}") from error
