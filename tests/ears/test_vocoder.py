"""Vocoders: bands and envelopes against filters run forwards and backwards, carriers, levels, silence, any length."""

import numpy as np
import pytest
import torch
from scipy.signal import butter, filtfilt, hilbert

import audiometamer as am
from audiometamer.ears import Vocoder, make_ear
from audiometamer.ears.carriers import CARRIERS, carriers
from audiometamer.ears.vocoder_bands import device_bands, hz_to_mm, mm_to_hz, spaced_bands


def am_noise(n: int = 6000) -> torch.Tensor:
    """Noise whose level goes up and down."""
    rng = np.random.default_rng(3)
    return torch.from_numpy(rng.standard_normal(n) * (1 + np.sin(2 * np.pi * 8 * np.arange(n) / 20_000)) * 0.05)


def test_bands() -> None:
    # published program, 8 bands from 150 to 7000 Hz
    assert np.round(spaced_bands(8, 150, 7000).edges) == pytest.approx([150, 301, 523, 852, 1338, 2056, 3117, 4684, 7000])
    shifted = spaced_bands(8, 150, 7000, shift=1.5)
    assert (shifted.edges[0], shifted.centers[0], shifted.edges[-1]) == pytest.approx((222.63, 306.27, 8649.97), abs=0.005)
    assert spaced_bands(2, 100, 400, spacing="log").edges == pytest.approx((100, 200, 400))
    assert spaced_bands(2, 100, 400, spacing="linear").centers == pytest.approx((175, 325))
    assert mm_to_hz(hz_to_mm(1234.5)) == pytest.approx(1234.5)
    assert (len(device_bands("ci24")), len(device_bands("hr90k"))) == (22, 16)
    assert device_bands("ci24").centers[0] == pytest.approx((188 * 313) ** 0.5)
    assert device_bands("ci24", shift=1.0).edges[0] == pytest.approx(float(mm_to_hz(hz_to_mm(188) + 1)))


@pytest.mark.parametrize("kind", ["half-wave", "full-wave", "hilbert"])
def test_envelopes(kind: str) -> None:
    sound = am_noise() * torch.hann_window(6000, dtype=torch.float64)  # filters differ where a sound ends abruptly
    ear = Vocoder(n_bands=3, order=2, envelope=kind, envelope_limit=160.0)  # type: ignore[arg-type]
    found = ear.envelopes(sound[None])[0].numpy()
    for band, (low, high) in enumerate(zip(ear.analysis.edges, ear.analysis.edges[1:], strict=False)):
        filtered = filtfilt(*butter(2, (low, high), "bandpass", fs=20_000), sound.numpy())
        if kind == "hilbert":
            expected = np.abs(hilbert(filtered))
        else:
            rectified = np.maximum(filtered, 0) if kind == "half-wave" else np.abs(filtered)
            expected = np.maximum(filtfilt(*butter(2, 160, fs=20_000), rectified), 0)
        expected *= np.sqrt(np.mean(filtered**2) / np.mean(expected**2))
        assert np.abs(found[band] - expected).max() < 1e-3 * expected.max()


@pytest.mark.parametrize("kind", CARRIERS)
def test_every_carrier(kind: str) -> None:
    f0 = 1.0 if kind == "pshc" else 90.0
    ear = Vocoder(carrier=kind, f0=f0, seed=4, n_bands=4)  # type: ignore[arg-type]
    sound = am_noise()
    heard = ear(sound)
    inside = filtfilt(*butter(3, (150, 7000), "bandpass", fs=20_000), sound.numpy())
    assert float(heard.square().mean().sqrt()) == pytest.approx(np.sqrt(np.mean(inside**2)), rel=0.01)
    again = Vocoder(carrier=kind, f0=f0, seed=4, n_bands=4)(sound)  # type: ignore[arg-type]
    torch.testing.assert_close(heard, again, rtol=0, atol=0)
    rows = carriers(kind, ear.analysis, 20_000, 20_000, f0=f0, seed=4)  # type: ignore[arg-type]
    assert np.sqrt(np.mean(rows**2, axis=1)) == pytest.approx(np.full(4, 0.5**0.5 if kind == "sine" else 1.0), rel=0.05)
    fluctuation = np.std(np.abs(hilbert(rows[2]))) / np.mean(np.abs(hilbert(rows[2])))
    assert kind != "low-noise" or fluctuation < 0.15  # of Gaussian noise: 0.52
    equal = [np.array_equal(rows[0], row) for row in rows[1:]]
    assert all(equal) if kind == "identical-noise" else not any(equal)


@pytest.mark.parametrize("options", [{}, {"envelope": "hilbert", "order": 1.5, "filter_carriers": True}, {"n_of_m": 2}])
def test_any_length_and_silence(options: dict[str, object]) -> None:
    ear = Vocoder(n_bands=4, **options)  # type: ignore[arg-type]
    for n, dtype in ((1, torch.float32), (2, torch.float64), (501, torch.float32)):
        sounds = torch.zeros(2, n, dtype=dtype)
        sounds[1, n // 2 :] = 0.1
        sounds.requires_grad_()
        heard = ear(sounds)
        assert heard.shape == sounds.shape
        assert heard.dtype == dtype
        assert heard[0].abs().max() < 1e-10
        heard.square().sum().backward()
        assert sounds.grad is not None
        assert torch.isfinite(sounds.grad).all()
        with torch.no_grad():
            torch.testing.assert_close(heard.detach(), torch.stack([ear(sound) for sound in sounds]), rtol=0, atol=1e-6)


def test_gradient() -> None:
    ear = Vocoder(n_bands=2, low=200, high=1500, sample_rate=4000)
    sound = am_noise(20)[None].requires_grad_()
    assert torch.autograd.gradcheck(ear, (sound,), eps=1e-7, atol=1e-5)


def test_names_and_bad_options() -> None:
    ear = make_ear("vocoder:ci24/carrier=sine/shift=0.5/seed=3/filter_after=false", sample_rate=20_000)
    assert isinstance(ear, Vocoder)
    assert (len(ear.analysis), ear.carrier, ear.seed, ear.filter_after) == (22, "sine", 3, False)
    assert len(make_ear("vocoder:12", sample_rate=20_000).analysis) == 12  # type: ignore[union-attr, arg-type]
    for spec, message in (
        ("vocoder:ci25", "there is no device 'ci25'"),
        ("vocoder:0", "n_bands is 0"),
        ("vocoder:8/high=12000", "ends at 12000 Hz"),
        ("vocoder:8/carrier=duck", "carrier is 'duck'"),
        ("vocoder:8/order=0.7", "order is 0.7"),
        ("vocoder:8/seed=1.5", "must be a whole number"),
        ("vocoder:8/n_of_m=9", "n_of_m is 9"),
        ("vocoder:8/spacing=mel", "spacing is 'mel'"),
        ("vocoder:8/low=0", "from 0 to 7000 Hz"),
        ("vocoder:8/f0=-1", "f0 is -1"),
        ("vocoder:8/envelope=peak", "envelope is 'peak'"),
        ("vocoder:8/envelope_limit=1e5", "envelope_limit is 100000"),
    ):
        with pytest.raises(am.AudioMetamerError, match=message):
            make_ear(spec, sample_rate=20_000)
