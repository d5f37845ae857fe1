"""What people have, through the commands: pipes, telephones' files, names of any bytes, times; one bad file among good ones."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from command_line import refused
from tiny_training import RECIPE, write_recordings

from audiometamer.cli import main

MODEL = ("--model", "tiny_models:sound_model")
QUICK = (*MODEL, "--layers", "relu0", "--steps", "5")


@pytest.fixture(autouse=True)
def in_a_new_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write_noise(name="noise.wav", seconds=0.25, seed=0, **options):
    soundfile.write(name, 0.1 * np.random.default_rng(seed).standard_normal(round(seconds * 4000)), 4000, **options)
    return Path(name)


def original(clip, out="metamers"):
    return soundfile.read(Path(out) / clip / "tiny" / "original.wav")[0]


def test_a_name_that_is_not_utf_8_is_read_and_stored_as_text(capsys):
    name = os.fsdecode(b"M\xfcller.wav")
    write_noise().rename(name)
    assert main(["synth", name, *QUICK]) == 0
    assert main(["synth", name, *QUICK]) == 0
    assert "1 of 1 metamers are in metamers already" in capsys.readouterr().out
    record = json.loads(Path("metamers/Müller/tiny/relu0_seed0.json").read_text(encoding="utf-8"))
    assert record["settings"]["clip"] == "Müller"
    assert [row["clip"] for row in csv.DictReader(io.StringIO(Path("metamers/index.tsv").read_text()), delimiter="\t")] == [
        "Müller"
    ]
    assert main(["record", name, *MODEL, "--layers", "relu0", "--out", "x.safetensors"]) == 0
    write_noise("a.wav", seed=1)
    assert main(["null", name, "a.wav", *MODEL, "--layers", "relu0", "--pairs", "1"]) == 0
    assert "Müller.wav" in json.loads(Path("null.json").read_text(encoding="utf-8"))["source"]
    write_noise("Müller.wav", seed=2)
    assert "would share the folder Müller" in refused(capsys, "synth", name, "Müller.wav", *QUICK)
    assert main(["report", "metamers"]) == 0


@pytest.mark.slow
def test_pipes_are_clips(capsys):
    command = [sys.executable, "-m", "audiometamer", "synth", *QUICK]
    content = write_noise().read_bytes()
    assert main(["synth", "noise.wav", *QUICK]) == 0
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([*command, "-"], input=content, env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr
    done = subprocess.run(
        ["bash", "-c", '"$@" <(cat noise.wav)', "bash", *command], stdin=subprocess.DEVNULL, env=environment, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    for clip in ("stdin", "pipe"):
        np.testing.assert_array_equal(original(clip), original("noise"))


def test_starts_in_minutes_and_seconds(capsys):
    write_noise(seconds=70)
    for out, start in (("a", "65.5"), ("b", "1:05.5"), ("c", "0:01:05.50")):
        assert main(["synth", "noise.wav", *QUICK, "--start", start, "--out", out]) == 0
    np.testing.assert_array_equal(original("noise@65.5s", "a"), original("noise@65.5s", "b"))
    np.testing.assert_array_equal(original("noise@65.5s", "a"), original("noise@65.5s", "c"))
    assert main(["record", "noise.wav", *MODEL, "--start", "1:05", "--duration", "0:00.1", "--out", "x.safetensors"]) == 0
    for start in ("1:75", "-1", "nan", "soon"):
        assert f"'{start}' is not a time; write seconds" in refused(capsys, "synth", "noise.wav", *QUICK, f"--start={start}")
    assert "start is 75.0 s, but noise.wav runs from 0 to 70.000 s" in refused(
        capsys, "synth", "noise.wav", *QUICK, "--start", "1:15"
    )


@pytest.mark.programs
def test_a_recording_of_a_telephone(capsys):
    write_noise(seconds=1)
    subprocess.run(["ffmpeg", "-v", "error", "-i", "noise.wav", "noise.m4a"], check=True)
    assert main(["synth", "noise.m4a", *QUICK, "--start", "0.5"]) == 0
    assert original("noise@0.5s").std() == pytest.approx(0.1, rel=0.01)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda content: content[: len(content) // 2], "bad.flac cannot be read as audio: "),
        (lambda content: b"no sound" * 20, "bad.flac cannot be read as audio: "),
        (lambda content: b"", r"bad.flac is empty (0 bytes)"),
    ],
)
def test_one_bad_file_among_good_ones_is_named(tmp_path, capsys, spoil, message):
    Path("sounds").mkdir()
    for seed in range(3):
        write_noise(f"sounds/{seed}.wav", seed=seed)
    bad = write_noise("sounds/bad.flac", seed=9)
    bad.write_bytes(spoil(bad.read_bytes()))
    assert message in refused(capsys, "null", "sounds", *MODEL, "--pairs", "10")
    assert not Path("null.json").exists()
    Path("data").mkdir()
    write_recordings(tmp_path / "data")
    Path("data/bad.flac").write_bytes(bad.read_bytes())
    with Path("data/clips.csv").open("a") as file:
        file.write("bad.flac,low,,,train\n")
    Path("recipe.toml").write_text(RECIPE)
    assert message in refused(
        capsys, "train", "recipe.toml", "--data", "data", "--out", "net", "--device", "cpu", "--workers", "0"
    )
