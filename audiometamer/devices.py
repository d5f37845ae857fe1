"""Devices to compute on; the only module that knows them by name."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import psutil
import torch

from audiometamer.errors import AudioMetamerError, first_line, pluralize


def choose_device(name: str) -> torch.device:
    """A device by name; ``auto`` is the accelerator, if one is available, otherwise the CPU.

    Raises
    ------
    AudioMetamerError
        If there is no such device.
    """
    if name == "auto":
        accelerator = torch.accelerator.current_accelerator(check_available=True)
        return accelerator if accelerator is not None else torch.device("cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).cpu()  # fails for a device without memory, such as meta
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # torch asserts that it was built for the device
        raise AudioMetamerError(f"device {name!r} is not available here: {first_line(error).partition('. ')[0]}") from error
    return device


def worker_device(name: str, worker: int) -> torch.device:
    """A device by name for one of several workers, counted from 0: accelerators of that type are assigned in rotation."""
    device = choose_device(name)
    if device.index is not None or not is_accelerator(device):
        return device
    return torch.device(device.type, worker % torch.accelerator.device_count())


def is_accelerator(device: torch.device) -> bool:
    """Whether a device is an accelerator, not the CPU."""
    accelerator = torch.accelerator.current_accelerator()
    return accelerator is not None and accelerator.type == device.type


def describe(device: torch.device) -> str:
    """A device, for records: its product name, or the number of threads on the CPU."""
    if not is_accelerator(device):
        return f"CPU, {pluralize(torch.get_num_threads(), 'thread')}"
    named = getattr(torch.get_device_module(device), "get_device_name", None)
    return str(named()) if callable(named) else device.type


@contextmanager
def tensor_float32(allowed: bool) -> Iterator[None]:
    """Allow or forbid TF32 (float32 products with 10 bits of mantissa) on NVIDIA GPUs while the block runs."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high" if allowed else "highest")
    torch.backends.cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


def synchronize(device: torch.device) -> None:
    """Wait until a device has finished all its work."""
    if is_accelerator(device):
        torch.accelerator.synchronize(device)


def free_memory(device: torch.device) -> int:
    """Bytes of memory available to new tensors on a device."""
    if not is_accelerator(device):
        return psutil.virtual_memory().available
    module = torch.get_device_module(device)
    cached = module.memory_reserved(device) - module.memory_allocated(device)  # by torch, for new tensors
    return int(module.mem_get_info(device)[0] + cached)


def isolated_rng(device: torch.device) -> AbstractContextManager[None]:
    """Restore torch's global generators, of the CPU and of a device, after the block."""
    if not is_accelerator(device):
        return torch.random.fork_rng(devices=[])
    return torch.random.fork_rng([torch.accelerator.current_device_index()], device_type=device.type)
