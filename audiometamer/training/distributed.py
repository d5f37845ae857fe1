"""Training by several processes, on several accelerators or machines, as `torchrun` starts them.

Their result is that of a single process with the same recipe, except for rounding, dropout and the adversary's random starts:
each batch is divided, gradients are summed, and batch normalisation uses the whole batch.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from audiometamer.devices import is_accelerator

_PATIENCE = timedelta(days=1)  # while the first process tests the network, the others wait


@dataclass(frozen=True)
class Processes:
    """The processes that train together, relative to one of them.

    Parameters
    ----------
    rank : int
        Number of this process, from 0.
    count : int
        Number of processes.
    """

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def total(self, value: Tensor) -> Tensor:
        """Sum over all processes, without gradient; the same tensor if there is one process."""
        if self.count > 1:
            value = value.clone()
            dist.all_reduce(value)
        return value

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace each parameter's gradient by its sum over all processes.

        Not `torch.nn.parallel.DistributedDataParallel`: it keeps the process group's threads alive after its end (torch 2.14),
        and a thread that releases its last tensor during the interpreter's shutdown aborts the process.
        """
        if self.count > 1:
            for parameter in parameters:
                if parameter.grad is not None:
                    dist.all_reduce(parameter.grad)

    def wait(self) -> None:
        """Wait until all processes have arrived."""
        if self.count > 1:
            dist.barrier()


def is_first_process() -> bool:
    """Whether `torchrun` has started this process as its first, or has not started it; also when they are not connected."""
    return not dist.is_torchelastic_launched() or os.environ["RANK"] == "0"


@contextmanager
def processes(device: torch.device) -> Iterator[Processes]:
    """Connect all processes that `torchrun` has started for the duration of the block; this one alone without `torchrun`."""
    if not dist.is_torchelastic_launched():
        yield Processes()
        return
    if is_accelerator(device):
        torch.accelerator.set_device_index(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group(dist.get_default_backend_for_device(device), timeout=_PATIENCE)
    yield Processes(dist.get_rank(), dist.get_world_size())
    # Not after an error, for it may wait for the others; `torchrun` ends them as soon as this one has ended.
    dist.destroy_process_group()


class _Sum(torch.autograd.Function):
    """Sum over all processes; its gradient is summed too, because every process uses the sum."""

    @staticmethod
    def forward(_: Any, value: Tensor) -> Tensor:
        value = value.clone()
        dist.all_reduce(value)
        return value

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        gradient = gradient.clone()
        dist.all_reduce(gradient)
        return gradient


def _sum(value: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(value)
    return total


class SharedBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation over the sounds of all processes, on any device; `torch.nn.SyncBatchNorm` needs accelerators."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        n = _sum(x.new_full((), x.numel() / x.shape[1]))
        mean = _sum(x.sum((0, 2, 3))) / n
        centred = x - mean.view(-1, 1, 1)
        variance = _sum(centred.square().sum((0, 2, 3))) / n
        if self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None:
            share = self.momentum or 0.0
            with torch.no_grad():
                self.running_mean.lerp_(mean.detach(), share)
                self.running_var.lerp_((variance * n / (n - 1)).detach(), share)
                self.num_batches_tracked.add_(1)
        scaled = centred * torch.rsqrt(variance + self.eps).view(-1, 1, 1)
        if self.weight is None or self.bias is None:
            return scaled
        return scaled * self.weight.view(-1, 1, 1) + self.bias.view(-1, 1, 1)


def share_batch_norm(network: nn.Module) -> None:
    """Replace every `torch.nn.BatchNorm2d` by a `SharedBatchNorm2d` with the same parameters, buffers and name."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if type(child) is nn.BatchNorm2d:
                shared = SharedBatchNorm2d(child.num_features, child.eps, child.momentum)
                shared.__dict__.update(child.__dict__)
                setattr(module, name, shared)
