"""Power against the noncentral distributions that hold where proportions are nearly normal."""

import numpy as np
import pytest
import scipy.stats

from audiometamer.errors import AudioMetamerError
from audiometamer.experiment import power as module
from audiometamer.experiment.power import listeners_needed, power


def test_two_layers_are_a_paired_t_test():
    """Differences of two proportions of n answers have variance about p(1-p)/n each, and listeners' own level cancels."""
    accuracy, trials, listeners = np.array([0.52, 0.48]), 50, 20
    se = np.sqrt((accuracy * (1 - accuracy) / trials).sum() / listeners)
    noncentral = scipy.stats.nct(listeners - 1, np.diff(accuracy)[0] / se)
    critical = scipy.stats.t(listeners - 1).ppf(0.975)
    expected = noncentral.sf(critical) + noncentral.cdf(-critical)
    found = power(accuracy, listeners=listeners, trials=trials, spread=0.0, experiments=4000)
    assert 0.3 < expected < 0.6
    assert found.power == pytest.approx(expected, abs=4 * found.se)
    assert found.se == pytest.approx(np.sqrt(expected * (1 - expected) / 4000), rel=0.1)


def test_no_effect_is_found_as_often_as_alpha_says():
    flat = np.full((4, 2), 0.6)
    for effect in ("layer", "model", "layer*model"):
        found = power(flat, listeners=15, trials=20, effect=effect, experiments=2000, alpha=0.1)
        assert found.power == pytest.approx(0.1, abs=0.035)


def test_interactions_are_of_the_log_odds_that_differ():
    parallel = np.array([[0.5, 0.5], [0.4, 0.4]])
    crossed = np.array([[0.5, 0.3], [0.3, 0.5]])
    options = {"listeners": 12, "trials": 30, "effect": "layer × model", "experiments": 400}
    assert power(parallel, **options).power < 0.1
    assert power(crossed, **options).power > 0.9


def test_spread_lapses_and_scatter():
    options = {"listeners": 10, "trials": 20, "experiments": 500}
    plain = power([0.7, 0.5], **options).power
    assert power([0.7, 0.5], **options, lapse=0.5).power < plain
    assert power([0.7, 0.5], **options, scatter=1.0).power < plain


@pytest.mark.parametrize("accuracy", [[1 - 1e-12, 1e-12], [1 - 1e-12, 1 - 1e-12]])
def test_experiments_in_which_listeners_do_not_differ_find_nothing(accuracy):
    found = power(accuracy, listeners=10, trials=20, experiments=50, spread=0.0)
    assert (found.power, found.untested) == (0, 1)
    with pytest.raises(AudioMetamerError, match=r"4 listeners have a power of 0 \(100 % have no F: listeners do not differ\)"):
        listeners_needed(accuracy, trials=20, experiments=50, spread=0.0, most=4)


def test_the_smallest_number_that_has_it(monkeypatch):
    tried = listeners_needed([0.6, 0.5], trials=20, experiments=300, wanted=0.8)
    needed = next(found for found in tried if found.power >= 0.8)
    assert [found.listeners for found in tried] == sorted(found.listeners for found in tried)
    assert all(found.power < 0.8 for found in tried if found.listeners < needed.listeners)
    assert needed.listeners - 1 in {found.listeners for found in tried}
    monkeypatch.setattr(module, "_CHUNK", 1000)
    assert listeners_needed([0.6, 0.5], trials=20, experiments=300, wanted=0.8) != []


@pytest.mark.parametrize(
    ("accuracy", "options", "message"),
    [
        ([0.5, 0.4], {"effect": "model"}, "effect 'model' of accuracies of shape (2,); there are layer; for an effect of model"),
        ([[0.5, 0.4]] * 2, {"effect": "colour"}, "shape (2, 2); there are layer, model and layer × model"),
        ([[0.5], [0.4]], {"effect": "layer*model"}, "a factor needs two levels or more"),
        ([0.5, 1.0], {}, "accuracies from 0.5 to 1; they must be between 0 and 1, and neither"),
        ([0.5, 0.4], {"spread": -1.0}, "spread -1 and scatter 0; they must not be negative"),
        ([0.5, 0.4], {"lapse": 1.0}, "lapse 1 and alpha 0.05; they must be between 0 and 1"),
        ([0.5, 0.4], {"trials": 0}, "2 listeners, 0 trials, 10 experiments; there must be at least 2, 1 and 1 of them"),
        ([0.5, 0.4], {"wanted": 1.5}, "a power of 1.5 is wanted; it must be between 0 and 1"),
        ([0.5, 0.5], {"most": 4}, "4 listeners have a power of"),
    ],
)  # fmt: skip
def test_what_cannot_be_simulated(accuracy, options, message):
    with pytest.raises(AudioMetamerError) as error:
        listeners_needed(accuracy, **{"trials": 5, "experiments": 10, **options})
    assert message in str(error.value)
