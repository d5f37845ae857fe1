"""Hooks that record activations in one forward pass: where (taps), and what (tensors in whatever a module returns)."""

import difflib
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, fields, is_dataclass, replace
from itertools import count
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from audiometamer.errors import AudioMetamerError
from audiometamer.models.parts import Part

_PLACE = re.compile(r"(?P<path>[^@\[\]]*)(@(?P<call>\d+))?(\[(?P<key>[^\[\]]+(\]\[[^\[\]]+)*)\])?")


@dataclass(frozen=True)
class Tap:
    """A tensor that is recorded in a forward pass: a module, one of its calls, and a part of its output.

    Parameters
    ----------
    path : str
        Dotted name of a module.
    call : int or None
        Number of its call in one forward pass, from 0; None: the only one.
    key : str or None
        Item of the tuple, dict or dataclass that it returns, ``1.0`` for the first item of the second; None: the only tensor.
    part : Part
        Part of the tensor. Default: all.
    capture_input : bool
        Whether the module's input is recorded, not its output. Default False.
    """

    path: str
    call: int | None = None
    key: str | None = None
    part: Part = field(default_factory=Part)
    capture_input: bool = False

    @classmethod
    def parse(cls, text: str) -> "Tap":
        """The tap of ``path``, ``path@call``, ``path[key]`` or ``path@call[key]``, optionally with ``/`` and a `Part`."""
        whole, part = split_layer(text)
        found = _PLACE.fullmatch(whole)
        if found is None:
            raise AudioMetamerError(f"layer {text!r} is not of the form module, module@call, module[key] or module/part")
        call = None if found["call"] is None else int(found["call"])
        key = found["key"] and found["key"].replace("][", ".")
        return cls(found["path"], call, key, Part.parse(part.removeprefix("/")))

    def __str__(self) -> str:
        call = "" if self.call is None else f"@{self.call}"
        key = "" if self.key is None else f"[{self.key}]"
        return f"{self.path}{call}{key}{self.part}"

    def narrowed(self, part: str) -> "Tap":
        """The same tap with a further `Part`, such as ``/frames=0:10``; the tap itself for an empty text."""
        return replace(self, part=Part.parse(f"{self.part}{part}".removeprefix("/"))) if part else self

    def input_tap(self) -> "Tap":
        """The tap of the whole input of the same call."""
        return Tap(self.path, self.call, capture_input=True)


def split_layer(text: str) -> tuple[str, str]:
    """A layer's name, which may contain a ``/`` itself (``final/signal/word_int``), and its `Part` with the ``/``."""
    found = re.search(r"/\w+=", text)
    return (text[: found.start()], text[found.start() :]) if found else (text, "")


def split_place(text: str) -> tuple[str, str]:
    """A layer's name, and whatever follows: a call, a key, a `Part`."""
    whole, part = split_layer(text)
    found = re.search(r"[@\[]", whole)
    return (whole[: found.start()], whole[found.start() :] + part) if found else (whole, part)


class _AllRecorded(Exception):  # noqa: N818 (it is no error)
    """Ends the forward pass: everything asked for has been recorded."""


@dataclass
class _Recording:
    """The outputs of one forward pass, by layer."""

    taps: Mapping[str, Tap]
    stop_early: bool
    outputs: dict[str, Tensor] = field(default_factory=dict)

    def take(self, path: str, call: int, output: Any, *, capture_input: bool) -> None:
        for layer, tap in self.taps.items():
            if (tap.path, tap.capture_input) != (path, capture_input):
                continue
            if tap.call is None and call > 0:
                first = replace(tap, call=0)
                raise AudioMetamerError(f"layer {layer!r} is called several times in a forward pass; say which: {first}, …")
            if call != (tap.call or 0):
                continue
            tensor = _tensor_of(layer, output, tap.key)
            is_last = self.stop_early and len(self.outputs) == len(self.taps) - 1
            # Later modules may work in place; the last one has no later modules.
            self.outputs[layer] = tensor if is_last else tensor.clone()
        if self.stop_early and len(self.outputs) == len(self.taps):
            raise _AllRecorded


