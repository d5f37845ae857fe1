"""Levels on a linear or a logarithmic scale."""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audiometamer.errors import AudioMetamerError

Values = NDArray[np.float64]
LevelSpacing = Literal["linear", "log"]


def positions(levels: ArrayLike, spacing: LevelSpacing) -> Values:
    """Levels on the scale on which they are stepped and averaged: their natural logarithms if `spacing` is ``log``.

    Raises
    ------
    AudioMetamerError
        If a level is not finite, or not positive on a logarithmic scale; if there is no such spacing.
    """
    values = np.asarray(levels, float)
    if spacing not in ("linear", "log"):
        raise AudioMetamerError(f"spacing {spacing!r}; it is 'linear' or 'log'")
    if (wrong := ~np.isfinite(values) | ((values <= 0) & (spacing == "log"))).any():
        kind = "positive and finite where the spacing is 'log'" if spacing == "log" else "finite"
        raise AudioMetamerError(f"a level of {values[wrong].flat[0]:g}; levels must be {kind}")
    return np.log(values) if spacing == "log" else values


def level_at(position: float, spacing: LevelSpacing) -> float:
    """The level at a position on the scale: the inverse of `positions`."""
    return float(np.exp(position)) if spacing == "log" else float(position)


def spaced_levels(low: float, high: float, n: int, *, spacing: LevelSpacing = "linear") -> tuple[float, ...]:
    """Levels at equal distances or, if `spacing` is ``log``, equal ratios; both ends are exact.

    Parameters
    ----------
    low, high : float
    n : int
        Number of levels, 2 or more.
    spacing : {"linear", "log"}
        Default "linear".

    Raises
    ------
    AudioMetamerError
        If there are fewer than two levels, they do not rise, or one is not positive on a logarithmic scale.
    """
    if n < 2 or not low < high:
        raise AudioMetamerError(f"{n} levels from {low:g} to {high:g}; there must be two or more, and they must rise")
    first, last = positions([low, high], spacing).tolist()
    between = np.linspace(first, last, n)[1:-1].tolist()
    return (float(low), *(level_at(position, spacing) for position in between), float(high))
