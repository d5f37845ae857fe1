"""Identities of participants, as a service, a file or a link gives them; placeholders and the like identify nobody."""

import unicodedata

MAX_IDENTITY_LENGTH = 256  # characters of a name
_MARKS = frozenset("{}[]<>$%")  # of unreplaced placeholders, such as {{%PROLIFIC_PID%}}; no identity has them
# What programs write in place of a missing name, and the names of the parameters themselves.
_NOBODY = frozenset(("undefined", "null", "none", "nan", "nil", "prolific_pid", "workerid", "worker_id", "participant_id"))


def composed(name: str) -> str:
    """A name in Unicode's composed form (NFC), trimmed, and with single spaces."""
    return unicodedata.normalize("NFC", " ".join(name.split()))


def identity(name: str) -> str | None:
    """A name in normal form, so that one person stays one person.

    See `composed`. The page does the same: see ``pages/static/identity.js``.

    Parameters
    ----------
    name : str

    Returns
    -------
    str or None
        None if it identifies nobody: blank, longer than `MAX_IDENTITY_LENGTH`, an unreplaced placeholder, a word such as
        ``undefined``, or one with control or other invisible characters.
    """
    found = composed(name)
    is_nobody = not found or len(found) > MAX_IDENTITY_LENGTH or found.lower() in _NOBODY
    return None if is_nobody or not _MARKS.isdisjoint(found) or any(map(_is_invisible, found)) else found


def _is_invisible(character: str) -> bool:
    """Whether a character is a control or format character, half of a surrogate pair, or unassigned."""
    return unicodedata.category(character).startswith("C")
