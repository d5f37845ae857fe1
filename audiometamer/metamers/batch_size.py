"""The number of signals to synthesise together: as many as fit into memory, and no more than help."""

from collections.abc import Sequence

import torch
from torch import Tensor

from audiometamer.devices import free_memory, is_accelerator
from audiometamer.models.model import Model
from audiometamer.models.recording import record

_MEMORY_SHARE = 0.5  # of the free memory
# A step takes up to this multiple of what it keeps from its forward to its backward pass (measured: 1.3 to 1.5).
_PEAK = 2.5
_MAX_ON_CPU = 8  # more are no faster there
_MAX = 128


def fitting_batch_size(model: Model, layers: Sequence[str] | str) -> int:
    """Number of signals that fit in half of the free memory when layers are matched: at most 8 on a CPU, 128 elsewhere.

    Parameters
    ----------
    model : Model
    layers : sequence of str, or str
    """
    most = _MAX if is_accelerator(model.device) else _MAX_ON_CPU
    fitting = _MEMORY_SHARE * free_memory(model.device) / (_PEAK * max(1, bytes_kept(model, layers)))
    return max(1, min(most, int(fitting)))


def bytes_kept(model: Model, layers: Sequence[str] | str) -> int:
    """Bytes that the forward pass of one signal to some layers keeps for the backward pass, without weights."""
    weights = {t.untyped_storage().data_ptr() for t in (*model.parameters(), *model.buffers())}
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    signal = torch.zeros(1, *model.signal_shape, dtype=model.dtype, device=model.device, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        record(model, signal, layers)
    return sum(kept.values())
