"""The generic core: losses, optimisers, schedules, methods, the loop. Knows no audio and no files."""

from audiometamer.matching.loop import Match, match
from audiometamer.matching.losses import (
    gram,
    half_squared_error,
    rectified,
    relative_l2,
    relative_l2_with_roots,
    time_average,
    transformed,
    weighted,
)
from audiometamer.matching.optimizers import Adam, Cosine, Halving, NormalizedDescent

__all__ = [
    "Adam",
    "Cosine",
    "Halving",
    "Match",
    "NormalizedDescent",
    "gram",
    "half_squared_error",
    "match",
    "rectified",
    "relative_l2",
    "relative_l2_with_roots",
    "time_average",
    "transformed",
    "weighted",
]
