"""Shared by both computations of envelopes: the floor of magnitudes, and constants that move with a module."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

Compression = Callable[[Tensor], Tensor]
MAGNITUDE_FLOOR = 1e-8  # as published: √max(re² + im², 1e-16), whose gradient stays finite
# Below this RMS of a sound, so many subbands are near the floor that its edge decides the gradient.
FAINT = 1000 * MAGNITUDE_FLOOR


def add_constant(module: nn.Module, name: str, values: np.ndarray, dtype: torch.dtype, device: torch.device) -> None:
    """Register a constant that moves with the module and is not stored in checkpoints."""
    module.register_buffer(name, torch.as_tensor(values).to(device=device, dtype=dtype), persistent=False)
