"""Files that a user writes in TOML, read into a struct; all that is wrong with one is listed, each with its place and line."""

import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import UnionType as TypeUnion
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin

import msgspec
import tomli_w
from msgspec.inspect import DictType, Field, ListType, StructType, Type, UnionType, type_info

from audiometamer.errors import AudioMetamerError, did_you_mean, first_line
from audiometamer.io.reading import read_unicode

T = TypeVar("T", bound=msgspec.Struct)
# For values that are required and missing or wrong, so that the others can still be checked.
_STAND_INS: tuple[Any, ...] = ("-", 1, [])
_NOTHING = object()
_MOST_LISTED = 30  # problems
_MAX_NUMBER = 1e15  # in a file of settings
_MAX_DEPTH = 64  # levels of a file of settings
_PART = r"""(?:(?<![\w-])[\w-]++|"[^"\n]*+"|'[^'\n]*+')"""  # of a dotted key
_DEEP_KEY = re.compile(rf"(?<!\.){_PART}(?:[ \t]*+\.[ \t]*+{_PART}){{{_MAX_DEPTH}}}")


class Problem(NamedTuple):
    """Something that is wrong with a file.

    Parameters
    ----------
    place : str
        As in ``models[1].layers[0]``, counted from 0; empty for the whole file.
    message : str
    key : str
        What of it is wrong, where that is a key that is not known. Default: none.
    """

    place: str
    message: str
    key: str = ""

    @property
    def table(self) -> str:
        """The key of the file that it is under."""
        return re.split(r"[.\[]", self.place or self.key)[0]

    def __str__(self) -> str:
        return " ".join((f"{self.place}: {self.message}" if self.place else self.message).splitlines())


def read_toml(path: Path, kind: type[T], check: Callable[[T], Iterable[Problem]] = lambda _read: ()) -> T:
    """Read a TOML file into a struct.

    Parameters
    ----------
    path : path
    kind : type
        The struct.
    check : function, optional
        Further problems of what was read; where some keys are wrong, of the others. Default: there are none.

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
    if odd := [
        Problem(place, f"must be finite and at most 1e15, not {number}") for place, number in out_of_range_numbers(content)
    ]:
        raise AudioMetamerError(_listed(path, text, odd))
    problems = [*_problems(content, kind, "", kind)]
    sound = _sound(content, kind) if problems else content
    if sound is not _NOTHING:
        read = msgspec.convert(sound, kind)
        tables = {problem.table for problem in problems}
        problems += (problem for problem in check(read) if problem.table not in tables)
    if problems:
        raise AudioMetamerError(_listed(path, text, problems))
    return read


def parse_toml(text: str) -> dict[str, Any]:
    """TOML; a ValueError names what keeps it from being parsed, or is nested deeper than settings that make sense are."""
    too_deep = f"it is nested more than {_MAX_DEPTH} levels deep"
    if _DEEP_KEY.search(text):  # a key of n parts takes the parser time and memory that grow with n²
        raise ValueError(too_deep)
    try:
        content: dict[str, Any] = msgspec.toml.decode(text)
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from error
    except (RecursionError, ValueError) as error:  # ValueError: of Python's limit to the digits of an integer
        raise ValueError(f"it is nested too deeply, or a number has too many digits: {first_line(error)}") from error
    level: list[Any] = [content]
    for _ in range(_MAX_DEPTH):
        inner = (value.values() if isinstance(value, dict) else value for value in level if isinstance(value, dict | list))
        level = [*itertools.chain.from_iterable(inner)]
    if level:
        raise ValueError(too_deep)
    return content


def check_number_range(content: Any) -> None:
    """Raise a ValueError that names the first number of a file of settings that is not finite or is beyond 1e15."""
    for place, number in out_of_range_numbers(content):
        raise ValueError(f"{place} is {number}; a number must be finite and at most {_MAX_NUMBER:g}")


def out_of_range_numbers(value: Any, place: str = "") -> Iterator[tuple[str, float]]:
    """Numbers of a file that are not finite or are beyond 1e15, as no setting that makes sense is, with their places."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from out_of_range_numbers(inner, f"{place}.{key}" if place else key)
    elif isinstance(value, list):
        for k, inner in enumerate(value):
            yield from out_of_range_numbers(inner, f"{place}[{k}]")
    elif isinstance(value, int | float) and not abs(value) <= _MAX_NUMBER:  # nor of nan
        yield place, value


def raise_problems(path: Path, problems: Iterable[Problem]) -> None:
    """Raise an error that lists the problems of a file, if there are any."""
    if found := [*problems]:
        raise AudioMetamerError(_listed(path, read_unicode(path), found))


def problems_raised(place: str, action: Callable[[], object]) -> Iterator[Problem]:
    """The problem that an action meets, if it meets one."""
    try:
        action()
    except AudioMetamerError as error:
        yield Problem(place, str(error))


