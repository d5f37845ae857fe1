"""Metamers of `synth` that are judged after they were made, and what is said before they are made without a judge."""

import json
import shlex

import numpy as np
import pytest
import scipy.io.wavfile
import soundfile
import tiny_models
from tiny_plan import PLAN, write_plan

from audiometamer.cli import main
from audiometamer.metamers.criteria import METRICS, MetricNull, NullDistribution
from audiometamer.metamers.judging import null_notice

MODEL = "tiny_models:sound_model"


def a_null(snr_db=-100.0, layers=("relu0", "relu1")):
    limits = {metric: MetricNull(snr_db if metric == "snr_db" else -2.0, {}) for metric in METRICS}
    return NullDistribution(1, 2, "made up", dict.fromkeys(layers, limits))


@pytest.fixture
def synth(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for k in range(2):
        soundfile.write(f"c{k}.wav", 0.1 * np.random.default_rng(k).standard_normal(1000), 4000, subtype="FLOAT")

    def run(*more):
        assert main(["synth", "c0.wav", "c1.wav", "--model", MODEL, "--layers", "relu0", "--steps", "40", *more]) == 0
        return capsys.readouterr()

    return run


def records(folder):
    return {path.parts[-3]: json.loads(path.read_text()) for path in folder.glob("metamers/*/*/relu0_seed0.json")}


def test_a_null_that_comes_later_judges_what_is_made(synth, tmp_path):
    first = synth()
    assert "note: tiny has no null distribution: its metamers stay unjudged." in first.err
    assert f"Make one first: audiometamer null SOUNDS --model {MODEL}" in first.err
    made = {path: path.stat().st_mtime_ns for path in tmp_path.glob("metamers/*/*/*.wav")}
    unjudged = records(tmp_path)
    assert {record["verdict"]["passed"] for record in unjudged.values()} == {None}
    a_null().save("null.json")
    reported = synth("--null", "null.json")
    assert "2 of them were judged again: 2 passed; 0 are attempted again" in reported.out
    assert "no null distribution" not in reported.err
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("metamers/*/*/*.wav")} == made
    for clip, record in records(tmp_path).items():
        assert record["verdict"]["passed"] is True
        assert record["earlier_verdicts"] == [{"verdict": unjudged[clip]["verdict"], "judged_by": unjudged[clip]["judged_by"]}]
    assert (tmp_path / "metamers" / "index.tsv").read_text().count("\tpassed\t") == 2
    assert "judged again" not in synth("--null", "null.json").out
    assert "judged again" not in synth().out  # without it the verdict is not taken back
    assert (tmp_path / "metamers" / "index.tsv").read_text().count("\tpassed\t") == 2


def test_only_what_fails_is_attempted_again_and_what_it_was_is_kept(synth, tmp_path):
    synth()
    before = records(tmp_path)
    snr = {clip: record["similarity"]["relu0"]["snr_db"] for clip, record in before.items()}
    worse, better = sorted(snr, key=snr.get)
    sounds = {clip: (tmp_path / f"metamers/{clip}/tiny/relu0_seed0.wav").read_bytes() for clip in snr}
    a_null(snr[worse]).save("null.json")
    assert "2 of them were judged again: 1 passed; 1 are attempted again" in synth("--null", "null.json").out
    after = records(tmp_path)
    assert len(after[better]["tries"]) == 1
    assert len(after[worse]["tries"]) > 1
    assert after[worse]["similarity"]["relu0"]["snr_db"] > snr[worse]
    assert (tmp_path / f"metamers/{better}/tiny/relu0_seed0.wav").read_bytes() == sounds[better]
    kept = tmp_path / f"metamers/{worse}/tiny/attempts/relu0_seed0-0.wav"
    assert kept.read_bytes() == sounds[worse]
    assert json.loads(kept.with_suffix(".json").read_text())["verdict"]["passed"] is False
    at_once = tmp_path / "at once"
    synth("--null", "null.json", "--out", str(at_once))
    one, two = (scipy.io.wavfile.read(at / worse / "tiny" / "relu0_seed0.wav")[1] for at in (tmp_path / "metamers", at_once))
    assert np.corrcoef(one, two)[0, 1] > 0.9  # but for rounding in other batches
    assert not list(tmp_path.glob("metamers/*/*/*.unfinished.*"))
    assert "attempted again" not in synth("--null", "null.json").out


@pytest.mark.parametrize(
    ("null", "layers", "lacking", "asked"),
    [
        (None, ["relu0"], "no null distribution:", None),
        (None, ["relu0", "relu1/units=0.3"], "no null distribution:", "relu0,relu1/units=0.3"),
        (a_null(), ["relu0", "final+relu1"], "no null distribution at final:", "relu0,final,relu1"),
        (a_null(), ["relu0", "relu0+relu1"], None, None),
    ],
)
def test_what_cannot_be_judged_is_said_with_the_command(null, layers, lacking, asked):
    notice = null_notice(tiny_models.sound_model(), null, layers, name="my models/tiny")
    if lacking is None:
        assert notice is None
        return
    assert f"tiny has {lacking} its metamers stay unjudged" in notice
    words = shlex.split(notice.partition("Make one first: ")[2].partition(", then")[0])
    options = dict(zip(words[3::2], words[4::2], strict=True))
    assert words[:3] == ["audiometamer", "null", "SOUNDS"]
    assert options == {"--model": "my models/tiny", "--out": "tiny-null.json"} | ({"--layers": asked} if asked else {})


def test_a_model_of_a_folder_gets_its_null_there(tmp_path):
    model = tiny_models.sound_model()
    model.folder = tmp_path / "tiny"
    odd = tiny_models.sound_model()
    odd.name = "modulation:tiny/seconds=1"
    assert "--out modulation_tiny_seconds=1-null.json, then" in null_notice(odd, None, ["relu0"], name=odd.name)
    assert null_notice(model, None, ["relu0"], name="tiny").endswith(f"--model tiny --out {tmp_path}/tiny/null.json")


@pytest.mark.parametrize("command", [("plan", "check"), ("run",), ("submit",)])
def test_plans_say_so_before_the_work(tmp_path, capsys, command):
    path = write_plan(tmp_path, PLAN, n_clips=1)
    more = {"submit": ["--write-only"], "plan": ["--no-measure"], "run": ["--device", "cpu"]}[command[0]]
    assert main([*command, str(path), *more]) == 0
    error = capsys.readouterr().err
    assert error.count("note: tiny has no null distribution: its metamers stay unjudged. Make one first: audiometamer null") == 1
    a_null().save(tmp_path / "null.json")
    path.write_text(PLAN.replace("[[models]]", '[[models]]\nnull = "null.json"'))
    assert main([*command, str(path), *more, *(["--overwrite"] if command[0] == "submit" else [])]) == 0
    assert "no null distribution" not in capsys.readouterr().err
