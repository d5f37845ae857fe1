"""Cochleagrams of the user's own parts: filters, low-pass filter, compression."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

import audiometamer as am
from audiometamer.cochleagram.filters import Band
from audiometamer.cochleagram.lowpass import Lowpass
from audiometamer.matching import Adam, Cosine

RATE = 4000


class Loudness(nn.Module):
    """A compression of one's own."""

    def forward(self, x):
        return torch.log1p(1000 * x)


class TwoBands:
    """All below 500 Hz, and all from there on."""

    def __len__(self):
        return 2

    def center_frequencies(self):
        return np.array([250.0, 1250.0])

    def bands(self, frequencies):
        return [Band.from_gains(1.0 * (frequencies < 500)), Band.from_gains(1.0 * (frequencies >= 500))]


@dataclass
class Mean(Lowpass):
    """The mean over 40 ms, 25 times a second."""

    stride: int = 160
    window_size: int = 160

    def taps(self, density=None):
        n = density or self.stride
        return np.full(n, 1 / n)


def small(**options):
    parts = {"n_filters": 8, "low_limit": 50, "high_limit": 2000, "frame_rate": 100, "window_size": 401} | options
    return am.Cochleagram(sample_rate=RATE, **parts)


def test_a_compression_of_ones_own_is_applied_to_the_frames():
    sound = 0.1 * torch.randn(2, 2000, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(small(compression=Loudness())(sound), torch.log1p(1000 * small(compression=None)(sound)))
    ear = small(compression=Loudness())
    assert torch.equal(ear.with_gradient_clip(0.1)(sound), ear(sound))
    assert torch.equal(ear.with_true_derivative()(sound), ear(sound))


def test_metamers_are_made_with_a_compression_of_ones_own():
    network = nn.Sequential(nn.Flatten(), nn.Linear(43 * 15, 2)).eval().requires_grad_(False)
    model = am.Model(network, front_end=small(compression=Loudness()), sample_rate=RATE, duration=0.25)
    clip = 0.1 * torch.randn(1, 1000, generator=torch.Generator().manual_seed(1))
    target = am.record(model, clip, "cochleagram")
    start = model.domain.start((1000,), seeds=[0], dtype=torch.float32, device="cpu")
    found = am.match(
        lambda x: am.record(model, x, "cochleagram"),
        target,
        start,
        domain=model.domain,
        optimizer=Adam(Cosine(0.02, 50)),
        steps=50,
    )
    assert am.similarity(target, am.record(model, found.signals, "cochleagram"))["snr_db"] > 20


@pytest.mark.parametrize("exact", [True, False])
def test_filters_and_a_low_pass_of_ones_own(exact):
    """A tone of amplitude 0.1 has half its Hilbert envelope, 0.05, in its own band; the mean of that is the same."""
    ear = am.Cochleagram(sample_rate=RATE, filterbank=TwoBands(), lowpass=Mean(), compression=None, exact=exact)
    low, high = (0.1 * torch.cos(2 * torch.pi * f * torch.arange(3200) / RATE) for f in (250, 1000))
    frames = ear(torch.stack([low, high]))
    assert (ear.frame_rate, frames.shape) == (25, (2, 2, 20))
    expected = 0.05 * torch.eye(2)[:, :, None].expand(2, 2, 20)
    torch.testing.assert_close(frames, expected, rtol=1e-3, atol=1e-5)


def test_a_part_replaces_that_of_a_preset():
    ear = am.Cochleagram.from_preset("feather2019", filterbank=TwoBands(), compression=Loudness())
    assert (len(ear.filterbank), ear.lowpass.window_size) == (2, 1001)
    assert am.Cochleagram.from_preset("feather2019", compression=Loudness()).filterbank.high_limit == 8000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"filterbank": TwoBands(), "n_filters": 20},
            "n_filters belongs to the published filterbank, which filterbank= replaces",
        ),
        ({"lowpass": Mean(), "window_size": 20}, "window_size belongs to the published lowpass, which lowpass= replaces"),
        ({"compression": Loudness(), "compression_power": 0.5}, "compression_power belongs to the published compression"),
        (
            {"lowpass": Mean(stride=150), "filterbank": TwoBands()},
            "the stride of lowpass is 150; it must divide the sample rate of 4000 Hz",
        ),
        ({"filterbank": "mel"}, "filterbank is 'mel'; it must be an instance with __len__, center_frequencies and bands"),
        ({"filterbank": TwoBands}, "filterbank is <class .*TwoBands'>; it must be an instance"),
        ({"lowpass": 3}, "lowpass is 3; it must be an instance of audiometamer.cochleagram.lowpass.Lowpass"),
    ],
)
def test_parts_that_do_not_fit(options, message):
    with pytest.raises(am.AudioMetamerError, match=message):
        am.Cochleagram(sample_rate=RATE, **options)


def test_a_filter_between_the_bins_of_an_fft():
    with pytest.raises(am.AudioMetamerError, match="a filter has no gain at any FFT bin"):
        Band.from_gains(np.zeros(4))


def test_an_unknown_keyword_is_refused():
    with pytest.raises(TypeError, match="unexpected keyword argument 'n_filter'"):
        am.Cochleagram(n_filter=3)


@pytest.mark.parametrize(
    ("drawn", "found"),
    [
        (torch.ones(1, 2, 7), r"shape \(1, 2, 7\)"),
        (torch.ones(4000), r"shape \(4000,\)"),
        (am.Clip("x", torch.ones(9), 4000), "Clip"),
    ],
)
def test_what_is_no_cochleagram_is_not_plotted(drawn, found):
    with pytest.raises(am.AudioMetamerError, match=rf"one cochleagram of shape \(2, frames\), such as .*, not {found}"):
        am.Cochleagram(sample_rate=RATE, filterbank=TwoBands(), lowpass=Mean()).plot(drawn)
