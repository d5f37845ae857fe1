"""Every pair of many activations compared, without holding them all in memory."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray


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


def gram(rows: NDArray[np.float32], memory: float, shift: float = 0.0) -> NDArray[np.float64]:
    """All inner products of rows, minus `shift`, from slices of columns."""
    step = max(int(memory / 4 / (8 * len(rows))), 1)
    total = np.zeros((len(rows), len(rows)))
    for first in range(0, rows.shape[1], step):
        block = rows[:, first : first + step].astype(np.float64) - shift
        total += block @ block.T
    return total


def correlations(products: NDArray[np.float64], sums: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Pearson correlations of all pairs of rows, in `numpy.triu_indices`' order, from inner products, sums and width."""
    covariance = products - np.outer(sums, sums) / width
    deviation = np.sqrt(np.maximum(np.diag(covariance), 0))
    # Rounding leaves a constant row with a tiny deviation; its correlations count as 0 (Feather et al. 2023).
    deviation[deviation <= 1e-7 * np.sqrt(np.maximum(np.diag(products), 0))] = 0
    i, j = np.triu_indices(len(sums), 1)
    norms = deviation[i] * deviation[j]
    return np.divide(covariance[i, j], norms, out=np.zeros(len(i)), where=norms > 0).clip(-1, 1)
