"""Every pair of many activations compared, without holding them all in memory."""

from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_SAME = 1e-3  # of a signal's norm: two that differ by less, 60 dB below, are one recording
_PROJECTIONS = 64


class RowStore:
    """Rows of one layer's activations: in memory while they fit, then in a file."""

    def __init__(self, path: Path, memory: float) -> None:
        self.path, self.memory = path, memory
        self.rows: list[NDArray[np.float32]] = []
        self.n_rows = self.width = 0
        self.in_file = False

    def append(self, rows: NDArray[np.float32]) -> None:
        self.rows.append(rows)
        self.n_rows, self.width = self.n_rows + len(rows), rows.shape[1]
        if self.in_file or 4 * self.n_rows * self.width > self.memory:
            with self.path.open("ab") as file:
                for block in self.rows:
                    block.tofile(file)
            self.rows, self.in_file = [], True

    def matrix(self) -> NDArray[np.float32]:
        """All rows, [shape=(sounds, units)]."""
        if not self.in_file:
            return np.concatenate(self.rows)
        return np.memmap(self.path, dtype=np.float32, mode="r", shape=(self.n_rows, self.width))


class UniqueSignals:
    """Lets each of many signals pass once; `repeats`: the names of the others, each with that of the one it repeats.

    Signals are compared by random projections, which keep distances to about a tenth (Johnson & Lindenstrauss 1984), so that
    copies of another bit depth are found too.

    Parameters
    ----------
    names : iterable of str or None
        Names of the signals. Default: their numbers, from 0.
    """

    def __init__(self, names: Iterable[str] | None = None) -> None:
        self.names: Iterator[str] = iter(names) if names is not None else map(str, count())
        self.repeats: list[tuple[str, str]] = []

    def filter(self, signals: Iterable[Tensor]) -> Iterator[Tensor]:
        """Those that are none of the signals before; all of one shape."""
        sketches: list[NDArray[np.float64]] = []
        known: list[str] = []
        for number, signal in enumerate(signals):
            name = next(self.names, str(number))
            values = signal.detach().cpu().double().flatten()
            if not sketches:
                projection = torch.randn(_PROJECTIONS, len(values), generator=torch.Generator().manual_seed(0)).double()
            sketch = (projection @ values).numpy()
            distances = np.linalg.norm(np.reshape(sketches, (-1, _PROJECTIONS)) - sketch, axis=1)
            if sketches and distances.min() <= _SAME * np.linalg.norm(sketch):
                self.repeats.append((name, known[int(distances.argmin())]))
                continue
            sketches.append(sketch)
            known.append(name)
            yield signal


def gram_matrix(rows: NDArray[np.float32], memory: float, shift: float = 0.0) -> NDArray[np.float64]:
    """All inner products of rows, minus `shift`, from slices of columns."""
    step = max(int(memory / 4 / (8 * len(rows))), 1)
    total = np.zeros((len(rows), len(rows)))
    for first in range(0, rows.shape[1], step):
        block = rows[:, first : first + step].astype(np.float64) - shift
        total += block @ block.T
    return total


def pairwise_correlations(products: NDArray[np.float64], sums: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Pearson correlations of all pairs of rows, in `numpy.triu_indices`' order, from inner products, sums and width."""
    covariance = products - np.outer(sums, sums) / width
    deviation = np.sqrt(np.maximum(np.diag(covariance), 0))
    # Rounding leaves a constant row with a tiny deviation; its correlations count as 0 (Feather et al. 2023).
    deviation[deviation <= 1e-7 * np.sqrt(np.maximum(np.diag(products), 0))] = 0
    i, j = np.triu_indices(len(sums), 1)
    norms = deviation[i] * deviation[j]
    return np.divide(covariance[i, j], norms, out=np.zeros(len(i)), where=norms > 0).clip(-1, 1)
