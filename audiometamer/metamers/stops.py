"""Stopping rules as text, for commands and plans."""

from typing import Literal

from audiometamer.errors import AudioMetamerError
from audiometamer.matching.stopping import Below, Plateau, StoppingRule
from audiometamer.metamers.setup import PASSED


def parse_stop(text: str | None) -> StoppingRule | Literal["passed"] | None:
    """A stopping rule for `synthesize`, from its text.

    Parameters
    ----------
    text : str or None
        ``passed``; ``plateau:100``, a `Plateau` of so many steps; ``below:0.1``, `Below` that loss; or None.

    Raises
    ------
    AudioMetamerError
        If it is none of these.

    Examples
    --------
    >>> parse_stop("plateau:100")
    Plateau(patience=100, min_decrease=0.01)
    """
    if text is None or text == PASSED:
        return PASSED if text else None
    kind, _, number = text.partition(":")
    try:
        if kind == "plateau":
            return Plateau(int(number))
        if kind == "below" and 0 <= float(number) < float("inf"):
            return Below(float(number))
    except ValueError:
        pass
    raise AudioMetamerError(
        f"stop is {text!r}; it must be passed, plateau:STEPS, such as plateau:100, or below:LOSS, such as below:0.1"
    )
