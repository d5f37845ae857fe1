"""Excerpts of one recording: each has its own name, folder and record, which says where it was cut from."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import tiny_models
import torch

import audiometamer as am
from audiometamer.cli import main
from audiometamer.io.tables import read_table
from audiometamer.metamers.files import load_metamer
from audiometamer.metamers.results import read_results
from audiometamer.metamers.saving import evidence_from_result
from audiometamer.signals.audio import ClipSource
from audiometamer.signals.clip_names import excerpt_name, recording_of
from audiometamer.stimuli.items import expand
from audiometamer.stimuli.plan import read_plan

READ = {"sample_rate": 4000, "duration": 0.25}
SYNTH = ("--model", "tiny_models:sound_model", "--layers", "relu0", "--steps", "20")
PLAN = """\
output = "set"
steps = 20
layers = ["relu0"]

[clips]
table = "clips.csv"

[[models]]
name = "tiny_models:sound_model"
"""


@pytest.fixture(autouse=True)
def in_a_new_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def recording() -> Path:
    """A second of noise."""
    soundfile.write("a.wav", 0.1 * np.random.default_rng(0).standard_normal(4000), 4000, subtype="FLOAT")
    return Path("a.wav")


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def source(record: Path) -> dict:
    return json.loads(record.read_text())["source"]


@pytest.mark.parametrize(
    ("start", "length", "name"),
    [
        (None, None, "a.b"),
        (0.0, None, "a.b"),
        (1.5, None, "a.b@1.5s"),
        (3, None, "a.b@3s"),
        (2700.0001, None, "a.b@2700.0001s"),
        (0.1 + 0.2, None, "a.b@0.3s"),
        (None, 0.5, "a.b@0-0.5s"),
        (1.5, 0.5, "a.b@1.5-2s"),
    ],
)
def test_a_name_says_which_excerpt_it_is(start, length, name):
    assert excerpt_name("a.b", start, length) == name
    assert recording_of(name) == "a.b"


@pytest.mark.parametrize("name", ["a", "a@b", "a@", "@1s", "a@1", "a@1s.x", "me@home-1s"])
def test_a_name_with_a_sign_in_it_is_no_excerpt(name):
    assert recording_of(name) == name


def test_a_clip_knows_where_it_was_read(recording):
    sha256 = sha256_of(recording)
    clip = am.read_clip("a.wav", **READ, start=0.5)
    assert (clip.name, clip.source) == ("a@0.5s", ClipSource("a.wav", sha256, 0.5, 0.25))
    with pytest.warns(am.AudioMetamerWarning, match="padded with silence"):
        short = am.read_clip(recording, **READ, start=0.9)
    assert (short.name, short.source.start, short.source.duration) == ("a@0.9s", 0.9, pytest.approx(0.1))
    whole = am.read_clip(recording.resolve(), sample_rate=4000, duration=None)
    assert (whole.name, whole.source) == ("a", ClipSource(str(recording.resolve()), sha256, 0.0, 1.0))
    assert am.read_clip("a.wav", **READ, start=0.5, length=0.25).name == "a@0.5s"


def test_a_large_file_is_not_hashed(recording, monkeypatch):
    monkeypatch.setattr("audiometamer.signals.audio._MAX_HASHED", 100)
    assert am.read_clip(recording, **READ, start=0.5).source == ClipSource("a.wav", None, 0.5, 0.25)


def test_two_excerpts_of_one_file_lie_side_by_side_in_python(recording):
    clips = [am.read_clip(recording, **READ, start=start) for start in (0.25, 0.5)]
    made = am.synthesize(tiny_models.sound_model(), clips, "relu0", steps=5)
    paths = [metamer.save("out") for metamer in made]
    assert [path.as_posix() for path in paths] == [f"out/a@{start}s/tiny/relu0_seed0.wav" for start in ("0.25", "0.5")]
    for path, clip in zip(paths, clips, strict=True):
        found, start = source(path.with_suffix(".json")), clip.source.start
        assert found == {"path": "a.wav", "sha256": sha256_of(recording), "start": start, "duration": 0.25}
        back = load_metamer(path).clip
        assert (back.name, back.source) == (clip.name, clip.source)
        assert torch.equal(back.samples, clip.samples)


def test_synth_makes_metamers_of_two_excerpts_and_of_a_part_of_one(recording, capsys):
    for asked in (["--start", "0"], ["--start", "0.25"], ["--start", "0.5"], ["--start", "0.5", "--duration", "0.1"]):
        assert main(["synth", str(recording), *SYNTH, *asked]) == 0
    assert {row["clip"] for row in read_table(Path("metamers/index.tsv"))} == {"a", "a@0.25s", "a@0.5s", "a@0.5-0.6s"}
    records = {name: source(Path(f"metamers/{name}/tiny/relu0_seed0.json")) for name in ("a", "a@0.25s", "a@0.5-0.6s")}
    assert [(each["start"], each["duration"]) for each in records.values()] == [(0.0, 0.25), (0.25, 0.25), (0.5, 0.1)]
    capsys.readouterr()
    assert main(["synth", str(recording), *SYNTH, "--start", "0.25"]) == 0
    assert "1 of 1 metamers are in metamers already" in capsys.readouterr().out


def test_what_an_earlier_version_made_of_an_excerpt_is_recognised(recording, capsys):
    """It named it after the file alone, and did not record where it was cut from."""
    model = tiny_models.sound_model()
    clip = am.read_clip(recording, **READ, start=0.25)
    (made,) = am.synthesize(model, am.Clip("a", clip.samples, 4000), "relu0", steps=20)
    record = made.save("metamers").with_suffix(".json")
    written = json.loads(record.read_text())
    del written["source"]
    record.write_text(json.dumps(written))
    before = record.with_suffix(".wav").stat().st_mtime_ns
    assert main(["synth", "a.wav", *SYNTH, "--start", "0.25"]) == 0
    assert "1 of 1 metamers are in metamers already" in capsys.readouterr().out
    assert record.with_suffix(".wav").stat().st_mtime_ns == before
    assert main(["synth", "a.wav", *SYNTH, "--start", "0.5"]) == 0
    assert sorted(path.name for path in Path("metamers").iterdir() if path.is_dir()) == ["a", "a@0.5s"]
    assert load_metamer(record).clip.source is None


def items(text: str = PLAN):
    Path("plan.toml").write_text(text)
    return expand(read_plan(Path("plan.toml"))).items


def test_a_plan_takes_several_excerpts_of_one_recording(recording, capsys):
    Path("clips.csv").write_text("path,start,duration,word\na.wav,0,,no\na.wav,0.25,,yes\na.wav,0.5,,\na.wav,0.5,0.1,\n")
    with pytest.warns(am.AudioMetamerWarning, match="padded with silence"):
        assert [item.identity.settings.clip for item in items()] == ["a", "a@0.25s", "a@0.5-0.6s", "a@0.5s"]
    assert main(["run", "plan.toml"]) == 0
    found = [evidence_from_result(result) for result in read_results(Path("set"))]
    assert len(found) == 4
    starts = {evidence.settings.clip: (evidence.source.start, evidence.source.duration) for evidence in found}
    assert starts == {"a": (0.0, 0.25), "a@0.25s": (0.25, 0.25), "a@0.5-0.6s": (0.5, 0.1), "a@0.5s": (0.5, 0.25)}
    assert {evidence.source.path for evidence in found} == {"a.wav"}
    reported = {row["clip"]: row["word"] for row in read_table(Path("set/clips.tsv"))}
    assert reported == {"a": "no", "a@0.25s": "yes", "a@0.5-0.6s": "", "a@0.5s": ""}


def test_the_same_excerpt_twice_in_a_table_is_refused(recording):
    Path("clips.csv").write_text("path,start\na.wav,0.25\na.wav,0.25\n")
    with pytest.raises(am.AudioMetamerError, match=r"would both be called 'a@0\.25s'"):
        items()


def test_items_that_an_earlier_version_made_of_excerpts_are_recognised(recording):
    Path("clips.csv").write_text("path,start\na.wav,0.25\n")
    Path("set").mkdir()
    Path("set/clips.csv").write_text("name,path,start,duration\na,../a.wav,0.25,\n")  # as it resolved the table
    assert [item.identity.settings.clip for item in items()] == ["a"]
    Path("clips.csv").write_text("path,start\na.wav,0.25\na.wav,0.5\n")
    assert [item.identity.settings.clip for item in items()] == ["a", "a@0.5s"]
    Path("clips.csv").write_text("name,path,start\nnew,a.wav,0.25\n")
    assert [item.identity.settings.clip for item in items()] == ["new"]
