"""Gammatones, hair cells and the auditory nerve: recursions, corner frequencies and rates worked out by hand."""

import numpy as np
import pytest
import torch
from scipy.signal import freqz, lfilter

import audiometamer as am
from audiometamer.ears import Gammatone, Nerve, make_ear, make_front_end
from audiometamer.ears.gammatone import erb_space, gammatone_taps
from audiometamer.ears.hair_cell import broken_stick, lowpass_taps
from audiometamer.ears.nerve import rates


def test_gammatones() -> None:
    centers = erb_space(60, 8000, 50)
    assert centers[[0, 4, -1]] == pytest.approx([60, 150.829, 8000], abs=1e-3)  # 150.829 by phaselocknet
    taps = gammatone_taps(centers[::7], 20_000)
    assert taps.shape == (8, 1000)
    for center, row in zip(centers[14::7], taps[2:], strict=True):
        assert abs(freqz(row, 1, [center], fs=20_000)[1][0]) == pytest.approx(1, abs=0.01)
        envelope_peak = np.argmax(np.abs(row)) / 20_000
        assert envelope_peak == pytest.approx(3 / (2 * np.pi * 1.019 * (center / 9.2644 + 24.7)), abs=1 / center)
    sound = np.random.default_rng(0).standard_normal(1500)
    ear = Gammatone(n_channels=8, low=centers[0], high=centers[49])
    heard = ear(torch.from_numpy(sound)).numpy()
    assert heard[3] == pytest.approx(lfilter(gammatone_taps(ear.centers, 20_000)[3], 1, sound), abs=1e-10)
    whole = Gammatone(n_channels=8, variant="spectral")(torch.from_numpy(sound)).numpy()
    assert np.abs(whole[4:] - Gammatone(n_channels=8)(torch.from_numpy(sound)).numpy()[4:]).max() < 1e-4
    assert np.abs(whole[0, :900]).max() > 0  # the lowest, cut off at 50 ms, differs a little later
    assert whole[0, :990] == pytest.approx(Gammatone(n_channels=8)(torch.from_numpy(sound)).numpy()[0, :990], abs=1e-6)


def test_hair_cells() -> None:
    def decibels(taps: np.ndarray, frequency: float) -> float:
        return float(20 * np.log10(abs(freqz(taps, 1, [frequency], fs=20_000)[1][0])))

    published, intended = (lowpass_taps(3000, 20_000, variant=v) for v in ("published", "intended"))  # type: ignore[arg-type]
    assert len(published) == len(intended) == 1001
    # the published filter lets pass more than it says: measured on the published taps
    assert decibels(published, 3800) == pytest.approx(-3, abs=0.15)
    section = 1 / np.sqrt(1 + (np.tan(np.pi * 4000 / 20_000) * 20_000 / (2 * np.pi * 3000)) ** 2)  # bilinear, not prewarped
    assert decibels(intended, 4000) == pytest.approx(7 * 20 * np.log10(section), abs=0.01)
    assert decibels(intended, 1900) == pytest.approx(-3, abs=0.2)
    pressure = torch.tensor([-1.0, -1e-5, 1e-5, 1e-3, 1.0], dtype=torch.float64)
    found = broken_stick(pressure, power=0.3, low=20, high=90, variant="published")
    assert found.tolist() == pytest.approx([-1, -1e-5 * 2e-4**-0.7, 1e-5 * 2e-4**-0.7, 1e-3**0.3, 1])
    last = 20e-6 * 10 ** (90 / 20)
    assert float(broken_stick(pressure, power=0.3, low=20, high=90)[-1]) == pytest.approx(last**-0.7)


def test_rates() -> None:
    at = torch.tensor([0.0, 10, 12, 20, 28, 52, 68, 108], dtype=torch.float64)
    found = rates((20e-6 * 10 ** (at / 20))[None, None])[0, :, 0]
    low, high = 250 / 40, 250 * 39 / 40  # 2.5 and 97.5 %
    for fibre, places in enumerate(([0, 1, 3], [2, None, 5], [4, 6, 7])):
        for place, rate in zip(places, (low, 125, high), strict=True):
            assert place is None or float(found[fibre, place]) == pytest.approx(rate)
    assert rates(torch.zeros(1, 1, 3)).abs().max() == 0


