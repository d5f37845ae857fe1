"""Whole numbers as callers give them: Python's and numpy's, and floats that are whole."""

import operator
from typing import Any

import numpy as np

from audiometamer.errors import AudioMetamerError


def whole(value: Any, name: str, *, least: int | None = None) -> int:
    """A number as a Python integer.

    Parameters
    ----------
    value : int, numpy integer, or whole float
    name : str
        What it is, for the message.
    least : int, optional
        Smallest allowed value.

    Raises
    ------
    AudioMetamerError
        If it is no whole number, or too small.
    """
    try:
        number = operator.index(value)
    except TypeError:
        if not isinstance(value, float | np.floating) or not float(value).is_integer():
            raise AudioMetamerError(f"{name} is {value!r}; it must be a whole number") from None
        number = int(value)
    if least is not None and number < least:
        raise AudioMetamerError(f"{name} is {number}; it must be at least {least}")
    return number
