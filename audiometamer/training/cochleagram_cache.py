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

_LEVELS, _LIMITS = "cochleagrams.levels", "cochleagrams.limits"  # no task has a dot in its name
_HIGHEST = 255


class CochleagramBatch(NamedTuple):
    """Cochleagrams [shape=(batch, filters, frames)] and their targets by task, as those of a `TrainingBatch`."""

    cochleagrams: Tensor
    targets: dict[str, Tensor]


class CochleagramCache:
    """Batches of cochleagrams with their targets, in 8 bits: errors of at most 0.2 % of the range of each cochleagram.

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
            cochleagrams = _unpacked(arrays.pop(_LEVELS), arrays.pop(_LIMITS))
        except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile) as error:
            raise AudioMetamerError(
                f"{path} is not a batch of cochleagrams; delete it, or {self.folder}, and what is missing is made again"
            ) from error
        return CochleagramBatch(cochleagrams, arrays)

    def save(self, key: str, batch: CochleagramBatch) -> Tensor:
        """Keep a batch; return its cochleagrams as they will be loaded."""
        levels, limits = _packed(batch.cochleagrams)
        arrays = {_LEVELS: levels, _LIMITS: limits, **batch.targets}
        path = self._path(key)
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **{name: tensor.cpu().numpy() for name, tensor in arrays.items()})
        return _unpacked(levels, limits).to(batch.cochleagrams.dtype)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.npz"


def _packed(cochleagrams: Tensor) -> tuple[Tensor, Tensor]:
    """Levels from 0 to 255 between the lowest and the highest value of each cochleagram, and these [shape=(batch, 2)]."""
    limits = torch.stack([cochleagrams.amin(dim=(1, 2)), cochleagrams.amax(dim=(1, 2))], dim=1).float()
    low, high = limits[:, :, None, None].unbind(1)
    span = (high - low).clamp(min=torch.finfo(torch.float32).tiny)
    return ((cochleagrams.float() - low) / span * _HIGHEST).round().byte(), limits


def _unpacked(levels: Tensor, limits: Tensor) -> Tensor:
    low, high = limits[:, :, None, None].unbind(1)
    return low + (high - low) * (levels.float() / _HIGHEST)
