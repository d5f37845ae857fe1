"""The errors and warnings that audiometamer raises on purpose, and helpers for their messages."""

import difflib
import re
from collections.abc import Iterable, Sequence

_MAX_LINE = 360  # characters of a line that is printed whole
_IMPOSSIBLE = re.compile(r"[^/\s'\":]{256,}")  # names that no file system accepts
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]|\n(?!  )")  # a list continues on indented lines


class AudioMetamerError(Exception):
    """An error that the caller can fix; the message says what is wrong, with the value, and what would be right."""


class WritingError(AudioMetamerError):
    """The operating system refuses to write a file: no space, no permission. It concerns the whole run, not one item."""


class BrokenError(AudioMetamerError):
    """A record is unreadable, or its signal is missing or truncated, as after a power cut: it counts as not made."""


class AudioMetamerWarning(UserWarning):
    """Something the caller should know, although work continues (a clip was padded, stereo mixed down)."""


def one_line(error: BaseException) -> str:
    """The message of another library's error, without line breaks."""
    return " ".join(str(error).split())


def first_line(error: BaseException) -> str:
    """The first line of another library's error, without advice or trace; its class if it has no message."""
    return str(getattr(error, "strerror", None) or error).strip().split("\n")[0] or type(error).__name__


def shortened(message: str) -> str:
    """A message for people: control characters are escaped; long lines lose the middle of their words, or their own."""
    possible = _IMPOSSIBLE.sub(lambda name: _cut(name[0], 40, 20), message)
    escaped = _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), possible)
    return "\n".join(line if len(line) <= _MAX_LINE else _without_middles(line) for line in escaped.split("\n"))


def _without_middles(line: str) -> str:
    return _cut(re.sub(r"\S+", lambda word: _cut(word[0], 60, 30), line), 240, 90)


def _cut(text: str, head: int, tail: int) -> str:
    return text if len(text) <= head + tail + 20 else f"{text[:head]}…{text[-tail:]} ({len(text)} characters)"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: the closest known name; empty if none is close."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def closest_names(name: str, known: Sequence[str]) -> str:
    """The known names closest to an unknown one, or if none is close, the first few."""
    return ", ".join(difflib.get_close_matches(name, known, n=5)) or first_few(known)


def first_few(names: Sequence[str], most: int = 3) -> str:
    """The first few names, and how many more there are."""
    first = ", ".join(names[:most])
    return f"{first} and {len(names) - most} more" if len(names) > most else first


def pluralize(n: int, word: str) -> str:
    """A number of things, as text: ``1 clip``, ``2 clips``."""
    return f"{n} {word}{'s' * (n != 1)}"


def listeners_in_words(n: int) -> str:
    """A number of listeners, as text: ``1 listener``, ``3 listeners``."""
    return pluralize(n, "listener")