def _listed(path: Path, text: str, problems: list[Problem]) -> str:
    """One problem in a line, several one below the other."""
    lines = _lines(text)
    found = [(_line(lines, problem), problem) for problem in problems]
    if len(found) == 1:
        ((line, problem),) = found
        return f"{path}: {problem}" + (f" (line {line})" if line else "")
    found.sort(key=lambda one: one[0])
    listed = [f"  line {line}: {problem}" if line else f"  {problem}" for line, problem in found[:_MOST_LISTED]]
    listed += [f"  and {len(found) - _MOST_LISTED} more"] * (len(found) > _MOST_LISTED)
    return "\n".join((f"{path}: {len(found)} things are wrong:", *listed))


def _line(lines: dict[str, int], problem: Problem) -> int:
    """The line of a problem, from 1, or of the table that it is in; 0 if it is of the whole file."""
    place = ".".join(filter(None, (problem.place, problem.key)))
    while place and place not in lines:
        place = place[: max(place.rfind("."), place.rfind("["), 0)]
    return lines.get(place, 0)


_HEADER = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]")
_KEY = re.compile(r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*[\w-]+)*)\s*=""")


def _lines(text: str) -> dict[str, int]:
    """The lines on which the keys of a file stand, by their places."""
    found: dict[str, int] = {}
    arrays: dict[str, int] = {}  # how many tables of an array there are by now
    table, closing = "", ""
    for number, line in enumerate(text.splitlines(), start=1):
        if closing:  # of a text of several lines
            closing = "" if closing in line else closing
        elif header := _HEADER.match(line):
            table = ""
            *before, last = re.split(r"\s*\.\s*", header[2])
            for step in before:
                table = _joined(table, step)
                table += f"[{arrays[table] - 1}]" if table in arrays else ""
            table = _joined(table, last)
            if header[1] == "[[":
                arrays[table] = arrays.get(table, 0) + 1
                found.setdefault(table, number)
                table += f"[{arrays[table] - 1}]"
            found.setdefault(table, number)
        elif key := _KEY.match(line):
            found.setdefault(_joined(table, re.sub(r"\s|[\"']", "", key[1])), number)
            closing = next((quotes for quotes in ('"""', "'''") if line.count(quotes) == 1), "")
    return found


def _joined(place: str, step: str) -> str:
    return f"{place}.{step}" if place else step


def _problems(value: Any, hint: Any, place: str, kind: type[msgspec.Struct]) -> Iterator[Problem]:
    """All that keeps a value from being of a type; `kind` is that of the whole file."""
    try:
        msgspec.convert(value, hint)
    except msgspec.ValidationError as error:
        within = [problem for inner, of, at in _parts(value, hint, place) for problem in _problems(inner, of, at, kind)]
        found = [*_wrong_keys(value, hint, place, kind), *within]
        yield from found or [_located(f"{error}{_choices(hint, error)}", place, kind)]


def _choices(hint: Any, error: msgspec.ValidationError) -> str:
    """What a value may be instead, where there are but a few."""
    choices = [repr(choice) for option in _options(hint) if get_origin(option) is Literal for choice in get_args(option)]
    return f"; choose {', '.join(choices[:-1])} or {choices[-1]}" if choices and str(error).startswith("Invalid enum") else ""


def _parts(value: Any, hint: Any, place: str) -> Iterator[tuple[Any, Any, str]]:
    """The values within a value, with the types that they are to be of, and their places."""
    for option in _options(hint):
        if isinstance(value, dict) and (struct := _struct(option)):
            fields = msgspec.structs.fields(struct)
            yield from ((value[f.encode_name], f.type, _joined(place, f.encode_name)) for f in fields if f.encode_name in value)
        elif isinstance(value, list) and get_origin(option) is list:
            yield from ((inner, get_args(option)[0], f"{place}[{k}]") for k, inner in enumerate(value))


def _wrong_keys(value: Any, hint: Any, place: str, kind: type[msgspec.Struct]) -> Iterator[Problem]:
    """Keys that a table should not have, and those that it lacks."""
    struct = next(filter(None, map(_struct, _options(hint))), None)
    if struct is None or not isinstance(value, dict):
        return
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    unknown = [Problem(place, _unknown(key, place, kind), key) for key in value if key not in fields]
    yield from unknown
    for name, field in fields.items():
        is_misspelt = any(problem.message.endswith(f"did you mean {name!r}?") for problem in unknown)
        if field.required and name not in value and not is_misspelt:
            yield Problem(place, f"the key {name!r} is missing")


def _options(hint: Any) -> tuple[Any, ...]:
    """The types that a value may be of, without what is said of their ranges."""
    if get_origin(hint) is Annotated:
        return _options(get_args(hint)[0])
    if get_origin(hint) in (Union, TypeUnion):
        return tuple(option for arm in get_args(hint) for option in _options(arm))
    return (hint,)


