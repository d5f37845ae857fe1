"""Reading recordings of every kind, refusing what is none, and writing WAVs that never change."""

import os

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st

import audiometamer as am
from audiometamer.signals.audio import set_level


def tone(seconds: float, rate: int, frequency: float = 440.0) -> np.ndarray:
    return 0.3 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)


@pytest.fixture
def recording(tmp_path):
    """Writes samples to a file and returns its path."""

    def write(samples, rate=20_000, name="clip.wav", subtype=None):
        path = tmp_path / name
        soundfile.write(path, samples, rate, subtype=subtype)
        return path

    return write


def test_level_and_mean_are_set(recording):
    clip = am.read_clip(recording(tone(2, 20_000) + 0.2))
    assert clip.name == "clip"
    assert clip.samples.shape == (40_000,)
    assert clip.samples.dtype == torch.float32
    assert float(clip.samples.mean()) == pytest.approx(0, abs=1e-7)
    assert float(clip.samples.square().mean().sqrt()) == pytest.approx(0.1, rel=1e-6)
    assert clip.notices == ()


def test_level_none_leaves_the_samples(recording):
    samples = tone(2, 20_000)
    clip = am.read_clip(recording(samples, subtype="FLOAT"), level=None)
    np.testing.assert_array_equal(clip.samples, samples.astype(np.float32))


@pytest.mark.parametrize("rate", [8000, 16_000, 22_050, 44_100, 48_000])
def test_any_sample_rate_gives_the_same_tone(recording, rate):
    clip = am.read_clip(recording(tone(2, rate), rate))
    expected = 0.1 * np.sqrt(2) * np.sin(2 * np.pi * 440 * np.arange(40_000) / 20_000)
    middle = slice(2000, -2000)  # the ends hold the resampler's transients
    assert np.abs(clip.samples.numpy()[middle] - expected[middle]).max() < 1e-3


@pytest.mark.parametrize(
    ("name", "subtype"),
    [
        ("a.wav", "PCM_U8"),
        ("a.wav", "PCM_16"),
        ("a.wav", "PCM_24"),
        ("a.wav", "PCM_32"),
        ("a.wav", "FLOAT"),
        ("a.wav", "DOUBLE"),
        ("a.flac", "PCM_24"),
        ("a.ogg", "VORBIS"),
    ],
)
def test_any_format_and_depth(recording, name, subtype):
    clip = am.read_clip(recording(tone(2, 20_000), name=name, subtype=subtype))
    expected = 0.1 * np.sqrt(2) * np.sin(2 * np.pi * 440 * np.arange(40_000) / 20_000)
    assert np.abs(clip.samples.numpy() - expected).max() < (0.02 if subtype in ("PCM_U8", "VORBIS") else 1e-4)


def test_short_is_padded_on_both_sides_with_a_notice(recording):
    with pytest.warns(am.AudioMetamerWarning, match="padded with silence to 2 s"):
        clip = am.read_clip(recording(tone(1, 20_000)))
    loud = np.flatnonzero(clip.samples.numpy())
    assert loud[0] in range(9_990, 10_010)
    assert loud[-1] in range(29_990, 30_010)
    assert float(clip.samples.square().mean().sqrt()) == pytest.approx(0.1, rel=1e-6)
    assert len(clip.notices) == 1


def test_stereo_is_mixed_down_with_a_notice(recording):
    left = tone(2, 20_000)
    with pytest.warns(am.AudioMetamerWarning, match="2 channels were mixed down"):
        clip = am.read_clip(recording(np.stack([left, np.zeros_like(left)], axis=1), subtype="FLOAT"), level=None)
    np.testing.assert_allclose(clip.samples, left / 2, atol=1e-6)


def test_a_peak_above_one_is_reported(recording):
    samples = np.zeros(40_000)
    samples[20_000:20_020] = 0.5
    with pytest.warns(am.AudioMetamerWarning, match="its peak is"):
        am.read_clip(recording(samples))


def test_long_asks_for_a_start_and_takes_it(recording):
    path = recording(np.concatenate([np.zeros(20_000), tone(3, 20_000)]))
    with pytest.raises(am.AudioMetamerError, match=r"lasts 4.000 s and the model takes 2 s; say where to begin .*--start"):
        am.read_clip(path)
    clip = am.read_clip(path, start=1.0)
    assert clip.samples.shape == (40_000,)
    assert clip.samples[:100].abs().max() > 0.01


