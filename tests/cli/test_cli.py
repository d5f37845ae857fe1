"""The command line: what it makes, what it prints, and one line with status 2 for everything that is wrong."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import numpy as np
import pytest
import scipy.io.wavfile
import soundfile
from command_line import refused

from audiometamer import cli
from audiometamer.cli import main
from audiometamer.io.locks import exclusive_folder

MODEL = ("--model", "tiny_models:sound_model")
QUICK = (*MODEL, "--layers", "relu0,final", "--steps", "40")


@pytest.fixture(autouse=True)
def in_a_new_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write_clip(name="speech.wav", seconds=0.25, rate=4000, seed=0, pitch=120, **kwargs):
    t = np.arange(round(seconds * rate)) / rate
    sound = sum(np.sin(2 * np.pi * pitch * k * t + seed) / k for k in range(1, 8)) * np.exp(-3 * t)
    soundfile.write(name, 0.3 * sound, rate, **kwargs)
    return name


def test_synth_writes_wavs_records_figure_and_index(tmp_path, capsys):
    write_clip()
    assert main(["synth", "speech.wav", *QUICK, "--seed", "0", "--seed", "3"]) == 0
    folder = tmp_path / "metamers" / "speech" / "tiny"
    assert sorted(p.name for p in folder.iterdir()) == [
        "figure.png", "final_seed0.json", "final_seed0.wav", "final_seed3.json", "final_seed3.wav", "original.wav",
        "relu0_seed0.json", "relu0_seed0.wav", "relu0_seed3.json", "relu0_seed3.wav",
    ]  # fmt: skip
    assert [p.name for p in (tmp_path / "metamers").iterdir() if p.name != ".lock" and p.is_file()] == ["index.tsv"]
    assert len((tmp_path / "metamers" / "index.tsv").read_text().splitlines()) == 5
    record = json.loads((folder / "final_seed3.json").read_text())
    assert record["settings"]["seed"] == 3
    assert record["settings"]["steps"] == 40
    assert set(record["similarity"]) == {"cochleagram", "relu0", "relu1", "final"}
    rate, samples = scipy.io.wavfile.read(folder / "final_seed3.wav")
    assert (rate, samples.dtype, len(samples)) == (4000, np.float32, 1000)
    assert 0.01 < samples.std() < 1
    out = capsys.readouterr()
    for word in ("SNR", "verdict", "relu0", "final", "no null distribution: no verdicts"):
        assert word in out.out
    assert "dB" in out.err


def test_a_second_run_keeps_what_is_finished_and_makes_the_rest(tmp_path, capsys):
    write_clip()
    assert main(["synth", "speech.wav", *QUICK]) == 0
    made = tmp_path / "metamers" / "speech" / "tiny" / "relu0_seed0.wav"
    before = made.stat().st_mtime_ns
    capsys.readouterr()
    assert main(["synth", "speech.wav", *QUICK, "--layers", "relu1"]) == 0
    assert "2 of 3 metamers are in metamers already" in capsys.readouterr().out
    assert made.stat().st_mtime_ns == before
    assert (tmp_path / "metamers" / "speech" / "tiny" / "relu1_seed0.wav").exists()


def test_exact_steps_are_in_the_record_and_never_taken_for_fast_ones(tmp_path, capsys):
    write_clip()
    command = ["synth", "speech.wav", *MODEL, "--layers", "relu0", "--steps", "2"]
    record = tmp_path / "metamers" / "speech" / "tiny" / "relu0_seed0.json"
    for method, chosen, exact in (("default", (), None), ("default", ("--exact",), True), ("feather2023", (), True)):
        assert main([*command, "--method", method, *chosen, "--overwrite"]) == 0
        assert json.loads(record.read_text())["settings"].get("exact") is exact
    error = refused(capsys, *command, "--method", "feather2023", "--fast")
    assert "exact" in error


def test_a_recording_to_start_from(tmp_path, capsys):
    write_clip()
    write_clip("other.wav", pitch=200)
    command = ["synth", "speech.wav", *MODEL, "--layers", "relu0", "--steps", "1", "--initial", "other.wav"]
    assert main(command) == 0
    record = json.loads((tmp_path / "metamers" / "speech" / "tiny" / "relu0_seed0.json").read_text())
    assert len(record["settings"]["initial"]) == 64
    assert main([*command, "--stop", "below:1e9", "--overwrite"]) == 0
    record = json.loads((tmp_path / "metamers" / "speech" / "tiny" / "relu0_seed0.json").read_text())
    assert record["settings"]["stop"] == "Below(value=1000000000.0)"
    assert record["tries"][0]["outcome"] == "matched after 0 steps"
    assert "stop is 'soon'" in refused(capsys, *command, "--stop", "soon")
    assert "compiled and captured are both True" in refused(capsys, *command, "--overwrite", "--capture", "--compile")
    assert "initial has 2 signals for 1 clip; give one for each" in refused(capsys, *command, "--initial", "speech.wav")


def test_what_a_power_cut_left_broken_is_made_again(tmp_path, capsys):
    write_clip()
    command = ["synth", "speech.wav", *MODEL, "--layers", "relu0,final", "--seed", "0", "--seed", "1", "--steps", "2"]
    assert main(command) == 0
    at = tmp_path / "metamers" / "speech" / "tiny"
    original, sound, record = [(at / name).read_bytes() for name in ("original.wav", "relu0_seed1.wav", "final_seed0.json")]
    (at / "original.wav").write_bytes(original[:-4])
    write_clip(seed=1)
    assert "is of another clip called 'speech'; rename one" in refused(capsys, *command)
    write_clip()
    (at / "relu0_seed0.json").write_bytes(b"")
    (at / "relu0_seed1.wav").write_bytes(sound[:-4])
    (at / "final_seed0.json").write_bytes(record[:-9])
    kept = (at / "final_seed1.json").stat().st_mtime_ns
    assert main(command) == 0
    out, err = capsys.readouterr()
    assert "1 of 4 metamers are in metamers already" in out
    assert "relu0_seed0.json is not the record of a metamer: Input data was truncated (and 2 more like it): counts as" in err
    assert (at / "original.wav").read_bytes() == original
    assert (at / "original.wav.broken").read_bytes() == original[:-4]
    assert (at / "relu0_seed1.wav.broken").read_bytes() == sound[:-4]
    assert (at / "final_seed0.json.broken").read_bytes() == record[:-9]
    assert (at / "final_seed1.json").stat().st_mtime_ns == kept
    assert main(command) == 0
    assert "4 of 4 metamers are in metamers already" in capsys.readouterr().out


def test_an_existing_result_of_other_settings_is_not_overwritten_unasked(tmp_path, capsys):
    write_clip()
    assert main(["synth", "speech.wav", *QUICK]) == 0
    made = (tmp_path / "metamers" / "speech" / "tiny" / "relu0_seed0.wav").read_bytes()
    error = refused(capsys, "synth", "speech.wav", *MODEL, "--layers", "relu0,final", "--steps", "41")
    assert "was made with different settings (steps); choose another --out, or --overwrite" in error
    assert (tmp_path / "metamers" / "speech" / "tiny" / "relu0_seed0.wav").read_bytes() == made
    assert main(["synth", "speech.wav", *MODEL, "--layers", "relu0,final", "--steps", "41", "--overwrite"]) == 0
    assert (tmp_path / "metamers" / "speech" / "tiny" / "relu0_seed0.wav").read_bytes() != made


def test_another_clip_of_the_same_name_is_not_mixed_in(capsys):
    write_clip()
    assert main(["synth", "speech.wav", *QUICK]) == 0
    write_clip(seed=1)
    for other in ([], ["--layers", "relu1"], ["--seed", "7"], ["--overwrite"]):
        assert "is another clip called 'speech'; rename one" in refused(capsys, "synth", "speech.wav", *QUICK, *other)
    Path("b").mkdir()
    write_clip("b/speech.wav")
    assert "would share the folder speech" in refused(capsys, "synth", "speech.wav", "b/speech.wav", *QUICK)


def test_long_recordings(tmp_path, capsys):
    write_clip(seconds=2)
    assert "lasts 2.000 s and the model takes 0.25 s; say where to begin" in refused(capsys, "synth", "speech.wav", *QUICK)
    assert not (tmp_path / "metamers").exists()
    assert main(["synth", "speech.wav", *QUICK, "--start", "0.5"]) == 0
    assert main(["synth", "speech.wav", *QUICK, "--start", "0.5", "--duration", "0.1", "--out", "short"]) == 0
    assert "note: speech.wav: 0.100 s were padded with silence to 0.25 s" in capsys.readouterr().err


def test_stereo_and_other_rates_give_notes(capsys):
    rng = np.random.default_rng(0)
    soundfile.write("stereo.flac", rng.uniform(-0.3, 0.3, (2000, 2)), 8000)
    assert main(["synth", "stereo.flac", *QUICK]) == 0
    assert "note: stereo.flac: 2 channels were mixed down to one" in capsys.readouterr().err


BAD_FILES = {
    "missing.wav": (lambda path: None, "missing.wav does not exist"),
    "empty.wav": (Path.touch, "empty.wav is empty (0 bytes)"),
    "folder": (Path.mkdir, "folder is a folder; name an audio file in it"),
    "text.wav": (lambda path: path.write_text("hello " * 99), "text.wav cannot be read as audio"),
    "silent.wav": (lambda path: soundfile.write(path, np.zeros(1000), 4000), "silent.wav is silent"),
    "nan.wav": (lambda path: soundfile.write(path, np.full(1000, np.nan), 4000, subtype="FLOAT"), "holds 1000 NaN or infinite"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_recordings(tmp_path, capsys, name):
    make, message = BAD_FILES[name]
    make(Path(name))
    write_clip()
    assert message in refused(capsys, "synth", "speech.wav", name, *QUICK)
    assert not (tmp_path / "metamers").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--model", "cochcnn-wort"), "there is no model 'cochcnn-wort'"),
        ((*MODEL, "--layers", "relu7"), "tiny has no layer 'relu7'; the nearest are relu1, relu0"),
        ((*MODEL, "--method", "magic"), "there is no method 'magic'; there are default, feather2023"),
        ((*MODEL, "--steps", "0"), "0 is not in the range 1<=x<=1000000000"),
        ((*MODEL, "--device", "warp"), "device 'warp' is not available here"),
        ((*MODEL, "--null", "none.json"), "none.json cannot be read: No such file"),
        ((*MODEL, "--out", "speech.wav"), "speech.wav is a file; --out takes a folder"),
        ((*MODEL, "--start", "9"), "start is 9.0 s, but speech.wav runs from 0 to 0.250 s"),
        ((*MODEL, "--no-such-option",), "No such option"),
    ],
)  # fmt: skip
def test_bad_options(capsys, arguments, message):
    write_clip()
    assert message in refused(capsys, "synth", "speech.wav", *arguments)


def test_two_runs_into_one_folder(tmp_path, capsys):
    write_clip()
    with exclusive_folder(tmp_path / "metamers"):
        assert "another run is writing into metamers" in refused(capsys, "synth", "speech.wav", *QUICK)
    assert main(["synth", "speech.wav", *QUICK]) == 0


def limit_file_size():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))


def environment():
    return os.environ | {"PYTHONPATH": str(Path(__file__).parents[1] / "helpers")}  # for tiny_models


def heed_ctrl_c():
    """A shell starts what it puts in the background deaf to Ctrl-C, and tests run there too."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_no_space_left(tmp_path):
    """The operating system refuses writes past 2000 bytes, as it does on a full disk."""
    write_clip()
    done = subprocess.run(
        [sys.executable, "-m", "audiometamer", "synth", "speech.wav", *QUICK], capture_output=True, text=True,
        preexec_fn=limit_file_size, env=environment(), check=False,
    )  # fmt: skip
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if "error" in line]
    assert "could not write metamers/speech/tiny/original.wav: File too large" in line
    assert [p for p in (tmp_path / "metamers").rglob("*") if p.name != ".lock" and p.is_file()] == []


