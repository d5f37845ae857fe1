"""The settings of an analysis of answers."""

from collections.abc import Sequence

import msgspec


class RecognitionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of an analysis; see `audiometamer.experiment.analysis.analyse.analyse`.

    Parameters
    ----------
    layers : sequence of str
        Order of the layers of all models. Default: that of the zoo's models, else order of first occurrence.
    count_missing, resamples, permutations, seed
        As in `analyse`.
    """

    layers: Sequence[str] = ()
    count_missing: bool = False
    resamples: int = 10_000
    permutations: int = 10_000
    seed: int = 0
