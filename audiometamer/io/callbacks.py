"""What long work calls meanwhile: how far it is, and what the user should know."""

from collections.abc import Callable

Progress = Callable[[float, str], None]  # the fraction that is done, and what is being done
Notify = Callable[[str], object]  # a line


def silent(*_: object) -> None:
    """Report nothing."""
