"""The one family of errors that audiometamer raises on purpose, and words for their messages."""

import difflib
import re
from collections.abc import Iterable, Sequence

_LONGEST = 360  # characters of a line that is printed whole
_IMPOSSIBLE = re.compile(r"[^/\s'\":]{256,}")  # names that no file system takes
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]|\n(?!  )")  # a list continues on indented lines


class AudioMetamerError(Exception):
    """Something the caller can mend; the message says what, with the value, and what would be right."""


class WritingError(AudioMetamerError):
    """The operating system refuses to write a file: no space, no permission. It concerns the whole work, not one part of it."""


class BrokenError(AudioMetamerError):
    """A record cannot be read, or its signal is gone or cut short, as a power cut leaves them: it counts as not made."""


class AudioMetamerWarning(UserWarning):
    """Something the caller should know, although the work goes on (a clip was padded, stereo mixed down)."""


def one_line(error: BaseException) -> str:
    """All that another library's error says, without its line breaks."""
    return " ".join(str(error).split())


def first_line(error: BaseException) -> str:
    """What another library's error says before its advice or its trace; its class if it says nothing."""
    return str(getattr(error, "strerror", None) or error).strip().split("\n")[0] or type(error).__name__


def shortened(message: str) -> str:
    """A message for people: control characters are escaped; of a long line, long words, or else its middle, are cut out."""
    possible = _IMPOSSIBLE.sub(lambda name: _cut(name[0], 40, 20), message)
    escaped = _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), possible)
    return "\n".join(line if len(line) <= _LONGEST else _without_middles(line) for line in escaped.split("\n"))


def _without_middles(line: str) -> str:
    return _cut(re.sub(r"\S+", lambda word: _cut(word[0], 60, 30), line), 240, 90)


def _cut(text: str, head: int, tail: int) -> str:
    return text if len(text) <= head + tail + 20 else f"{text[:head]}…{text[-tail:]} ({len(text)} characters)"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: the nearest of the known ones; empty if none is near."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def closest_names(name: str, known: Sequence[str]) -> str:
    """The names nearest to an unknown one, or where none is near, the first few."""
    return ", ".join(difflib.get_close_matches(name, known, n=5)) or first_few(known)


def first_few(names: Sequence[str], most: int = 3) -> str:
    """The first few names, and how many more there are."""
    first = ", ".join(names[:most])
    return f"{first} and {len(names) - most} more" if len(names) > most else first


def pluralize(n: int, word: str) -> str:
    """A number of things in words: ``1 clip``, ``2 clips``."""
    return f"{n} {word}{'s' * (n != 1)}"


def listeners_in_words(n: int) -> str:
    """How many listeners, in words."""
    return pluralize(n, "listener")
