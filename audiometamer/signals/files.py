"""Write and read signals as WAV, PNG or NPY files."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiometamer.errors import AudioMetamerError, first_line
from audiometamer.io.files import atomic_write
from audiometamer.signals.audio import read_samples, write_wav
from audiometamer.signals.images import read_png, write_png


def signal_suffix(sample_rate: int | None) -> str:
    """Suffix of the file of a signal: ``.wav`` if it has a sample rate, or else ``.npy``."""
    return ".npy" if sample_rate is None else ".wav"


def write_signal(path: Path, signal: Tensor, sample_rate: int | None) -> None:
    """Write a signal [shape=signal_shape] in the format of the file's suffix."""
    if path.suffix == ".wav" and sample_rate is not None:
        write_wav(path, signal.reshape(-1, signal.shape[-1]).squeeze(0), sample_rate)
    elif path.suffix == ".png":
        write_png(path, signal)
    else:
        with atomic_write(path) as temporary:
            np.save(temporary, signal.numpy())


def read_signal(path: Path) -> Tensor:
    """Read what `write_signal` wrote."""
    try:
        if path.suffix == ".png":
            return read_png(path)
        return torch.from_numpy(_read_array(path) if path.suffix == ".npy" else _read_wav(path))
    except AudioMetamerError:
        raise
    except Exception as error:  # numpy raises many kinds for broken files
        raise AudioMetamerError(f"{path} cannot be read: {first_line(error)}") from error


def _read_wav(path: Path) -> NDArray[np.float32]:
    samples = read_samples(path)[0].astype(np.float32).T
    return np.ascontiguousarray(samples[0] if len(samples) == 1 else samples)


def _read_array(path: Path) -> NDArray[Any]:
    """An array of numbers; mapped first, so that a false header allocates no memory."""
    values = np.lib.format.open_memmap(path, mode="r")
    if values.dtype.kind not in "biufc":
        raise ValueError("it holds no array of numbers")
    return np.array(values)
