"""Read pickles of plain values (containers, numbers, text, numpy's too) without running anything that they name."""

import io
import math
import pickle
import pickletools
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from audiometamer.errors import AudioMetamerError, first_line
from audiometamer.io.reading import read_file_bytes

# What `pickle` is known to raise on broken files; its documentation gives no complete list.
_BROKEN = (
    pickle.UnpicklingError,
    EOFError,
    AttributeError,
    ImportError,
    LookupError,
    TypeError,
    ValueError,
    OverflowError,
    MemoryError,
)
_HASHING = frozenset({"SETITEM", "SETITEMS", "ADDITEMS", "FROZENSET", "DICT", "REDUCE"})
_MAX_GAP = 1_000_000  # numbers of remembered values that are left out
_MAX_HASHED = 20_000_000  # items of tuples in all keys together: about a second
PLAIN_TYPE = re.compile(r"b1|[iu][1248]|f[248]|[SU]\d{1,9}")


def read_plain_pickle(path: Path, *, reader: "type[PlainUnpickler] | None" = None) -> Any:
    """Read a pickle; numbers and text of numpy become those of Python, its arrays lists.

    Parameters
    ----------
    path : path
    reader : type, optional
        A more permissive reader. Default: `PlainUnpickler`.

    Raises
    ------
    OSError
        If the file cannot be opened.
    AudioMetamerError
        If it is not a pickle, or contains anything but plain values.
    """
    content = read_file_bytes(path)
    file = io.BytesIO(content)
    try:
        check_hash_cost(file)
        return (reader or PlainUnpickler)(io.BytesIO(content[: file.tell()])).load()
    except _BROKEN as error:
        raise AudioMetamerError(f"{path} is not a pickle that can be read: {first_line(error)}") from error


def check_hash_cost(file: BinaryIO) -> None:
    """Raise if the keys of a pickle would take too long to hash; leaves the file where the pickle ends or is broken.

    Also if it numbers the values that it refers to so high that the table of them would not fit in memory.

    A tuple that contains another one twice, which contains another one twice, and so on, takes a few bytes per level, and
    hashing time that doubles with each. The stack is simulated with the number of items in place of each value.

    Raises
    ------
    pickle.UnpicklingError
        If there is such a key or number.
    """
    try:
        _follow(_operations(file))
    except pickle.UnpicklingError:
        raise
    except _BROKEN:
        pass  # reading it raises the error again, with a message


def _operations(file: BinaryIO) -> Iterator[tuple[str, Any, Sequence[Any], Sequence[Any]]]:
    """Opcodes: their names, arguments, and what they pop from and push onto the stack."""
    while True:
        try:
            for code, argument, _ in pickletools.genops(file):
                yield code.name, argument, code.stack_before, code.stack_after
            return
        except UnicodeDecodeError:  # Python 2 stores text as bytes; the next opcode follows
            yield "STRING", None, (), (pickletools.anyobject,)


def _follow(operations: Iterable[tuple[str, Any, Sequence[Any], Sequence[Any]]]) -> None:
    stack: list[int | None] = []  # None: a mark
    memo: dict[int, int | None] = {}
    total = 0
    for name, argument, before, after in operations:
        if name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            place = len(memo) if argument is None else argument
            if place > len(memo) + _MAX_GAP:  # the table of remembered values is as long as its largest number
                raise pickle.UnpicklingError(f"it remembers {len(memo)} values and numbers one {place}")
            memo[place] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name == "DUP":
            stack.append(stack[-1])
        elif name == "MARK":
            stack.append(None)
        else:
            taken = _taken(stack, before)
            cost = 1 + sum(taken) if name.startswith("TUPLE") else 1
            total += sum(taken) if name in _HASHING else 0
            if max(cost, total) > _MAX_HASHED:
                raise pickle.UnpicklingError("its keys are tuples of tuples without end")
            stack += [cost] * len(after)


