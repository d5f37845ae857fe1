"""Gradients inside a caller's `no_grad` or `inference_mode`."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor

_F = TypeVar("_F", bound=Callable[..., Any])


def with_gradients(function: _F) -> _F:
    """Make a function, or generator function, run with gradients even under `no_grad` and `inference_mode`."""
    return torch.inference_mode(False)(torch.enable_grad()(function))


def normal_tensor(tensor: Tensor) -> Tensor:
    """A tensor that autograd can save: a copy of one that was made under `inference_mode`."""
    return tensor.clone() if tensor.is_inference() else tensor
