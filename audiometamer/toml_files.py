"""Files that a user writes in TOML, read into a struct; whatever is wrong with one is told in a line, with its place."""

import difflib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import tomli_w
from msgspec.inspect import DictType, Field, ListType, StructType, Type, UnionType, type_info

from audiometamer.errors import AudioMetamerError
from audiometamer.files import read_utf8

T = TypeVar("T", bound=msgspec.Struct)


def read_toml(path: Path, kind: type[T]) -> T:
    """Read a TOML file into a struct.

    Raises
    ------
    AudioMetamerError
        If it cannot be read, has an unknown key, or a value of a wrong type or out of range; the place is named as in
        ``models[1].layers[0]``, counted from 0.
    """
    try:
        return msgspec.toml.decode(read_utf8(path), type=kind)
    except msgspec.ValidationError as error:
        raise AudioMetamerError(f"{path}: {_located(str(error), kind)}") from error
    except OSError as error:
        raise AudioMetamerError(f"{path} cannot be read: {error.strerror}") from error
    except (msgspec.MsgspecError, ValueError) as error:
        raise AudioMetamerError(f"{path} is not TOML: {error}") from error


def toml_text(content: Any) -> str:
    """TOML of structs, dicts and lists; what is None is left out."""
    return tomli_w.dumps(_without_none(msgspec.to_builtins(content)))


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return [_without_none(item) for item in value] if isinstance(value, list) else value


@contextmanager
def within(path: Path, place: str) -> Iterator[None]:
    """Whatever is found wrong while this lasts is told with its place in the file."""
    try:
        yield
    except AudioMetamerError as error:
        raise AudioMetamerError(f"{path}: {place}: {error}") from error


def _located(message: str, kind: type[msgspec.Struct]) -> str:
    """What msgspec says, its place first, in the words of TOML, and for an unknown key where it belongs or the nearest known."""
    what, _, where = message.partition(" - at `$")
    place = where.removesuffix("`").removeprefix(".")
    if unknown := re.fullmatch(r"Object contains unknown field `(.+)`", what):
        what = _unknown(unknown[1], place, kind)
    elif missing := re.fullmatch(r"Object missing required field `(.+)`", what):
        what = f"the key {missing[1]!r} is missing"
    else:
        what = re.sub(r"`([a-z |]+)`", lambda types: _in_words(types[1]), what)
        what = what.replace("Expected ", "must be ").replace(", got ", ", not ")
        if what == "must be an array, not a table" and "." not in place:
            what += f"; write [[{place}]], in two brackets"
    return f"{place}: {what}" if place else what


def _unknown(key: str, place: str, kind: type[msgspec.Struct]) -> str:
    if place and key in kind.__struct_fields__:
        return f"{key!r} is a key of the {kind.__name__.lower()} itself; write it before the first line in brackets"
    nearest = difflib.get_close_matches(key, _keys_at(place, kind), n=1)
    return f"there is no key {key!r}" + (f"; did you mean {nearest[0]!r}?" if nearest else "")


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
