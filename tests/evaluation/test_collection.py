"""Reading folders of metamers, and giving their sounds to models of other rates, lengths and levels."""

import re

import numpy as np
import pytest
import scipy.io.wavfile
import torch
from tiny_evaluation import echo, sound, write_metamer
from tiny_plan import write_plan

import audiometamer as am
from audiometamer.evaluation.collection import NaturalClip, check_presentable, fit_to_model, gain_for, read_collection
from audiometamer.stimuli.items import expand
from audiometamer.stimuli.plan import read_plan
from audiometamer.stimuli.run import run

A, B = sound(0.9, 0.1), sound(0.1, 0.8)


def test_metamers_of_several_folders_share_their_clips(tmp_path):
    write_metamer(tmp_path / "one", "x", A, B, layer="out", weights="0")
    write_metamer(tmp_path / "one", "x", A, B, layer="twice", seed=4, weights="0")
    write_metamer(tmp_path / "one", "y", B, A, passed=False, weights="0")
    write_metamer(tmp_path / "two", "x", A, B, model="rival", weights="1")
    found = read_collection([tmp_path / "one", tmp_path / "two", tmp_path / "one"])
    assert found.clips == ["x", "y"]
    assert [natural.shape for natural in found.naturals] == [(8,), (8,)]
    assert [(made.clip, made.generator, made.layer, made.seed, made.natural) for made in found.metamers] == [
        ("x", "echo", "out", 0, 0), ("x", "echo", "twice", 4, 0), ("y", "echo", "out", 0, 1), ("x", "rival", "out", 0, 0),
    ]  # fmt: skip
    assert found.layers == {"echo": ["twice", "out"], "rival": ["out"]}
    assert found.weights == {"echo": "0", "rival": "1"}
    assert found.naturals_of("rival") == [0]
    assert found.labels_by("echo") == {("x", "letter"): "a", ("y", "letter"): "b"}
    torch.testing.assert_close(found.naturals[0].read(), A)
    torch.testing.assert_close(found.metamers[0].read(), B)
    assert len(read_collection([tmp_path / "one"], only_passed=True).metamers) == 2


def test_a_set_of_a_plan_is_read_as_a_folder_of_synth_is(tmp_path):
    path = write_plan(tmp_path, n_clips=2)
    run(expand(read_plan(path)), device="cpu")
    found = read_collection([tmp_path / "set"])
    assert found.clips == ["c0", "c1"]
    assert [(made.clip, made.layer, made.seed, made.natural) for made in found.metamers] == [
        ("c0", "relu0", 0, 0), ("c0", "relu0", 1, 0), ("c1", "relu0", 0, 1), ("c1", "relu0", 1, 1),
    ]  # fmt: skip
    natural = am.read_clip(tmp_path / "c1.wav", sample_rate=4000, duration=0.25)
    torch.testing.assert_close(found.naturals[1].read(), natural.samples)
    metamer = scipy.io.wavfile.read(found.metamers[3].path)[1]
    np.testing.assert_array_equal(found.metamers[3].read(), metamer)
    (tmp_path / "selection.tsv").write_text(f"file\n{found.metamers[2].path.relative_to(tmp_path / 'set').as_posix()}\n")
    chosen = read_collection([tmp_path / "set"], selection=tmp_path / "selection.tsv")
    assert [(made.clip, made.seed) for made in chosen.metamers] == [("c1", 0)]
    (tmp_path / "selection.tsv").write_text("file\nelse.wav\n")
    with pytest.raises(
        am.AudioMetamerError, match=r"no metamer of a clip that .*selection\.tsv names in .*set: nothing to evaluate"
    ):
        read_collection([tmp_path / "set"], selection=tmp_path / "selection.tsv")
    next((tmp_path / "set").glob("items/c0/*/relu0_seed0*/item.json")).unlink()
    with pytest.warns(am.AudioMetamerWarning, match="1 of its metamers are not made yet; the 3 finished ones are read"):
        assert len(read_collection([tmp_path / "set"]).metamers) == 3


def refused(message, *folders, **options):
    with pytest.raises(am.AudioMetamerError, match=re.escape(message)) as caught:
        read_collection(folders, **options)
    assert "\n" not in str(caught.value)


def test_folders_that_do_not_fit_each_other(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    write_metamer(one, "x", A, B, passed=None)
    refused("there is no metamer of a clip that passed its verdict", one, only_passed=True)
    write_metamer(two, "x", A, B)
    refused("are both the metamer of ('x', 'echo', 'out', 0)", one, two)
    write_metamer(tmp_path / "three", "x", A, B, layer="twice", weights="other")
    refused("was made with other weights of echo than the metamers before it", one, tmp_path / "three")
    write_metamer(tmp_path / "four", "x", B, A, layer="twice")
    refused("the clip 'x' of", one, tmp_path / "four")
    write_metamer(tmp_path / "five", "x", 0.5 * A, A, layer="twice")  # the same sound at another level
    assert read_collection([one, tmp_path / "five"]).clips == ["x"]


def test_sounds_are_resampled_and_padded_but_never_cut():
    model = echo(sample_rate=8)
    t = np.arange(1000) / 1000
    tone = torch.from_numpy(np.sin(2 * np.pi * 20 * t).astype(np.float32))
    other = am.Model(torch.nn.Linear(500, 2).eval().requires_grad_(False), sample_rate=250, duration=2.0, labels=["x", "y"])
    taken = fit_to_model(other, tone, 1000)
    assert taken.shape == (500,)
    assert not taken[:125].any()
    assert not taken[375:].any()
    expected = np.sin(2 * np.pi * 20 * np.arange(250) / 250)
    np.testing.assert_allclose(taken[125:375][50:200], expected[50:200], atol=1e-3)
    (note,) = check_presentable(other, [NaturalClip("x", "x.wav", 1000, (1000,))])
    assert note == "Linear: sounds of 1 s are padded with equal silence before and after to 2 s"
    assert check_presentable(model, [NaturalClip("x", "x.wav", 8, (8,))]) == []
    for rate, n in ((8, 10), (1000, 1400)):
        with pytest.raises(am.AudioMetamerError, match=r"echo takes 1 s and x.wav lasts 1\.\d+ s; nothing is cut"):
            check_presentable(model, [NaturalClip("x", "x.wav", rate, (n,))])


def test_signals_that_are_no_sounds_must_have_the_models_shape():
    picture = echo(sample_rate=None, duration=None, signal_shape=(8,))
    with pytest.raises(am.AudioMetamerError, match=r"echo takes signals other than sounds, and x\.wav is one of sounds"):
        check_presentable(picture, [NaturalClip("x", "x.wav", 8, (8,))])
    with pytest.raises(am.AudioMetamerError, match=r"echo takes sounds, and x\.npy is one of signals other than sounds"):
        check_presentable(echo(), [NaturalClip("x", "x.npy", None, (8,))])
    with pytest.raises(am.AudioMetamerError, match=re.escape("echo takes signals of shape (8,); x.npy: (9,)")):
        check_presentable(picture, [NaturalClip("x", "x.npy", None, (9,))])
    assert check_presentable(picture, [NaturalClip("x", "x.npy", None, (8,))]) == []
    torch.testing.assert_close(fit_to_model(picture, A, None), A)
    assert gain_for(picture, A) == 1


def test_the_level_is_the_clips():
    assert gain_for(echo(level=0.2), sound(*[0.1] * 8)) == pytest.approx(2)
    assert gain_for(echo(level=0.1), sound(*[0.1] * 8)) == 1
    assert gain_for(echo(level=None), sound(*[0.1] * 8)) == 1
