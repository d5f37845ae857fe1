"""Functions that change on the way through a match: a forward pass or a loss for each stage."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Stages(Generic[F]):
    """A function that `match` takes as its forward pass or loss, and that changes at certain steps.

    Called by itself, it is that of the last stage.

    Parameters
    ----------
    stages : tuple of (int, callable)
        The first step of each stage, from 0 up, and its function.

    Examples
    --------
    >>> growing = Stages(((0, abs), (100, float)))
    >>> growing.at(99)(-1), growing.at(100)(-1), growing(-1)
    (1, -1.0, -1.0)
    """

    stages: tuple[tuple[int, F], ...]

    def at(self, step: int) -> F:
        """The function at a step."""
        return next(function for first, function in reversed(self.stages) if first <= step)

    def __call__(self, *args: Any) -> Any:
        return self.stages[-1][1](*args)


def at(function: F | Stages[F], step: int) -> F:
    """A function at a step; what has no stages is the same at all."""
    return function.at(step) if isinstance(function, Stages) else function
