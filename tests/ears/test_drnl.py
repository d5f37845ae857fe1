"""The dual-resonance non-linear filter: published samples, its input-output function, silence and gradients."""

import numpy as np
import pytest
import torch

import audiometamer as am
from audiometamer.ears import DRNL, make_ear
from audiometamer.ears.drnl import compress

# brian2hears 0.9.2 with a slope of the linear gain of −0.48: largest velocity of a 1-kHz tone at a centre of 1 kHz, dB re 1 m/s
BRIAN = {30: -67.23, 60: -47.66, 90: -30.30}


def tone(n: int = 2000) -> torch.Tensor:
    """A 1-kHz tone of an RMS of 1, with ramps of 10 ms."""
    t = torch.arange(n, dtype=torch.float64) / 20_000
    ramp = torch.clamp(torch.minimum(t, t.flip(0)) / 0.01, max=1)
    return 2**0.5 * ramp * torch.sin(2 * torch.pi * 1000 * t)


@pytest.mark.parametrize("level", BRIAN)
def test_published_velocities(level: int) -> None:
    ear = DRNL(n_channels=1, low=1000, high=1000, variant="brian2hears", full_scale=level)
    assert 20 * float(ear(tone())[0, 1000:1700].abs().max().log10()) == pytest.approx(BRIAN[level], abs=0.6)


def test_compression() -> None:
    velocity = torch.tensor([-1e-9, 0.0, 1e-9, 1.0], dtype=torch.float64, requires_grad=True)
    a, b = torch.tensor(1e3, dtype=torch.float64), torch.tensor(1e-2, dtype=torch.float64)
    found = compress(velocity, a, b)
    assert found.tolist() == pytest.approx([-1e-6, 0, 1e-6, 1e-2])
    found.sum().backward()
    assert velocity.grad is not None
    assert torch.isfinite(velocity.grad).all()
    for variant in ("paper", "brian2hears"):
        at = {
            level: float(
                DRNL(n_channels=1, low=1000, high=1000, full_scale=level, variant=variant)(tone())[0, 1000:1700].std().log10()
            )
            for level in (10, 20, 50, 60)
        }  # type: ignore[arg-type]
        assert 20 * (at[20] - at[10]) == pytest.approx(10, abs=0.5)  # linear near threshold
        assert 20 * (at[60] - at[50]) == pytest.approx(2.5, abs=1)  # |v|^0.25 at medium levels


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_any_length_and_silence(dtype: torch.dtype) -> None:
    ear = DRNL(n_channels=3, full_scale=60)
    for n in (1, 2, 500):
        sounds = torch.zeros(2, n, dtype=dtype)
        sounds[1, n // 2 :] = 0.5
        sounds.requires_grad_()
        heard = ear(sounds)
        assert (heard.shape, heard.dtype) == ((2, 3, n), dtype)
        heard.sum().backward()
        assert sounds.grad is not None
        assert torch.isfinite(sounds.grad).all()
        with torch.no_grad():
            one_by_one = torch.stack([ear(sound) for sound in sounds])
        torch.testing.assert_close(heard.detach(), one_by_one, rtol=1e-4, atol=1e-9)


def test_gradient() -> None:
    ear = DRNL(n_channels=2, low=200, high=800, sample_rate=4000, full_scale=90)
    sound = torch.from_numpy(np.random.default_rng(2).standard_normal(16)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: 1e3 * ear(x), (sound,), eps=1e-7, atol=1e-4)


def test_bad_options() -> None:
    for spec, message in (
        ("drnl:human", "there is no drnl:human"),
        ("drnl/variant=cat", "variant is 'cat'"),
        ("drnl/high=9900", "60 to 9900 Hz"),
        ("drnl/variant=brian2hears", "between 0 and 6366 Hz"),
    ):
        with pytest.raises(am.AudioMetamerError, match=message):
            make_ear(spec, sample_rate=20_000)
