"""Power functions of d′: recovered from their own proportions, against another fit, and against a general optimiser."""

import numpy as np
import pytest
import scipy.optimize
from numpy.testing import assert_allclose
from scipy.special import ndtr

from audiometamer.errors import AudioMetamerError
from audiometamer.exploration.analysis.sensitivity import Decision, decision_at_d_prime, fit_sensitivity
from audiometamer.psychophysics.psychometric import fit_psychometric

CHANGES = np.array([0.1, 0.16, 0.26, 0.41, 0.66, 1.05, 1.7, 2.7])
RIGHT, OF = np.array([11.0, 17, 20, 27, 34, 39, 18, 10]), np.array([20.0, 30, 30, 40, 40, 40, 19, 10])


def abx(d):
    """Macmillan & Creelman (2005): differencing, with 2 % lapses."""
    return 0.5 + 0.96 * (ndtr(d / 2**0.5) * ndtr(d / 6**0.5) + ndtr(-d / 2**0.5) * ndtr(-d / 6**0.5) - 0.5)


def test_the_threshold_is_where_the_target_is_correct():
    decision = Decision()
    assert decision.target == pytest.approx(0.5 ** (1 / 3))
    assert abx(decision.d_prime) == pytest.approx(decision.target)
    assert decision_at_d_prime(1.0).d_prime == pytest.approx(1.0)
    assert decision_at_d_prime(1.0).target == pytest.approx(abx(1.0))
    z = np.linspace(-5, 3, 1001)
    assert_allclose(decision.proportion_beyond(z), abx(decision.d_prime * np.exp(z)), atol=1e-6)


@pytest.mark.parametrize(("threshold", "exponent"), [(0.3, 1.0), (0.8, 0.7), (1.2, 2.0)])
def test_a_function_is_recovered_from_its_proportions(threshold, exponent):
    decision = Decision()
    p = abx(decision.d_prime * (CHANGES / threshold) ** exponent)
    found = fit_sensitivity(CHANGES, 1000 * p, np.full(8, 1000), decision)
    assert found.threshold[0] == pytest.approx(threshold, rel=0.01)
    assert found.exponent[0] == pytest.approx(exponent, rel=0.07)  # the nearest of those that are looked at
    assert not found.at_bound[0]
    assert_allclose(found.proportion(CHANGES, decision), p, atol=0.01)


def test_another_shape_has_the_same_threshold():
    weibull = fit_psychometric(CHANGES, RIGHT, OF, shape="weibull", guess=0.5, lapse=0.02)
    assert fit_sensitivity(CHANGES, RIGHT, OF, Decision()).threshold[0] == pytest.approx(
        weibull.level(Decision().target), rel=0.03
    )


def test_likelihoods_are_those_that_an_optimiser_finds():
    decision = Decision()

    def loss(parameters):
        p = abx(decision.d_prime * (CHANGES / np.exp(parameters[0])) ** np.exp(parameters[1]))
        return -float((RIGHT * np.log(p) + (OF - RIGHT) * np.log1p(-p)).sum())

    best = scipy.optimize.minimize(loss, [-1, 0], method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-9})
    found = fit_sensitivity(CHANGES, RIGHT, OF, decision)
    assert found.threshold[0] == pytest.approx(np.exp(best.x[0]), rel=0.005)
    low, high = found.interval(3.84)
    for end in (low, high):
        held = scipy.optimize.minimize_scalar(lambda b, end=end: loss([np.log(end), b]), bounds=(-1.3, 1.3), method="bounded")
        assert 2 * (held.fun - best.fun) == pytest.approx(3.84, abs=0.05)
        assert found.loss_at(end)[0] == pytest.approx(3.84)


def test_many_sets_are_fitted_as_each():
    sets = np.random.default_rng(0).binomial(OF.astype(int), RIGHT / OF, (5, 8)).astype(float)
    together = fit_sensitivity(CHANGES, sets, np.broadcast_to(OF, sets.shape), Decision())
    for k, own in enumerate(sets):
        alone = fit_sensitivity(CHANGES, own, OF, Decision())
        assert together.threshold[k] == pytest.approx(alone.threshold[0], rel=1e-9)
        assert_allclose(together.lost[k], alone.lost[0], atol=1e-9)


def test_intervals_without_an_end():
    always = fit_sensitivity(CHANGES, OF, OF, Decision())
    assert always.at_bound[0]
    assert always.interval(3.84)[0] == 0.0
    never = fit_sensitivity(CHANGES, OF / 2, OF, Decision())
    assert never.interval(3.84)[1] == float("inf")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"task": "taste"}, "no task 'taste'; there are 2afc"),
        ({"target": 0.5}, "a threshold at 0.5 correct; abx-differencing has one between 0.5 and 0.98"),
        ({"target": 0.99}, "a threshold at 0.99 correct"),
        ({"task": "oddity-differencing", "target": 0.3}, "has one between 0.3333 and 0.98"),
    ],
)
def test_decisions_that_cannot_be(settings, said):
    with pytest.raises(AudioMetamerError, match=said):
        Decision(**settings)
