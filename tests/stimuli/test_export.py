"""Presentation copies: one level, nothing clipped, names that tell nothing."""

import csv
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import tiny_stimuli as tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from audiometamer.errors import AudioMetamerError, AudioMetamerWarning
from audiometamer.io.draws import Draws
from audiometamer.io.tables import write_table
from audiometamer.signals import presentation
from audiometamer.signals.audio import write_wav
from audiometamer.signals.presentation import PresentationSettings
from audiometamer.stimuli import export as exporting
from audiometamer.stimuli.export import export
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
    made = export(stimuli, out, to="folder", settings=PresentationSettings(sample_rate=rate, bits=bits, level=-25))
    files = sorted(out.glob("*.wav"))
    assert len(files) == len(made) + 2 == 6 + 2
    for path in files:
        about = soundfile.info(path)
        assert (about.samplerate, about.channels, about.subtype) == (rate, 1, f"PCM_{bits}")
        assert decibels(path) == pytest.approx(-25, abs=0.001)
    assert all(entry.duration == 0.25 and entry.rms_db == -25 for entry in made)


def test_the_key_is_apart_and_tells_all(stimuli, out, tmp_path):
    write_set(stimuli, clips=tiny.write_clips(tmp_path / "clips.csv", ("one_slt",)))
    export(stimuli, out, to="folder", settings=PresentationSettings())
    key = table(tmp_path / "out-key.tsv")
    assert sorted((row["clip"], row["layer"]) for row in key) == sorted(
        (clip, layer) for clip in ("one_slt", "zwölf Töne") for layer in ("natural", "relu0", "relu1")
    )
    assert {(r["licence"], r["word"], r["voice"]) for r in key if r["clip"] == "one_slt"} == {("CC BY 4.0", "one", "slt")}
    assert all((out / row["file"]).exists() and (stimuli / row["set_file"]).exists() for row in key)
    assert json.loads((tmp_path / "out-key.json").read_text())["settings"]["seed"] == 0
    reported = "".join(p.read_text() for p in out.rglob("*") if p.suffix != ".wav") + " ".join(map(str, out.rglob("*")))
    assert not any(word in reported.removeprefix(str(out)) for word in ("relu0", "one_slt", "zwölf", "natural"))