def test_nerve() -> None:
    t = torch.arange(3000, dtype=torch.float64) / 20_000
    tone = 2**0.5 * torch.sin(2 * torch.pi * 1000 * t)
    ear = Nerve(n_channels=9, low=500, high=2000, full_scale=60)
    middle = ear(tone)[:, 4, 600:1200]
    assert float(ear.centers[4]) == pytest.approx(1042, abs=15)
    assert middle[0].max() == pytest.approx(250, abs=4)  # high spontaneous rate: saturated
    assert 60 < middle[2].max() < 125  # low: 60 dB is below the middle of its range
    spectrum = torch.fft.rfft(middle[0]).abs()
    assert spectrum[1:].argmax() + 1 == 60  # phase-locked: 1000 Hz in 600 frames at 10 kHz
    flat = Nerve(n_channels=9, low=500, high=2000, full_scale=60, cutoff=50)(tone)[:, 4, 600:1200]
    assert flat[0].std() / flat[0].mean() < 0.1  # and not with hair cells of 50 Hz
    counts = Nerve(n_channels=9, low=500, high=2000, full_scale=60, spikes="additive", seed=2)
    torch.testing.assert_close(counts(tone), counts(torch.stack([tone, -tone]))[0])  # frozen noise
    expected = ear(tone) / 10_000 * torch.tensor([384, 160, 96])[:, None, None]
    assert float((counts(tone) - expected)[0, 4, 600:1200].std()) == pytest.approx(1, rel=0.2)


@pytest.mark.parametrize(
    "options", [{}, {"by_envelope": False, "compression": 0.3}, {"spikes": "additive", "variant": "spectral"}]
)
def test_any_length_and_silence(options: dict[str, object]) -> None:
    ear = Nerve(n_channels=3, **options)  # type: ignore[arg-type]
    for n, dtype in ((1, torch.float32), (2, torch.float64), (333, torch.float32)):
        sounds = torch.zeros(2, n, dtype=dtype)
        sounds[1, n // 2 :] = 0.02
        sounds.requires_grad_()
        heard = ear(sounds)
        assert heard.shape == (2, 3, 3, -(-n // 2))
        assert heard.dtype == dtype
        heard.square().sum().backward()
        assert sounds.grad is not None
        assert torch.isfinite(sounds.grad).all()
        with torch.no_grad():
            one_by_one = torch.stack([ear(sound) for sound in sounds])
        torch.testing.assert_close(heard.detach(), one_by_one, rtol=1e-4, atol=1e-2)


def test_gradient() -> None:
    ear = Nerve(n_channels=2, low=200, high=800, sample_rate=4000, cutoff=1000)
    sound = torch.from_numpy(np.random.default_rng(1).standard_normal(20) * 1e-3).requires_grad_()
    assert torch.autograd.gradcheck(ear, (sound,), eps=1e-9, atol=1e-2, rtol=1e-3)


def test_names_and_bad_options() -> None:
    nerve = make_ear("nerve:ihc320/taps=intended/spikes=additive", sample_rate=20_000, clip_level=0.1)
    assert isinstance(nerve, Nerve)
    assert (nerve.cutoff, nerve.taps, nerve.spikes, nerve.full_scale) == (320, "intended", "additive", 85)
    assert isinstance(make_front_end("gammatone", n_channels=4), Gammatone)
    for spec, message in (
        ("nerve:3000", "there is no nerve:3000"),
        ("gammatone:8", "there is no gammatone:8"),
        ("gammatone/variant=iir", "variant is 'iir'"),
        ("gammatone/high=11000", "60 to 11000 Hz"),
        ("nerve/cutoff=20000", "cutoff is 20000 Hz"),
        ("nerve/taps=mine", "taps is 'mine'"),
        ("nerve/spikes=exact", "spikes is 'exact'"),
        ("nerve/compression=2", "compression is 2"),
        ("nerve/output_rate=3000", "output_rate is 3000 Hz"),
    ):
        with pytest.raises(am.AudioMetamerError, match=message):
            make_ear(spec, sample_rate=20_000)
