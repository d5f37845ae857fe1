"""Changing the sample rate keeps what both rates can hold, and nothing else."""

import numpy as np
import pytest
import torch

import audiometamer as am
from audiometamer.signals.resampling import _resampler, resample, resample_by_fourier, resample_by_sinc


def test_equal_rates_are_left_alone():
    samples = np.ones(10, dtype=np.float32)
    assert resample(samples, 20_000, 20_000) is samples


AWKWARD = [(24_414, 20_000), (48_828, 20_000), (44_099, 20_000), (8001, 20_000), (20_000, 24_414)]  # few common divisors


def sine(frequency, n_samples, rate):
    return 0.3 * np.sin(2 * np.pi * frequency * np.arange(n_samples) / rate + 0.4)


@pytest.mark.parametrize(("rate", "new_rate"), AWKWARD)
def test_awkward_rates_keep_what_both_hold_and_nothing_else(rate, new_rate):
    n = rate + 77
    nyquist = min(rate, new_rate) / 2
    for frequency in (100.3, 1000.0, 0.5 * nyquist, 0.93 * nyquist):
        out = resample(sine(frequency, n, rate).astype(np.float32), rate, new_rate)
        assert out.dtype == np.float32
        assert len(out) == -(-n * new_rate // rate)
        inner = slice(len(out) // 10, -len(out) // 10)
        assert np.abs(out - sine(frequency, len(out), new_rate))[inner].max() < 1e-4
    if rate > new_rate:
        for frequency in (1.02 * nyquist, 0.99 * rate / 2):
            assert np.abs(resample(sine(frequency, n, rate).astype(np.float32), rate, new_rate)[inner]).max() < 1e-4


def test_awkward_rates_do_not_wrap_the_end_to_the_beginning():
    samples = np.zeros(24_414, dtype=np.float32)
    samples[-2000:] = sine(440, 2000, 24_414)
    assert np.abs(resample(samples, 24_414, 20_000)[:10_000]).max() < 1e-4


@pytest.mark.parametrize(("rate", "new_rate"), [(44_100, 20_000), (16_000, 20_000)])
def test_both_ways_of_resampling_agree(rate, new_rate, decibels):
    rng = np.random.default_rng(0)
    spectrum = np.zeros(rate // 2 + 1, complex)  # of one second
    spectrum[50:6000] = rng.standard_normal(5950) + 1j * rng.standard_normal(5950)
    samples = (np.fft.irfft(spectrum, rate) * np.hanning(rate) * 50).astype(np.float32)
    one = torch.from_numpy(resample_by_fourier(samples, rate, new_rate)).float()
    other = resample_by_sinc(torch.from_numpy(samples), rate, new_rate)
    assert decibels(other[500:-500], one[500:-500]) > 60
    for n in [*range(1, 40), 999, 4410, 4411]:
        by_sinc = resample_by_sinc(torch.from_numpy(samples[:n]), rate, new_rate)
        assert len(resample_by_fourier(samples[:n], rate, new_rate)) == len(by_sinc), n


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_kept_kernels_are_those_of_torchaudio(dtype):
    """Equal to the bit to a kernel made anew, at the second call, too."""
    from torchaudio.functional import resample as anew

    sounds = torch.randn(2, 3000, dtype=dtype, generator=torch.Generator().manual_seed(0))
    expected = anew(sounds, 16_000, 20_000, 64, 0.9475937167399596, "sinc_interp_kaiser", 14.769656459379492)
    for _ in range(2):
        assert torch.equal(resample_by_sinc(sounds, 16_000, 20_000), expected)


def test_without_torchaudio_other_rates_are_refused_in_one_line(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "torchaudio", None)
    monkeypatch.setitem(sys.modules, "torchaudio.transforms", None)
    _resampler.cache_clear()
    with pytest.raises(am.AudioMetamerError, match="from 8000 to 20000 Hz needs torchaudio"):
        resample(np.ones(10, dtype=np.float32), 8000, 20_000)
