"""A record, its signal and its original belong together: what is another's is refused when written and when read."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from command_line import refused

from audiometamer.cli import main
from audiometamer.errors import AudioMetamerError
from audiometamer.metamers.files import load_metamer
from audiometamer.metamers.integrity import hash_original
from audiometamer.metamers.targets import save_activations
from audiometamer.signals.files import write_signal

QUICK = ("--model", "tiny_models:sound_model", "--steps", "3", "--out", "met")
EVALUATE = ("--models", "tiny_models:sound_model", "--resamples", "10", "--out", "ev")
AT = Path("met/yes/tiny")


def write_noise(path, seed):
    Path(path).parent.mkdir(exist_ok=True)
    soundfile.write(path, 0.1 * np.random.default_rng(seed).standard_normal(1000), 4000)
    return path


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_noise("A/yes.wav", 0)
    write_noise("B/yes.wav", 1)


@pytest.fixture
def made():
    assert main(["synth", "A/yes.wav", "--layers", "relu0,relu1", *QUICK]) == 0


def without_sums(record):
    lines = [line for line in record.read_text().splitlines() if "signal_sha256" not in line and "original_sha256" not in line]
    record.write_text("\n".join([*lines[:-2], lines[-2].rstrip(","), "}"]))


@pytest.mark.usefixtures("made")
def test_another_clip_of_the_same_name_is_refused_before_a_step(capsys):
    before = {path: path.read_bytes() for path in AT.iterdir()}
    reported = refused(capsys, "synth", "B/yes.wav", "--layers", "cochleagram", *QUICK)
    assert "original.wav is another clip called 'yes'" in reported
    assert {path: path.read_bytes() for path in AT.iterdir()} == before


@pytest.mark.usefixtures("made")
def test_it_is_refused_without_the_original_too(capsys):
    (AT / "original.wav").unlink()
    reported = refused(capsys, "synth", "B/yes.wav", "--layers", "cochleagram", *QUICK)
    assert "relu0_seed0.json is of another clip called 'yes'" in reported
    assert not (AT / "original.wav").exists()


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize(
    ("command", "arguments"),
    [("evaluate", EVALUATE), ("report", ()), ("invariance", ("--model", "tiny_models:sound_model", "--layers", "relu0"))],
)
def test_another_original_is_refused_on_reading(capsys, old, command, arguments):
    if old:
        for record in AT.glob("*.json"):
            without_sums(record)
    write_signal(AT / "original.wav", torch.randn(1000), 4000)
    reported = refused(capsys, command, AT / "relu0_seed0.wav" if command == "invariance" else "met", *arguments)
    assert "original.wav is not the original of" in reported
    assert "relu0_seed0.wav; put back what was there" in reported


@pytest.mark.usefixtures("made")
def test_signals_that_were_swapped_are_refused(capsys):
    one, other = AT / "relu0_seed0.wav", AT / "relu1_seed0.wav"
    content = one.read_bytes()
    shutil.copyfile(other, one)
    other.write_bytes(content)
    with pytest.raises(AudioMetamerError, match=r"relu0_seed0\.wav is not the signal of .*relu0_seed0\.json; put back"):
        load_metamer(one)
    assert "is not the signal of" in refused(capsys, "evaluate", "met", *EVALUATE)


@pytest.mark.usefixtures("made")
def test_records_of_earlier_versions_are_read_and_known_as_made(capsys):
    for record in AT.glob("*.json"):
        without_sums(record)
    assert load_metamer(AT / "relu1_seed0.json").evidence.original_sha256 == ""
    assert main(["synth", "A/yes.wav", "--layers", "relu0,relu1", *QUICK]) == 0
    assert "2 of 2 metamers are in met already" in capsys.readouterr().out


def test_clips_that_would_share_a_folder_are_refused(capsys):
    for seed, name in enumerate(("in/a b.wav", "in/a_b.wav", "in/A b.wav")):
        write_noise(name, seed)
    assert "would share the folder" in refused(capsys, "synth", "in/a b.wav", "in/a_b.wav", "--layers", "relu0", *QUICK)
    assert not Path("met").exists()
    assert main(["synth", "in/a b.wav", "--layers", "relu0", *QUICK]) == 0
    shutil.copyfile("in/a b.wav", "in/a_b.wav")  # also where both are the same sound
    assert "is of 'a b' and 'tiny', not of 'a_b' and 'tiny'" in refused(
        capsys, "synth", "in/a_b.wav", "--layers", "relu1", *QUICK
    )
    assert "exists, and is A_b on macOS and Windows" in refused(capsys, "synth", "in/A b.wav", "--layers", "relu1", *QUICK)
    with Path("met/index.tsv").open(encoding="utf-8") as file:
        assert [row["clip"] for row in csv.DictReader(file, delimiter="\t")] == ["a b"]


def test_another_target_of_the_same_name_is_refused(capsys):
    for name in "AB":
        assert (
            main(["record", f"{name}/yes.wav", "--model", QUICK[1], "--layers", "relu0", "--out", f"{name}/t.safetensors"]) == 0
        )
    assert main(["synth", "--target", "A/t.safetensors", *QUICK]) == 0
    assert "is another target called 't'" in refused(capsys, "synth", "--target", "B/t.safetensors", "--seed", "1", *QUICK)
    save_activations("met/t/tiny/target.safetensors", {"relu0": torch.zeros(3)})
    with pytest.raises(AudioMetamerError, match=r"target\.safetensors is not the original of .*relu0_seed0\.wav"):
        load_metamer(Path("met/t/tiny/relu0_seed0.wav"))


def test_a_header_that_announces_more_than_there_is_takes_no_memory(tmp_path):
    with (tmp_path / "vast.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (10**13,)})
    with pytest.raises(AudioMetamerError, match=r"vast\.npy is truncated"):
        hash_original(tmp_path / "vast.npy", "relu0")
