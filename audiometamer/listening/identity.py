"""Who a participant is, as a service, a file or a link names them; placeholders and the like name nobody."""

import unicodedata

MAX_IDENTITY_LENGTH = 256  # of a name
_MARKS = frozenset("{}[]<>$%")  # of placeholders that a service did not replace, such as {{%PROLIFIC_PID%}}; no identity has them
# What programs write in the place of a name that is missing, and the names of the parameters themselves.
_NOBODY = frozenset(("undefined", "null", "none", "nan", "nil", "prolific_pid", "workerid", "worker_id", "participant_id"))


def composed(name: str) -> str:
    """A name in Unicode's composed form (NFC), without blanks around it and with single spaces within."""
    return unicodedata.normalize("NFC", " ".join(name.split()))


def identity(name: str) -> str | None:
    """A name in the one form that is kept, so that one person stays one person.

    See `composed`. The page does the same: see ``pages/static/identity.js``.

    Parameters
    ----------
    name : str

    Returns
    -------
    str or None
        None if it is nobody's name: blank, longer than `MAX_IDENTITY_LENGTH`, a placeholder that was not replaced, a word such as
        ``undefined``, or one with control or other invisible characters.
    """
    found = composed(name)
    is_nobody = not found or len(found) > MAX_IDENTITY_LENGTH or found.lower() in _NOBODY
    return None if is_nobody or not _MARKS.isdisjoint(found) or any(map(_is_invisible, found)) else found


def _is_invisible(letter: str) -> bool:
    """Control and format characters, halves of surrogate pairs, and what Unicode leaves open."""
    return unicodedata.category(letter).startswith("C")
