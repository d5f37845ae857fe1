"""Models ranked by how well their scales explain listeners' answers, with a noise ceiling and intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from audiometamer.distortions.scales import area_matching_score
from audiometamer.experiment.scaling.fits import PairAnswers, PooledScale, ScalingSettings, explained, scale_of_others
from audiometamer.experiment.scaling.predicted import PredictedScale
from audiometamer.psychophysics.levels import Values
from audiometamer.statistics.intervals import ListenerMeans, mean_over_listeners

_RESAMPLES = 10_000  # of listeners' means, which cost nothing


class RankedScale(msgspec.Struct, frozen=True, kw_only=True):
    """A row of ``models.tsv``: how well a scale explains the answers.

    Parameters
    ----------
    rank : int or None
        From 1, the best; None for the scales of listeners, which are the noise ceiling.
    model, layer : str
        ``listeners`` and ``others``: each listener by the scale of all others, the lower end of the noise ceiling; ``listeners``
        and ``all``: by the scale of all, the upper end.
    bits, low, high : float or None
        Mean over listeners of the bits per answer, see `audiometamer.experiment.scaling.fits.explained`, and its 95 % interval.
    agreement : float
        Proportion of answers that agree with the scale, mean over listeners.
    behind, behind_low, behind_high : float or None
        Bits per answer less than those of the best model, and the interval.
    score, area, score_low, score_high : float or None
        Area matching score with the listeners' scale, Σ|ψ − x|, and the score's interval; see
        `audiometamer.distortions.area_matching_score`.
    """

    rank: int | None
    model: str
    layer: str
    bits: float
    low: float | None
    high: float | None
    agreement: float
    behind: float | None = None
    behind_low: float | None = None
    behind_high: float | None = None
    score: float | None = None
    area: float | None = None
    score_low: float | None = None
    score_high: float | None = None

    @property
    def name(self) -> str:
        """Model and layer."""
        return f"{self.model} {self.layer}"


@dataclass(frozen=True)
class Ranking:
    """Models in order, the best first, and the noise ceiling.

    Parameters
    ----------
    models : list of RankedScale
    ceiling : list of RankedScale
        By the scale of the others, if there are several listeners, and by that of all.
    """

    models: list[RankedScale]
    ceiling: list[RankedScale]


def rank_models(
    predicted: Sequence[PredictedScale],
    answers: Mapping[str, PairAnswers],
    pooled: PooledScale,
    places: Values,
    settings: ScalingSettings,
) -> Ranking:
    """Rank models by the bits per answer of their scales.

    A model has one free parameter for each listener, σ; so have the scales of listeners in the noise ceiling. Intervals are over
    listeners (bootstrap); those of differences to the best model draw the same listeners for both.

    Parameters
    ----------
    predicted : sequence of PredictedScale
    answers : mapping of str to PairAnswers
        By listener.
    pooled : PooledScale
        Scale of all listeners.
    places : array [shape=(sounds,)]
        Positions of the sounds, from 0 to 1.
    settings : ScalingSettings
    """
    scales = {scale.name: [scale.values] * len(answers) for scale in predicted}
    ceilings = {"all": [pooled.fitted.scale] * len(answers)}
    if len(answers) > 1:
        ceilings = {"others": [scale_of_others(answers, listener, settings) for listener in answers]} | ceilings
    found = np.array(
        [
            [explained(psi, own) for psi, own in zip(columns, answers.values(), strict=True)]
            for columns in [*scales.values(), *ceilings.values()]
        ]
    )  # scales × listeners × (bits, agreement)
    bits, agreement = found[..., 0], found[..., 1].mean(axis=1)
    means = mean_over_listeners(bits.T, resamples=_RESAMPLES, seed=settings.seed)
    n = len(predicted)
    order = np.argsort(-means.value[:n], kind="stable")
    behind = mean_over_listeners(bits[order[:1]].T - bits[:n].T, resamples=_RESAMPLES, seed=settings.seed) if n else None
    models = []
    for rank, k in enumerate(order, start=1):
        match = area_matching_score(
            pooled.fitted.scale, predicted[k].values, positions=places,
            resampled=pooled.resampled if len(pooled.resampled) else None,
        )  # fmt: skip
        low, high = match.interval or (None, None)
        row = _row(predicted[k].model, predicted[k].layer, means, agreement, k)
        row = msgspec.structs.replace(row, rank=rank, score=match.score, area=match.area, score_low=low, score_high=high)
        if behind is not None and rank > 1:
            ends = {"behind_low": _finite(behind.low[k]), "behind_high": _finite(behind.high[k])}
            row = msgspec.structs.replace(row, behind=float(behind.value[k]), **ends)
        models.append(row)
    return Ranking(models, [_row("listeners", name, means, agreement, k) for k, name in enumerate(ceilings, start=n)])


def _row(model: str, layer: str, means: ListenerMeans, agreement: Values, k: int) -> RankedScale:
    """A row without rank and score."""
    return RankedScale(
        rank=None, model=model, layer=layer, bits=float(means.value[k]), low=_finite(means.low[k]), high=_finite(means.high[k]),
        agreement=float(agreement[k]),
    )  # fmt: skip


def _finite(value: float) -> float | None:
    """None in place of NaN."""
    return float(value) if np.isfinite(value) else None