def _taken(stack: list[int | None], before: Sequence[Any]) -> list[int]:
    """Pop what an opcode takes from the stack."""
    taken: list[int] = []
    if pickletools.stackslice in before:
        while (item := stack.pop()) is not None:
            taken.append(item)
    n_others = sum(kind not in (pickletools.stackslice, pickletools.markobject) for kind in before)
    return taken + [stack.pop() or 0 for _ in range(n_others)]


class StoredType:
    """Stands for a numpy.dtype while it is read."""

    allowed = PLAIN_TYPE

    def __init__(self, code: str, *_: Any) -> None:
        if not self.allowed.fullmatch(code):
            raise pickle.UnpicklingError(f"it holds values of numpy's type {code!r}, and only plain numbers and text are read")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: Sequence[Any]) -> None:
        _version, order, *of_parts = state[:5]
        if any(part is not None for part in of_parts):
            raise pickle.UnpicklingError(
                "it holds values of a structured type of numpy, and only plain numbers and text are read"
            )
        self.dtype = self.dtype.newbyteorder(order)


class _Array(list[Any]):
    """Stands for a numpy.ndarray: its values as nested lists."""

    def __setstate__(self, state: Sequence[Any]) -> None:
        _version, shape, kind, column_major, data = state
        self[:] = _values(data, kind, shape, "F" if column_major else "C")


def _values(data: Any, kind: StoredType, shape: Sequence[int], order: Any = "C") -> list[Any]:
    if math.prod(shape) == 0:
        return []
    values = np.frombuffer(as_bytes(data), kind.dtype).reshape(shape, order=order).tolist()
    return values if shape else [values]


def _scalar(kind: StoredType, data: Any) -> Any:
    (value,) = _values(data, kind, ())
    return value


def _empty_array(*_: Any) -> _Array:
    return _Array()


def as_bytes(data: Any) -> bytes:
    """The content of stored bytes, or of text in which Python 2 stored them."""
    return data.encode("utf-8", "surrogateescape") if isinstance(data, str) else bytes(memoryview(data))


def _encoded(text: str, encoding: str) -> bytes:
    """Bytes as protocols before 3 write them."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it encodes text as {encoding!r}")
    return text.encode(encoding)


def _no_bytes() -> bytes:
    return b""


# Names in pickles of plain values, as Python 2 or 3 and numpy 1 or 2 spell them (sets and bytes only in older protocols).
_BUILTINS, _CORES = ("builtins", "__builtin__"), ("numpy.core", "numpy._core")
_TYPES: dict[tuple[str, str], type] = {
    ("collections", "OrderedDict"): OrderedDict,
    **{(module, kind.__name__): kind for module in _BUILTINS for kind in (set, frozenset)},
}
NUMPY_VALUES: dict[str, Callable[..., Any]] = {
    "numpy.dtype": StoredType,
    "numpy.ndarray": _Array,  # only named beside _reconstruct
    **{f"{core}.multiarray.scalar": _scalar for core in _CORES},
    **{f"{core}.multiarray._reconstruct": _empty_array for core in _CORES},
    **{f"{core}.numeric._frombuffer": _values for core in _CORES},
}
_MAKERS: dict[str, Callable[..., Any]] = {
    "_codecs.encode": _encoded,
    **{f"{module}.bytes": _no_bytes for module in _BUILTINS},
    **NUMPY_VALUES,
}


class PlainUnpickler(pickle.Unpickler):
    """Reads plain values, and refuses every other name that a pickle could import and call.

    Of numpy, only the conversion of bytes, of a checked type and number, is called with content of the file.
    """

    makers = _MAKERS

    def __init__(self, file: Any) -> None:
        super().__init__(file, encoding="utf-8", errors="surrogateescape")  # Python 2 stores text as bytes

    def find_class(self, module: str, name: str) -> Any:
        if kind := _TYPES.get((module, name)):
            return kind
        if make := self.makers.get(f"{module}.{name}"):
            return lambda *values: make(*values)  # new each time: a pickle could set attributes of a shared one
        raise pickle.UnpicklingError(f"it asks for {module + '.' + name!r}, and only plain containers and scalars are read")
