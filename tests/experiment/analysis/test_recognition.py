"""Proportions correct, against counts by hand."""

import json

import msgspec
import numpy as np
import pytest
from tiny_answers import answers

from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.analysis.recognition import (
    ModelLayer,
    conditions_of,
    listener_counts,
    network_counts,
    read_recognised,
    recognition_rows,
)
from audiometamer.listening.tables import TrialRow


def trial(listener, number, layer, correct, model="one", **fields):
    return TrialRow(listener=listener, trial=number, kind="main", clip="c", model=model, layer=layer, correct=correct, **fields)


def test_counts_by_hand():
    trials = [
        trial("a", 1, "natural", True, ""), trial("a", 2, "relu0", True), trial("a", 3, "relu0", False),
        trial("b", 1, "natural", False, ""), trial("b", 2, "natural", True, ""),
    ]  # fmt: skip
    conditions = conditions_of(trials)
    assert conditions == [("one", "natural"), ("one", "relu0")]
    counts = listener_counts(trials, conditions)
    assert counts.listeners == ["a", "b"]
    assert counts.correct.tolist() == [[1, 1], [1, 0]]
    assert counts.total.tolist() == [[1, 2], [2, 0]]
    np.testing.assert_array_equal(counts.proportions, [[1, 0.5], [0.5, np.nan]])
    natural, relu0 = recognition_rows({"human": counts}, {ModelLayer("one", "relu0"): 3})
    assert (natural.value, natural.listeners, natural.trials, natural.missing) == (0.75, 2, 3, 0)
    assert (relu0.value, relu0.low, relu0.high, relu0.listeners, relu0.missing) == (0.5, None, None, 1, 3)


def test_natural_clips_that_models_share_or_have_for_themselves():
    shared = [trial("a", 1, "natural", True, ""), trial("a", 2, "x", True, "one"), trial("a", 3, "x", False, "two")]
    assert conditions_of(shared) == [("one", "natural"), ("one", "x"), ("two", "natural"), ("two", "x")]
    assert listener_counts(shared, conditions_of(shared)).correct.tolist() == [[1, 1, 1, 0]]
    own = [msgspec.structs.replace(shared[0], model="two"), *shared[1:]]
    assert conditions_of(own) == [("one", "x"), ("two", "natural"), ("two", "x")]


def test_order_of_layers():
    trials = answers(1, 1, models=("two", "one"))
    given = conditions_of(trials, {"one": ["final", "relu1", "relu0", "more"]})
    assert [layer for model, layer in given if model == "one"] == ["natural", "final", "relu1", "relu0"]
    assert [layer for model, layer in given if model == "two"] == ["natural", "relu0", "relu1", "final"]
    with pytest.raises(AudioMetamerError, match="trials of one are at relu1, final; its layers are given as relu0"):
        conditions_of(trials, {"one": ["relu0"]})
    with pytest.raises(AudioMetamerError, match="no trials with metamers"):
        conditions_of(trials[:1])


def test_networks_hear_what_each_listener_heard(tmp_path):
    trials = [
        trial("a", 1, "natural", True, "", stimulus="s1", network_correct=False), trial("a", 2, "x", True, stimulus="s2"),
        trial("b", 1, "x", True, network_correct=True, stimulus="s3"),
        trial("b", 2, "x", True, network_correct=False, stimulus="s4"),
    ]  # fmt: skip
    alone = network_counts(trials, conditions_of(trials))
    np.testing.assert_array_equal(alone.proportions, [[0, np.nan], [np.nan, 0.5]])
    several = [*trials, trial("b", 3, "x", True, "two", network_correct=True, stimulus="s5")]
    untold = network_counts(several, conditions_of(several))  # nothing says which of the models recognises a shared natural clip
    assert untold.total.tolist() == [[0, 0, 0, 0], [0, 2, 0, 1]]
    (tmp_path / "key.json").write_text(
        json.dumps(
            {
                "s1": {
                    "file": "originals/1.wav",
                    "word": "three",
                    "speaker": "slt",
                    "recognised_by": {"one": "three", "two": "tree"},
                },
                "s2": {"word": "three", "recognised_by": {"one": "three"}},
            }
        )
    )
    output = network_counts(several, conditions_of(several), read_recognised(tmp_path / "key.json"))
    assert output.total.tolist() == [[1, 1, 1, 0], [0, 2, 0, 1]]
    assert output.correct.tolist() == [[1, 1, 0, 0], [0, 1, 0, 1]]


def test_what_the_trials_state_goes_before_the_key():
    """The export judged the metamers; the key is for the natural clips of several models, of which it says nothing."""
    trials = [
        trial("a", 1, "relu0", True, stimulus="m1", network_correct=True),
        trial("a", 2, "relu0", True, stimulus="m2"),
        trial("a", 3, "natural", True, "", stimulus="n1"),
    ]
    found = network_counts(trials, conditions_of(trials), {("one", "m1"): False, ("one", "m2"): False, ("one", "n1"): True})
    assert (found.correct.tolist(), found.total.tolist()) == ([[1, 1]], [[1, 2]])


def test_answers_that_count_as_the_same(tmp_path):
    (tmp_path / "key.json").write_text('{"s1": {"word": "two", "recognised_by": {"one": "too", "other": "ten"}}}')
    known = read_recognised(tmp_path / "key.json", same=lambda a, b: {a, b} <= {"two", "too"})
    assert known == {("one", "s1"): True, ("other", "s1"): False}
    assert read_recognised(tmp_path / "key.json")["one", "s1"] is False


def test_a_key_that_is_none(tmp_path):
    (tmp_path / "key.json").write_text("[]")
    with pytest.raises(AudioMetamerError, match=r"key\.json is not the key of an experiment: Expected `object`, got `array`"):
        read_recognised(tmp_path / "key.json")
