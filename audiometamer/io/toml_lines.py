"""Line numbers of the keys of a TOML file, which no TOML parser reports."""

import re

_HEADER = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]")
_KEY = re.compile(r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*[\w-]+)*)\s*=""")


def key_lines(text: str) -> dict[str, int]:
    """The line number of each key and table, by its place, as in ``models[1].layers``; counted from 1."""
    found: dict[str, int] = {}
    arrays: dict[str, int] = {}  # tables of each array so far
    table, closing = "", ""
    for number, line in enumerate(text.splitlines(), start=1):
        if closing:  # of a multi-line string
            closing = "" if closing in line else closing
        elif header := _HEADER.match(line):
            table = ""
            *before, last = re.split(r"\s*\.\s*", header[2])
            for step in before:
                table = joined(table, step)
                table += f"[{arrays[table] - 1}]" if table in arrays else ""
            table = joined(table, last)
            if header[1] == "[[":
                arrays[table] = arrays.get(table, 0) + 1
                found.setdefault(table, number)
                table += f"[{arrays[table] - 1}]"
            found.setdefault(table, number)
        elif key := _KEY.match(line):
            found.setdefault(joined(table, re.sub(r"\s|[\"']", "", key[1])), number)
            closing = next((quotes for quotes in ('"""', "'''") if line.count(quotes) == 1), "")
    return found


def joined(place: str, step: str) -> str:
    """The place of a key within a table; the key itself at the top level."""
    return f"{place}.{step}" if place else step
