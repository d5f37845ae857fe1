"""``audiometamer compare``: the folders that its commands write, and what they refuse."""

import csv

import pytest
import scipy.io.wavfile
from command_line import refused
from tiny_models import make_clip

import audiometamer as am
from audiometamer.cli import main

MODEL = "tiny_models:sound_model"


@pytest.fixture(autouse=True)
def in_a_new_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    clip = make_clip("speech", 0)
    am.write_wav("speech.wav", clip.samples, clip.sample_rate)


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_mad(tmp_path, capsys):
    command = ["compare", "mad", "speech.wav", "--first", f"{MODEL}:relu1", "--second", "stft", "--steps", "1"]
    assert main(command) == 0
    assert "drift of the held" in capsys.readouterr().out
    table = rows(tmp_path / "mad" / "sounds.tsv")
    assert [row["extreme"] for row in table] == ["nearest", "farthest"] * 2
    assert all(abs(float(row["drift"])) <= 0.01 for row in table)
    assert all((tmp_path / "mad" / row["file"]).exists() for row in table)
    assert "mad exists and is not empty; choose another --out" in refused(capsys, *command)


def test_controversial(tmp_path, capsys):
    command = ["compare", "controversial", "--models", f"{MODEL},random:{MODEL}:1", "--words", "yes,no", "--steps", "2"]
    assert main([*command, "--rate", "16000"]) == 0
    assert "of 2 sounds have a score of 0.75 or more" in capsys.readouterr().out
    table = rows(tmp_path / "controversial" / "sounds.tsv")
    assert [(row["first_word"], row["second_word"]) for row in table] == [("yes", "no"), ("no", "yes")]
    for row in table:
        rate, samples = scipy.io.wavfile.read(tmp_path / "controversial" / row["file"])
        assert (rate, samples.dtype, row["kept"]) == (16_000, "int16", "yes" if float(row["score"]) >= 0.75 else "no")


def test_discriminate(tmp_path, capsys):
    options = ("--layer", "relu0", "--clusters", "2", "--seeds", "1", "--steps", "2", "--learning-rate", "0.01")
    assert main(["compare", "discriminate", "--model", MODEL, *options, "--natural", "speech.wav"]) == 0
    assert "adjusted Rand index" in capsys.readouterr().out
    table = rows(tmp_path / "discriminative" / "sounds.tsv")
    units = sorted(int(unit) for row in table for unit in row["units"].split())
    assert units == list(range(12))
    assert len(rows(tmp_path / "discriminative" / "responses.tsv")) == 12


def test_distant(tmp_path, capsys):
    command = ["compare", "distant", "speech.wav", "--model", MODEL, "--layer", "final", "--count", "2", "--rounds", "1"]
    assert main([*command, "--steps", "1", "--synthesis-steps", "10"]) == 0
    assert "times that before" in capsys.readouterr().out
    table = rows(tmp_path / "distant" / "sounds.tsv")
    assert [row["file"] for row in table] == ["metamer0.wav", "metamer1.wav"]
    assert (tmp_path / "distant" / "original.wav").exists()


def test_what_is_wrong_is_reported_in_a_line(capsys):
    message = refused(capsys, "compare", "mad", "speech.wav", "--first", "stft", "--second", "cochleagram")
    assert "say nothing of the sounds' rate" in message
    message = refused(capsys, "compare", "controversial", "--models", f"{MODEL},random:{MODEL}:1", "--words", "yes,nein")
    assert "has no class 'nein'" in message
    assert "--models names 1" in refused(capsys, "compare", "controversial", "--models", MODEL)
    assert "has no layer" in refused(capsys, "compare", "discriminate", "--model", MODEL, "--layer", "relu7")
