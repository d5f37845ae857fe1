"""Names of classes in a file: a plain list, TOML or JSON, or the pickle that was published with the networks."""

import os
import pickle
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from audiometamer.errors import AudioMetamerError, first_line

_NUMBERED = re.compile(r"(?P<task>\w+)_idx_to_(?P=task)")

# What `pickle` is known to raise on broken files; it promises no complete list.
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


def read_label_file(path: str | os.PathLike[str]) -> dict[str, list[str]]:
    """Names of classes, in order, by task.

    Parameters
    ----------
    path : path
        By its ending: ``.toml`` or ``.json`` with a list for each task; ``.pckl``, ``.pkl`` or ``.pickle``, the published file, a
        dict that holds a dict of numbers to names as ``word_idx_to_word`` and so on for each task; any other is a text with one
        name on each line, of the task ``word``.

    Raises
    ------
    AudioMetamerError
        If the file cannot be read or holds something else; if a number below the highest has no name; or if a pickle asks for
        anything but plain containers and scalars, which is refused before it can run.
    """
    path = Path(path)
    read = _READERS.get(path.suffix.lower(), _lines)
    try:
        return read(path)
    except (OSError, UnicodeDecodeError, msgspec.MsgspecError, ValueError) as error:
        raise AudioMetamerError(f"{path} is not a list of labels: {first_line(error)}") from error


def read_groups(path: str | os.PathLike[str]) -> dict[str, str]:
    """Coarser classes: a group by label, from a TOML file with a list of labels for each group (``dog = ["beagle", "pug"]``).

    Raises
    ------
    AudioMetamerError
        If the file is something else, or puts a label in two groups.
    """
    path = Path(path)
    try:
        groups = _toml(path)
    except (OSError, UnicodeDecodeError, msgspec.MsgspecError, ValueError) as error:
        raise AudioMetamerError(f"{path} is not a file of groups, each a list of labels: {first_line(error)}") from error
    found: dict[str, str] = {}
    for group, labels in groups.items():
        for label in labels:
            if found.setdefault(label, group) != group:
                raise AudioMetamerError(f"{path} has {label!r} in two groups, {found[label]} and {group}")
    return found


def grouped(labels: Mapping[str, Sequence[str]], groups: Mapping[str, str]) -> dict[str, list[str]]:
    """Labels by task, each replaced by its group.

    Raises
    ------
    AudioMetamerError
        If a label of a task has no group, unless none of the task's has: that task keeps its labels.
    """
    if unknown := groups.keys() - {label for names in labels.values() for label in names}:
        raise AudioMetamerError(f"the groups hold {min(unknown)!r}, which is no label of the model")
    found = {}
    for task, names in labels.items():
        without = [name for name in names if name not in groups]
        if 0 < len(without) < len(names):
            raise AudioMetamerError(f"{len(without)} of {len(names)} labels of {task} have no group (first: {without[0]!r})")
        found[task] = list(names) if without else [groups[name] for name in names]
    return found


def _lines(path: Path) -> dict[str, list[str]]:
    return {"word": path.read_text(encoding="utf-8").splitlines()}


def _toml(path: Path) -> dict[str, list[str]]:
    return msgspec.toml.decode(path.read_bytes(), type=dict[str, list[str]])


def _json(path: Path) -> dict[str, list[str]]:
    return msgspec.json.decode(path.read_bytes(), type=dict[str, list[str]])


def _pickled(path: Path) -> dict[str, list[str]]:
    with path.open("rb") as file:
        try:
            content = _PlainUnpickler(file).load()
        except _BROKEN as error:
            raise AudioMetamerError(f"{path} is not a pickle that can be read: {first_line(error)}") from error
    keys = content if isinstance(content, Mapping) else ()
    tasks = {found["task"]: content[key] for key in keys if isinstance(key, str) and (found := _NUMBERED.fullmatch(key))}
    if not tasks:
        raise AudioMetamerError(f"{path} names no classes: it would hold a dict of numbers to names under 'word_idx_to_word'")
    return {task: _in_order(path, task, msgspec.convert(names, dict[int, str])) for task, names in tasks.items()}


def _in_order(path: Path, task: str, names: Mapping[int, str]) -> list[str]:
    if without := set(range(len(names))) - names.keys():
        raise AudioMetamerError(
            f"{path} has {len(names)} names for {task}, numbered from {min(names)} to {max(names)}, but none for {min(without)}"
        )
    return [names[i] for i in range(len(names))]


_READERS: dict[str, Callable[[Path], dict[str, list[str]]]] = {
    ".toml": _toml,
    ".json": _json,
    ".pckl": _pickled,
    ".pkl": _pickled,
    ".pickle": _pickled,
}


# The containers for which pickles ask by name, as Python 2 or 3 spells it (sets: only older pickles)
_PLAIN: dict[tuple[str, str], type] = {
    ("collections", "OrderedDict"): OrderedDict,
    **{(module, kind.__name__): kind for module in ("builtins", "__builtin__") for kind in (set, frozenset)},
}


class _PlainUnpickler(pickle.Unpickler):
    """Reads plain containers and scalars, and refuses any other name that a pickle could import and call."""

    def find_class(self, module: str, name: str) -> Any:
        if plain := _PLAIN.get((module, name)):
            return plain
        raise pickle.UnpicklingError(f"it asks for {module + '.' + name!r}, and only plain containers and scalars are read")
