"""Proportions correct against the decisions themselves, made by simulated observers, and against printed values."""

import itertools

import numpy as np
import pytest
from scipy.special import ncfdtr

from audiometamer.errors import AudioMetamerError
from audiometamer.psychophysics import DECISION_MODELS, d_prime, proportion_correct

N = 200_000


def observations(means, rng):
    return np.array(means, float) + rng.standard_normal((N, len(means)))


def likeliest(x, sequences, d):
    """Which answer has the largest likelihood, summed over the sequences of stimuli that it is right for."""
    by_answer = [sum(np.exp(-((x - d * np.array(s)) ** 2).sum(1) / 2) for s in group) for group in sequences]
    return np.argmax(by_answer, 0)


def odd(k, kind):
    return tuple(kind if i == k else 1 - kind for i in range(3))


def simulated(task, d, rng):
    """The share of right answers when the first of the possible answers is right."""
    if task == "2afc":
        x = observations([d, 0], rng)
        return np.mean(x[:, 0] > x[:, 1])
    if task == "3afc":
        return np.mean(observations([d, 0, 0], rng).argmax(1) == 0)
    if task == "oddity-differencing":
        x = observations([d, 0, 0], rng)
        apart = np.abs(np.stack([x[:, 1] - x[:, 2], x[:, 0] - x[:, 2], x[:, 0] - x[:, 1]]))
        return np.mean(apart.argmin(0) == 0)
    if task == "oddity-independent":
        x = observations([d, 0, 0], rng)
        return np.mean(likeliest(x, [[odd(k, 0), odd(k, 1)] for k in range(3)], d) == 0)
    a, b, x = observations([0, d, 0], rng).T
    if task == "abx-differencing":
        return np.mean(np.abs(x - a) < np.abs(x - b))
    sequences = [[(0, 1, 0), (1, 0, 1)], [(0, 1, 1), (1, 0, 0)]]  # X is A; X is B
    return np.mean(likeliest(np.stack([a, b, x], 1), sequences, d) == 0)


@pytest.mark.parametrize(("task", "d"), list(itertools.product(DECISION_MODELS, (0.7, 1.5, 3.0))))
def test_simulated_observers_decide_as_the_formula_says(task, d):
    share, p = simulated(task, d, np.random.default_rng([17, round(10 * d)])), float(proportion_correct(d, task=task))
    assert abs(share - p) < 3 * np.sqrt(p * (1 - p) / N)


@pytest.mark.parametrize(
    ("task", "d", "printed"),
    [
        ("2afc", 1.0, 0.760), ("2afc", 1.81, 0.90), ("2afc", 2.33, 0.95),
        ("3afc", 1.0, 0.634), ("oddity-differencing", 1.0, 0.418), ("oddity-differencing", 2.0, 0.605),
    ],
)  # fmt: skip
def test_values_of_the_usual_tables(task, d, printed):
    assert float(proportion_correct(d, task=task)) == pytest.approx(printed, abs=6e-4)


def test_the_triangle_is_a_noncentral_f():
    """Its other form: P(F₁,₁ > 3) of noncentrality 2d′²/3."""
    d = np.array([0.1, 0.5, 1.0, 2.0, 4.0])
    assert proportion_correct(d, task="oddity-differencing") == pytest.approx(1 - ncfdtr(1, 1, 2 * d**2 / 3, 3), abs=1e-9)


@pytest.mark.parametrize("task", DECISION_MODELS)
def test_chance_at_nothing_everything_at_last_and_back(task):
    guess = DECISION_MODELS[task].guess
    assert proportion_correct([0.0, 1e3], task=task) == pytest.approx([guess, 1.0])
    assert proportion_correct([0.0, 1e3], task=task, lapse=0.05) == pytest.approx([guess, 0.95])
    d = np.array([[0.3, 1.0], [2.0, 5.0]])
    for lapse in (0.0, 0.03):
        assert d_prime(proportion_correct(d, task=task, lapse=lapse), task=task, lapse=lapse) == pytest.approx(d, abs=1e-8)
    assert d_prime(guess, task=task) == 0
    assert (np.diff(proportion_correct(np.linspace(0, 8, 50), task=task)) > 0).all()


def test_knowing_the_sounds_is_never_worse():
    d = np.linspace(0.1, 6, 30)
    for task in ("abx", "oddity"):
        assert (proportion_correct(d, task=f"{task}-independent") > proportion_correct(d, task=f"{task}-differencing")).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: proportion_correct(1.0, task="ABX"), "no task 'ABX'; there are 2afc, 3afc, oddity-differencing, oddity-indep"),
        (lambda: proportion_correct([1.0, -0.5], task="2afc"), "d′ of -0.5; it must be 0 or more"),
        (lambda: proportion_correct(np.nan, task="2afc"), "d′ of nan; it must be 0 or more"),
        (lambda: proportion_correct(1.0, task="3afc", lapse=0.7), "a lapse rate of 0.7; 3afc takes one from 0 to below 0.6667"),
        (lambda: d_prime(0.3, task="3afc"), "0.3 correct; 3afc has a d′ from chance, 0.3333, to below 1"),
        (lambda: d_prime([0.7, 0.98], task="2afc", lapse=0.02), "0.98 correct; 2afc has a d′ from chance, 0.5, to below 0.98"),
    ],
)
def test_what_has_no_answer(call, message):
    with pytest.raises(AudioMetamerError) as error:
        call()
    assert str(error.value).startswith(message)
