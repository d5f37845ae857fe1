"""Pools whose rectified units are all silent: how far below zero is the unit that would become active first."""

from collections.abc import Callable
from math import prod
from typing import Protocol, runtime_checkable

import torch.nn.functional as F
from torch import Tensor, nn


@runtime_checkable
class SupportsMaxContribution(Protocol):
    """A pool with a method `max_contribution` of its own."""

    def max_contribution(self, x: Tensor) -> Tensor: ...


_MAX_POOLS = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d)
_MAX_OF_AVERAGE: dict[type[nn.Module], tuple[int, Callable[..., Tensor]]] = {
    nn.AvgPool1d: (1, F.max_pool1d),
    nn.AvgPool2d: (2, F.max_pool2d),
    nn.AvgPool3d: (3, F.max_pool3d),
}
_MAX_OF_ADAPTIVE: dict[type[nn.Module], Callable[..., Tensor]] = {
    nn.AdaptiveAvgPool1d: F.adaptive_max_pool1d,
    nn.AdaptiveAvgPool2d: F.adaptive_max_pool2d,
    nn.AdaptiveAvgPool3d: F.adaptive_max_pool3d,
}


def supports_max_contribution(pool: nn.Module) -> bool:
    """Whether `max_contribution` takes a module: one of torch's max- or average-pools, or one with a method of that name."""
    if isinstance(pool, _MAX_POOLS):
        return not pool.return_indices
    return isinstance(pool, SupportsMaxContribution) or type(pool) in (*_MAX_OF_AVERAGE, *_MAX_OF_ADAPTIVE)


def max_contribution(pool: nn.Module, x: Tensor) -> Tensor:
    """The contribution of the largest value of each region of a pool to the pool's output there.

    Parameters
    ----------
    pool : Module
        A pool for which `supports_max_contribution` is true.
    x : Tensor [shape=(batch, ...)]
        Input of the pool.

    Returns
    -------
    Tensor
        Tensor in the shape of the pool's output: the largest value for a max-pool, divided by the number of values in a region
        for an average-pool.
    """
    if isinstance(pool, SupportsMaxContribution):
        return pool.max_contribution(x)
    if type(pool) in _MAX_OF_AVERAGE:
        dimensions, largest = _MAX_OF_AVERAGE[type(pool)]
        size = pool.kernel_size if isinstance(pool.kernel_size, tuple) else (pool.kernel_size,) * dimensions
        return largest(x, pool.kernel_size, pool.stride, pool.padding, ceil_mode=pool.ceil_mode) / prod(size)
    if type(pool) in _MAX_OF_ADAPTIVE:
        found = _MAX_OF_ADAPTIVE[type(pool)](x, pool.output_size)
        return found * (found.shape[2:].numel() / x.shape[2:].numel())
    found = pool.forward(x)
    assert isinstance(found, Tensor)
    return found
