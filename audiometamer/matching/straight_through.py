"""Functions whose backward pass is, by design, not their derivative."""

import torch
from torch import Tensor


def straight_through(value: Tensor, surrogate: Tensor) -> Tensor:
    """The forward value of one expression with the gradient of another.

    Written with ordinary operations, so that forward-mode derivatives, compilation and double backward work too.

    Parameters
    ----------
    value : Tensor [shape=(...)]
        Value of the result.
    surrogate : Tensor [shape=(...)]
        Expression whose gradient the result has.

    Returns
    -------
    Tensor [shape=(...)]
        surrogate + (value − surrogate), the bracket held constant; equals `value` up to rounding of the larger of the two.
    """
    return surrogate + (value - surrogate).detach()


def straight_through_relu(x: Tensor, slope: float = 1.0) -> Tensor:
    """max(x, 0) with a gradient below zero too.

    Parameters
    ----------
    x : Tensor [shape=(...)]
        Input of the ReLU.
    slope : float
        Slope of the gradient below zero. Default 1: that of the identity (Feather et al. 2023, at the matched layer only).

    Returns
    -------
    Tensor [shape=(...)]
        Exactly max(x, 0).
    """
    return straight_through(x.clamp(min=0), x if slope == 1 else torch.where(x > 0, x, slope * x))