def test_ctrl_c_keeps_what_is_finished_and_goes_on(tmp_path):
    write_clip()
    layers = ("--layers", "relu0,final", "--batch-size", "1")
    command = [sys.executable, "-m", "audiometamer", "synth", "speech.wav", *MODEL, *layers]
    slow = [*command, "--steps", "100", *[x for seed in range(20) for x in ("--seed", str(seed))]]
    process = subprocess.Popen(
        slow, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(), preexec_fn=heed_ctrl_c
    )
    folder = tmp_path / "metamers" / "speech" / "tiny"
    deadline = time.monotonic() + 120
    while len(list(folder.glob("*.json"))) < 2 and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted; finished work is kept" in err
    assert "Traceback" not in err
    finished = {p.stem for p in folder.glob("*.json")}
    assert 2 <= len(finished) < 40
    unrecorded = {p.stem for p in folder.glob("*_seed*.wav")} - finished
    assert len(unrecorded) <= 1  # the one that was being written
    assert not list((tmp_path / "metamers").rglob(".*wav"))
    done = subprocess.run([*command, "--steps", "100"], capture_output=True, text=True, env=environment(), check=True)
    assert "1 of 2 metamers are in metamers already" in done.stdout


def test_layers(capsys):
    assert main(["layers", "tiny_models:sound_model"]) == 0
    out = capsys.readouterr().out
    assert "relu0" in out
    assert "12 × 19" in out
    assert main(["layers", "tiny_models:sound_model", "--all"]) == 0
    assert "conv0" in capsys.readouterr().out


