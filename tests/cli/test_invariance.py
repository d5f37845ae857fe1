"""``audiometamer invariance``: the table, the picture, and what is refused."""

import csv

import pytest
from command_line import refused
from tiny_models import make_clip

import audiometamer as am
from audiometamer.cli import main

MODEL = ("--model", "tiny_models:sound_model")


def write_clip():
    clip = make_clip("speech", 0)
    am.write_wav("speech.wav", clip.samples, clip.sample_rate)


@pytest.fixture(autouse=True)
def in_a_new_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_clip_and_its_metamer(tmp_path, capsys):
    write_clip()
    assert main(["synth", "speech.wav", *MODEL, "--layers", "relu1", "--steps", "20"]) == 0
    metamer = "metamers/speech/tiny/relu1_seed0.wav"
    assert main(["invariance", metamer, *MODEL, "--layers", "relu0,relu1,final", "--exact-up-to", "20", "--probes", "4"]) == 0
    printed = capsys.readouterr().out
    assert "metamer dimension" in printed
    assert "of the largest singular values only" in printed
    with (tmp_path / "invariance" / "invariance.tsv").open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [(row["sound"], row["layer"]) for row in rows] == [
        (sound, layer) for sound in ("speech", "speech relu1_seed0") for layer in ("relu0", "relu1", "final")
    ]
    assert {row["inputs"] for row in rows} == {"1000"}
    final = rows[2]
    assert (final["exact"], final["metamer_dimension_low"], final["metamer_dimension_high"]) == ("yes", "997", "997")
    assert rows[0]["exact"] == "no"
    assert (tmp_path / "invariance" / "invariance.png").exists()
    assert "invariance.tsv exists; choose another --out" in refused(capsys, "invariance", "speech.wav", *MODEL)
    assert main(["invariance", "speech.wav", *MODEL, "--layers", "final", "--overwrite", "--dtype", "float32"]) == 0


def test_what_is_wrong_is_reported_in_a_line(capsys):
    write_clip()
    assert "has no layer 'relu9'" in refused(capsys, "invariance", "speech.wav", *MODEL, "--layers", "relu9")
    assert "absent.wav" in refused(capsys, "invariance", "absent.wav", *MODEL)
    assert ". is a folder; name an audio file in it" in refused(capsys, "invariance", ".", *MODEL)
    assert main(["synth", "speech.wav", *MODEL, "--layers", "final", "--steps", "2"]) == 0
    message = refused(
        capsys, "invariance", "metamers/speech/tiny/final_seed0.wav", "--model", "cochcnn-digits", "--layers", "final"
    )
    assert "is at 4000 Hz; cochcnn-digits takes 20000 Hz" in message
