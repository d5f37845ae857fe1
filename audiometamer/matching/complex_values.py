"""Complex activations as real ones."""

import torch
from torch import Tensor


def as_real(values: Tensor) -> Tensor:
    """Complex values as pairs of their real and imaginary parts, in a last dimension of 2; real values as they are."""
    return torch.view_as_real(values.resolve_conj()) if values.is_complex() else values
