"""Fingerprints of functions and objects that callers pass, for records: the same in every process."""

import hashlib
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pickle import PicklingError
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    MethodDescriptorType,
    MethodType,
    MethodWrapperType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any

import numpy as np
from torch import Tensor, nn

from audiometamer.errors import AudioMetamerError

_OURS = __package__.partition(".")[0]
_PLAIN = (type(None), bool, int, float, complex, str, bytes)
# These are what their names say.
_NAMED_CONTENT = (type, BuiltinFunctionType, MethodDescriptorType, MethodWrapperType, WrapperDescriptorType, np.ufunc)
_PROCESS = secrets.token_hex(4)
_UNKNOWN = " of unknown content "


@dataclass(frozen=True)
class Named:
    """A function under a name that stands for its content; see `named`."""

    function: Callable[..., Any]
    name: str

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)


def named(function: Callable[..., Any], *, name: str) -> Named:
    """Give a function a name by which records identify it.

    Needed where its content cannot be read, as that of compiled functions: synthesis could not be resumed otherwise. Whoever
    changes the function must change the name.

    Parameters
    ----------
    function : callable
        Such as a loss.
    name : str

    Raises
    ------
    AudioMetamerError
        If it is no function, or the name is empty.
    """
    if not callable(function):
        raise AudioMetamerError(f"{function!r} is no function, and cannot be named {name!r}")
    if not isinstance(name, str) or not name.strip():
        raise AudioMetamerError(f"a name is {name!r}; it must not be empty")
    return Named(function, name)


class _UnknownContentError(Exception):
    """An object does not show its content."""


def fingerprint_of(value: Any) -> str:
    """The name of a function or class; with the start of a SHA-256 of its content, unless it is a plain function of ours.

    Parameters
    ----------
    value : callable or object
        The content of a function is its code, its defaults, its closure, and the functions and values of its own module that it
        uses; that of an object is its class with the methods of its own module, and its attributes, for a module of torch also
        its weights. What other modules define counts by name. A `Named` function is identified by its name.

    Returns
    -------
    str
        If the content is unknown, a text that no other process gives; see `is_known`.
    """
    if isinstance(value, Named):
        return f"named {value.name}"
    name = getattr(value, "__name__", None) or type(value).__name__
    if isinstance(value, FunctionType) and _is_ours(value) and value.__closure__ is None:
        return name
    digest = hashlib.sha256()
    try:
        for piece in _pieces(value, {}):
            digest.update(len(piece).to_bytes(8, "little") + piece)
    except _UnknownContentError:
        return f"{name}{_UNKNOWN}{_PROCESS}-{id(value):x}"
    return f"{name} {digest.hexdigest()[:12]}"


def is_known(fingerprint: str) -> bool:
    """Whether a fingerprint stands for the content of what it was taken of, and is the same in every process."""
    return _UNKNOWN not in fingerprint


def _is_ours(value: Any) -> bool:
    return bool(value.__module__.partition(".")[0] == _OURS)


def _where(value: Any) -> str:
    """The module that defines a function or class; of ours without the rooms, between which modules may move."""
    return f"{_OURS}.{value.__module__.rpartition('.')[2]}" if _is_ours(value) else str(value.__module__)


def _pieces(value: Any, seen: dict[int, Any]) -> Iterator[bytes]:
    """The parts of a value; each object once."""
    if isinstance(value, _PLAIN):
        yield repr(value).encode()
        return
    if id(value) in seen:
        return
    # Kept alive, or another object could get its address; not tuples, so that fingerprints of version 0.1 are found again.
    seen[id(value)] = None if isinstance(value, tuple) else value
    yield type(value).__qualname__.encode()
    for part in _parts(value):
        if isinstance(part, bytes):
            yield part
        else:
            yield from _pieces(part, seen)


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, Tensor | np.ndarray):
        array = np.asarray(value.detach().cpu() if isinstance(value, Tensor) else value)
        yield from (str(array.dtype), array.shape, np.ascontiguousarray(array).tobytes())
    elif isinstance(value, CodeType):
        yield from (value.co_code, value.co_names, value.co_varnames, value.co_consts)
    elif isinstance(value, FunctionType):
        yield from _parts_of_function(value)
    elif isinstance(value, MethodType):
        yield from (value.__func__, value.__self__)
    elif isinstance(value, partial):
        yield from (value.func, value.args, value.keywords)
    elif isinstance(value, _NAMED_CONTENT):
        yield getattr(value, "__qualname__", getattr(value, "__name__", ""))
        if isinstance(value, BuiltinFunctionType) and not isinstance(value.__self__, ModuleType | type(None)):
            yield value.__self__
    elif isinstance(value, Mapping):
        yield from (part for pair in sorted(value.items(), key=lambda pair: str(pair[0])) for part in pair)
    elif isinstance(value, set | frozenset):
        yield from sorted(value, key=str)
    elif isinstance(value, list | tuple):
        yield from value
    elif isinstance(value, nn.Module):
        yield from _parts_of_module(value)
    elif hasattr(value, "__dict__"):
        yield from (_where(type(value)), getattr(type(value), "__call__", None), vars(value))  # noqa: B004 (its code, not whether)
        yield from _own_methods(type(value))
    else:
        yield from _reduced(value)


def _parts_of_function(function: FunctionType) -> Iterator[Any]:
    yield from (function.__code__, function.__defaults__, function.__kwdefaults__)
    yield from (cell.cell_contents for cell in function.__closure__ or ())
    used = (function.__globals__.get(name) for name in function.__code__.co_names)
    for value in used:
        elsewhere = getattr(value, "__module__", function.__module__) != function.__module__
        defined = isinstance(value, FunctionType | type | BuiltinFunctionType | ModuleType)
        if not (defined and elsewhere) and not isinstance(value, ModuleType):
            yield value


def _parts_of_module(module: nn.Module) -> Iterator[Any]:
    """The content of a torch module: code and options of all its parts, and its weights."""
    for path, part in module.named_modules():
        if isinstance(getattr(type(part), "forward", None), FunctionType):
            options = {name: option for name, option in vars(part).items() if not name.startswith("_") and name != "training"}
            yield from (path, _where(type(part)), type(part).forward, options)
        else:
            raise _UnknownContentError
    yield module.state_dict()


def _own_methods(kind: type) -> Iterator[Any]:
    """The methods of a class, and of those that it is derived from, in its own module; none of ours, which versions say."""
    if _is_ours(kind):
        return
    for each in kind.__mro__:
        if each.__module__ == kind.__module__:
            functions = {name: getattr(v, "__func__", getattr(v, "fget", v)) for name, v in vars(each).items()}
            yield {name: v for name, v in functions.items() if isinstance(v, FunctionType) and name != "__call__"}


def _reduced(value: Any) -> Iterator[Any]:
    """The state by which an object without attributes is copied, if it can be."""
    try:
        reduced = value.__reduce_ex__(2)
    except (TypeError, RuntimeError, PicklingError) as error:
        raise _UnknownContentError from error
    yield from [reduced] if isinstance(reduced, str) else [reduced[0], list(reduced[1]), *reduced[2:3]]
