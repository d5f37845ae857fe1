"""Presentation copies: one level, nothing clipped, names that tell nothing."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import tiny_stimuli as tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from audiometamer.errors import AudioMetamerError
from audiometamer.stimuli import export as exporting
from audiometamer.stimuli.export import Settings, export
from audiometamer.stimuli.set import write_set


@pytest.fixture
def stimuli(tmp_path):
    return tiny.write_items(tmp_path / "set", clips=("one_slt", "zwölf Töne"))


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def table(path, delimiter="\t"):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def decibels(path):
    return 10 * np.log10(np.mean(soundfile.read(path)[0] ** 2))


@pytest.mark.parametrize(("rate", "bits"), [(44_100, 16), (48_000, 24)])
def test_every_sound_has_the_rate_the_bits_and_the_level(stimuli, out, rate, bits):
    made = export(stimuli, out, to="folder", settings=Settings(sample_rate=rate, bits=bits, level=-25))
    files = sorted(out.glob("*.wav"))
    assert len(files) == len(made) + 2 == 6 + 2
    for path in files:
        about = soundfile.info(path)
        assert (about.samplerate, about.channels, about.subtype) == (rate, 1, f"PCM_{bits}")
        assert decibels(path) == pytest.approx(-25, abs=0.001)
    assert all(entry.duration == 0.25 and entry.rms_db == -25 for entry in made)


def test_the_key_is_apart_and_tells_all(stimuli, out, tmp_path):
    write_set(stimuli, clips=tiny.write_clips(tmp_path / "clips.csv", ("one_slt",)))
    export(stimuli, out, to="folder", settings=Settings())
    key = table(tmp_path / "out-key.tsv")
    assert sorted((row["clip"], row["layer"]) for row in key) == sorted(
        (clip, layer) for clip in ("one_slt", "zwölf Töne") for layer in ("natural", "relu0", "relu1")
    )
    assert {row["licence"] for row in key if row["clip"] == "one_slt"} == {"CC BY 4.0"}
    assert all((out / row["file"]).exists() and (stimuli / row["source"]).exists() for row in key)
    assert json.loads((tmp_path / "out-key.json").read_text())["settings"]["seed"] == 0
    told = "".join(p.read_text() for p in out.rglob("*") if p.suffix != ".wav") + " ".join(map(str, out.rglob("*")))
    assert not any(word in told.removeprefix(str(out)) for word in ("relu0", "one_slt", "zwölf", "natural"))


def test_the_same_seed_gives_the_same_bytes(stimuli, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        export(stimuli, tmp_path / name, to="folder", settings=Settings(seed=seed))
    a, b, c = ({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in "abc")
    assert a == b
    assert not set(a) & set(c) - {"README.md", "sounds.tsv", "calibrationnoise.wav", "calibrationtone.wav"}


def spiky(peak, n=tiny.N):
    """A click in soft noise: a high peak for its RMS."""
    sound = tiny.noise(3, n, rms=0.01)
    sound[n // 2] = peak
    return sound


def test_a_peak_lowers_the_whole_set(stimuli, out):
    tiny.write_item(stimuli, layer="spiky", samples=spiky(1))
    made = export(stimuli, out, to="folder", settings=Settings(level=-10))
    levels = {round(decibels(path), 2) for path in out.glob("*.wav")}
    assert len(levels) == 1, "one level for all"
    assert levels.pop() < -10
    peaks = [np.abs(soundfile.read(path)[0]).max() for path in out.glob("*.wav")]
    assert 0.999 < max(peaks) < 1
    assert "The whole set was lowered by" in (out / "README.md").read_text()
    assert len({entry.rms_db for entry in made}) == 1


def test_a_peak_stops_if_it_should(stimuli, out):
    at = tiny.write_item(stimuli, layer="spiky", samples=spiky(1))
    with pytest.raises(AudioMetamerError, match=rf"{at.name}/metamer.wav would clip: its peak is .* lower the level by") as told:
        export(stimuli, out, to="folder", settings=Settings(level=-10, peaks="stop"))
    excess = float(str(told.value).split("lower the level by ")[1].split()[0])
    assert not out.exists()
    export(stimuli, out, to="folder", settings=Settings(level=-10 - excess - 0.01, peaks="stop"))


def test_a_sound_that_changes_meanwhile_does_not_clip(stimuli, out, monkeypatch):
    read = exporting.Sounds._read
    calls = iter(range(100))
    monkeypatch.setattr(exporting.Sounds, "_read", lambda self, source: read(self, source) * (1 if next(calls) < 6 else 1000))
    with pytest.raises(AudioMetamerError, match="changed while the set was exported"):
        export(stimuli, out, to="folder", settings=Settings())
    assert not out.exists()


def test_a_factor_keeps_differences_of_level(stimuli, out):
    tiny.write_item(stimuli, clip="one_slt", layer="soft", samples=tiny.noise(1, rms=0.01))
    made = export(stimuli, out, to="folder", settings=Settings(level=None, factor=0.5, ramp=0))
    found = {entry.layer: entry.rms_db for entry in made if entry.clip == "one_slt"}
    assert found["relu0"] - found["soft"] == pytest.approx(20, abs=0.3)  # resampling takes a little at the ends
    mean = 10 * np.log10(np.mean([10 ** (entry.rms_db / 10) for entry in made]))
    assert decibels(out / "calibrationnoise.wav") == pytest.approx(mean, abs=0.01)


def test_ramps_are_raised_cosines(stimuli, out):
    sound = np.full(1200, 0.25, np.float32)
    sound[:600] = -0.25  # a mean of zero
    folder = stimuli.parent / "other"
    tiny.write_item(folder, samples=sound, rate=48_000)
    export(folder, out, to="folder", settings=Settings(ramp=10, level=-20))
    entry = next(row for row in table(out.with_name("out-key.tsv")) if row["layer"] == "relu0")
    heard = soundfile.read(out / entry["file"])[0]
    wanted = np.where(np.arange(1200) < 600, -1.0, 1.0)
    rise = 0.5 - 0.5 * np.cos(np.pi * (np.arange(480) + 0.5) / 480)
    wanted[:480] *= rise
    wanted[-480:] *= rise[::-1]
    assert heard == pytest.approx(0.1 * wanted / np.sqrt(np.mean(wanted**2)), abs=2**-22)


@settings(max_examples=20, deadline=None)
@given(bits=st.sampled_from([16, 24]), value=st.floats(-0.9, 0.9), seed=st.integers(0, 100))
def test_dither_is_triangular_and_leaves_the_mean(tmp_path_factory, bits, value, seed):
    path = tmp_path_factory.mktemp("dither") / "x.wav"
    chosen = Settings(bits=bits)
    exporting.write_pcm(path, np.full(20_000, value, np.float32), chosen, name=str(seed))
    error = (soundfile.read(path)[0] - np.float64(np.float32(value))) / chosen.step
    assert np.abs(error).max() <= 1.5
    assert error.mean() == pytest.approx(0, abs=0.02)
    assert error.var() == pytest.approx(1 / 4, rel=0.05), "of triangular dither, whatever the sound: 1/6 + 1/12"


def test_the_calibration_noise_has_the_average_spectrum(tmp_path, out):
    time = np.arange(4000) / 4000
    tone = 0.1 * np.sin(2 * np.pi * 500 * time)
    folder = tmp_path / "tones"
    tiny.write_item(folder, samples=tone)
    tiny.write_item(folder, samples=tone, layer="relu1")
    (folder / "originals/vowel@4000.wav").write_bytes(next(folder.glob("items/*/*/*/metamer.wav")).read_bytes())
    export(folder, out, to="folder", settings=Settings())
    noise, rate = soundfile.read(out / "calibrationnoise.wav")
    power = np.abs(np.fft.rfft(noise)) ** 2
    frequencies = np.fft.rfftfreq(len(noise), 1 / rate)
    assert power[np.abs(frequencies - 500) < 75].sum() > 0.99 * power.sum()
    calibration = np.abs(np.fft.rfft(soundfile.read(out / "calibrationtone.wav")[0]))
    assert frequencies[calibration.argmax()] == 1000


def test_bids_as_it_is(stimuli, out):
    made = export(stimuli, out, to="bids", settings=Settings())
    events = table(out / "sourcedata" / "events.tsv")
    assert list(events[0]) == ["onset", "duration", "stim_file"]
    assert {row["stim_file"] for row in events} == {f"{entry.stim_id}.wav" for entry in made}
    assert all((out / "stimuli" / row["stim_file"]).exists() for row in events)
    assert json.loads((out / "dataset_description.json").read_text())["DatasetType"] == "raw"
    assert not (out / "stimuli" / "stimuli.tsv").exists()


def test_bids_as_it_will_be(stimuli, out):
    export(stimuli, out, to="bids", settings=Settings(bids_version="coming", reveal=True))
    rows = table(out / "stimuli" / "stimuli.tsv")
    assert list(rows[0])[:2] == ["stimulus_id", "type"]
    assert {row["filename"] for row in rows} == {p.name for p in out.glob("stimuli/*.wav")}
    assert all(row["filename"] == f"{row['stimulus_id']}_audio.wav" for row in rows)
    assert all(row["stimulus_id"].removeprefix("stim-").isalnum() for row in rows), "BIDS takes letters and digits"
    assert set(json.loads((out / "stimuli" / "stimuli.json").read_text())) == set(rows[0])
    events = table(out / "sourcedata" / "events.tsv")
    assert {row["stim_id"] for row in events} < {row["stimulus_id"] for row in rows}
    assert {row["layer"] for row in events} == {"natural", "relu0", "relu1"}
    assert {row["model"] for row in events} == {"n/a", "tiny"}, "BIDS has no empty cells"


def test_psychopy_reads_conditions(stimuli, out):
    export(stimuli, out, to="psychopy", settings=Settings())
    rows = table(out / "conditions.csv", ",")
    assert all(name.isidentifier() for name in rows[0]), "columns become variables"
    assert all((out / row["stim_file"]).exists() for row in rows)


def test_a_selection_is_exported_alone(stimuli, out, tmp_path):
    chosen = next(stimuli.glob("items/one_slt/*/relu1*/metamer.wav")).relative_to(stimuli)
    (tmp_path / "selection.tsv").write_text(f"file\n{chosen}\n")
    made = export(stimuli, out, to="folder", settings=Settings(), selection=tmp_path / "selection.tsv")
    assert sorted((entry.clip, entry.layer) for entry in made) == [("one_slt", "natural"), ("one_slt", "relu1")]


def test_nothing_is_overwritten(stimuli, out, tmp_path):
    out.mkdir()
    export(stimuli, out, to="folder", settings=Settings())
    with pytest.raises(AudioMetamerError, match="out exists; nothing is overwritten"):
        export(stimuli, out, to="folder", settings=Settings())
    with pytest.raises(AudioMetamerError, match=r"out-key\.tsv exists"):
        export(stimuli, tmp_path / "new", to="folder", settings=Settings(), key=tmp_path / "out-key.tsv")
    with pytest.raises(AudioMetamerError, match="keep it apart"):
        export(stimuli, tmp_path / "new", to="folder", settings=Settings(), key=tmp_path / "new" / "key.tsv")
    with pytest.raises(AudioMetamerError, match=r"must end in \.tsv"):
        export(stimuli, tmp_path / "new", to="folder", settings=Settings(), key=tmp_path / "key.csv")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sample_rate": 22_050}, "sample rate is 22050 Hz; it must be 44100 or 48000"),
        ({"bits": 8}, "bits is 8; it must be 16 or 24"),
        ({"level": 3.0}, "level is 3.0 dB re full scale"),
        ({"factor": 1.0}, "a level in dB or a factor"),
        ({"level": None, "factor": -1.0}, "factor is -1.0; it must be above 0"),
        ({"ramp": -1.0}, "ramp is -1.0 ms"),
        ({"peaks": "clip"}, "peaks is 'clip'; it must be lower or stop"),
        ({"bids_version": "2"}, "BIDS version is '2'; it must be current or coming"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_bad_settings_are_told_in_a_line(changes, message):
    with pytest.raises(AudioMetamerError, match=message):
        Settings(**changes)


def test_an_unknown_form_is_told_in_a_line(stimuli, out):
    with pytest.raises(AudioMetamerError, match="'matlab' is no form of export; there are bids, psychopy, folder"):
        export(stimuli, out, to="matlab", settings=Settings())


def corrupt(stimuli: Path) -> None:
    path = next(stimuli.glob("originals/*.wav"))
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("spoil", "changes", "message"),
    [
        (corrupt, {}, r"\.wav is truncated"),
        (lambda s: tiny.write_item(s, samples=np.zeros(100)), {"ramp": 1.0}, r"metamer\.wav is silent"),
        (lambda s: None, {"ramp": 200.0}, r"lasts 250 ms; two ramps of 200 ms do not fit"),
        (lambda s: [p.unlink() for p in s.rglob("item.json")], {}, "holds no finished item"),
        (lambda s: (s / "selection.tsv").write_text("clip\nx\n"), {}, r"has no column file; it has clip"),
        (lambda s: (s / "selection.tsv").write_text("file\nx.wav\n"), {}, r"names x\.wav, which is no finished item"),
    ],
)
def test_bad_input_is_told_in_a_line(stimuli, out, tmp_path, spoil, changes, message):
    spoil(stimuli)
    selection = stimuli / "selection.tsv"
    with pytest.raises(AudioMetamerError, match=message):
        export(stimuli, out, to="folder", settings=Settings(**changes), selection=selection if selection.exists() else None)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["set"], "nothing is left behind"
