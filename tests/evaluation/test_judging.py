"""One model hears sounds: logits in order, dissimilarities as numpy gives them, in batches and memory of any size."""

import re

import numpy as np
import pytest
import tiny_models
import torch
from tiny_evaluation import LETTERS, echo, sound, write_metamer

import audiometamer as am
from audiometamer.evaluation.collection import read_collection
from audiometamer.evaluation.judging import Judge, judge_clips, judge_metamers


@pytest.fixture(scope="module")
def signals():
    return torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (7, 1000)).astype(np.float32))


@pytest.mark.parametrize(("batch_size", "memory"), [(8, 1e9), (3, 1e9), (1, 1.0)])
def test_dissimilarities_are_one_minus_pearson_at_every_layer(tiny, signals, batch_size, memory):
    reported = []
    logits, rdms = Judge(tiny, batch_size=batch_size, memory=memory).respond(iter(signals), len(signals), reported.append)
    expected = am.record(tiny, signals, tiny.layers)
    assert rdms.keys() == expected.keys() == {"cochleagram", "relu0", "relu1", "final"}
    for layer, activations in expected.items():
        np.testing.assert_allclose(rdms[layer], 1 - np.corrcoef(activations.flatten(1).double()), atol=2e-5)
    np.testing.assert_allclose(logits["word"], tiny(signals), atol=1e-5)
    assert sum(reported) == 7


def test_each_sound_is_heard_once_and_not_to_the_end_twice(tiny, signals):
    calls = []
    handle = tiny.network.register_forward_hook(lambda _, args, output: calls.append(len(args[0])))
    judge = Judge(tiny, batch_size=4)
    judge.check()
    calls.clear()
    judge.respond(iter(signals), len(signals))
    handle.remove()
    assert calls == [4, 3]


def test_without_layers_only_logits_are_computed(signals, tiny):
    logits, rdms = Judge(tiny, with_layers=False).respond(iter(signals), len(signals))
    assert logits["word"].shape == (7, 3)
    assert rdms == {}


def test_models_whose_labels_do_not_fit_their_logits():
    with pytest.raises(am.AudioMetamerError, match="nameless has no labels"):
        Judge(tiny_models.nameless_model()).check()
    with pytest.raises(am.AudioMetamerError, match=r"3 labels are given for task 'letter'; echo has letter \(8 classes\)"):
        echo(labels={"letter": list("abc")})


def test_clips_and_metamers_are_multiplied_by_the_same(tmp_path):
    loud, quiet = sound(*[0.4] * 8), sound(0.2, -0.2)
    write_metamer(tmp_path, "x", loud, quiet)
    judge = Judge(echo(level=0.1))
    collection = read_collection([tmp_path])
    clips = judge_clips(judge, collection)
    metamers = judge_metamers(judge, collection, "echo", clips.gains)
    np.testing.assert_allclose(clips.gains, [0.25])
    np.testing.assert_allclose(clips.logits["letter"], [[0.1] * 8], atol=1e-7)
    np.testing.assert_allclose(metamers.logits["letter"], [[0.05, -0.05, 0, 0, 0, 0, 0, 0]], atol=1e-7)


def test_metamers_keep_their_places(tmp_path):
    """Whatever their order on disk, layer and seed; what a seed lacks is NaN in its matrix."""
    clips = {name: 0.5 * torch.eye(8)[i] for i, name in enumerate(LETTERS[:4])}
    for i, (name, clip) in enumerate(clips.items()):
        write_metamer(tmp_path, name, clip, clip.roll(1), layer="out", seed=1)
        write_metamer(tmp_path, name, clip, clip.roll(2), layer="twice")
        if i != 2:
            write_metamer(tmp_path, name, clip, clip.roll(3), layer="out")
    collection, judge = read_collection([tmp_path]), Judge(echo(), batch_size=2)
    heard = judge_metamers(judge, collection, "echo", judge_clips(judge, collection).gains)
    shifts = {("out", 1): 1, ("twice", 0): 2, ("out", 0): 3}
    for row, number in enumerate(heard.numbers):
        made = collection.metamers[number]
        expected = (LETTERS.index(made.clip) + shifts[made.layer, made.seed]) % 8
        assert heard.logits["letter"][row].argmax() == expected
    assert heard.rdms.keys() == shifts.keys()
    lacking = np.isnan(heard.rdms["out", 0]["out"])
    np.testing.assert_array_equal(np.flatnonzero(lacking.all(0)), [2])
    r = np.corrcoef(torch.eye(8)[:2])[0, 1]
    np.testing.assert_allclose(heard.rdms["out", 1]["out"], (1 - r) * (1 - np.eye(4)), atol=1e-6)


def without_sums(record):
    """As of an earlier version, whose records do not say which signal is theirs."""
    record.write_text(re.sub(r'"(signal|original)_sha256": "[0-9a-f]+"', r'"\1_sha256": ""', record.read_text()))


def test_a_metamer_that_is_not_as_long_as_its_clip(tmp_path):
    path = write_metamer(tmp_path, "x", sound(0.5), sound(0.2))
    am.write_wav(path, torch.zeros(5), 8)
    without_sums(path.with_suffix(".json"))
    collection, judge = read_collection([tmp_path]), Judge(echo())
    with pytest.raises(am.AudioMetamerError, match=r"out_seed0.wav has 5 samples, its clip 8"):
        judge_metamers(judge, collection, "echo", [1.0])
