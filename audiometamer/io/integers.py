"""Integers as callers pass them: of Python and numpy, and floats without a fraction."""

import operator
from typing import Any

import numpy as np

from audiometamer.errors import AudioMetamerError

MAX_SEED = 2**63 - 1


def as_seed(value: Any) -> int:
    """A random seed, from 0 to 2**63 - 1, as a Python integer; raises as `as_integer` does."""
    number = as_integer(value, "seed")
    if not 0 <= number <= MAX_SEED:
        raise AudioMetamerError(f"seed is {value}; it must be a whole number from 0 to {MAX_SEED} (2**63 - 1)")
    return number


def as_integer(value: Any, name: str, *, least: int | None = None, most: int | None = None) -> int:
    """A whole number as a Python integer.

    Parameters
    ----------
    value : int, numpy integer, or whole float
    name : str
        Name of the parameter, for the message.
    least, most : int, optional
        Smallest and largest allowed value.

    Raises
    ------
    AudioMetamerError
        If it is not a whole number, too small or too large.
    """
    try:
        number = operator.index(value)
    except TypeError:
        if not isinstance(value, float | np.floating) or not float(value).is_integer():
            raise AudioMetamerError(f"{name} is {value!r}; it must be a whole number") from None
        number = int(value)
    if least is not None and number < least:
        raise AudioMetamerError(f"{name} is {number}; it must be at least {least}")
    if most is not None and number > most:
        raise AudioMetamerError(f"{name} is {number}; it must be at most {most}")
    return number
