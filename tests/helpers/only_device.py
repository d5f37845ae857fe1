"""A dispatch mode that proves device-neutrality without a second device."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode

_WAITS_FOR_THE_DEVICE = ("aten::_local_scalar_dense", "aten::nonzero", "aten::is_nonzero", "aten::item")


class OnlyDevice(TorchDispatchMode):
    """Fails at an operation that makes or takes a tensor of another device, or that waits for the device."""

    def __init__(self, device):
        self.device = torch.device(device)

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        assert function._schema.name not in _WAITS_FOR_THE_DEVICE, function
        out = function(*args, **(kwargs or {}))
        for tensor in torch.utils._pytree.tree_leaves((args, kwargs, out)):
            if isinstance(tensor, torch.Tensor) and tensor.ndim > 0:
                assert tensor.device == self.device, function
        return out
