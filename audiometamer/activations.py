"""Record activations: hooks on named places, and a forward pass that ends after the last of them."""

import difflib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from audiometamer.errors import AudioMetamerError
from audiometamer.parts import Part

_LAYER = re.compile(r"(?P<path>[^@\[\]/]*)(@(?P<call>\d+))?(\[(?P<key>[^\]]+)\])?(/(?P<part>.+))?")


@dataclass(frozen=True)
class Tap:
    """A place whose output is recorded.

    Parameters
    ----------
    path : str
        Dotted name of a module.
    call : int or None
        Which of its calls in one forward pass, from 0; None: the only one.
    key : str or None
        Which item of a tuple or dict that it returns; None: the only tensor.
    part : Part
        What of it is meant. Default: all.
    given : bool
        Whether what the module was given is meant, not what it returns. Default False.
    """

    path: str
    call: int | None = None
    key: str | None = None
    part: Part = field(default_factory=Part)
    given: bool = False

    @classmethod
    def parse(cls, text: str) -> "Tap":
        """``path``, ``path@call``, ``path[key]`` or ``path@call[key]``, each perhaps with ``/`` and a `Part`."""
        found = _LAYER.fullmatch(text)
        if found is None:
            raise AudioMetamerError(f"layer {text!r} is not of the form module, module@call, module[key] or module/part")
        call = None if found["call"] is None else int(found["call"])
        return cls(found["path"], call, found["key"], Part.parse(found["part"] or ""))

    def before(self) -> "Tap":
        """All of what the same module is given in the same call."""
        return Tap(self.path, self.call, given=True)


def split_layer(text: str) -> tuple[str, str]:
    """A layer's name, and what follows of a `Part`, from its ``/`` on."""
    found = re.search(r"/\w+=", text)
    return (text[: found.start()], text[found.start() :]) if found else (text, "")


def split_place(text: str) -> tuple[str, str]:
    """A layer's name, and what follows of a call, a key or a `Part`."""
    whole, part = split_layer(text)
    found = re.search(r"[@\[]", whole)
    return (whole[: found.start()], whole[found.start() :] + part) if found else (whole, part)


class _AllRecorded(Exception):  # noqa: N818 (it is no error)
    """Ends the forward pass: everything asked for has been recorded."""


@dataclass
class _Recording:
    """The outputs of one forward pass, by layer."""

    taps: Mapping[str, Tap]
    outputs: dict[str, Tensor] = field(default_factory=dict)

    def take(self, path: str, call: int, output: Any, *, given: bool) -> None:
        for layer, tap in self.taps.items():
            if (tap.path, tap.call or 0, tap.given) != (path, call, given):
                continue
            tensor = _tensor_of(layer, output, tap.key)
            is_last = len(self.outputs) == len(self.taps) - 1
            # Later modules may work in place; the last one has no later modules.
            self.outputs[layer] = tensor if is_last else tensor.clone()
        if len(self.outputs) == len(self.taps):
            raise _AllRecorded


def record_taps(root: nn.Module, forward: Callable[[], Any], taps: Mapping[str, Tap]) -> dict[str, Tensor]:
    """Run a forward pass of a module and return the whole outputs of some of its places; it stops after the last one.

    Parameters
    ----------
    root : Module
        Holds the modules that the taps name.
    forward : callable
        Runs the forward pass.
    taps : mapping of str to Tap
        By the name to return it under.

    Returns
    -------
    dict of str to Tensor

    Raises
    ------
    AudioMetamerError
        If a place was not reached, or returns no single tensor and no key says which.
    """
    recording = _Recording(taps)
    with ExitStack() as hooks:
        for path, given in {(tap.path, tap.given) for tap in taps.values()}:
            hooks.callback(_hook(root.get_submodule(path), path, recording, given=given).remove)
        try:
            forward()
        except _AllRecorded:
            return {layer: recording.outputs[layer] for layer in taps}
    missed = [layer for layer in taps if layer not in recording.outputs]
    raise AudioMetamerError(f"the forward pass never came to {', '.join(missed)}")


def _hook(module: nn.Module, path: str, recording: _Recording, *, given: bool) -> RemovableHandle:
    """From now on, what a module is given, or what it returns, is recorded by the number of its call."""
    calls = count()

    def take(value: Any) -> None:
        recording.take(path, next(calls), value, given=given)

    if given:
        return module.register_forward_pre_hook(lambda _module, args: take(args[0] if args else None))
    return module.register_forward_hook(lambda _module, _args, output: take(output))


def calls_in_order(root: nn.Module, forward: Callable[[], Any]) -> list[Tap]:
    """Every call of a submodule in one forward pass, by dotted name and number, in the order in which they end."""
    calls: list[Tap] = []
    counts: Counter[str] = Counter()
    with ExitStack() as hooks:
        for path, module in root.named_modules(remove_duplicate=False):
            if path:

                def hook(*_: Any, path: str = path) -> None:
                    calls.append(Tap(path, counts[path]))
                    counts[path] += 1

                hooks.callback(module.register_forward_hook(hook).remove)
        forward()
    return calls


def unknown_layer(layer: str, known: Iterable[str], *, where: str) -> AudioMetamerError:
    """The error for a layer that is not there, with the nearest names that are."""
    names = list(known)
    near = difflib.get_close_matches(layer, names, n=5, cutoff=0.4) or names[:10]
    return AudioMetamerError(f"{where} has no layer {layer!r}; the nearest are {', '.join(near)}")


def _tensor_of(layer: str, output: Any, key: str | None) -> Tensor:
    """The tensor that a tap means, out of whatever a module returned."""
    if isinstance(output, Tensor):
        if key is not None:
            raise AudioMetamerError(f"layer {layer!r}: the module returns one tensor, not a tuple or dict")
        return output
    items: dict[str, Any] = {}
    if isinstance(output, Mapping):
        items = {str(k): v for k, v in output.items()}
    elif isinstance(output, (tuple, list)):
        items = {str(k): v for k, v in enumerate(output)}
    tensors = {k: v for k, v in items.items() if isinstance(v, Tensor)}
    if key is None and len(tensors) == 1:
        return next(iter(tensors.values()))
    if key in tensors:
        return tensors[str(key)]
    base = layer.split("[")[0]
    choices = ", ".join(f"{base}[{k}]" for k in tensors) or "none of its items is a tensor"
    raise AudioMetamerError(f"layer {layer!r} returns a {type(output).__name__} of {len(items)}; say which: {choices}")