def test_the_same_seed_and_key_give_the_same_bytes(stimuli, tmp_path):
    key = tmp_path / "a-key.names.key"
    for name, seed, names_key in (("a", 0, None), ("b", 0, key), ("c", 1, key), ("d", 0, None)):
        export(stimuli, tmp_path / name, to="folder", settings=PresentationSettings(seed=seed), names_key=names_key)
    a, b, c, d = ({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in "abcd")
    assert a == b
    for other in (c, d):
        assert not set(a) & set(other) - {"README.md", "sounds.tsv", "calibrationnoise.wav", "calibrationtone.wav"}
    for private in (key, tmp_path / "a-key.tsv"):
        assert private.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("form", ["folder", "psychopy", "bids"])
def test_names_and_order_and_times_and_headers_tell_nothing(stimuli, out, form):
    made = export(stimuli, out, to=form, settings=PresentationSettings())
    names = [entry.stim_id for entry in made]
    assert all(re.fullmatch("[b-df-hj-np-tv-xz][b-df-hj-np-tv-xz2-9]{9}", name) for name in names), "no words, no numbers"
    assert names == sorted(names)
    assert len({path.stat().st_mtime_ns for path in out.rglob("*.wav")}) == 1
    for path in out.rglob("*.wav"):
        content = path.read_bytes()
        assert (content[:4], content[8:16], content[36:40]) == (b"RIFF", b"WAVEfmt ", b"data")
        assert len(content) == 44 + int.from_bytes(content[40:44], "little"), "nothing but the format and the samples"


def test_a_name_means_one_sound_whatever_else_is_exported(stimuli, tmp_path):
    (tmp_path / "selection.tsv").write_text(
        f"file\n{next(stimuli.glob('items/zw*/*/relu1*/metamer.wav')).relative_to(stimuli)}\n"
    )
    part = export(stimuli, tmp_path / "part", to="bids", settings=PresentationSettings(), selection=tmp_path / "selection.tsv")
    other = PresentationSettings(sample_rate=44_100)
    made = export(stimuli, tmp_path / "whole", to="folder", settings=other, names_key=tmp_path / "part-key.names.key")
    whole = {entry.stim_id: entry for entry in made}
    assert [(entry.clip, entry.layer) for entry in part] == [(whole[e.stim_id].clip, whole[e.stim_id].layer) for e in part]


def test_two_sounds_of_one_name_are_refused(stimuli, out, monkeypatch):
    monkeypatch.setattr(exporting.Draws, "name", lambda self, sound: "bcd")
    with pytest.raises(AudioMetamerError, match="two sounds would be named bcd; choose another --seed"):
        export(stimuli, out, to="folder", settings=PresentationSettings())


def spiky(peak, n=tiny.N):
    """A click in soft noise: a high peak for its RMS."""
    sound = tiny.noise(3, n, rms=0.01)
    sound[n // 2] = peak
    return sound


def test_a_peak_lowers_the_whole_set(stimuli, out):
    tiny.write_item(stimuli, layer="spiky", samples=spiky(1))
    with pytest.warns(AudioMetamerWarning, match=r"spiky.*would clip: the whole set is lowered by 19\.\d\d dB"):
        made = export(stimuli, out, to="folder", settings=PresentationSettings(level=-10))
    levels = {round(decibels(path), 2) for path in out.glob("*.wav")}
    assert len(levels) == 1, "one level for all"
    assert levels.pop() < -10
    peaks = [np.abs(soundfile.read(path)[0]).max() for path in out.glob("*.wav")]
    assert 0.999 < max(peaks) < 1
    assert "The whole set was lowered by" in (out / "README.md").read_text()
    assert len({entry.rms_db for entry in made}) == 1


def test_a_peak_stops_if_it_should(stimuli, out):
    at = tiny.write_item(stimuli, layer="spiky", samples=spiky(1))
    with pytest.raises(
        AudioMetamerError, match=rf"{at.name}/metamer.wav would clip: its peak is .* lower the level by"
    ) as reported:
        export(stimuli, out, to="folder", settings=PresentationSettings(level=-10, peaks="stop"))
    excess = float(str(reported.value).split("lower the level by ")[1].split()[0])
    assert not out.exists()
    export(stimuli, out, to="folder", settings=PresentationSettings(level=-10 - excess - 0.01, peaks="stop"))


def test_a_sound_that_changes_meanwhile_does_not_clip(stimuli, out, monkeypatch):
    read, calls = presentation.presentation_copy, iter(range(100))
    monkeypatch.setattr(presentation, "presentation_copy", lambda *asked: read(*asked) * (1 if next(calls) < 6 else 1000))
    with pytest.raises(AudioMetamerError, match="would clip, although peaks were checked before: a sound was changed meanwhile"):
        export(stimuli, out, to="folder", settings=PresentationSettings())
    assert not out.exists()


def test_a_factor_keeps_differences_of_level(stimuli, out):
    tiny.write_item(stimuli, clip="one_slt", layer="soft", samples=tiny.noise(1, rms=0.01))
    made = export(stimuli, out, to="folder", settings=PresentationSettings(level=None, factor=0.5, ramp=0))
    found = {entry.layer: entry.rms_db for entry in made if entry.clip == "one_slt"}
    assert found["relu0"] - found["soft"] == pytest.approx(20, abs=0.3)  # resampling takes a little at the ends
    mean = 10 * np.log10(np.mean([10 ** (entry.rms_db / 10) for entry in made]))
    assert decibels(out / "calibrationnoise.wav") == pytest.approx(mean, abs=0.01)


def test_ramps_are_raised_cosines(stimuli, out):
    sound = np.full(1200, 0.25, np.float32)
    sound[:600] = -0.25  # a mean of zero
    folder = stimuli.parent / "other"
    tiny.write_item(folder, samples=sound, rate=48_000)
    export(folder, out, to="folder", settings=PresentationSettings(ramp=10, level=-20))
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
    chosen = PresentationSettings(bits=bits)
    exporting.write_pcm(path, np.full(20_000, value, np.float32), chosen, name=str(seed), draws=Draws(0, b"dither"))
    error = (soundfile.read(path)[0] - np.float64(np.float32(value))) / chosen.step
    assert np.abs(error).max() <= 1.5
    assert error.mean() == pytest.approx(0, abs=0.02)
    assert error.var() == pytest.approx(1 / 4, rel=0.05), "of triangular dither, whatever the sound: 1/6 + 1/12"


def test_the_noise_that_is_left_is_white_whatever_the_sound(tmp_path):
    chosen, n = PresentationSettings(bits=16), 1 << 17
    tone = 3 * chosen.step * np.sin(2 * np.pi * 1000 * np.arange(n) / 48_000)  # three steps high: undithered, all harmonics
    exporting.write_pcm(tmp_path / "x.wav", tone, chosen, name="x", draws=Draws(0, b"dither"))
    power = np.abs(np.fft.rfft(np.hanning(n) * (soundfile.read(tmp_path / "x.wav")[0] - tone) / chosen.step)) ** 2
    bands = [band.mean() for band in np.array_split(power[1:], 16)]
    assert max(bands) / min(bands) < 1.2
    assert power.max() / power.mean() < 25, "exponential: of 65,537 the largest is 11 or so; a harmonic would be hundreds"


@pytest.mark.parametrize("new_rate", [44_100, 48_000])
@pytest.mark.parametrize("rate", [16_000, 20_000, 22_050, 97_656])
def test_tones_come_through_resampling_clean(tmp_path, rate, new_rate):
    for frequency in (123.4, 1000.0, 0.5 * min(rate, new_rate) * 0.97):
        tone = 0.1 * np.sin(2 * np.pi * frequency * np.arange(rate) / rate + 0.3)
        folder = tmp_path / f"{frequency}"
        at = tiny.write_item(folder, samples=tone, rate=rate)
        (entry,) = (e for e in export(folder, tmp_path / f"{frequency}-out", to="folder", settings=PresentationSettings(
            sample_rate=new_rate, level=None, factor=1.0)) if e.layer == "relu0")  # fmt: skip
        assert entry.set_file == at.relative_to(folder).as_posix() + "/metamer.wav"
        heard = soundfile.read(tmp_path / f"{frequency}-out" / entry.file)[0]
        inner = slice(new_rate // 10, -new_rate // 10)
        time = 2 * np.pi * frequency * np.arange(len(heard)) / new_rate
        basis = np.stack([np.sin(time), np.cos(time)], axis=1)[inner]
        fit = np.linalg.lstsq(basis, heard[inner])[0]
        assert np.hypot(*fit) == pytest.approx(0.1, rel=1e-4)
        assert 20 * np.log10(0.1 / np.std(heard[inner] - basis @ fit)) > 100


def test_what_the_new_rate_cannot_hold_is_gone(tmp_path):
    noise = np.random.default_rng(0).standard_normal(96_000)
    spectrum = np.fft.rfft(noise)
    spectrum[:24_000] = 0  # of 96 kHz: nothing below 24 kHz
    item = {"samples": 0.1 * np.fft.irfft(spectrum), "rate": 96_000}
    tiny.write_item(tmp_path / "set", **item)
    export(tmp_path / "set", tmp_path / "out", to="folder", settings=PresentationSettings(level=None, factor=1.0, ramp=0))
    entry = next(row for row in table(tmp_path / "out-key.tsv") if row["layer"] == "relu0")
    heard = soundfile.read(tmp_path / "out" / entry["file"])[0][4800:-4800]  # its sudden ends have all frequencies
    assert np.std(heard) < 1e-6


def test_the_calibration_noise_has_the_average_spectrum(tmp_path, out):
    time = np.arange(4000) / 4000
    tone = 0.1 * np.sin(2 * np.pi * 500 * time)
    folder = tmp_path / "tones"
    write_wav(folder / "originals/vowel@4000.wav", tone.astype(np.float32), 4000)
    tiny.write_item(folder, samples=tone)
    tiny.write_item(folder, samples=tone, layer="relu1")
    export(folder, out, to="folder", settings=PresentationSettings())
    noise, rate = soundfile.read(out / "calibrationnoise.wav")
    power = np.abs(np.fft.rfft(noise)) ** 2
    frequencies = np.fft.rfftfreq(len(noise), 1 / rate)
    assert power[np.abs(frequencies - 500) < 75].sum() > 0.99 * power.sum()
    calibration = np.abs(np.fft.rfft(soundfile.read(out / "calibrationtone.wav")[0]))
    assert frequencies[calibration.argmax()] == 1000


def bids_errors(folder):
    """What the BIDS validator finds wrong."""
    found = subprocess.run(
        [Path(sys.executable).with_name("bids-validator-deno"), "--format", "json", folder], capture_output=True, text=True
    )
    issues = json.loads(found.stdout)["issues"]["issues"]
    assert not {"TSV_COLUMN_TYPE_REDEFINED", "UNKNOWN_BIDS_VERSION"} & {issue["code"] for issue in issues}
    return [issue["code"] for issue in issues if issue["severity"] == "error"]


def heard_by_somebody(out):
    """The export as a data set: its rows with onsets as the events of one participant."""
    rows = table(out / "sourcedata" / "events.tsv")
    events = out / "sub-01" / "beh" / "sub-01_task-words_events.tsv"
    write_table(events, rows[0], [row | {"onset": 3 * k} for k, row in enumerate(rows)])
    shutil.copy(out / "sourcedata" / "events.json", out / "task-words_events.json")
    return events


def test_bids_as_it_is(stimuli, out):
    made = export(stimuli, out, to="bids", settings=PresentationSettings())
    events = table(out / "sourcedata" / "events.tsv")
    assert list(events[0]) == ["onset", "duration", "stim_file"]
    assert {row["stim_file"] for row in events} == {f"{entry.stim_id}.wav" for entry in made}
    assert all((out / "stimuli" / row["stim_file"]).exists() for row in events)
    assert json.loads((out / "dataset_description.json").read_text())["DatasetType"] == "raw"
    assert not (out / "stimuli" / "stimuli.tsv").exists()
    assert bids_errors(out) == []
    events = heard_by_somebody(out)
    assert bids_errors(out) == []
    events.write_text(events.read_text().replace(made[0].stim_id, "nowhere"))
    assert bids_errors(out) == ["STIMULUS_FILE_MISSING"], "the validator looks"


@pytest.mark.parametrize("reveal", [False, True])
def test_bids_as_it_will_be(stimuli, out, tmp_path, reveal):
    """By the rules of the draft: no validator knows them yet."""
    write_set(stimuli, clips=tiny.write_clips(tmp_path / "clips.csv", ("one_slt",)))
    export(stimuli, out, to="bids", settings=PresentationSettings(bids_version="coming", reveal=reveal))
    rows = table(out / "stimuli" / "stimuli.tsv")
    assert list(rows[0])[:2] == ["stimulus_id", "type"]
    assert {row["type"] for row in rows} == {"audio"}
    assert all(re.fullmatch("stim-[0-9a-zA-Z]+", row["stimulus_id"]) for row in rows)
    assert {row["filename"] for row in rows} == {p.name for p in out.glob("stimuli/*.wav")}
    assert all(row["filename"] == f"{row['stimulus_id']}_audio.wav" for row in rows)
    assert set(json.loads((out / "stimuli" / "stimuli.json").read_text())) == set(rows[0]), "columns of one's own are defined"
    assert all(all(row.values()) for row in rows), "BIDS has no empty cells"
    reported = {"license", "copyright", "clip", "model", "layer", "seed", "verdict", "word", "voice"}
    assert set(rows[0]) & reported == (reported if reveal else set())
    events = table(out / "sourcedata" / "events.tsv")
    assert {row["stim_id"] for row in events} == {row["stimulus_id"] for row in rows if "calib" not in row["stimulus_id"]}
    if reveal:
        assert {(row["layer"], row["model"]) for row in events} == {("natural", "n/a"), ("relu0", "tiny"), ("relu1", "tiny")}
        assert {row["voice"] for row in events} == {"slt", "n/a"}
    heard_by_somebody(out)
    assert bids_errors(out) == [], "and BIDS as it is takes it too"


@pytest.mark.parametrize("reveal", [False, True])
def test_psychopy_reads_conditions(stimuli, out, tmp_path, reveal):
    """By the rules of `psychopy.data.importConditions`: columns become variables; cells that look like numbers, numbers."""
    write_set(stimuli, clips=tiny.write_clips(tmp_path / "clips.csv"), name="x")
    export(stimuli, out, to="psychopy", settings=PresentationSettings(reveal=reveal))
    rows = table(out / "conditions.csv", ",")
    reported = ["clip", "model", "layer", "seed", "verdict", "word", "voice"]
    assert list(rows[0]) == ["stim_file", "stim_id", "duration", *(reported if reveal else [])]
    assert all(re.fullmatch("[A-Za-z][A-Za-z0-9_]*", name) for name in rows[0])
    assert all((out / row["stim_file"]).exists() and "\\" not in row["stim_file"] for row in rows)
    for row in rows:
        with pytest.raises(ValueError, match="could not convert"):
            float(row["stim_id"])


def test_what_psychopy_would_refuse_is_refused(stimuli, out, tmp_path):
    (tmp_path / "clips.csv").write_text("path,correct answer\none_slt.wav,one\n")
    write_set(stimuli, clips=tmp_path / "clips.csv")
    with pytest.raises(
        AudioMetamerError, match="PsychoPy takes no column 'correct answer': letters, digits and underscores only"
    ):
        export(stimuli, out, to="psychopy", settings=PresentationSettings(reveal=True))
    export(stimuli, out, to="psychopy", settings=PresentationSettings())


def test_a_selection_is_exported_alone(stimuli, out, tmp_path):
    chosen = next(stimuli.glob("items/one_slt/*/relu1*/metamer.wav")).relative_to(stimuli)
    (tmp_path / "selection.tsv").write_text(f"file\n{chosen}\n")
    made = export(stimuli, out, to="folder", settings=PresentationSettings(), selection=tmp_path / "selection.tsv")
    assert sorted((entry.clip, entry.layer) for entry in made) == [("one_slt", "natural"), ("one_slt", "relu1")]


def test_nothing_is_overwritten(stimuli, out, tmp_path):
    out.mkdir()
    export(stimuli, out, to="folder", settings=PresentationSettings())
    with pytest.raises(AudioMetamerError, match="out exists; nothing is overwritten"):
        export(stimuli, out, to="folder", settings=PresentationSettings())
    with pytest.raises(AudioMetamerError, match=r"out-key\.tsv exists"):
        export(stimuli, tmp_path / "new", to="folder", settings=PresentationSettings(), key=tmp_path / "out-key.tsv")
    with pytest.raises(AudioMetamerError, match="keep it apart"):
        export(stimuli, tmp_path / "new", to="folder", settings=PresentationSettings(), key=tmp_path / "new" / "key.tsv")
    with pytest.raises(AudioMetamerError, match=r"must end in \.tsv"):
        export(stimuli, tmp_path / "new", to="folder", settings=PresentationSettings(), key=tmp_path / "key.csv")
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
def test_bad_settings_are_reported_in_a_line(changes, message):
    with pytest.raises(AudioMetamerError, match=message):
        PresentationSettings(**changes)


def test_an_unknown_form_is_reported_in_a_line(stimuli, out):
    with pytest.raises(AudioMetamerError, match="'matlab' is no form of export; there are bids, psychopy, folder"):
        export(stimuli, out, to="matlab", settings=PresentationSettings())


def corrupt(stimuli: Path) -> None:
    path = next(stimuli.glob("originals/*.wav"))
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("spoil", "changes", "message"),
    [
        (corrupt, {}, r"\.wav is truncated"),
        (lambda s: tiny.write_item(s, samples=np.zeros(100)), {"ramp": 1.0}, r"metamer\.wav is silent"),
        (lambda s: None, {"ramp": 200.0}, r"lasts 250 ms; two ramps of 200 ms do not fit"),
        (lambda s: [p.unlink() for p in s.rglob("item.json")], {}, "holds no finished metamer yet"),
        (lambda s: (s / "selection.tsv").write_text("clip\nx\n"), {}, r"has no column file; it has clip"),
        (lambda s: (s / "selection.tsv").write_text("file\nx.wav\n"), {}, r"names x\.wav, which is no finished item"),
    ],
)
def test_bad_input_is_reported_in_a_line(stimuli, out, tmp_path, spoil, changes, message):
    spoil(stimuli)
    selection = stimuli / "selection.tsv"
    with pytest.raises(AudioMetamerError, match=message):
        export(
            stimuli,
            out,
            to="folder",
            settings=PresentationSettings(**changes),
            selection=selection if selection.exists() else None,
        )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["set"], "nothing is left behind"
