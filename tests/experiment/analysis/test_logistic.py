"""Mixed logistic models against the likelihood integrated by Gauss and Hermite's quadrature, and against known odds."""

import sys

import numpy as np
import pytest
import scipy.optimize
import scipy.special

from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.analysis.logistic import mixed_logistic, write_logistic
from audiometamer.listening.tables import TrialRow

LAYERS = ("natural", "relu0", "final")


def simulated(listeners=20, trials=20, spread=0.8, seed=1):
    """Answers with log odds 1.5, 1.0, -0.5 and listeners that differ; listener, layer and answer of each."""
    rng = np.random.default_rng(seed)
    listener, layer = (x.ravel() for x in np.meshgrid(range(listeners), np.repeat(range(3), trials), indexing="ij"))
    logits = np.array([1.5, 1.0, -0.5])[layer] + rng.normal(0, spread, listeners)[listener]
    return listener, layer, rng.random(len(layer)) < scipy.special.expit(logits)


def as_trials(listener, layer, correct):
    return [
        TrialRow(
            listener=str(who), trial=number, kind="main", clip=f"clip{number % 30}", model="" if at == 0 else "one",
            layer=LAYERS[at], correct=bool(right),
        )
        for number, (who, at, right) in enumerate(zip(listener, layer, correct, strict=True))
    ]  # fmt: skip


def quadrature(listener, layer, correct):
    """Fixed effects, log standard deviation of listeners, and all their standard errors, by maximum likelihood."""
    design = np.column_stack([np.ones(len(layer)), layer == 1, layer == 2])
    nodes, weights = np.polynomial.hermite_e.hermegauss(25)

    def loss(parameters):
        logits = (design @ parameters[:3])[:, None] + np.exp(parameters[3]) * nodes
        each = -np.logaddexp(0, np.where(correct[:, None], -logits, logits))
        of_listeners = np.zeros((listener.max() + 1, len(nodes)))
        np.add.at(of_listeners, listener, each)
        return -scipy.special.logsumexp(of_listeners + np.log(weights / weights.sum()), axis=1).sum()

    best = scipy.optimize.minimize(loss, np.zeros(4)).x
    step = 1e-3 * np.eye(4)
    curvature = [
        [(loss(best + a + b) - loss(best + a - b) - loss(best - a + b) + loss(best - a - b)) / 4e-6 for a in step] for b in step
    ]
    return best, np.sqrt(np.diag(np.linalg.inv(curvature)))


def test_as_quadrature():
    data = simulated()
    theirs, errors = quadrature(*data)
    *fixed, spread = mixed_logistic(as_trials(*data), vary=["listener"])
    assert [c.name for c in fixed] == ["Intercept", "condition[T.one final]", "condition[T.one relu0]"]
    ours = [fixed[0], fixed[2], fixed[1]]
    assert [c.estimate for c in ours] == pytest.approx(theirs[:3], abs=0.03)
    assert [c.se for c in ours] == pytest.approx(errors[:3], rel=0.1)
    assert spread.name == "sd(listener)"
    assert spread.estimate == pytest.approx(np.exp(theirs[3]), rel=0.15)
    assert fixed[1].p < 1e-10 < fixed[2].p
    assert fixed[1].low == pytest.approx(fixed[1].estimate - 1.96 * fixed[1].se, rel=1e-4)


def test_the_same_twice_and_another_formula():
    trials = as_trials(*simulated(6, 10))
    np.testing.assert_equal(mixed_logistic(trials), mixed_logistic(trials))
    names = [c.name for c in mixed_logistic(trials, "correct ~ layer == 'final'", vary=["listener", "clip"])]
    assert names == ["Intercept", "layer == 'final'[T.True]", "sd(listener)", "sd(clip)"]


def test_a_condition_that_is_always_right_stays_finite():
    listener, layer, correct = simulated(6, 10)
    fixed = mixed_logistic(as_trials(listener, layer, correct | (layer == 0)), vary=["listener"])[:3]
    assert all(abs(c.estimate) < 20 and np.isfinite(c.se) for c in fixed)
    assert all(np.isnan([c.low, c.high, c.p]).all() for c in fixed)
    compared = "not computed: all 60 answers are right in the reference condition"
    assert [c.note for c in fixed] == ["not computed: all 60 answers are right", compared, compared]


def test_a_condition_that_is_always_wrong_has_no_p_and_others_have():
    listener, layer, correct = simulated(6, 10)
    intercept, final, relu0, spread = mixed_logistic(as_trials(listener, layer, correct & (layer != 2)), vary=["listener"])
    assert (final.name, final.note) == ("condition[T.one final]", "not computed: all 60 answers are wrong")
    assert np.isnan([final.low, final.high, final.p]).all()
    assert intercept.note == relu0.note == ""
    assert 0 < relu0.p < 1
    assert spread.note == "no standard error: the approximation makes it too small"


def test_written(tmp_path):
    path = write_logistic(tmp_path / "logistic.tsv", mixed_logistic(as_trials(*simulated(4, 8))))
    header, first, *_, last = path.read_text().splitlines()
    assert header == "name\testimate\tse\tlow\thigh\tp\tnote"
    assert first.startswith("Intercept\t")
    assert last.split("\t")[2:6] == ["", "", "", ""]


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("correct ~ colour", "the formula 'correct ~ colour' does not fit the trial table"),
        ("correct ~", "the formula 'correct ~' does not fit the trial table"),
    ],
)
def test_formulas_that_do_not_fit(formula, message):
    with pytest.raises(AudioMetamerError, match=message):
        mixed_logistic(as_trials(*simulated(4, 8)), formula)


def test_nothing_to_tell_apart():
    listener, layer, correct = simulated(4, 8)
    for answers, word in ((correct | True, "right"), (correct & False, "wrong")):
        (line,) = mixed_logistic(as_trials(listener, layer, answers))
        assert line.note == f"not computed: all 96 answers are {word}"
        assert np.isnan(line[1:6]).all()


def test_without_statsmodels(monkeypatch):
    monkeypatch.setitem(sys.modules, "statsmodels.genmod.bayes_mixed_glm", None)
    with pytest.raises(AudioMetamerError) as error:
        mixed_logistic([])
    assert str(error.value) == "mixed logistic models need statsmodels; `pip install 'audiometamer[analysis]'` installs it"
