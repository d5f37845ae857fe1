"""Models are ranked by the answers that their scales explain; the listeners' own model comes first, and at the ceiling."""

import numpy as np
import pytest
from tiny_scaling import rows_of

from audiometamer.experiment.scaling.fits import ScalingSettings, fit_all, pair_answers
from audiometamer.experiment.scaling.predicted import PredictedScale
from audiometamer.experiment.scaling.ranking import rank_models

PLACES = np.linspace(0, 1, 5)
MODELS = [PredictedScale("line", "a", PLACES), PredictedScale("right", "a", PLACES**2), PredictedScale("wrong", "a", PLACES**0.5)]


@pytest.fixture(scope="module")
def answers(triads):
    return pair_answers(triads, rows_of(triads, scale=PLACES**2, sigma=0.15, repetitions=12))


def test_the_right_model_is_first_and_reaches_the_ceiling(answers):
    settings = ScalingSettings(resamples=20)
    ranking = rank_models(MODELS, answers, fit_all(answers, settings), PLACES, settings)
    assert [(row.rank, row.model) for row in ranking.models] == [(1, "right"), (2, "line"), (3, "wrong")]
    best, second, last = ranking.models
    others, everybody = ranking.ceiling
    assert (others.layer, everybody.layer) == ("others", "all")
    assert others.bits - 0.03 < best.bits < everybody.bits + 0.01
    assert best.low < best.bits < best.high
    assert best.behind is None
    assert second.behind == pytest.approx(best.bits - second.bits)
    assert last.behind_low > 0
    assert (best.score > 0.5, last.score < 0, second.score == 0) == (True, True, True)
    assert best.score_low <= best.score <= best.score_high


def test_with_one_listener_nobody_else_makes_a_ceiling(answers):
    settings = ScalingSettings(resamples=0)
    alone = {"1": answers["1"]}
    ranking = rank_models(MODELS[:1], alone, fit_all(alone, settings), PLACES, settings)
    assert [row.layer for row in ranking.ceiling] == ["all"]
    assert (ranking.models[0].low, ranking.models[0].score_low) == (None, None)
    assert rank_models([], alone, fit_all(alone, settings), PLACES, settings).models == []
