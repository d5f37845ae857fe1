"""Two ears: read, matched, written, drawn and presented with their difference in level and in time kept."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import tiny_binaural as tiny
import tiny_models
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tiny_binaural import level_difference, tones, write_tones
from torch import nn

import audiometamer as am
from audiometamer.cli import main
from audiometamer.evaluation.collection import NaturalClip, check_presentable, fit_to_model, gain_for
from audiometamer.io.tables import read_table
from audiometamer.matching.optimizers import Constant, NormalizedDescent
from audiometamer.metamers.files import load_metamer
from audiometamer.metamers.saving import with_checksums
from audiometamer.models.loading import load_model
from audiometamer.signals.files import read_signal, write_signal
from audiometamer.signals.presentation import PresentationSettings, in_sequence, presentation_copy
from audiometamer.signals.resampling import resample
from audiometamer.stimuli.verify import verify

READ = {"sample_rate": tiny.RATE, "duration": tiny.SECONDS}
MODEL = ("--model", "tiny_binaural:two_ears")


@pytest.fixture(autouse=True)
def in_a_new_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def recording() -> Path:
    """200 Hz, three samples earlier and 20·log10(3) dB louder at the left ear."""
    return write_tones(Path("a.wav"), (0.3, 0.1), delay=3)


@pytest.fixture(scope="module")
def model() -> am.Model:
    return load_model("tiny_binaural:two_ears")


def test_both_channels_are_read_with_one_gain(recording):
    clip = am.read_clip(recording, **READ, channels=2)
    expected = tones((0.3, 0.1), delay=3)
    # mean squares are 0.3²/2 and 0.1²/2, their mean 0.025: an RMS of 0.1 takes a gain of 0.1 / sqrt(0.025)
    np.testing.assert_allclose(clip.samples, expected * 0.1 / np.sqrt(0.025), atol=1e-6)
    assert clip.samples.dtype == torch.float32
    assert clip.notices == ()
    assert level_difference(clip.samples) == pytest.approx(20 * np.log10(3), abs=1e-5)
    raw = am.read_clip(recording, **READ, channels=2, level=None)
    np.testing.assert_array_equal(raw.samples, expected.astype(np.float32))


def test_each_channel_loses_its_own_mean(recording):
    soundfile.write("offset.wav", (tones((0.3, 0.1)) + np.array([[0.2], [-0.1]])).T, tiny.RATE, subtype="FLOAT")
    clip = am.read_clip("offset.wav", **READ, channels=2)
    assert clip.samples.mean(-1).abs().max() < 1e-6
    assert level_difference(clip.samples) == pytest.approx(20 * np.log10(3), abs=1e-4)


def test_one_silent_ear_is_heard_by_the_other(recording):
    soundfile.write("monaural.wav", tones((0.3, 0.0)).T, tiny.RATE, subtype="FLOAT")
    left, right = am.read_clip("monaural.wav", **READ, channels=2).samples
    assert float(left.square().mean().sqrt()) == pytest.approx(0.1 * np.sqrt(2), rel=1e-6)
    assert not right.any()


def test_excerpt_padding_and_rate_are_the_same_at_both_ears():
    rng = np.random.default_rng(0)
    soundfile.write("long.wav", np.outer(rng.standard_normal(9000), [0.1, 0.05]), 8000, subtype="FLOAT")
    clip = am.read_clip("long.wav", **READ, channels=2, start=0.5)
    assert (clip.name, tuple(clip.samples.shape)) == ("long@0.5s", (2, 1000))
    torch.testing.assert_close(clip.samples[0], 2 * clip.samples[1], rtol=1e-4, atol=1e-6)
    with pytest.warns(am.AudioMetamerWarning, match=r"0\.125 s were padded"):
        short = am.read_clip("long.wav", **READ, channels=2, start=1.0)
    assert not short.samples[:, :250].any()
    assert not short.samples[:, 750:].any()
    assert level_difference(short.samples) == pytest.approx(20 * np.log10(2), abs=0.01)


@pytest.mark.parametrize("new_rate", [6000, 4001])
def test_channels_are_resampled_as_each_would_be_alone(new_rate):
    both = tones((0.3, 0.1), delay=3).astype(np.float32)
    alone = np.stack([resample(channel, tiny.RATE, new_rate) for channel in both])
    np.testing.assert_allclose(resample(both, tiny.RATE, new_rate), alone, atol=1e-7)


@pytest.mark.parametrize(
    ("channels", "reported"), [(1, "has 1 channel, and two are wanted: repeat"), (4, "has 4 channels, and two")]
)
def test_other_numbers_of_channels_are_refused(channels, reported):
    soundfile.write("x.wav", np.random.default_rng(0).uniform(-0.1, 0.1, (1000, channels)), tiny.RATE)
    with pytest.raises(am.AudioMetamerError, match=reported):
        am.read_clip("x.wav", **READ, channels=2)
    with pytest.raises(am.AudioMetamerError, match="channels is 3; it must be 1 or 2"):
        am.read_clip("x.wav", **READ, channels=3)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 50), st.integers(0, 2**32 - 1))
def test_a_written_pair_reads_back_exactly(tmp_path_factory, n, seed):
    samples = torch.from_numpy(np.random.default_rng(seed).standard_normal((2, n)).astype(np.float32))
    paths = [tmp_path_factory.mktemp("wav") / "a.wav" for _ in range(2)]
    for path in paths:
        am.write_wav(path, samples, 8000)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    back, rate = soundfile.read(paths[0], dtype="float32")
    assert rate == 8000
    np.testing.assert_array_equal(back.T, samples)
    assert torch.equal(read_signal(paths[0]), samples)


@pytest.mark.parametrize("shape", [(7,), (1, 7), (2, 7)])
def test_a_signal_is_written_with_the_channels_that_it_has(shape):
    signal = torch.rand(shape)
    write_signal(Path("a.wav"), signal, 8000)
    assert torch.equal(read_signal(Path("a.wav")).reshape(shape), signal)
    assert soundfile.info("a.wav").channels == (2 if shape == (2, 7) else 1)


def test_a_model_of_two_channels(model):
    assert (model.channels, model.signal_shape) == (2, (2, 1000))
    assert tiny_models.sound_model().channels == 1
    assert am.Model(nn.Flatten().eval(), signal_shape=(3, 4, 4)).sample_rate is None


@pytest.mark.parametrize(
    ("given", "reported"),
    [
        ({"channels": 3}, "channels is 3; the sounds of a model have 1 or 2"),
        ({"channels": 2, "signal_shape": (1000,)}, r"signals of shape \(2, samples\), not 4000, \(1000,\)"),
        ({"signal_shape": (4, 1000)}, r"signal_shape is \(4, 1000\); sounds have 1 or 2 channels"),
        ({"channels": 2, "signal_shape": (2, 9), "sample_rate": None}, "which needs a sample_rate"),
    ],
)
def test_channels_that_cannot_be(given, reported):
    with pytest.raises(am.AudioMetamerError, match=reported):
        am.Model(nn.Flatten().eval(), **{"sample_rate": 4000, "duration": 0.25} | given)


def test_a_width_called_channels_is_none_of_sounds(monkeypatch):
    monkeypatch.setattr(tiny_models.Tone, "channels", 64, raising=False)
    assert load_model("tiny_models:plain_module").channels == 1


def test_clips_of_another_number_of_channels_are_told_how_to_be_read(recording, model, tiny_clip):
    with pytest.raises(am.AudioMetamerError, match=r"duration=0\.25, channels=2\)"):
        am.synthesize(model, tiny_clip, "powers")
    twice = am.Clip("twice", tiny_clip.samples.repeat(2), tiny_clip.sample_rate)
    with pytest.raises(am.AudioMetamerError, match="has 2000 samples at 4000 Hz; two_ears takes 2 × 1000"):
        am.synthesize(model, twice, "powers")
    clip = am.read_clip(recording, **READ, channels=2)
    with pytest.raises(am.AudioMetamerError, match="has 2 × 1000 samples at 4000 Hz; tiny takes 1000"):
        am.synthesize(tiny_models.sound_model(), clip, "relu0")


def test_activations_are_as_worked_out(recording, model):
    clip = am.read_clip(recording, **READ, channels=2, level=None)
    found = am.record(model, clip.samples[None], ["powers", "correlation"])
    np.testing.assert_allclose(found["powers"][0], [0.3**2 / 2, 0.1**2 / 2], rtol=1e-5)
    lags = np.arange(-tiny.LAGS, tiny.LAGS + 1)
    expected = 0.3 * 0.1 / 2 * np.cos(2 * np.pi * 200 / tiny.RATE * (lags - 3))
    np.testing.assert_allclose(found["correlation"][0], expected, atol=1e-6)


def test_a_metamer_keeps_what_its_layer_knows_of_both_ears(recording, model):
    """Both powers: the difference in level. Their correlation: the difference in time, and only the product of the levels."""
    clip = am.read_clip(recording, **READ, channels=2)
    level, time = am.synthesize(model, clip, ["powers", "correlation"])
    assert level_difference(level.samples) == pytest.approx(20 * np.log10(3), abs=0.05)
    assert float(level.samples.square().mean().sqrt()) == pytest.approx(0.1, rel=1e-2)
    with torch.no_grad():
        correlations = am.record(model, torch.stack([clip.samples, time.samples]), "correlation")
    assert (correlations.argmax(1) - tiny.LAGS).tolist() == [3, 3]
    assert abs(level_difference(time.samples)) < 1
    assert time.evidence.verdict.labels == {"word": ("left", "left")}
    assert level.samples.shape == (2, 1000)


def test_a_step_is_normalised_over_both_channels_together(model):
    start = model.domain.start((2, 1000), seeds=[0], dtype=torch.float32, device="cpu")
    clip = torch.from_numpy(tones((0.3, 0.1)).astype(np.float32))
    target = am.record(model, clip[None], "powers")
    found = am.match(
        lambda signals: am.record(model, signals, "powers"), target, start, domain=model.domain,
        optimizer=NormalizedDescent(Constant(0.1)), steps=1,
    ).signals[0]  # fmt: skip
    left, right = (found - start[0]).norm(dim=-1).tolist()
    assert np.hypot(left, right) == pytest.approx(0.1, rel=1e-3)
    assert left / right == pytest.approx(0.3**2 / 0.1**2, rel=0.1)  # as the powers that are missing


def test_a_cochleagram_hears_each_channel():
    model = tiny.two_cochleas()
    sound = torch.from_numpy(tones((0.1, 0.05), delay=2).astype(np.float32))
    found = am.record(model, sound[None], ["cochleagram", "difference"])
    assert found["cochleagram"].shape[:2] == (1, 2)
    for channel in (0, 1):
        torch.testing.assert_close(found["cochleagram"][0, channel], model.front_end(sound[channel]), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found["difference"][0], found["cochleagram"][0, 0] - found["cochleagram"][0, 1])


def test_what_is_saved_reads_back(recording, model):
    (made,) = am.synthesize(model, am.read_clip(recording, **READ, channels=2), "powers", steps=5)
    path = made.save("out")
    back = load_metamer(path)
    assert torch.equal(back.samples, made.samples)
    assert torch.equal(back.clip.samples, made.clip.samples)
    assert back.evidence == with_checksums(made.evidence, path, path.with_name("original.wav"))


def test_a_clip_for_another_model_keeps_its_channels(model):
    samples = torch.from_numpy(tones((0.3, 0.1)).astype(np.float32))
    other = am.Model(tiny.two_ears(), sample_rate=6000, duration=0.5, channels=2)
    taken = fit_to_model(other, samples, tiny.RATE)
    assert taken.shape == (2, 3000)
    assert not taken[:, :750].any()
    assert level_difference(taken) == pytest.approx(20 * np.log10(3), abs=0.01)
    power = (0.3**2 + 0.1**2) / 4
    assert gain_for(model, samples) == pytest.approx(0.1 / np.sqrt(power), rel=1e-5)
    natural = NaturalClip("a", Path("a.wav"), tiny.RATE, (2, 1000))
    assert check_presentable(other, [natural]) == [
        "TwoEars: sounds of 0.25 s are padded with equal silence before and after to 0.5 s"
    ]
    with pytest.raises(am.AudioMetamerError, match=r"tiny takes sounds of 1 channel\(s\), and a\.wav has 2"):
        check_presentable(tiny_models.sound_model(), [natural])


def test_a_presentation_copy_keeps_the_difference_in_level(recording):
    copy = presentation_copy(recording, PresentationSettings(sample_rate=48_000, level=-30.0))
    assert copy.shape == (12_000, 2)
    assert 10 * np.log10(np.square(copy).mean()) == pytest.approx(-30, abs=1e-9)
    assert level_difference(copy.T) == pytest.approx(20 * np.log10(3), abs=0.01)
    scaled = presentation_copy(recording, PresentationSettings(sample_rate=48_000, level=None, factor=0.5))
    np.testing.assert_allclose(scaled[2000:-2000, 0].max(), 0.15, rtol=1e-3)


def test_a_mono_sound_among_pairs_plays_at_both_ears():
    mono, pair = np.array([1.0, 2.0]), np.array([[3.0, 4.0]])
    found = in_sequence([mono, pair], 2 / 48_000, PresentationSettings())
    np.testing.assert_array_equal(found, [[1, 1], [2, 2], [0, 0], [0, 0], [3, 4]])
    np.testing.assert_array_equal(in_sequence([mono, mono], 1 / 48_000, PresentationSettings()), [1, 2, 0, 1, 2])


def test_synth_report_null_and_record(recording, capsys):
    write_tones(Path("b.wav"), (0.1, 0.3), delay=-3, frequency=320)
    assert main(["synth", "a.wav", *MODEL, "--layers", "powers", "--steps", "60"]) == 0
    out = Path("metamers/a/two_ears")
    assert {soundfile.info(out / f"{name}.wav").channels for name in ("original", "powers_seed0")} == {2}
    assert (out / "figure.png").exists()
    assert main(["report", "metamers"]) == 0
    with Image.open("metamers/report_files/a/two_ears/original.png") as image:
        rows = np.asarray(image.convert("RGB")).sum(2)
    bright = np.flatnonzero((rows == rows.max()).all(axis=1)).tolist()
    assert bright == [len(rows) // 2]  # the line between the two ears
    assert main(["null", "a.wav", "b.wav", *MODEL]) == 0
    assert json.loads(Path("null.json").read_text())["pairs"] == 1
    assert main(["record", "a.wav", *MODEL, "--layers", "powers", "--out", "a.safetensors"]) == 0
    capsys.readouterr()
    soundfile.write("mono.wav", tones((0.1, 0.1))[0], tiny.RATE)
    assert main(["synth", "mono.wav", *MODEL]) == 2
    assert "mono.wav has 1 channel, and two are wanted" in capsys.readouterr().err


def test_a_set_is_run_verified_exported_and_built_into_an_experiment():
    sides = [((0.3, 0.1), 3, "left"), ((0.1, 0.3), -3, "right"), ((0.2, 0.15), 2, "left")]
    for k, (gains, delay, _) in enumerate(sides):
        write_tones(Path(f"c{k}.wav"), gains, delay, 200 + 40 * k)
    Path("clips.csv").write_text("path,word\n" + "".join(f"c{k}.wav,{side}\n" for k, (*_, side) in enumerate(sides)))
    Path("plan.toml").write_text(
        'output = "set"\nsteps = 60\nlayers = ["powers"]\n[clips]\ntable = "clips.csv"\n[[models]]\n'
        'name = "tiny_binaural:two_ears"\n'
    )
    assert main(["run", "plan.toml"]) == 0
    assert list(verify(Path("set"))) == []
    assert main(["stimuli", "export", "set", "--to", "folder", "--out", "copies"]) == 0
    for row in read_table(Path("copies-key.tsv")):
        samples, rate = soundfile.read(Path("copies") / row["file"])
        original, _ = soundfile.read(Path("set") / row["set_file"])
        assert (samples.shape, rate) == ((12_000, 2), 48_000)
        assert level_difference(samples.T) == pytest.approx(level_difference(original.T), abs=0.2)
    none = "".join(f"[{part}]\ntrials = 0\n" for part in ("practice", "demonstration", "catch"))
    Path("design.toml").write_text(f'title = "Where"\nlisteners = 2\n{none}')
    assert main(["experiment", "build", "set", "--design", "design.toml", "--out", "experiment"]) == 0
    sounds = [path for path in Path("experiment").rglob("*.wav") if soundfile.info(path).duration < 1]
    assert [soundfile.info(path).channels for path in sounds] == [2] * 4
