"""Why the content of a TOML file does not fit a struct: every problem, each with its place."""

import re
from collections.abc import Iterator
from types import UnionType as TypeUnion
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import msgspec
from msgspec.inspect import DictType, Field, ListType, StructType, Type, UnionType, type_info

from audiometamer.errors import did_you_mean
from audiometamer.io.toml_lines import joined

# For values that are required and missing or wrong, so that the others can still be checked.
_STAND_INS: tuple[Any, ...] = ("-", 1, [])
NOTHING = object()


class Problem(NamedTuple):
    """A problem in a file.

    Parameters
    ----------
    place : str
        Where, as in ``models[1].layers[0]``, counted from 0; empty for the whole file.
    message : str
    key : str
        The unknown key at that place, if that is the problem. Default: none.
    """

    place: str
    message: str
    key: str = ""

    @property
    def table(self) -> str:
        """The top-level key that contains it."""
        return re.split(r"[.\[]", self.place or self.key)[0]

    def __str__(self) -> str:
        return " ".join((f"{self.place}: {self.message}" if self.place else self.message).splitlines())


def find_problems(value: Any, hint: Any, place: str, kind: type[msgspec.Struct]) -> Iterator[Problem]:
    """All reasons why a value is not of a type; `kind` is the struct of the whole file."""
    try:
        msgspec.convert(value, hint)
    except msgspec.ValidationError as error:
        inner = [problem for part, type_, at in _parts(value, hint, place) for problem in find_problems(part, type_, at, kind)]
        found = [*_wrong_keys(value, hint, place, kind), *inner]
        yield from found or [_located(f"{error}{_choices(hint, error)}", place, kind)]


def _choices(hint: Any, error: msgspec.ValidationError) -> str:
    """The allowed values, if they are enumerated."""
    choices = [repr(choice) for option in _options(hint) if get_origin(option) is Literal for choice in get_args(option)]
    return f"; choose {', '.join(choices[:-1])} or {choices[-1]}" if choices and str(error).startswith("Invalid enum") else ""


def _parts(value: Any, hint: Any, place: str) -> Iterator[tuple[Any, Any, str]]:
    """The values inside a value, with their required types and their places."""
    for option in _options(hint):
        if isinstance(value, dict) and (struct := _struct(option)):
            fields = msgspec.structs.fields(struct)
            yield from ((value[f.encode_name], f.type, joined(place, f.encode_name)) for f in fields if f.encode_name in value)
        elif isinstance(value, list) and get_origin(option) is list:
            yield from ((inner, get_args(option)[0], f"{place}[{k}]") for k, inner in enumerate(value))


def _wrong_keys(value: Any, hint: Any, place: str, kind: type[msgspec.Struct]) -> Iterator[Problem]:
    """Unknown and missing keys of a table."""
    struct = next(filter(None, map(_struct, _options(hint))), None)
    if struct is None or not isinstance(value, dict):
        return
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    unknown = [Problem(place, _unknown_key(key, place, kind), key) for key in value if key not in fields]
    yield from unknown
    for name, field in fields.items():
        is_misspelt = any(problem.message.endswith(f"did you mean {name!r}?") for problem in unknown)
        if field.required and name not in value and not is_misspelt:
            yield Problem(place, f"the key {name!r} is missing")


def _options(hint: Any) -> tuple[Any, ...]:
    """The types that a value may have, without constraints on their ranges."""
    if get_origin(hint) is Annotated:
        return _options(get_args(hint)[0])
    if get_origin(hint) in (Union, TypeUnion):
        return tuple(option for arm in get_args(hint) for option in _options(arm))
    return (hint,)


def _struct(option: Any) -> type[msgspec.Struct] | None:
    """The type itself if it is a struct that forbids unknown keys and has no tag, else None."""
    if not (isinstance(option, type) and issubclass(option, msgspec.Struct)):
        return None
    settings = option.__struct_config__
    return option if settings.forbid_unknown_fields and settings.tag is None else None


def valid_part(value: Any, hint: Any) -> Any:
    """The part of a value that fits a type, with stand-ins for what is required; `NOTHING` if none does."""
    if _is_valid(value, hint):
        return value
    for option in _options(hint):
        if isinstance(value, dict) and (struct := _struct(option)):
            inner = {f.encode_name: _valid_field(value, f) for f in msgspec.structs.fields(struct)}
            inner = {name: found for name, found in inner.items() if found is not NOTHING}
            return inner if _is_valid(inner, struct) else NOTHING
        if isinstance(value, list) and get_origin(option) is list:
            kept = [found for inner in value if (found := valid_part(inner, get_args(option)[0])) is not NOTHING]
            return kept if _is_valid(kept, hint) else NOTHING
    return NOTHING


def _valid_field(table: dict[str, Any], field: msgspec.structs.FieldInfo) -> Any:
    found = valid_part(table.get(field.encode_name, NOTHING), field.type)
    if found is not NOTHING or not field.required:
        return found
    structs = [struct for option in _options(field.type) if (struct := _struct(option))]
    stand_ins = [valid_part({}, struct) for struct in structs] or _STAND_INS
    return next((value for value in stand_ins if _is_valid(value, field.type)), NOTHING)


def _is_valid(value: Any, hint: Any) -> bool:
    try:
        msgspec.convert(value, hint)
    except msgspec.ValidationError:
        return False
    return True


def _located(message: str, within: str, kind: type[msgspec.Struct]) -> Problem:
    """A message of msgspec in the terms of TOML; for an unknown key, where it belongs or the nearest known one."""
    what, _, where = message.partition(" - at `$")
    where = where.removesuffix("`")
    place = within + (where if within else where.removeprefix("."))
    if unknown := re.fullmatch(r"Object contains unknown field `(.+)`", what):
        what = _unknown_key(unknown[1], place, kind)
    elif missing := re.fullmatch(r"Object missing required field `(.+)`", what):
        what = f"the key {missing[1]!r} is missing"
    else:
        what = re.sub(r"`([a-z |]+)`", lambda types: _type_names(types[1]), what)
        what = what.replace("Expected ", "must be ").replace(", got ", ", not ")
        if what == "must be an array, not a table" and "." not in place:
            what += f"; write [[{place}]], in two brackets"
    return Problem(place, what)


def _unknown_key(key: str, place: str, kind: type[msgspec.Struct]) -> str:
    if place and key in kind.__struct_fields__:
        return f"{key!r} is a key of the {kind.__name__.lower()} itself; write it before the first line in brackets"
    return f"there is no key {key!r}{did_you_mean(key, _keys_at(place, kind))}"


def _type_names(types: str) -> str:
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
    """The fields of the struct at a place, optional or not."""
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
