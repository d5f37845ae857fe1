"""Complex activations as pairs of real numbers."""

import torch
from torch import Tensor


def as_real(values: Tensor) -> Tensor:
    """Complex values as pairs of real and imaginary parts, in a last dimension of 2; real values unchanged."""
    return torch.view_as_real(values.resolve_conj()) if values.is_complex() else values
