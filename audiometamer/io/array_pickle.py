"""Read pickles of plain values whose arrays stay arrays, and records of pandas become mappings, without running anything."""

import math
import pickle
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiometamer.io.plain_pickle import NUMPY_VALUES, PLAIN_TYPE, PlainUnpickler, StoredType, as_bytes, read_plain_pickle

_PLAIN_OR_OBJECTS = re.compile(rf"{PLAIN_TYPE.pattern}|O[48]")


def read_array_pickle(path: Path) -> Any:
    """Read a pickle of plain values as `read_plain_pickle`, but keep arrays, which may be many and large: see `StoredArray`.

    Classes and functions of pandas are not imported: their place is taken by `Inert` objects, see `record_of`.

    Raises
    ------
    OSError
        If the file cannot be opened.
    AudioMetamerError
        If it is not a pickle, or contains anything else.
    """
    return read_plain_pickle(path, reader=_ArrayUnpickler)


class Inert:
    """Stands for an object that is not made: keeps what the pickle would have made it of.

    Parameters
    ----------
    *made_of : object
        Arguments; the object's state is appended.
    """

    def __new__(cls, *made_of: Any) -> "Inert":
        self = super().__new__(cls)
        self.__dict__["made_of"] = made_of
        return self

    def __setstate__(self, state: Any) -> None:
        self.__dict__["made_of"] += (state,)


def record_of(value: Any, required: Sequence[str]) -> dict[str, Any]:
    """A mapping as it is; of a `Series` of pandas that was not made, its values by label.

    The layout of its pickle differs between versions of pandas, but labels and values are arrays of the same length.

    Parameters
    ----------
    value : object
    required : sequence of str
        Labels that it must have, by which the array of labels is known.

    Returns
    -------
    dict
        Empty if it is neither.

    Examples
    --------
    >>> record_of({"word": "about", "sr": 20000}, ["word"])
    {'word': 'about', 'sr': 20000}
    """
    if isinstance(value, dict):
        return value
    arrays = [array.ravel() for array in _arrays(value)] if isinstance(value, Inert) else []
    for labels in arrays:
        if {*required} <= {label for label in labels.tolist() if isinstance(label, str)}:
            values = [array for array in arrays if array is not labels and array.shape == labels.shape]
            values = [array for array in values if array.tolist() != labels.tolist()]  # pandas may store the labels twice
            values.sort(key=lambda array: array.dtype != object)  # rather than the places of blocks
            return dict(zip(labels.tolist(), values[0].tolist(), strict=True)) if values else {}
    return {}


def _arrays(value: Any) -> Iterator[NDArray[Any]]:
    """The arrays of an object that was not made, each once, in the order of the pickle."""
    found, seen, left = [], set(), [value]
    while left:
        each = left.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, StoredArray):
            found.append(each.array)
        elif isinstance(each, Inert):
            left += each.__dict__["made_of"]
        elif isinstance(each, dict):
            left += each.values()
        elif isinstance(each, list | tuple):
            left += each
    yield from found


class _TypeOrObjects(StoredType):
    """As `StoredType`; also the type of arrays of objects, which are plain values in their turn."""

    allowed = _PLAIN_OR_OBJECTS


class StoredArray:
    """An array of numpy as a pickle holds it; `numpy.asarray` gives the array, and indexing its rows.

    Not an array itself: numpy would crash on broken states of arrays of objects.
    """

    def __init__(self, *_: Any) -> None:
        self.array: NDArray[Any] = np.zeros(0)

    def __setstate__(self, state: Sequence[Any]) -> None:
        _version, shape, kind, column_major, data = state
        self.array = _array(data, kind, shape, "F" if column_major else "C")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.array, dtype, copy=True) if copy else np.asarray(self.array, dtype)

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, index: int) -> Any:
        return self.array[index]


def _array(data: Any, kind: StoredType, shape: Sequence[int], order: Any = "C") -> NDArray[Any]:
    if not kind.dtype.hasobject:
        flat = np.frombuffer(as_bytes(data), kind.dtype) if math.prod(shape) else np.zeros(0, kind.dtype)
    elif isinstance(data, list):
        flat = np.fromiter(data, object, len(data))
    else:
        raise pickle.UnpicklingError("an array of objects holds no list")
    return flat.reshape(shape, order=order)


def _from_buffer(*state: Any) -> StoredArray:
    stored = StoredArray()
    stored.array = _array(*state)
    return stored


_ARRAYS: dict[str, Callable[..., Any]] = {"numpy.dtype": _TypeOrObjects, "numpy.ndarray": StoredArray}
_ARRAYS |= {name: StoredArray for name in NUMPY_VALUES if name.endswith("._reconstruct")}
_ARRAYS |= {name: _from_buffer for name in NUMPY_VALUES if name.endswith("._frombuffer")}


class _ArrayUnpickler(PlainUnpickler):
    """Reads plain values, arrays of numpy, and in place of pandas' objects what they would be made of."""

    makers = PlainUnpickler.makers | _ARRAYS

    def find_class(self, module: str, name: str) -> Any:
        is_slice = module in ("builtins", "__builtin__") and name == "slice"  # where pandas' blocks belong
        if is_slice or module.partition(".")[0] == "pandas":
            return type("Inert", (Inert,), {})  # new each time: a pickle could set attributes of a shared one
        return super().find_class(module, name)
