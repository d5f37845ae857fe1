"""Fingerprints of functions and objects that callers pass, for records; the same in every process."""

import hashlib
from collections.abc import Iterator, Mapping
from functools import partial
from types import CodeType, FunctionType
from typing import Any

import numpy as np
from torch import Tensor, nn

_OURS = __package__.partition(".")[0]
_PLAIN = (type(None), bool, int, float, complex, str, bytes)


def fingerprint_of(value: Any) -> str:
    """The name of a function or class, with the start of a SHA-256 of its content unless it is a plain function of ours.

    Parameters
    ----------
    value : callable or object
        The content of a function is its code, its defaults, its closure, and the functions and numbers of its own module that it
        uses; that of an object is its class and its attributes, for a module also its weights.
    """
    name = getattr(value, "__name__", None) or type(value).__name__
    ours = isinstance(value, FunctionType) and _where(value) == _OURS
    if ours and value.__closure__ is None:
        return name
    digest = hashlib.sha256()
    for piece in _pieces(value, set()):
        digest.update(len(piece).to_bytes(8, "little") + piece)
    return f"{name} {digest.hexdigest()[:12]}"


def _where(value: Any) -> str:
    """The module that defines a function or class; for ours the package alone, since its modules may move."""
    package = value.__module__.partition(".")[0]
    return package if package == _OURS else value.__module__


def _pieces(value: Any, seen: set[int]) -> Iterator[bytes]:
    """The content of a value; each object once."""
    if isinstance(value, _PLAIN):
        yield repr(value).encode()
        return
    if id(value) in seen:
        return
    seen.add(id(value))
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
        yield from (value.__code__, value.__defaults__, value.__kwdefaults__)
        yield from (cell.cell_contents for cell in value.__closure__ or ())
        used = (value.__globals__.get(name) for name in value.__code__.co_names)
        yield from (v for v in used if isinstance(v, _PLAIN) or getattr(v, "__module__", "") == value.__module__)
    elif isinstance(value, partial):
        yield from (value.func, value.args, value.keywords)
    elif isinstance(value, type) or not (
        isinstance(value, Mapping | list | tuple | set | frozenset) or hasattr(value, "__dict__")
    ):
        yield getattr(value, "__qualname__", type(value).__qualname__)
    elif isinstance(value, Mapping):
        yield from (part for pair in sorted(value.items(), key=lambda pair: str(pair[0])) for part in pair)
    elif isinstance(value, set | frozenset):
        yield from sorted(value, key=str)
    elif isinstance(value, list | tuple):
        yield from value
    elif isinstance(value, nn.Module):
        yield from (_where(type(value)), type(value).forward, value.state_dict(), value.extra_repr())
    else:
        yield from (_where(type(value)), getattr(type(value), "__call__", None), vars(value))  # noqa: B004 (its code, not whether)
