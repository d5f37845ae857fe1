"""Networks that take something other than (batch, samples), and the line of code that adapts them."""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from audiometamer.models.activations import flattened

_REFUSALS = (RuntimeError, TypeError, ValueError, IndexError, KeyError, AttributeError, AssertionError)
_HOOK = "network.register_forward_pre_hook(lambda module, args: {})"


class _Form(NamedTuple):
    shape: str
    code: str
    reshape: Callable[[Tensor], Tensor]


_SHAPES = (
    _Form("1, ", "nn.Unflatten(1, (1, -1))", lambda x: x.unflatten(1, (1, -1))),
    _Form("samples, 1", "nn.Unflatten(1, (-1, 1))", lambda x: x.unflatten(1, (-1, 1))),
)
# Possible second arguments, as code and as functions of the first.
_SECOND: tuple[tuple[str, Callable[[Tensor], Tensor]], ...] = (
    (
        "args[0].new_full(args[0].shape[:1], args[0].shape[1], dtype=torch.long)",
        lambda x: x.new_full(x.shape[:1], x.shape[1], dtype=torch.long),
    ),
    ("args[0].new_ones(len(args[0]))", lambda x: x.new_ones(len(x))),
    ("torch.ones_like(args[0], dtype=torch.bool)", lambda x: torch.ones_like(x, dtype=torch.bool)),
)


def suggest_fix(network: nn.Module, batch: Tensor) -> str | None:
    """The input form of a network that failed on a batch, and a line of code that adapts it; None if it is not recognised.

    Parameters
    ----------
    network : Module
    batch : Tensor [shape=(batch, ...)]
        The input that it failed on.
    """
    rest = ", ".join(["samples"] if batch.ndim == 2 else [str(n) for n in batch.shape[1:]])
    for form in _SHAPES:
        if _works(network, form.reshape(batch)):
            shape = f"1, {rest}" if form.shape == "1, " else form.shape
            return f"it takes (batch, {shape}): wrap it as am.Model(nn.Sequential({form.code}, network), …)"
    if batch.ndim == 2 and _works(network, batch[:, None].expand(-1, 2, -1)):
        return "it takes (batch, 2, samples), two channels: give am.Model channels=2"
    if keys := _requested_keys(network, batch):
        entries = ", ".join(f"{key!r}: args[0]" for key in keys)
        return f"it takes a dict with {', '.join(keys)}: first call {_HOOK.format(f'({{{entries}}},)')}"
    return _second_argument(network, batch)


def _second_argument(network: nn.Module, batch: Tensor) -> str | None:
    needed = [
        parameter.name
        for parameter in inspect.signature(network.forward).parameters.values()
        if parameter.default is parameter.empty and parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    if len(needed) < 2:
        return None
    for code, make in _SECOND:
        if len(needed) == 2 and _works(network, batch, make(batch)):
            return f"it takes {' and '.join(needed)}: first call {_HOOK.format(f'(args[0], {code})')}"
    others = "".join(f", {name}" for name in needed[1:])
    return f"it takes {', '.join(needed)}: give it the others by {_HOOK.format(f'(args[0]{others})')}"


def _works(network: nn.Module, *args: Any) -> bool:
    try:
        with torch.no_grad():
            return bool(flattened(network(*args)))
    except _REFUSALS:
        return False


class _KeyRecorder(dict[str, Tensor]):
    """Has the same value under every key, and records the keys that are requested."""

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.value = value
        self.requested: list[str] = []

    def __missing__(self, key: str) -> Tensor:
        self.requested.append(key)
        return self.value

    def get(self, key: str, default: Any = None) -> Any:  # noqa: ARG002 (as a dict's)
        return self[key]


def _requested_keys(network: nn.Module, batch: Tensor) -> list[str]:
    mapping = _KeyRecorder(batch)
    return list(dict.fromkeys(mapping.requested)) if _works(network, mapping) else []