def test_length_takes_part_of_a_recording_and_pads_it(recording):
    path = recording(tone(5, 20_000))
    with pytest.warns(am.AudioMetamerWarning, match="0.500 s were padded"):
        clip = am.read_clip(path, start=3.0, length=0.5)
    assert np.count_nonzero(clip.samples) in range(9_900, 10_001)
    with pytest.raises(am.AudioMetamerError, match="duration is 3 s"):
        am.read_clip(path, length=3)


@pytest.mark.parametrize("start", [-0.1, 2.0, 99.0])
def test_start_outside_the_recording(recording, start):
    with pytest.raises(am.AudioMetamerError, match=f"start is {start} s, but .* runs from 0 to 2.000 s"):
        am.read_clip(recording(tone(2, 20_000)), start=start)


def test_missing(tmp_path):
    with pytest.raises(am.AudioMetamerError, match="does not exist"):
        am.read_clip(tmp_path / "none.wav")


def test_folder(tmp_path):
    with pytest.raises(am.AudioMetamerError, match="is a folder"):
        am.read_clip(tmp_path)


def test_empty(tmp_path):
    (tmp_path / "empty.wav").touch()
    with pytest.raises(am.AudioMetamerError, match=r"is empty \(0 bytes\)"):
        am.read_clip(tmp_path / "empty.wav")


def test_no_samples(recording):
    with pytest.raises(am.AudioMetamerError, match="holds no samples"):
        am.read_clip(recording(np.zeros(0)))


def test_not_audio(tmp_path):
    path = tmp_path / "notes.wav"
    path.write_text("these are my notes, not a sound\n" * 10)
    with pytest.raises(am.AudioMetamerError, match="cannot be read as audio") as caught:
        am.read_clip(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["cut.wav", "cut.flac"])
def test_truncated(recording, name):
    path = recording(np.random.default_rng(0).uniform(-0.5, 0.5, 40_000), name=name)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(am.AudioMetamerError, match=r"truncated|cannot be read as audio"):
        am.read_clip(path)


def test_silence_is_refused(recording):
    with pytest.raises(am.AudioMetamerError, match="is silent; a clip must have sound"):
        am.read_clip(recording(np.zeros(40_000)))


def test_a_constant_is_refused_with_its_value(recording):
    with pytest.raises(am.AudioMetamerError, match=r"has the same value, 0\.25, in every sample"):
        am.read_clip(recording(np.full(40_000, 0.25)))


def test_samples_whose_squares_float32_cannot_hold_are_refused(recording):
    with pytest.raises(am.AudioMetamerError, match=r"samples of up to 1e\+300; .* at most 1e\+15 is read"):
        am.read_clip(recording(1e300 * np.resize([1.0, -1.0], 40_000), subtype="DOUBLE"))


def test_more_than_an_hour_is_refused_without_a_duration(recording):
    with pytest.raises(am.AudioMetamerError, match="lasts more than 3600 s"):
        am.read_clip(recording(tone(2, 20_000)[:3602], rate=1), duration=None)


def test_a_start_that_is_no_number(recording):
    with pytest.raises(am.AudioMetamerError, match=r"^start is '1:05'; it must be a number of seconds$"):
        am.read_clip(recording(tone(2, 20_000)), start="1:05")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_not_finite(recording, value):
    samples = tone(2, 20_000)
    samples[7] = value
    with pytest.raises(am.AudioMetamerError, match="holds 1 NaN or infinite samples"):
        am.read_clip(recording(samples, subtype="FLOAT"))


def test_written_wav_reads_back_exactly_and_always_has_the_same_bytes(tmp_path):
    samples = np.random.default_rng(0).standard_normal(1000).astype(np.float32)  # beyond ±1 as well
    am.write_wav(tmp_path / "a.wav", samples, 20_000)
    am.write_wav(tmp_path / "b.wav", torch.from_numpy(samples), 20_000)
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    back, rate = soundfile.read(tmp_path / "a.wav", dtype="float32")
    assert rate == 20_000
    np.testing.assert_array_equal(back, samples)


def test_nothing_is_written_of_samples_that_are_not_finite(tmp_path):
    with pytest.raises(am.AudioMetamerError, match="1 samples are NaN or infinite"):
        am.write_wav(tmp_path / "a.wav", np.array([0.0, np.nan], dtype=np.float32), 20_000)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shape", [(3, 5), (1, 5), (2, 2, 5), ()])
def test_shape_of_written_samples(tmp_path, shape):
    with pytest.raises(am.AudioMetamerError, match="takes samples of shape") as error:
        am.write_wav(tmp_path / "a.wav", torch.zeros(shape), 8000)
    assert str(shape) in str(error.value)
    assert not (tmp_path / "a.wav").exists()


