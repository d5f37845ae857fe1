"""A stopping rule that asks what the verdict asks."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

# The number of a signal in its batch, its row among those that are still moved, and the signal [shape=signal_shape], to whether
# it is good enough.
Judge = Callable[[int, int, Tensor], bool]


class Passing:
    """Stop signals as soon as they are good enough; shown the signals at each report before it is asked.

    Parameters
    ----------
    judge : Judge
    outcome : str
        Word for that in the record. Default "passed".
    """

    def __init__(self, judge: Judge, outcome: str = "passed") -> None:
        self._judge, self.outcome = judge, outcome
        self._passed = torch.zeros(0, dtype=torch.bool)

    def see(self, signals: Tensor, losses: Tensor) -> None:
        """Judge the signals [shape=(batch, ...)] whose losses [shape=(batch,)] are not NaN: these are still moved."""
        active = torch.nonzero(~losses.isnan()).flatten().tolist()
        self._passed = torch.tensor([self._judge(k, row, signals[k]) for row, k in enumerate(active)], device=losses.device)

    def __call__(self, steps: Sequence[int], losses: Tensor) -> Tensor:  # noqa: ARG002 (a rule takes both)
        return self._passed
