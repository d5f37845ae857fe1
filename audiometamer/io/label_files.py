"""Files of class names: plain lists, tables, TOML, JSON, and the pickle that was published with the networks."""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from audiometamer.errors import AudioMetamerError, first_line
from audiometamer.io.plain_pickle import read_plain_pickle
from audiometamer.io.reading import read_unicode
from audiometamer.io.tables import read_table
from audiometamer.io.toml_files import parse_toml

_NUMBERED = re.compile(r"(?P<task>\w+)_idx_to_(?P=task)")
_READABLE, _AUDIOSET = "human_readable", "noise/labels_binary_via_int"  # of the published classes of AudioSet
_NUMBERS, _NAMES = ("index", "idx", "id", "number"), ("label", "name", "display_name")  # columns of tables


def read_label_file(path: str | os.PathLike[str]) -> dict[str, list[str]]:
    """Read class names, in order, by task.

    Parameters
    ----------
    path : path
        Label file, read by its suffix: ``.toml`` or ``.json`` with a list for each task; ``.csv`` or ``.tsv``, a table whose
        header names the tasks, or has ``label``, ``name`` or ``display_name`` for the task ``word``, and perhaps an ``index``
        from 0; ``.pckl``, ``.pkl`` or ``.pickle``, a published file: a dict that holds a dict of numbers to names as
        ``word_idx_to_word`` and so on for each task, or one of numbers to a dict with ``human_readable`` for the sounds of
        AudioSet, the task ``noise/labels_binary_via_int``; any other, a text with one name on each line, for the task ``word``.
        Texts are UTF-8, with or without a byte order mark, or UTF-16 with one; blank lines are skipped.

    Raises
    ------
    AudioMetamerError
        If the file cannot be read or holds something else; if a name is blank or occurs twice in a task; if a number below the
        highest has no name; or if a pickle contains anything but plain values, which is refused before it can run.
    """
    path = Path(path)
    read = _READERS.get(path.suffix.lower(), _lines)
    try:
        found = read(path)
    except (OSError, msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise AudioMetamerError(f"{path} is not a list of labels: {first_line(error)}") from error
    return checked_labels({task: [name.strip() for name in names] for task, names in found.items()}, path)


def checked_labels(labels: dict[str, list[str]], source: object) -> dict[str, list[str]]:
    """Labels by task, unchanged, once it is certain that each has a name and none occurs twice in a task.

    Raises
    ------
    AudioMetamerError
        Otherwise, naming `source`, the task, the name and the classes, numbered from 0.
    """
    for task, names in labels.items():
        seen: dict[str, int] = {}
        for number, name in enumerate(names):
            if not name.strip():
                raise AudioMetamerError(f"{source}: class {number} of {task} has a blank name")
            if (before := seen.setdefault(name, number)) != number:
                raise AudioMetamerError(
                    f"{source}: classes {before} and {number} of {task} are both called {name!r}; give each a name of its own"
                )
    return labels


def disambiguated(names: Sequence[str]) -> list[str]:
    """Class names, with the class number appended to those that several classes share: ImageNet has two cranes."""
    counts = Counter(names)
    return [f"{name} ({number})" if counts[name] > 1 else name for number, name in enumerate(names)]


def read_groups(path: str | os.PathLike[str]) -> dict[str, str]:
    """Read coarser classes: the group of each label, from TOML that lists the labels of each group (``dog = ["beagle", "pug"]``).

    Raises
    ------
    AudioMetamerError
        If the file is something else, or puts a label in two groups.
    """
    path = Path(path)
    try:
        groups = _toml(path)
    except (OSError, msgspec.MsgspecError, ValueError) as error:
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
        If some labels of a task have a group and others have none. A task without any keeps its labels.
    """
    if unknown := groups.keys() - {label for names in labels.values() for label in names}:
        raise AudioMetamerError(f"the groups hold {min(unknown)!r}, which is no label of the model")
    found = {}
    for task, names in labels.items():
        ungrouped = [name for name in names if name not in groups]
        if 0 < len(ungrouped) < len(names):
            raise AudioMetamerError(f"{len(ungrouped)} of {len(names)} labels of {task} have no group (first: {ungrouped[0]!r})")
        found[task] = list(names) if ungrouped else [groups[name] for name in names]
    return found


def _lines(path: Path) -> dict[str, list[str]]:
    return {"word": _without_blanks(read_unicode(path).splitlines())}


def _table(path: Path) -> dict[str, list[str]]:
    rows = read_table(path, short_rows=True)
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    number = next((name for name in _NUMBERS if name in columns), None)
    if number is not None:
        numbered = sorted(zip(map(int, columns.pop(number)), range(len(rows)), strict=True))
        if [n for n, _ in numbered] != list(range(len(rows))):
            raise ValueError(f"its column {number} is not 0, 1, …, {len(rows) - 1}, each once")
        columns = {name: [cells[row] for _, row in numbered] for name, cells in columns.items()}
    found = next(({"word": columns[name]} for name in _NAMES if name in columns), columns)
    return {task: _without_blanks(names) for task, names in found.items()}


def _without_blanks(names: Iterable[str]) -> list[str]:
    return [name for name in names if name.strip()]


def _toml(path: Path) -> dict[str, list[str]]:
    return msgspec.convert(parse_toml(read_unicode(path)), dict[str, list[str]])


def _json(path: Path) -> dict[str, list[str]]:
    return msgspec.json.decode(read_unicode(path), type=dict[str, list[str]])


def _pickled(path: Path) -> dict[str, list[str]]:
    content = read_plain_pickle(path)
    keys = content if isinstance(content, Mapping) else ()
    tasks = {found["task"]: content[key] for key in keys if isinstance(key, str) and (found := _NUMBERED.fullmatch(key))}
    if keys and all(isinstance(each, Mapping) and _READABLE in each for each in content.values()):
        tasks = {_AUDIOSET: {number: each[_READABLE] for number, each in content.items()}}
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
    ".csv": _table,
    ".tsv": _table,
    ".pckl": _pickled,
    ".pkl": _pickled,
    ".pickle": _pickled,
}