def test_models(capsys):
    assert main(["models"]) == 0
    assert "cochcnn-digits" in capsys.readouterr().out


def test_null_and_verdicts(tmp_path, capsys):
    Path("sounds").mkdir()
    for seed in range(4):
        write_clip(f"sounds/{seed}.wav", seconds=0.6, seed=seed, pitch=121 + 7 * seed)  # two excerpts each
    assert main(["null", "sounds", *MODEL, "--pairs", "10"]) == 0
    assert "10 pairs of 5 sounds" in capsys.readouterr().out
    assert "null.json exists; choose another --out, or --overwrite" in refused(capsys, "null", "sounds", *MODEL)
    assert main(["null", "sounds", *MODEL, "--pairs", "1000", "--overwrite"]) == 0
    captured = capsys.readouterr()
    assert "note: 1000 pairs need 46 sounds; 8 give 28 pairs" in captured.err
    write_clip(seed=9)
    assert main(["synth", "speech.wav", *QUICK, "--null", "null.json"]) == 0
    assert "metamers passed their verdict" in capsys.readouterr().out
    record = json.loads((tmp_path / "metamers" / "speech" / "tiny" / "relu0_seed0.json").read_text())
    assert set(record["verdict"]["beyond_null"]) == {"snr_db", "pearson_r2", "spearman_rho"}


