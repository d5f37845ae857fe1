"""Histogram matching against a literal version in numpy."""

import numpy as np
import pytest
import torch

from audiometamer.errors import AudioMetamerError
from audiometamer.networks.histogram_matching import HistogramMatching, MapMatching, matched_histograms
from audiometamer.networks.modulation_filters import ModulationFilterbank, published_filters

CHANNELS, FRAMES = 30, 100


def _cochleagrams() -> tuple[torch.Tensor, torch.Tensor]:
    generator = np.random.default_rng(0)
    return tuple(torch.from_numpy(generator.gamma(2, size=(1, CHANNELS, FRAMES))) for _ in range(2))


@pytest.fixture(scope="module")
def bank() -> ModulationFilterbank:
    return ModulationFilterbank(published_filters("full"), padding_octaves=0.5, padding_seconds=0)  # without ties in time


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_matched_values_are_those_wanted_in_the_same_order(dtype):
    x, wanted = (a[0].to(dtype) for a in _cochleagrams())
    for row, values, target in zip(matched_histograms(x, wanted).numpy(), x.numpy(), wanted.numpy(), strict=True):
        order = np.argsort(values) if dtype == torch.float64 else np.argsort(_rounded(values), kind="stable")
        np.testing.assert_array_equal(row[order], np.sort(target))


def _rounded(values: np.ndarray) -> np.ndarray:
    """To 65,536 levels of their range."""
    return np.floor((values - values.min()) * (65_535 / np.ptp(values)))


def test_matched_maps_by_whole_transforms(bank):
    synthetic, original = _cochleagrams()
    padded = [bank.pad(each)[0].numpy() for each in (synthetic, original)]
    shape = padded[0].shape
    spectra = [np.fft.rfft2(each) for each in padded]
    total, gain = 0, 0
    for tuning in bank.filters:
        response = bank.response(tuning, shape).numpy()
        ours, theirs = (np.fft.irfft2(spectrum * response, shape) for spectrum in spectra)
        matched = matched_histograms(*(torch.from_numpy(each) for each in (ours, theirs))).numpy()
        total, gain = total + np.fft.rfft2(matched) * response.conj(), gain + np.abs(response) ** 2
    expected = np.fft.irfft2(total / gain, shape)[bank.padding[0] :, bank.padding[1] :]
    np.testing.assert_allclose(MapMatching(bank, original)(synthetic)[0], expected, atol=1e-6)


def test_a_cochleagram_matched_to_itself_is_the_same(bank):
    cochleagram, _ = _cochleagrams()
    torch.testing.assert_close(MapMatching(bank, cochleagram)(cochleagram), cochleagram, rtol=0, atol=1e-12)


def test_a_batch_is_a_loop_over_its_sounds():
    sounds = torch.from_numpy(np.random.default_rng(2).standard_normal((4, 3_000))) / 100
    options = {"condition": "spectral", "padding_octaves": 1, "padding_seconds": 0.1}
    together = HistogramMatching(sounds[:2], **options)
    both = together.advance(0, sounds[2:])
    losses = together.losses(both)
    for k in range(2):
        alone = HistogramMatching(sounds[k : k + 1], **options)
        (one,) = alone.advance(0, sounds[k + 2 : k + 3])
        torch.testing.assert_close(both[k], one, rtol=0, atol=1e-9)
        torch.testing.assert_close(losses[k : k + 1], alone.losses(one[None]), rtol=1e-6, atol=0)


def test_what_is_not_kept_in_memory_is_sorted_again(bank, monkeypatch):
    synthetic, original = _cochleagrams()
    kept, anew = MapMatching(bank, original), MapMatching(bank, original)
    monkeypatch.setattr(anew, "_keeps", False)
    for matching in (kept, anew):
        matching(original)
    torch.testing.assert_close(anew(synthetic), kept(synthetic), rtol=0, atol=0)


def test_filters_that_leave_out_a_modulation_are_refused():
    _, original = _cochleagrams()
    with pytest.raises(AudioMetamerError, match="the filters pass nothing of some modulations"):
        MapMatching(ModulationFilterbank([(4, 1)], padding_octaves=0, padding_seconds=0), original)


@pytest.mark.parametrize("condition", ["cochlear", "temporal"])
def test_iterations_come_nearer_to_the_original(condition):
    time = torch.arange(3_000, dtype=torch.float64) / 20_000
    noise = torch.from_numpy(np.random.default_rng(1).standard_normal((2, 3_000)))
    sound = torch.sin(2 * np.pi * (500 * time + 4_000 * time**2))[None] * (1 + torch.sin(2 * np.pi * 30 * time)) / 100
    method = HistogramMatching(sound, condition, padding_octaves=1, padding_seconds=0.1)
    synthetic, losses = 0.01 * noise[1:], []
    for step in range(2):
        losses.append(method.losses(synthetic).item())
        synthetic = method.advance(step, synthetic)
    losses.append(method.losses(synthetic).item())
    assert losses[-1] < 0.6 * losses[0]
    first, last = method.comparisons[0][0]["cochlear"], method.comparisons[-1][0]["cochlear"]
    assert last["snr_db"][0] > first["snr_db"][0] + 10
