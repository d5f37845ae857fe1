"""Information about a layer: its shape, its batch dimension, why it cannot be recorded; found by forward passes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from audiometamer.errors import AudioMetamerError
from audiometamer.matching.complex_values import as_real
from audiometamer.models.activations import Tap, describe_type, flattened

MIXED = "has other values for a signal when another is beside it: they depend on the batch, or on chance"


@dataclass(frozen=True)
class LayerInfo:
    """A tensor that a call of a module returns, as a layer.

    Parameters
    ----------
    tap : Tap
        The module, the number of the call, the key of the tensor, and the part of it.
    shape : tuple of int
        Shape of one signal's activations; empty if it cannot be recorded.
    batch : int
        The tensor's batch dimension; it is moved to the front.
    items : int
        Number of rows of the batch per signal.
    is_complex : bool
        Whether its values are complex; they are recorded as pairs of real ones, which `shape` includes.
    detached : bool
        Whether no gradient passes from it to the signal: it can be recorded, but not matched.
    unrecordable : str
        Why it cannot be recorded; empty if it can.
    """

    tap: Tap
    shape: tuple[int, ...] = ()
    batch: int = 0
    items: int = 1
    is_complex: bool = False
    detached: bool = False
    unrecordable: str = ""

    @property
    def left_out(self) -> str:
        """Why a model does not list it; empty if it does."""
        return self.unrecordable or ("passes no gradient to the signal" if self.detached else "")

    def unflatten_items(self, output: Tensor, batch: int) -> Tensor:
        """The layer's real activations, [shape=(batch, ...)], in what its module returned for a batch of signals.

        Raises
        ------
        AudioMetamerError
            If the batch is not where it should be.
        """
        rows = output.movedim(self.batch, 0) if 0 < self.batch < output.ndim else output
        if self.items > 1 and len(rows) == self.items * batch:
            rows = rows.unflatten(0, (batch, self.items))
        if rows.ndim == 0 or len(rows) != batch:
            raise AudioMetamerError(f"it has shape {tuple(output.shape)} for {batch} signal(s): its batch is not found")
        return as_real(self.tap.part(rows))


@dataclass(frozen=True)
class Call:
    """A call of a module: the type that it returns, in words, and its tensors by key; see `models.activations.flattened`."""

    output_type: str
    tensors: dict[str, LayerInfo]


Calls = dict[Tap, Call]


def declared_layers(network: nn.Module) -> dict[str, str] | None:
    """The names that a network gives to its modules in its attribute `layers`; None unless that maps str to str."""
    layers = getattr(network, "layers", None)
    if not isinstance(layers, Mapping) or not all(isinstance(text, str) for pair in layers.items() for text in pair):
        return None
    return dict(layers)


def describe_call(call: Tap, output: Any, alone: Mapping[str, Tensor], *, items: int = 1) -> Call:
    """Information about the output of a call, from its output for two signals and for the first of them alone.

    Parameters
    ----------
    call : Tap
        Path of the module and number of the call.
    output : Any
        Its output for two signals, with gradients.
    alone : mapping of str to Tensor
        The tensors that it returned for the first of them alone, by key; see `audiometamer.models.activations.flattened`.
    items : int
        Number of rows of the batch that each signal may have; see `audiometamer.Model`. Default 1.
    """
    tensors = flattened(output).items()
    infos = {key: _compare(replace(call, key=key or None), alone.get(key), both, items) for key, both in tensors}
    return Call(describe_type(output), infos)


def _compare(tap: Tap, one: Tensor | None, two: Tensor, items: int) -> LayerInfo:
    if one is None:
        return LayerInfo(tap, unrecordable="is not returned for every number of signals")
    shape, both = tuple(one.shape), tuple(two.shape)
    if 0 in shape:
        return LayerInfo(tap, unrecordable=f"is empty: its shape is {shape}")
    if shape == both:
        return LayerInfo(tap, unrecordable=f"has shape {shape} for any number of signals: it holds no batch")
    changed = [d for d, (alone, several) in enumerate(zip(shape, both, strict=False)) if alone != several]
    if len(shape) != len(both) or len(changed) != 1 or both[changed[0]] != 2 * shape[changed[0]]:
        return LayerInfo(tap, unrecordable=f"has shape {shape} for one signal and {both} for two: its batch is not found")
    (batch,), rows = changed, shape[changed[0]]
    rest = (*shape[:batch], *shape[batch + 1 :])
    announced = rows == items and batch == 0
    if rows > 1 and not announced and not _one_after_the_other(one.movedim(batch, 0), two.movedim(batch, 0)):
        return LayerInfo(
            tap,
            unrecordable=f"has shape {shape} for one signal, and so {rows} rows for each, in an order that their values do not "
            "show; if one signal's come after another's, give the network an attribute items_per_signal",
        )
    if rows == 1 and not _same(two.narrow(batch, 0, 1), one):
        return LayerInfo(tap, unrecordable=MIXED)
    own = rest if rows == 1 else (rows, *rest)
    return LayerInfo(tap, own, batch, items=rows, is_complex=two.is_complex(), detached=not two.requires_grad)


def _one_after_the_other(one: Tensor, two: Tensor) -> bool:
    """Whether the rows for two signals are clearly the first one's followed by the other's, not interleaved."""
    return _same(two[: len(one)], one) and not _same(two[::2], one)


def _same(one: Tensor, two: Tensor) -> bool:
    """Whether tensors of equal shape differ by no more than rounding, where both are finite; of those without data, True."""
    if two.is_meta:
        return True
    first, second = (as_real(x.detach()).float().nan_to_num(0, 0, 0) for x in (one, two))
    tolerance = max(1e-2, 8 * torch.finfo(two.dtype).eps)
    return bool((first - second).norm() <= tolerance * second.norm())


def expand_names(named: Mapping[str, Tap], calls: Calls, modules: Mapping[str, nn.Module]) -> dict[str, LayerInfo]:
    """Layers by name: ``name@k`` and ``name[key]`` where a name stands for several calls or tensors.

    Parameters
    ----------
    named : mapping of str to Tap
    calls : mapping of Tap to Call
        All calls, in the order in which they end; see `describe_call`.
    modules : mapping of str to Module
        All modules, by dotted name.
    """
    numbers: dict[str, list[int]] = {}
    for call in calls:
        numbers.setdefault(call.path, []).append(call.call or 0)
    infos: dict[str, LayerInfo] = {}
    for name, tap in named.items():
        if tap.path not in numbers:
            infos[name] = LayerInfo(tap, unrecordable=why_uncalled(modules.get(tap.path)))
        for number in numbers.get(tap.path, ()):
            if tap.call in (None, number):
                several = tap.call is None and len(numbers[tap.path]) > 1
                one_call = replace(tap, call=number) if several else tap
                infos |= _by_key(f"{name}@{number}" if several else name, one_call, calls[Tap(tap.path, number)])
    return infos


def _by_key(name: str, tap: Tap, call: Call) -> dict[str, LayerInfo]:
    """The tensors of one call that a tap may mean, by name."""
    if not call.tensors:
        return {name: LayerInfo(tap, unrecordable="returns no floating-point tensor")}
    if tap.key is not None or len(call.tensors) == 1:
        found = [info for key, info in call.tensors.items() if tap.key in (None, key)]
        return {
            name: with_part(found[0], tap)
            if found
            else LayerInfo(tap, unrecordable=f"returns no {tap.key} in its {call.output_type}")
        }
    return {f"{name}[{key}]": with_part(info, replace(tap, key=key)) for key, info in call.tensors.items()}


def why_uncalled(module: nn.Module | None) -> str:
    """Why a module that a forward pass never calls cannot be recorded."""
    if module is None:
        return "is no module of the network"
    if isinstance(module, nn.ModuleList | nn.ModuleDict | nn.ParameterList | nn.ParameterDict):
        return f"is a {type(module).__name__}, a container that is never called itself"
    return "is never called in a forward pass"


def with_part(info: LayerInfo, tap: Tap) -> LayerInfo:
    """The layer of another tap at the same tensor, with the shape of that tap's part."""
    if info.unrecordable:
        return replace(info, tap=tap)
    kind = torch.complex64 if info.is_complex else torch.float32
    try:
        shape = as_real(tap.part(torch.empty(1, *info.shape, device="meta", dtype=kind))).shape[1:]
    except AudioMetamerError as error:
        return replace(info, tap=tap, unrecordable=f"cannot be recorded: {error}")
    return replace(info, tap=tap, shape=tuple(shape))
