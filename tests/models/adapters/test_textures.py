"""Texture statistics as models by name, with options in the name."""

from pathlib import Path

import numpy as np
import pytest
import scipy.io.wavfile
import torch

import audiometamer as am


@pytest.fixture(scope="module")
def model() -> am.Model:
    return am.load_model("texture:toolbox/seconds=3")


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """1.5 s of noise at 16 kHz."""
    path = tmp_path / "noise.wav"
    noise = np.random.default_rng(0).standard_normal(24_000).astype(np.float32)
    scipy.io.wavfile.write(path, 16_000, 0.1 * noise)
    return path


def test_layers_are_the_classes_and_all_of_them(model: am.Model) -> None:
    assert model.layers == (
        "subband_variance", "envelope_mean", "envelope_cv", "envelope_skewness", "envelope_correlation", "modulation_power",
        "modulation_c1", "statistics",
    )  # fmt: skip
    assert model.default_layers == ("statistics",)
    assert (model.sample_rate, model.duration, model.level) == (20_000, 3.0, 0.01)


def test_a_short_recording_is_repeated(model: am.Model, recording: Path) -> None:
    clip = model.read_clip(recording)
    assert clip.samples.shape == (60_000,)
    assert torch.equal(clip.samples[:30_000], clip.samples[30_000:])
    assert float(clip.samples.square().mean().sqrt()) == pytest.approx(0.01, rel=1e-5)
    assert any("repeated to 3 s" in notice for notice in clip.notices)


def test_recordings_are_resampled_as_published(model: am.Model, tmp_path: Path) -> None:
    noise = (0.1 * np.random.default_rng(0).standard_normal(120_000)).astype(np.float32)
    scipy.io.wavfile.write(tmp_path / "noise.wav", 40_000, noise)
    # MATLAB's resample(x, 1, 2): a sinc of ten zeros on either side under a Kaiser window, gain 1 at 0 Hz.
    taps = np.sinc(np.arange(-20, 21) / 2) * np.kaiser(41, 5)
    wanted = np.convolve(noise - noise.mean(), taps / taps.sum())[20::2][:60_000]

    samples = model.read_clip(tmp_path / "noise.wav").samples.numpy()

    np.testing.assert_allclose(samples, wanted * (0.01 / np.sqrt(np.mean(wanted**2))), atol=1e-7)


def test_a_recording_of_a_few_samples_is_told_how_long_it_must_be(model: am.Model, tmp_path: Path) -> None:
    scipy.io.wavfile.write(tmp_path / "click.wav", 20_000, np.array([0.1, -0.1, 0.2] * 20, dtype=np.float32))
    with pytest.raises(am.AudioMetamerError, match=r"click lasts 0.003 s, too short .* need 1.4 s"):
        model.read_clip(tmp_path / "click.wav")


def test_options_of_the_name_reach_the_network() -> None:
    made = am.load_model("texture:mcdermott2011/seconds=1.4/without=modulation_c1,envelope_cv/weights=envelope_mean:2")
    assert "modulation_c1" not in made.layers
    assert made.network.terms("statistics")["envelope_mean"] == (32, 2.0)
    assert made.signal_shape == (28_000,)
    assert made.name == "texture:mcdermott2011/seconds=1.4/without=modulation_c1,envelope_cv/weights=envelope_mean:2"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("texture:paper", "no model texture:paper; there are texture:mcdermott2011, texture:toolbox"),
        ("texture:toolbox/minutes=1", "texture:toolbox has no option 'minutes'"),
        ("texture:toolbox/seconds=long", "texture:toolbox cannot have seconds=long; write seconds=30, say"),
        ("texture:toolbox/seconds=0", "a texture of 0 s"),
        ("texture:toolbox/weights=envelope_mean", "cannot have weights=envelope_mean; write weights=envelope_mean:2,"),
        ("texture:toolbox/step_at=7", "steps at 7 s in 5 s of sound leave a segment that covers nothing"),
        ("texture:toolbox/step_at=2/gradient=3", "one of the two"),
        ("texture:toolbox/seconds=1", r"1 s is too short.*at least 1\.4 s"),
        ("texture:toolbox/without=modulation_c2", "no class 'modulation_c2'"),
        ("texture:toolbox/weights=modulation_c2:1", "'modulation_c2' has a weight and is not imposed"),
        ("texture:toolbox/pink=envelope", "pink is 'envelope'"),
        ("texture:toolbox/flip=envelope_mean", "flip is 'envelope_mean'"),
    ],
)
def test_wrong_names_are_told_in_one_line(name: str, message: str) -> None:
    with pytest.raises(am.AudioMetamerError, match=message) as error:
        am.load_model(name)
    assert "\n" not in str(error.value)
