"""Comparisons of all pairs of many activations, without holding them all in memory."""

from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_SAME = 1e-3  # signals that differ by less than this part of their norm, 60 dB below it, are one recording
_PROJECTIONS = 64


class RowStore:
    """Rows of one layer's activations: in memory while they fit, then in a file.

    Parameters
    ----------
    path : path
        The file.
    memory : float
        Bytes that may be held in memory.
    """

    def __init__(self, path: Path, memory: float) -> None:
        self.path, self.memory = path, memory
        self.rows: list[NDArray[np.float32]] = []
        self.n_rows = self.width = 0
        self.in_file = False

    def append(self, rows: NDArray[np.float32]) -> None:
        """Add rows, [shape=(sounds, units)]."""
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
    """Filter out signals that repeat others; `repeats` holds the name of each repeat with that of the signal it repeats.

    Signals are compared by random projections, which preserve distances to about a tenth (Johnson & Lindenstrauss 1984,
    Contemporary Mathematics 26, 189), so that copies of another bit depth are found too.

    Parameters
    ----------
    names : iterable of str or None
        Names of the signals. Default: their numbers, from 0.

    Examples
    --------
    >>> unique = UniqueSignals(["rain", "bell", "rain again"])
    >>> rain, bell = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([3.0, 0.0, 1.0])
    >>> len(list(unique.filter([rain, bell, rain]))), unique.repeats
    (2, [('rain again', 'rain')])
    """

    def __init__(self, names: Iterable[str] | None = None) -> None:
        self.names: Iterator[str] = iter(names) if names is not None else map(str, count())
        self.repeats: list[tuple[str, str]] = []

    def filter(self, signals: Iterable[Tensor]) -> Iterator[Tensor]:
        """Pass on the signals that repeat none of those before; all must have the same shape."""
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
    """Inner products of all pairs of rows, computed from slices of columns.

    Parameters
    ----------
    rows : array [shape=(sounds, units)]
    memory : float
        Bytes that may be used.
    shift : float
        Subtracted from all values first. Default 0.

    Returns
    -------
    array [shape=(sounds, sounds)]

    Examples
    --------
    >>> gram_matrix(np.array([[1, 0], [1, 2]], np.float32), 1e6).tolist()
    [[1.0, 1.0], [1.0, 5.0]]
    """
    step = max(int(memory / 4 / (8 * len(rows))), 1)
    total = np.zeros((len(rows), len(rows)))
    for first in range(0, rows.shape[1], step):
        block = rows[:, first : first + step].astype(np.float64) - shift
        total += block @ block.T
    return total


def pairwise_correlations(products: NDArray[np.float64], sums: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Pearson correlations of all pairs of rows.

    Parameters
    ----------
    products : array [shape=(sounds, sounds)]
        Inner products of the rows; see `gram_matrix`.
    sums : array [shape=(sounds,)]
        Sums of the rows.
    width : int
        Number of units.

    Returns
    -------
    array [shape=(sounds · (sounds − 1) / 2,)]
        In the order of `numpy.triu_indices`; 0 where a row is constant.

    Examples
    --------
    >>> rows = np.array([[1, 2, 3], [3, 2, 1], [5, 5, 5]], np.float32)
    >>> pairwise_correlations(gram_matrix(rows, 1e6), rows.sum(1, dtype=np.float64), 3).round(6).tolist()
    [-1.0, 0.0, 0.0]
    """
    covariance = products - np.outer(sums, sums) / width
    norm = np.sqrt(np.maximum(np.diag(covariance), 0))
    # Rounding leaves a constant row with a tiny norm; its correlations count as 0 (Feather et al. 2023).
    norm[norm <= 1e-7 * np.sqrt(np.maximum(np.diag(products), 0))] = 0
    i, j = np.triu_indices(len(sums), 1)
    norms = norm[i] * norm[j]
    return np.divide(covariance[i, j], norms, out=np.zeros(len(i)), where=norms > 0).clip(-1, 1)
