"""The directions in which a function of a direction is largest."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

Slope = Callable[[Tensor], tuple[float, Tensor]]  # the value at directions [shape=(k, size)], and its gradient


def slope_of(value: Callable[[Tensor], Tensor]) -> Slope:
    """A function's value and gradient, by torch."""

    def slope(directions: Tensor) -> tuple[float, Tensor]:
        rows = directions.requires_grad_()
        (gradient,) = torch.autograd.grad(result := value(rows), rows)
        return float(result.detach()), gradient

    return slope


def climbed(slope: Slope, start: Tensor, *, steps: int) -> Tensor:
    """Climb from directions to a local maximum of a function that does not depend on their lengths.

    Such a function has gradients along the spheres only, so that the search needs no constraint. By L-BFGS, which never ends
    lower than it starts.

    Parameters
    ----------
    slope : callable
        The function's value and gradient at directions [shape=(k, size)].
    start : Tensor [shape=(k, size)]
    steps : int
        Most iterations.

    Returns
    -------
    Tensor [shape=(k, size)]
        Unit rows.

    Examples
    --------
    >>> stretch = torch.tensor([1.0, 3.0, 2.0])
    >>> slope = slope_of(lambda z: (stretch * z).norm() / z.norm())
    >>> climbed(slope, torch.ones(1, 3), steps=50).abs().round(decimals=3)
    tensor([[0., 1., 0.]])
    """
    unit = start / start.norm(dim=1, keepdim=True)

    def descent(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        value, gradient = slope(torch.from_numpy(flat.reshape(start.shape)).to(start))
        return -value, -gradient.double().cpu().numpy().ravel()

    first = unit.detach().double().cpu().numpy().ravel()
    found = minimize(descent, first, jac=True, method="L-BFGS-B", options={"maxiter": steps, "ftol": 1e-15, "gtol": 1e-12})
    rows = torch.from_numpy(found.x.reshape(start.shape)).to(start)
    return rows / rows.norm(dim=1, keepdim=True)
