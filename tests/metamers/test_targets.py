"""Targets given as activations: written, changed, matched, refused."""

import json

import numpy as np
import pytest
import soundfile
import torch
from command_line import refused

import audiometamer as am
from audiometamer.cli import main
from audiometamer.metamers.files import load_metamer
from audiometamer.metamers.targets import GivenTarget, read_target, save_activations

MODEL = ("--model", "tiny_models:sound_model")


def test_given_activations_are_matched_as_a_clips_are(tiny, tiny_clip):
    target = am.record(tiny, tiny_clip.samples[None], ["relu1", "final"])
    given = GivenTarget("mean", {layer: a[0] for layer, a in target.items()})
    metamers = am.synthesize(tiny, given, ["relu1", "relu1+final"])
    plain = am.synthesize(tiny, tiny_clip, "relu1")
    assert torch.equal(metamers[0].samples, plain[0].samples)
    evidence = metamers[0].evidence
    assert set(evidence.similarity) == {"relu1"}
    assert evidence.similarity["relu1"] == pytest.approx(plain[0].evidence.similarity["relu1"], rel=1e-4)  # of two batches
    assert (evidence.verdict.labels, evidence.verdict.passed) == ({}, None)
    assert min(metamers[1].evidence.similarity[x]["snr_db"] for x in ("relu1", "final")) > 15


def test_files(tmp_path, tiny, tiny_clip):
    given = GivenTarget("one", {"final": torch.tensor([1.0, -2.0, 0.5])})
    save_activations(tmp_path / "one.safetensors", given.activations)
    back = read_target(tmp_path / "one.safetensors")
    assert back.name == "one"
    assert torch.equal(back.at("final"), given.at("final"))
    (metamer,) = am.synthesize(tiny, given, "final", steps=20)
    path = metamer.save(tmp_path)
    again = load_metamer(path)
    assert isinstance(again.clip, GivenTarget)
    assert torch.equal(again.clip.at("final"), given.at("final"))
    assert torch.equal(again.samples, metamer.samples)


@pytest.mark.parametrize(
    ("activations", "layer", "message"),
    [
        ({"final": torch.zeros(4)}, "final", r"has shape \(4,\) at final; tiny gives \(3,\) there"),
        ({"relu1": torch.zeros(4)}, "final", "has no activations of layer 'final'; it has relu1"),
    ],
)
def test_what_does_not_fit_is_one_line(tiny, activations, layer, message):
    with pytest.raises(am.AudioMetamerError, match=message):
        am.synthesize(tiny, GivenTarget("x", activations), layer)


def test_recorded_changed_and_matched_on_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    t = np.arange(1000) / 4000
    soundfile.write("voice.wav", 0.3 * np.sin(2 * np.pi * 150 * t) * np.exp(-3 * t), 4000)
    assert main(["record", "voice.wav", *MODEL, "--layers", "relu1,final", "--out", "acts.safetensors"]) == 0
    assert "final: 3" in capsys.readouterr().out
    assert "exists" in refused(capsys, "record", "voice.wav", *MODEL, "--out", "acts.safetensors")
    assert main(["synth", "--target", "acts.safetensors", *MODEL, "--layers", "relu1"]) == 0
    folder = tmp_path / "metamers" / "acts" / "tiny"
    assert {p.name for p in folder.iterdir()} == {"figure.png", "relu1_seed0.json", "relu1_seed0.wav", "target.safetensors"}
    assert json.loads((folder / "relu1_seed0.json").read_text())["similarity"]["relu1"]["snr_db"] > 15
    assert "1 of 1 metamers are in metamers already" in again(capsys)


def again(capsys):
    capsys.readouterr()
    assert main(["synth", "--target", "acts.safetensors", *MODEL, "--layers", "relu1"]) == 0
    return capsys.readouterr().out


def test_files_that_are_no_targets(tmp_path, capsys):
    (tmp_path / "a.safetensors").write_text("words")
    assert "is not a safetensors file of activations" in refused(capsys, "synth", "--target", tmp_path / "a.safetensors", *MODEL)
    save_activations(tmp_path / "b.safetensors", {"final": torch.tensor([1.0, float("nan"), 0])})
    assert "activations of final are not all finite" in refused(capsys, "synth", "--target", tmp_path / "b.safetensors", *MODEL)
    save_activations(tmp_path / "c.safetensors", {})
    assert "holds no activations" in refused(capsys, "synth", "--target", tmp_path / "c.safetensors", *MODEL)
    assert "cannot be read" in refused(capsys, "synth", "--target", tmp_path / "d.safetensors", *MODEL)
    assert "there is nothing to match" in refused(capsys, "synth", *MODEL)
    assert "not both" in refused(capsys, "synth", "x.wav", "--target", tmp_path / "c.safetensors", *MODEL)