def test_null_of_bad_sounds(capsys):
    write_clip()
    assert "none.wav does not exist" in refused(capsys, "null", "none.wav", *MODEL)
    assert "needs at least 2 different sounds; there are 1" in refused(capsys, "null", "speech.wav", *MODEL)


def test_help_and_version(capsys):
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    for command in ("demo", "synth", "models", "layers", "null", "train"):
        assert command in out
    assert main(["--version"]) == 0


@pytest.mark.parametrize(("command", "is_kept"), [("train", True), ("synth", True), ("test-model", False), ("null", False)])
def test_what_an_interrupted_command_says(command, is_kept, monkeypatch, capsys):
    """Only those that keep what they have finished say so."""

    def interrupted(*args, **options):
        raise click.exceptions.Abort

    monkeypatch.setattr(cli.audiometamer, "main", interrupted)
    assert main([command]) == 130
    assert ("finished work is kept" in capsys.readouterr().err) is is_kept


def test_benchmark_tells_the_hours_of_a_number_of_clips(tmp_path, capsys):
    arguments = ["benchmark", "--model", "cochcnn-digits", "--layers", "relu0", "--clips", "2", "--seed", "0", "--seed", "1"]
    assert main([*arguments, "--steps", "1", "--method", "feather2023", "--fast"]) == 0
    reported = capsys.readouterr().out
    assert "torch" in reported
    assert "2 clip(s) × 1 layer(s) × 2 seed(s) of cochcnn-digits: about 0.00 hours, at 1 steps a metamer" in reported
    assert main(["benchmark", "--model", "cochcnn-digits", "--layers", "relu9"]) == 2
    assert "no layer 'relu9'" in capsys.readouterr().err
