"""The one family of errors that audiometamer raises on purpose, and how those of other libraries are told in one line."""

import difflib
from collections.abc import Sequence


class AudioMetamerError(Exception):
    """Something the caller can mend; the message says what, with the value, and what would be right."""


class WritingError(AudioMetamerError):
    """The operating system refuses to write a file: no space, no permission. It concerns the whole work, not one part of it."""


class AudioMetamerWarning(UserWarning):
    """Something the caller should know, although the work goes on (a clip was padded, stereo mixed down)."""


def one_line(error: BaseException) -> str:
    """All that another library's error says, without its line breaks."""
    return " ".join(str(error).split())


def first_line(error: BaseException) -> str:
    """What another library's error says before its advice or its trace; its class if it says nothing."""
    return str(getattr(error, "strerror", None) or error).strip().split("\n")[0] or type(error).__name__


def some_of(names: Sequence[str]) -> str:
    """Up to three names, and how many more there are: what a line has room for."""
    first = ", ".join(names[:3])
    return f"{first} and {len(names) - 3} more" if len(names) > 3 else first


def near(name: str, known: Sequence[str]) -> str:
    """What there is in the place of a name that is not there: the nearest names, or where none is near, the first."""
    return ", ".join(difflib.get_close_matches(name, known, n=5)) or some_of(known)