def _struct(option: Any) -> type[msgspec.Struct] | None:
    """A struct that forbids unknown keys and is known by no tag, if it is one."""
    if not (isinstance(option, type) and issubclass(option, msgspec.Struct)):
        return None
    settings = option.__struct_config__
    return option if settings.forbid_unknown_fields and settings.tag is None else None


def _sound(value: Any, hint: Any) -> Any:
    """What of a value is of a type, with stand-ins for what is needed; `_NOTHING` if nothing is."""
    if _converts(value, hint):
        return value
    for option in _options(hint):
        if isinstance(value, dict) and (struct := _struct(option)):
            inner = {f.encode_name: _sound_field(value, f) for f in msgspec.structs.fields(struct)}
            inner = {name: found for name, found in inner.items() if found is not _NOTHING}
            return inner if _converts(inner, struct) else _NOTHING
        if isinstance(value, list) and get_origin(option) is list:
            kept = [found for inner in value if (found := _sound(inner, get_args(option)[0])) is not _NOTHING]
            return kept if _converts(kept, hint) else _NOTHING
    return _NOTHING


def _sound_field(table: dict[str, Any], field: msgspec.structs.FieldInfo) -> Any:
    found = _sound(table.get(field.encode_name, _NOTHING), field.type)
    if found is not _NOTHING or not field.required:
        return found
    structs = [struct for option in _options(field.type) if (struct := _struct(option))]
    stand_ins = [_sound({}, struct) for struct in structs] or _STAND_INS
    return next((value for value in stand_ins if _converts(value, field.type)), _NOTHING)


def _converts(value: Any, hint: Any) -> bool:
    try:
        msgspec.convert(value, hint)
    except msgspec.ValidationError:
        return False
    return True


def toml_text(content: Any) -> str:
    """TOML of structs, dicts and lists; what is None is left out."""
    return tomli_w.dumps(_without_none(msgspec.to_builtins(content)))


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return [_without_none(item) for item in value] if isinstance(value, list) else value


@contextmanager
def error_context(path: Path, place: str) -> Iterator[None]:
    """Whatever is found wrong while this lasts is told with its place in the file."""
    try:
        yield
    except AudioMetamerError as error:
        raise AudioMetamerError(f"{path}: {place}: {error}") from error


def _located(message: str, within: str, kind: type[msgspec.Struct]) -> Problem:
    """What msgspec says of a value at a place, in the words of TOML; for an unknown key, where it belongs or the nearest."""
    what, _, where = message.partition(" - at `$")
    where = where.removesuffix("`")
    place = within + (where if within else where.removeprefix("."))
    if unknown := re.fullmatch(r"Object contains unknown field `(.+)`", what):
        what = _unknown(unknown[1], place, kind)
    elif missing := re.fullmatch(r"Object missing required field `(.+)`", what):
        what = f"the key {missing[1]!r} is missing"
    else:
        what = re.sub(r"`([a-z |]+)`", lambda types: _in_words(types[1]), what)
        what = what.replace("Expected ", "must be ").replace(", got ", ", not ")
        if what == "must be an array, not a table" and "." not in place:
            what += f"; write [[{place}]], in two brackets"
    return Problem(place, what)


def _unknown(key: str, place: str, kind: type[msgspec.Struct]) -> str:
    if place and key in kind.__struct_fields__:
        return f"{key!r} is a key of the {kind.__name__.lower()} itself; write it before the first line in brackets"
    return f"there is no key {key!r}{did_you_mean(key, _keys_at(place, kind))}"


def _in_words(types: str) -> str:
    words = {"str": "a string", "int": "an integer", "float": "a number", "bool": "true or false", "array": "an array"}
    return " or ".join({**words, "object": "a table"}.get(name, name) for name in types.split(" | ") if name != "null")


def _keys_at(place: str, kind: type[msgspec.Struct]) -> list[str]:
    """The keys that a struct has at a place such as ``models[1]``."""
    at: Type = type_info(kind)
    for step in re.findall(r"[^.\[\]]+|\[.*?\]", place):
        fields = {field.encode_name: field.type for field in _fields(at)}
        at = _element(at) if step.startswith("[") else fields[step]
    return [field.encode_name for field in _fields(at)]


def _fields(at: Type) -> tuple[Field, ...]:
    """Of the struct that stands there, if need be beside None."""
    options = at.types if isinstance(at, UnionType) else (at,)
    return next((option.fields for option in options if isinstance(option, StructType)), ())


def _element(at: Type) -> Type:
    options = at.types if isinstance(at, UnionType) else (at,)
    for option in options:
        if isinstance(option, ListType):
            return option.item_type
        if isinstance(option, DictType):
            return option.value_type
    return at
