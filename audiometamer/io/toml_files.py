"""TOML files read into structs: an error lists everything that is wrong with a file, each with its place and line."""

import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import tomli_w

from audiometamer.errors import AudioMetamerError, first_line
from audiometamer.io.reading import read_unicode
from audiometamer.io.toml_lines import key_lines
from audiometamer.io.toml_problems import NOTHING, Problem, find_problems, valid_part

T = TypeVar("T", bound=msgspec.Struct)
_MOST_LISTED = 30  # problems
_MAX_NUMBER = 1e15  # in a file of settings
_MAX_DEPTH = 64  # levels of a file of settings
_PART = r"""(?:(?<![\w-])[\w-]++|"[^"\n]*+"|'[^'\n]*+')"""  # of a dotted key
_DEEP_KEY = re.compile(rf"(?<!\.){_PART}(?:[ \t]*+\.[ \t]*+{_PART}){{{_MAX_DEPTH}}}")


def read_toml(path: Path, kind: type[T], check: Callable[[T], Iterable[Problem]] = lambda _read: ()) -> T:
    """Read a TOML file into a struct.

    Parameters
    ----------
    path : path
    kind : type
        The struct.
    check : function, optional
        Finds further problems of what was read; if some keys are wrong, of the others. Default: none.

    Raises
    ------
    AudioMetamerError
        If it cannot be read, has an unknown key, or a value of a wrong type or out of range, or `check` finds something. All
        problems are listed, with their places and lines.
    """
    try:
        text = read_unicode(path)
        content = parse_toml(text)
    except OSError as error:
        raise AudioMetamerError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise AudioMetamerError(f"{path} is not TOML: {error}") from error
    if numbers := [*out_of_range_numbers(content)]:
        unusable = [Problem(place, f"must be finite and at most 1e15, not {number}") for place, number in numbers]
        raise AudioMetamerError(_listed(path, text, unusable))
    problems = [*find_problems(content, kind, "", kind)]
    valid = valid_part(content, kind) if problems else content
    if valid is not NOTHING:
        read = msgspec.convert(valid, kind)
        tables = {problem.table for problem in problems}
        problems += (problem for problem in check(read) if problem.table not in tables)
    if problems:
        raise AudioMetamerError(_listed(path, text, problems))
    return read


def parse_toml(text: str) -> dict[str, Any]:
    """Parse TOML.

    Raises
    ------
    ValueError
        If it is not TOML, or is nested deeper than any sensible settings.
    """
    too_deep = f"it is nested more than {_MAX_DEPTH} levels deep"
    if _DEEP_KEY.search(text):  # a key of n parts takes the parser time and memory that grow with n²
        raise ValueError(too_deep)
    try:
        content: dict[str, Any] = msgspec.toml.decode(text)
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from error
    except (RecursionError, ValueError) as error:  # ValueError: Python limits the digits of an integer
        raise ValueError(f"it is nested too deeply, or a number has too many digits: {first_line(error)}") from error
    level: list[Any] = [content]
    for _ in range(_MAX_DEPTH):
        inner = (value.values() if isinstance(value, dict) else value for value in level if isinstance(value, dict | list))
        level = [*itertools.chain.from_iterable(inner)]
    if level:
        raise ValueError(too_deep)
    return content


def check_number_range(content: Any) -> None:
    """Raise a ValueError that names the first number that is not finite or is beyond ±1e15."""
    for place, number in out_of_range_numbers(content):
        raise ValueError(f"{place} is {number}; a number must be finite and at most {_MAX_NUMBER:g}")


def out_of_range_numbers(value: Any, place: str = "") -> Iterator[tuple[str, float]]:
    """Numbers that are not finite or are beyond ±1e15, which no sensible setting is, with their places."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from out_of_range_numbers(inner, f"{place}.{key}" if place else key)
    elif isinstance(value, list):
        for k, inner in enumerate(value):
            yield from out_of_range_numbers(inner, f"{place}[{k}]")
    elif isinstance(value, int | float) and not abs(value) <= _MAX_NUMBER:  # true for NaN too
        yield place, value


def raise_problems(path: Path, problems: Iterable[Problem]) -> None:
    """Raise an error that lists the problems of a file, if any."""
    if found := [*problems]:
        raise AudioMetamerError(_listed(path, read_unicode(path), found))


def problems_raised(place: str, action: Callable[[], object]) -> Iterator[Problem]:
    """The AudioMetamerError that an action raises, as a problem; nothing if it raises none."""
    try:
        action()
    except AudioMetamerError as error:
        yield Problem(place, str(error))


def _listed(path: Path, text: str, problems: list[Problem]) -> str:
    """One problem on the line of the file's name; several on lines of their own."""
    lines = key_lines(text)
    found = [(_line(lines, problem), problem) for problem in problems]
    if len(found) == 1:
        ((line, problem),) = found
        return f"{path}: {problem}" + (f" (line {line})" if line else "")
    found.sort(key=lambda pair: pair[0])
    listed = [f"  line {line}: {problem}" if line else f"  {problem}" for line, problem in found[:_MOST_LISTED]]
    listed += [f"  and {len(found) - _MOST_LISTED} more"] * (len(found) > _MOST_LISTED)
    return "\n".join((f"{path}: {len(found)} things are wrong:", *listed))


def _line(lines: dict[str, int], problem: Problem) -> int:
    """The line of a problem, from 1, or of the table that contains it; 0 if it concerns the whole file."""
    place = ".".join(filter(None, (problem.place, problem.key)))
    while place and place not in lines:
        place = place[: max(place.rfind("."), place.rfind("["), 0)]
    return lines.get(place, 0)


def toml_text(content: Any) -> str:
    """Structs, dicts and lists as TOML; None is left out."""
    return tomli_w.dumps(_without_none(msgspec.to_builtins(content)))


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return [_without_none(item) for item in value] if isinstance(value, list) else value


@contextmanager
def error_context(path: Path, place: str) -> Iterator[None]:
    """Put the file and the place before the message of an AudioMetamerError raised in the block."""
    try:
        yield
    except AudioMetamerError as error:
        raise AudioMetamerError(f"{path}: {place}: {error}") from error
