"""Cochleagrams of the first epochs, kept on disk and used again by later epochs and by other networks."""

import hashlib
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from audiometamer.errors import AudioMetamerError
from audiometamer.io.files import atomic_write

_COCHLEAGRAMS = "cochleagrams"


class CochleagramBatch(NamedTuple):
    """Cochleagrams [shape=(batch, filters, frames)] and their targets by task, as those of a `TrainingBatch`."""

    cochleagrams: Tensor
    targets: dict[str, Tensor]


class CochleagramCache:
    """Batches of cochleagrams with their targets, in half precision: relative errors below 0.05 %.

    Parameters
    ----------
    folder : path
        Folder shared by all runs.
    settings : sequence of bytes
        All that the batches depend on: runs whose settings are equal share them.
    """

    def __init__(self, folder: Path, settings: Sequence[bytes]) -> None:
        digest = hashlib.sha256()
        for setting in settings:
            digest.update(hashlib.sha256(setting).digest())
        self.folder = folder / digest.hexdigest()[:16]

    @property
    def n_batches(self) -> int:
        """Number of batches that are kept."""
        return sum(1 for _ in self.folder.glob("*/*.npz"))

    def load(self, key: str) -> CochleagramBatch | None:
        """A batch; None if it is not there yet.

        Raises
        ------
        AudioMetamerError
            If its file is broken.
        """
        path = self._path(key)
        if not path.exists():
            return None
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
                arrays = {name: torch.from_numpy(found[name]) for name in found}
            cochleagrams = arrays.pop(_COCHLEAGRAMS).float()
        except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile) as error:
            raise AudioMetamerError(
                f"{path} is not a batch of cochleagrams; delete it, or {self.folder}, and what is missing is made again"
            ) from error
        return CochleagramBatch(cochleagrams, arrays)

    def save(self, key: str, batch: CochleagramBatch) -> Tensor:
        """Keep a batch; return its cochleagrams as they will be loaded."""
        half = batch.cochleagrams.half()
        arrays = {_COCHLEAGRAMS: half, **batch.targets}
        path = self._path(key)
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **{name: tensor.cpu().numpy() for name, tensor in arrays.items()})
        return half.to(batch.cochleagrams.dtype)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.npz"