def test_a_folder_that_cannot_be_written_to(tmp_path):
    blocker = tmp_path / "blocker"
    blocker.write_text("a file where a folder should be")
    with pytest.raises(am.AudioMetamerError, match="could not write"):
        am.write_wav(blocker / "a.wav", np.zeros(3, dtype=np.float32), 20_000)
    assert blocker.is_file()


@given(st.lists(st.floats(-1, 1, width=32), min_size=2, max_size=50).filter(lambda v: max(v) - min(v) > 1e-3), st.floats(0.01, 1))
def test_set_level_sets_mean_and_rms(values, level):
    out = set_level(np.array(values, dtype=np.float32), level).astype(np.float64)
    assert abs(out.mean()) < 1e-4 * level * len(values)
    assert np.sqrt(np.mean(out**2)) == pytest.approx(level, rel=1e-3)


def test_channels_that_cancel_are_not_called_silent_alone(recording):
    left = tone(2, 20_000)
    with pytest.raises(am.AudioMetamerError, match="is silent: its channels cancel each other when mixed down"):
        am.read_clip(recording(np.stack([left, -left], axis=1), subtype="FLOAT"))
    with pytest.raises(am.AudioMetamerError, match="is silent; a clip must have sound"):
        am.read_clip(recording(np.zeros((40_000, 2))))


@pytest.mark.parametrize("kind", [int, float, np.int64, np.float32, np.array])
def test_whole_sample_rates_of_any_type(recording, kind):
    clip = am.read_clip(recording(tone(2, 8000), 8000), sample_rate=kind(8000))
    assert clip.samples.shape == (16_000,)
    assert type(clip.sample_rate) is int


@pytest.mark.parametrize("rate", [0, -8000, 8001.5, np.nan, np.inf, 1_000_001, 2e9])
def test_sample_rates_that_cannot_be(recording, rate):
    with pytest.raises(am.AudioMetamerError, match=r"sample_rate is .*; it must be (a whole number|at least 1|at most 1000000)$"):
        am.read_clip(recording(tone(2, 8000), 8000), sample_rate=rate)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level": 0}, "level is 0; it must be above 0 and at most 1"),
        ({"level": -0.1}, "level is -0.1; it must"),
        ({"level": 1.01}, "level is 1.01; it must"),
        ({"level": np.nan}, "level is nan; it must"),
        ({"duration": 0}, "duration is 0 s; it must be at least one sample and at most 3600 s"),
        ({"duration": 1e-5}, "duration is 1e-05 s; it must"),
        ({"duration": -1}, "duration is -1 s; it must"),
        ({"duration": np.nan}, "duration is nan s; it must"),
        ({"duration": 3601}, "duration is 3601 s; it must"),
        ({"duration": np.inf}, "duration is inf s; it must"),
        ({"length": 0}, "duration is 0 s; it must be above 0 and at most the model's, 2 s"),
        ({"length": np.nan}, "duration is nan s; it must"),
        ({"length": -1, "duration": None}, "duration is -1 s; it must be above 0"),
        ({"start": np.nan}, "start is nan s, but .* runs from 0 to 2.000 s"),
        ({"start": np.inf}, "start is inf s, but .* runs from 0 to 2.000 s"),
    ],
)
def test_what_lies_out_of_range_is_refused(recording, options, message):
    with pytest.raises(am.AudioMetamerError, match=message):
        am.read_clip(recording(tone(2, 20_000)), **options)


def test_a_file_whose_name_is_not_utf_8_is_read_and_its_notices_are_text(tmp_path):
    path = os.fsencode(tmp_path) + b"/M\xfcller.wav"
    soundfile.write(tmp_path / "x.wav", tone(1, 20_000), 20_000)
    (tmp_path / "x.wav").rename(os.fsdecode(path))
    with pytest.warns(am.AudioMetamerWarning, match=r"Müller\.wav: 1\.000 s were padded"):
        clip = am.read_clip(os.fsdecode(path))
    assert clip.name.encode() == "Müller".encode()
    assert clip.notices[0].encode().startswith(str(tmp_path).encode())
    with pytest.raises(am.AudioMetamerError, match=r"Müller\.wav lasts 1\.000 s") as caught:
        am.read_clip(os.fsdecode(path), duration=0.5)
    assert str(caught.value).encode()


def test_the_sample_rate_of_a_file_is_a_whole_number(tmp_path):
    with pytest.raises(am.AudioMetamerError, match="sample_rate is 'a'; it must be a whole number"):
        am.write_wav(tmp_path / "x.wav", torch.zeros(10), "a")
    assert not list(tmp_path.iterdir())
