"""Hashes of tensors and files."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from audiometamer.errors import AudioMetamerError

if TYPE_CHECKING:
    from torch import Tensor


def sha256_of(*tensors: "Tensor") -> str:
    """SHA-256 of the concatenated values of tensors."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, read in blocks."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise AudioMetamerError(f"{path} cannot be read: {error.strerror}") from error
