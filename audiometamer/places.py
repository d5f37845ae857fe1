"""Which places of a model can be recorded: found by forward passes, not by the names of its modules."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from audiometamer.activations import Outline, Tap, Trace
from audiometamer.complex_values import as_real
from audiometamer.errors import AudioMetamerError


@dataclass(frozen=True)
class Place:
    """A tensor that a call of a module returns.

    Parameters
    ----------
    tap : Tap
        The module, the number of the call and the key of the tensor; with the part that is meant.
    shape : tuple of int
        Shape of one signal's activations; empty if it cannot be recorded.
    batch : int
        Which of the tensor's dimensions is the batch; it is moved to the front.
    items : int
        How many rows of the batch each signal has.
    is_complex : bool
        Whether its values are complex; they are recorded as pairs of real ones, and `shape` says so.
    detached : bool
        Whether no gradient passes from it to the signal: it can be recorded, but not matched.
    unfit : str
        Why it cannot be recorded; empty if it can.
    """

    tap: Tap
    shape: tuple[int, ...] = ()
    batch: int = 0
    items: int = 1
    is_complex: bool = False
    detached: bool = False
    unfit: str = ""

    @property
    def left_out(self) -> str:
        """Why a model does not list it; empty if it does."""
        return self.unfit or ("passes no gradient to the signal" if self.detached else "")

    def of_each_signal(self, output: Tensor, batch: int) -> Tensor:
        """What was returned for a batch of signals as their real activations, [shape=(batch, ...)]; the part that is meant.

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
    """A call of a module: what it returns in words, and the places in that by key, see `audiometamer.activations.flattened`."""

    form: str
    places: dict[str, Place]


Calls = dict[Tap, Call]


def own_layers(network: nn.Module) -> dict[str, str] | None:
    """The names that a network gives to its places, its attribute `layers`; None unless that maps names to names."""
    own = getattr(network, "layers", None)
    if not isinstance(own, Mapping) or not all(isinstance(text, str) for pair in own.items() for text in pair):
        return None
    return dict(own)


def calls_in(one: Trace, two: Trace, *, items: int = 1) -> Calls:
    """Every call of a module, in the order in which they end.

    Parameters
    ----------
    one, two : Trace
        Traces of forward passes of one signal and of two, with gradients.
    items : int
        How many rows of the batch each signal may have; see `audiometamer.Model`. Default 1.
    """
    calls: Calls = {}
    for call, returned in two.items():
        alone = one[call].tensors if call in one else {}
        tensors = returned.tensors.items()
        calls[call] = Call(returned.form, {key: _place(call, key or None, alone.get(key), both, items) for key, both in tensors})
    return calls


def _place(call: Tap, key: str | None, one: Outline | None, two: Outline, items: int) -> Place:
    tap = Tap(call.path, call.call, key)
    if one is None:
        return Place(tap, unfit="is not returned for every number of signals")
    if 0 in one.shape:
        return Place(tap, unfit=f"is empty: its shape is {one.shape}")
    if one.shape == two.shape:
        return Place(tap, unfit=f"has shape {one.shape} for any number of signals: it holds no batch")
    changed = [d for d, (alone, both) in enumerate(zip(one.shape, two.shape, strict=False)) if alone != both]
    if len(one.shape) != len(two.shape) or len(changed) > 1 or two.shape[changed[0]] != 2 * one.shape[changed[0]]:
        return Place(tap, unfit=f"has shape {one.shape} for one signal and {two.shape} for two: its batch is not found")
    (batch,), rows = changed, one.shape[changed[0]]
    rest = (*one.shape[:batch], *one.shape[batch + 1 :])
    if rows == 1:
        return Place(tap, rest, batch, is_complex=two.is_complex, detached=not two.attached)
    if rows == items and batch == 0:
        return Place(tap, (items, *rest), items=items, is_complex=two.is_complex, detached=not two.attached)
    return Place(
        tap,
        unfit=f"has shape {one.shape} for one signal, {rows} rows for each in dimension {batch}; if its first dimension holds "
        "several items of each signal, the network needs an attribute items_per_signal",
    )


def expanded(named: Mapping[str, Tap], calls: Calls, modules: Mapping[str, nn.Module]) -> dict[str, Place]:
    """Places under their names: ``name@k`` and ``name[key]`` where a name stands for several calls or tensors.

    Parameters
    ----------
    named : mapping of str to Tap
    calls : mapping of Tap to Call
        See `calls_in`.
    modules : mapping of str to Module
        By dotted name.
    """
    numbers: dict[str, list[int]] = {}
    for call in calls:
        numbers.setdefault(call.path, []).append(call.call or 0)
    places: dict[str, Place] = {}
    for name, tap in named.items():
        if tap.path not in numbers:
            places[name] = Place(tap, unfit=uncalled(modules.get(tap.path)))
        for number in numbers.get(tap.path, ()):
            if tap.call in (None, number):
                several = tap.call is None and len(numbers[tap.path]) > 1
                one_call = replace(tap, call=number) if several else tap
                places |= _by_key(f"{name}@{number}" if several else name, one_call, calls[Tap(tap.path, number)])
    return places


def _by_key(name: str, tap: Tap, call: Call) -> dict[str, Place]:
    """The places of one call, of those that a tap may mean."""
    if not call.places:
        return {name: Place(tap, unfit="returns no floating-point tensor")}
    if tap.key is not None or len(call.places) == 1:
        found = [place for key, place in call.places.items() if tap.key in (None, key)]
        return {name: part_of(found[0], tap) if found else Place(tap, unfit=f"returns no {tap.key} in its {call.form}")}
    return {f"{name}[{key}]": part_of(place, replace(tap, key=key)) for key, place in call.places.items()}


def uncalled(module: nn.Module | None) -> str:
    """Why a module that a forward pass never calls cannot be recorded."""
    if module is None:
        return "is no module of the network"
    if isinstance(module, nn.ModuleList | nn.ModuleDict | nn.ParameterList | nn.ParameterDict):
        return f"is a {type(module).__name__}, a container that is never called itself"
    return "is never called in a forward pass"


def part_of(place: Place, tap: Tap) -> Place:
    """A place under another tap of it, with the part that this means."""
    if place.unfit:
        return replace(place, tap=tap)
    kind = torch.complex64 if place.is_complex else torch.float32
    try:
        shape = as_real(tap.part(torch.empty(1, *place.shape, device="meta", dtype=kind))).shape[1:]
    except AudioMetamerError as error:
        return replace(place, tap=tap, unfit=f"cannot be recorded: {error}")
    return replace(place, tap=tap, shape=tuple(shape))
