"""What an experiment compares, by hand from counts of two listeners."""

import numpy as np
import pytest

from audiometamer.experiment.analysis.recognition import CorrectCounts, ModelLayer
from audiometamer.experiment.analysis.variance import AnovaData, analyse_variance, anova_data
from audiometamer.statistics.anova import anova

CONDITIONS = [ModelLayer(model, layer) for model in ("m", "n") for layer in ("natural", "relu0")]


def counts(correct, total=4):
    correct = np.array(correct)
    return CorrectCounts([f"p{k}" for k in range(len(correct))], CONDITIONS, correct, np.full(correct.shape, total))


HUMAN = counts([[4, 2, 4, 1], [4, 1, 3, 2], [3, 3, 4, 0]])


def test_layers_of_each_model_and_layers_by_models():
    found = list(anova_data({"human": HUMAN}, dict.fromkeys(HUMAN.listeners, "")))
    assert [(one.name, one.within) for one in found] == [
        ("listeners, m", ["layer"]), ("listeners, n", ["layer"]), ("listeners, m and n", ["layer", "model"]),
    ]  # fmt: skip
    assert found[0].values.tolist() == [[1, 0.5], [1, 0.25], [0.75, 0.75]]
    assert found[2].values[0].tolist() == [[1, 1], [0.5, 0.25]]  # layers × models


def test_groups_are_compared_if_there_are_two_and_without_those_who_have_none():
    groups = {"p0": "old", "p1": "", "p2": "young"}
    found = [one for one in anova_data({"human": HUMAN}, groups) if one.between == "group"]
    assert [(one.name, one.listeners, one.groups) for one in found] == [
        (f"groups of listeners, {model}", ["p0", "p2"], ["old", "young"]) for model in ("m", "n")
    ]
    assert found[0].values.tolist() == [[1, 0.5], [0.75, 0.75]]
    alone = anova_data({"human": HUMAN}, {"p0": "old", "p1": "", "p2": "old"})
    assert not [one for one in alone if one.between]


def test_a_network_is_compared_where_its_answers_are_known():
    network = CorrectCounts(HUMAN.listeners, CONDITIONS, np.full((3, 4), 2), np.array([[0, 2, 2, 2]] * 3))
    with_network = [
        one for one in anova_data({"human": HUMAN, "network": network}, dict.fromkeys(HUMAN.listeners, "")) if one.between
    ]
    assert [one.name for one in with_network] == ["listeners and network, m", "listeners and network, n"]
    assert with_network[0].values.tolist() == [[0.5], [0.25], [0.75], [1], [1], [1]]
    assert with_network[0].groups == ["human"] * 3 + ["network"] * 3
    assert with_network[1].values.shape == (6, 2)


def test_a_listener_who_lacks_a_condition_is_left_out_with_all_rows():
    values = np.array([[1.0, 0.5], [0.5, np.nan], [0.7, 0.2], [0.9, 0.9], [0.8, 0.1], [0.6, 0.4]])
    both = AnovaData("x", values, ["layer"], ["a", "b", "c"] * 2, "observer", ["human"] * 3 + ["network"] * 3)
    tests, notes = analyse_variance([both], permutations=0, seed=0)
    kept = values[[0, 2, 3, 5]]
    expected = anova(kept, within=["layer"], between="observer", groups=["human"] * 2 + ["network"] * 2)
    assert [effect.f for effect in tests["x"].effects] == pytest.approx([effect.f for effect in expected])
    assert (tests["x"].listeners, tests["x"].groups) == (2, {"human": 2, "network": 2})
    assert notes == ["x: 1 of 3 had no trial at some condition (b); left out of the test."]


def test_why_there_is_no_test():
    alone = AnovaData("one", np.array([[1.0, 0.5]]), ["layer"], ["a"])
    nobody = AnovaData("none", np.array([[np.nan, 0.5]]), ["layer"], ["a"])
    tests, _ = analyse_variance([alone, nobody], permutations=0, seed=0)
    assert [(test.effects, test.note) for test in tests.values()] == [
        ([], "a single listener"), ([], "no listener has trials at every condition"),
    ]  # fmt: skip
