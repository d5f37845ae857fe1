"""The one family of errors that audiometamer raises on purpose, and words for their messages."""

import difflib
from collections.abc import Iterable, Sequence


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


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: the nearest of the known ones; empty if none is near."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def near(name: str, known: Sequence[str]) -> str:
    """The names nearest to an unknown one, or where none is near, the first few."""
    return ", ".join(difflib.get_close_matches(name, known, n=5)) or some_of(known)


def some_of(names: Sequence[str], most: int = 3) -> str:
    """The first few names, and how many more there are."""
    first = ", ".join(names[:most])
    return f"{first} and {len(names) - most} more" if len(names) > most else first
