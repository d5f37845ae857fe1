"""Refusals: why a listener or a message is not accepted, each with the code of the sentence that explains it on the page."""

from audiometamer.errors import AudioMetamerError


class RefusedError(AudioMetamerError):
    """A request was refused, and repeating it does not help; the message says what is wrong with it.

    `code` names the sentence of the catalogue (``errors.…``) that explains it to a listener; it is empty where only the page can
    be at fault.
    """

    code = ""


class ConflictError(RefusedError):
    """A message contradicts what is stored; the page asks for its state and resumes from there."""


class UnknownListenerError(RefusedError):
    """No listener has this token."""

    code = "unknown_link"


class CompleteError(RefusedError):
    """Every list has its listener."""

    code = "complete"


class LeftError(RefusedError):
    """The listener did not answer for so long that their list was reassigned; their answers are kept."""

    code = "left"


class LateError(LeftError):
    """The same for a listener who had answered nothing: they may begin again, on another list."""

    code = "late"


class ExcessError(RefusedError):
    """A listener sent far too much."""

    code = "excess"


class UnnamedError(RefusedError):
    """The participant is not identified: the service left its placeholder, for example."""

    code = "unnamed"


class UnsignedError(RefusedError):
    """A link is not signed, is signed for another study, or its signature has expired."""

    code = "unsigned"


class ClosedError(RefusedError):
    """The experiment is closed to listeners without a link."""

    code = "closed"


class PreviewError(RefusedError):
    """The task is only being previewed."""

    code = "preview"


class BusyError(RefusedError):
    """Too many listeners arrive at the same time; the request may be repeated after `seconds`."""

    code = "busy"

    def __init__(self, seconds: int) -> None:
        super().__init__(f"too many listeners arrive at the same time; ask again in {seconds} s")
        self.seconds = seconds


class UnavailableError(AudioMetamerError):
    """The disk is full, or the database is locked or gone: nothing was stored, and the same message may be sent again later."""

    code = "unavailable"
