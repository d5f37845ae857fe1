"""What the tests of several adapters share."""

import foreign_models
import pytest
import torch
from torch import nn


def slope_error(front_end: nn.Module, signal: torch.Tensor) -> float:
    """How far the derivative of a random sum of outputs along a random direction is from a difference quotient, relative."""
    generator = torch.Generator().manual_seed(0)
    x = signal.double()[None].requires_grad_()
    out = front_end(x)
    assert out.dtype == torch.float64
    weights = torch.randn(out.shape, generator=generator, dtype=torch.float64)
    direction = torch.randn(x.shape, generator=generator, dtype=torch.float64) * 1e-3
    (gradient,) = torch.autograd.grad((weights * out).sum(), x)
    with torch.no_grad():
        step = 1e-4
        both = [(weights * front_end(x + sign * step * direction)).sum() for sign in (1, -1)]
    quotient = float(both[0] - both[1]) / (2 * step)
    return abs(float((gradient * direction).sum()) - quotient) / abs(quotient)


@pytest.fixture(scope="session")
def relative_slope_error():
    return slope_error


@pytest.fixture(scope="session", params=[0.3, 2.0, 2.5])
def several_sounds(request):
    """Short, as long as the small windows, and longer."""
    return foreign_models.sounds(request.param)
