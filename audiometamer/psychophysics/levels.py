"""The scale that levels are stepped and averaged on: their own, or that of their logarithm."""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audiometamer.errors import AudioMetamerError

Values = NDArray[np.float64]
LevelSpacing = Literal["linear", "log"]


def positions(levels: ArrayLike, spacing: LevelSpacing) -> Values:
    """Levels on their scale, the natural logarithm if `spacing` is ``log``; of the same shape."""
    values = np.asarray(levels, float)
    if spacing not in ("linear", "log"):
        raise AudioMetamerError(f"spacing {spacing!r}; it is 'linear' or 'log'")
    if (wrong := ~np.isfinite(values) | ((values <= 0) & (spacing == "log"))).any():
        kind = "positive and finite where the spacing is 'log'" if spacing == "log" else "finite"
        raise AudioMetamerError(f"a level of {values[wrong].flat[0]:g}; levels must be {kind}")
    return np.log(values) if spacing == "log" else values


def level_at(position: float, spacing: LevelSpacing) -> float:
    """The level that stands at a position."""
    return float(np.exp(position)) if spacing == "log" else float(position)


def spaced_levels(least: float, most: float, n: int, *, spacing: LevelSpacing = "linear") -> tuple[float, ...]:
    """`n` levels from `least` to `most`, both exactly among them, at equal distances or, if `spacing` is ``log``, ratios.

    Raises
    ------
    AudioMetamerError
        If there are fewer than two levels, or they do not rise, or a logarithm is asked of one that is not positive.
    """
    if n < 2 or not least < most:
        raise AudioMetamerError(f"{n} levels from {least:g} to {most:g}; there must be two or more, and they must rise")
    first, last = positions([least, most], spacing).tolist()
    between = np.linspace(first, last, n)[1:-1].tolist()
    return (float(least), *(level_at(position, spacing) for position in between), float(most))
