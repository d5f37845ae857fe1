"""Functions whose backward pass is, by design, not their derivative."""

import torch
from torch import Tensor


def straight_through(value: Tensor, surrogate: Tensor) -> Tensor:
    """The forward value of one expression with the gradient of another.

    Written with ordinary operations, so that forward-mode derivatives, compilation and double backward work as well.

    Parameters
    ----------
    value : Tensor [shape=(...)]
        What the result equals.
    surrogate : Tensor [shape=(...)]
        What the result is differentiated as.

    Returns
    -------
    Tensor [shape=(...)]
        surrogate + (value − surrogate), the bracket held constant; equal to `value` up to rounding of the larger of the two.
    """
    return surrogate + (value - surrogate).detach()


def straight_through_relu(x: Tensor, slope: float = 1.0) -> Tensor:
    """max(x, 0) with a gradient below zero too.

    Parameters
    ----------
    x : Tensor [shape=(...)]
        What the ReLU was given.
    slope : float
        Of the gradient below zero. Default 1: the identity's (Feather et al. 2023, at the matched layer only).

    Returns
    -------
    Tensor [shape=(...)]
        Exactly max(x, 0).
    """
    return straight_through(x.clamp(min=0), x if slope == 1 else torch.where(x > 0, x, slope * x))