def record_taps(
    root: nn.Module,
    forward: Callable[[], Any],
    taps: Mapping[str, Tap],
    *,
    optional: Collection[str] = (),
    stop_early: bool = True,
) -> dict[str, Tensor]:
    """Run a forward pass of a module and return the complete tensors that some taps record.

    Parameters
    ----------
    root : Module
        Contains the modules that the taps name.
    forward : callable
        Runs the forward pass.
    taps : mapping of str to Tap
        The taps, by the names of the result.
    optional : collection of str
        Names that are left out if the forward pass does not reach them. Default: none.
    stop_early : bool
        Whether the forward pass ends after the last of the taps. Default True.

    Returns
    -------
    dict of str to Tensor

    Raises
    ------
    AudioMetamerError
        If a tap was not reached, or its module returns several tensors and no key selects one.
    """
    recording = _Recording(taps, stop_early)
    with ExitStack() as hooks:
        for path, capture_input in {(tap.path, tap.capture_input) for tap in taps.values()}:
            hooks.callback(_hook(root.get_submodule(path), path, recording, capture_input=capture_input).remove)
        with suppress(_AllRecorded):
            forward()
    if missed := [layer for layer in taps if layer not in recording.outputs and layer not in optional]:
        raise AudioMetamerError(f"the forward pass never reached {', '.join(missed)}")
    return {layer: recording.outputs[layer] for layer in taps if layer in recording.outputs}


def _hook(module: nn.Module, path: str, recording: _Recording, *, capture_input: bool) -> RemovableHandle:
    """Record a module's inputs or outputs, by the number of its call."""
    calls = count()

    def take(value: Any) -> None:
        recording.take(path, next(calls), value, capture_input=capture_input)

    if capture_input:
        return module.register_forward_pre_hook(lambda _, args, kwargs: take(first_input(args, kwargs)), with_kwargs=True)
    return module.register_forward_hook(lambda _module, _args, output: take(output))


def first_input(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """A module's input: its first argument, or else the first tensor among its keyword arguments; None if there is none."""
    return args[0] if args else next((value for value in kwargs.values() if isinstance(value, Tensor)), None)


@contextmanager
def traced(root: nn.Module, note: Callable[[Tap, Any], None]) -> Iterator[None]:
    """Call `note` with the output of every call of a submodule, and of the module itself, whose path is empty."""
    counts: Counter[str] = Counter()
    with ExitStack() as hooks:
        for path, module in root.named_modules(remove_duplicate=False):

            def hook(_module: nn.Module, _args: Any, output: Any, path: str = path) -> None:
                note(Tap(path, counts[path]), output)
                counts[path] += 1

            hooks.callback(module.register_forward_hook(hook).remove)
        yield


def flattened(output: Any) -> dict[str, Tensor]:
    """All floating-point and complex tensors in an output, at any depth, by key: ``1.0`` for the first item of the second.

    A tensor that is the whole output has the key "".
    """
    if isinstance(output, Tensor):
        return {"": output} if output.is_floating_point() or output.is_complex() else {}
    return {
        f"{key}.{inner}" if inner else key: tensor
        for key, value in _items(output).items()
        for inner, tensor in flattened(value).items()
    }


def _items(output: Any) -> dict[str, Any]:
    """The items of a tuple, list, mapping or dataclass by key; empty for anything else."""
    if isinstance(output, Mapping):
        return {str(key): value for key, value in output.items()}
    if isinstance(output, (tuple, list)):
        return {str(key): value for key, value in enumerate(output)}
    if is_dataclass(output) and not isinstance(output, type):
        return {each.name: getattr(output, each.name) for each in fields(output)}
    return {}


def describe_type(output: Any) -> str:
    """The type of a module's output, in words."""
    return "tensor" if isinstance(output, Tensor) else f"{type(output).__name__} of {len(_items(output))}"


def chosen_key(layer: str, form: str, keys: Collection[str], key: str | None) -> str:
    """The key of the tensor that a layer means: the one it names, the only one, or the only one that is not nested.

    Raises
    ------
    AudioMetamerError
        If there is no such tensor, or there are several and the layer selects none.
    """
    outer = [each for each in keys if "." not in each]
    if key is None and (len(keys) == 1 or len(outer) == 1):
        return outer[0] if outer else next(iter(keys))
    if key is not None and key in keys:
        return key
    if "" in keys:
        raise AudioMetamerError(f"layer {layer!r}: the module returns one tensor, not a tuple or dict")
    base = layer.split("[")[0]
    choices = ", ".join(f"{base}[{k}]" for k in keys) or "it holds no floating-point tensor"
    raise AudioMetamerError(f"layer {layer!r} returns a {form}; say which: {choices}")


def unknown_layer(layer: str, known: Iterable[str], *, where: str) -> AudioMetamerError:
    """The error for a layer that does not exist, with the nearest names that do."""
    names = list(known)
    near = difflib.get_close_matches(layer, names, n=5, cutoff=0.4) or names[:10]
    return AudioMetamerError(f"{where} has no layer {layer!r}; the nearest are {', '.join(near)}")


def _tensor_of(layer: str, output: Any, key: str | None) -> Tensor:
    """The tensor that a tap means, in whatever a module returned or received."""
    tensors = flattened(output)
    return tensors[chosen_key(layer, describe_type(output), tensors, key)]
