"""The generic core: losses, optimisers, stopping rules, domains, the loop; knows no audio, no models, no files."""

from audiometamer.io.fingerprints import named
from audiometamer.matching.loop import Match, StopSynthesis, match
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
from audiometamer.matching.optimizers import LBFGS, Adam, CautiousLBFGS, Constant, Cosine, Halving, NormalizedDescent, Phases
from audiometamer.matching.stages import Stages
from audiometamer.matching.stopping import AnyOf, Below, Plateau, Stuck

__all__ = [
    "CautiousLBFGS",
    "LBFGS",
    "Adam",
    "AnyOf",
    "Below",
    "Constant",
    "Cosine",
    "Halving",
    "Match",
    "NormalizedDescent",
    "Phases",
    "Plateau",
    "Stages",
    "StopSynthesis",
    "Stuck",
    "gram",
    "half_squared_error",
    "match",
    "named",
    "rectified",
    "relative_l2",
    "relative_l2_with_roots",
    "time_average",
    "transformed",
    "weighted",
]
