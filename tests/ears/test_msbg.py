"""Hearing loss: the published program's samples, recruitment by its formula, silence, any length, rate and precision."""

from pathlib import Path

import numpy as np
import pytest
import torch

import audiometamer as am
from audiometamer.ears import MSBG, Audiogram, flat, standard
from audiometamer.ears.msbg import active_gain, degree_of
from audiometamer.errors import AudioMetamerWarning

REFERENCE = Path(__file__).parent / "msbg.npz"


def tone(frequency: float, level: float, *, rate: int = 20_000, seconds: float = 0.5) -> torch.Tensor:
    """A tone of an RMS of so many dB re 1."""
    t = torch.arange(round(rate * seconds), dtype=torch.float64) / rate
    return 2**0.5 * 10 ** (level / 20) * torch.sin(2 * torch.pi * frequency * t)


def level(sound: torch.Tensor) -> float:
    """Level of the middle of a sound in dB re 1."""
    middle = sound[len(sound) // 4 : -len(sound) // 4]
    return float(10 * middle.square().mean().log10())


@pytest.mark.parametrize("degree", ["mild", "moderate", "severe"])
def test_published_program(degree: str) -> None:
    reference = np.load(REFERENCE)
    ear = MSBG(Audiogram(reference["frequencies"], reference[f"{degree}_losses"]), variant="published")
    assert ear.degree == degree
    heard, published = ear(torch.from_numpy(reference["sound"]).double()), torch.from_numpy(reference[f"{degree}_out"]).double()
    assert heard.shape == published.shape
    error = (heard - published).abs() / published.abs().max()
    assert error.max() < 1e-2  # where it begins: the program continues the sound otherwise
    assert error[2500:-2500].max() < 5e-4
    assert abs(level(heard) - level(published)) < 0.01
    single = ear(torch.from_numpy(reference["sound"]).float())
    torch.testing.assert_close(single.double(), heard, rtol=0, atol=1e-4 * float(heard.abs().max()))


@pytest.mark.parametrize("rate", [20_000, 48_000])
def test_no_loss_is_identity(rate: int) -> None:
    ear = MSBG(flat(0), sample_rate=rate)
    for frequency in (100, 377, 1000, 7000):
        sound = tone(frequency, -60, rate=rate, seconds=0.4)
        heard = ear(sound)
        assert abs(level(heard) - level(sound)) < 0.01
        middle = slice(len(sound) // 3, -len(sound) // 3)
        torch.testing.assert_close(heard[middle], sound[middle], rtol=0, atol=2e-3 * float(sound.max()))


def test_recruitment() -> None:
    """A tone whose channel has an envelope of L dB SPL leaves it at C − (C − L)·R."""
    ear = MSBG(standard("N4"), full_scale=100, sample_rate=20_000, smearing=False)
    ratios = ear.expansion_ratios()
    assert ratios[0] == pytest.approx(105 / (105 - 55))
    for i in (3, 10):
        loss = 105 - 105 / float(ratios[i])
        assert loss == pytest.approx(ear.audiogram.at(ear.bank.centers[i]))
        for heard_at in (50.0, 80.0, 110.0):
            envelope = torch.full((len(ratios), 5), 10 ** ((heard_at - 100) / 20), dtype=torch.float64)
            gain = 20 * ear.recruitment(envelope, ratios - 1)[i, 0].log10()
            expected = 105 - (105 - heard_at) * float(ratios[i]) if heard_at < 105 else heard_at
            assert heard_at + float(gain) == pytest.approx(expected)
    softer, louder = (level(ear(tone(1000, at))) for at in (-50.0, -40.0))
    assert louder - softer > 20  # 10 dB become R times as many


def test_degrees() -> None:
    assert [degree_of(flat(loss)) for loss in (15, 16, 36, 57)] == ["nothing", "mild", "moderate", "severe"]
    assert degree_of(Audiogram([250, 1000], [60, 60])) == "nothing"
    assert MSBG(flat(60), degree="mild").bank.broadening == 1.5


@pytest.mark.parametrize(("variant", "dtype"), [("corrected", torch.float32), ("published", torch.float64)])
def test_any_length_and_silence(variant: str, dtype: torch.dtype) -> None:
    ear = MSBG(standard("N2"), sample_rate=8000, full_scale=85, variant=variant)  # type: ignore[arg-type]
    for n in (1, 50, 1333):
        sounds = torch.zeros(3, n, dtype=dtype)
        sounds[1, n // 3 : n // 2] = 0.1
        sounds[2] = torch.randn(n, dtype=dtype, generator=torch.Generator().manual_seed(0)) / 10
        sounds.requires_grad_()
        heard = ear(sounds)
        assert heard.dtype == dtype
        assert heard.shape[-1] == n or variant == "published"
        assert torch.isfinite(heard).all()
        heard.square().sum().backward()
        assert sounds.grad is not None
        assert torch.isfinite(sounds.grad).all()
        with torch.no_grad():
            one_by_one = torch.stack([ear(sound) for sound in sounds])
        torch.testing.assert_close(heard.detach(), one_by_one, rtol=0, atol=1e-5)


def test_gradient() -> None:
    ear = MSBG(standard("N3"), sample_rate=4000, full_scale=85)
    sound = torch.randn(1, 24, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) / 10
    assert torch.autograd.gradcheck(ear, (sound.requires_grad_(),), eps=1e-7, atol=1e-5)


def test_active_frames_set_the_published_level() -> None:
    sound = torch.cat([torch.full((4410,), 0.5), torch.zeros(4410)])[None].double()
    assert float(active_gain(sound, 44_100)) == pytest.approx(0.5**0.5)
    assert float(active_gain(torch.zeros(1, 4410), 44_100)) == 1


def test_bad_options() -> None:
    for options, message in (
        ({"degree": "deaf"}, "degree is 'deaf'"),
        ({"variant": "new"}, "variant is 'new'"),
        ({"catch_up": 10}, "catch_up is 10"),
        ({"full_scale": 1e3}, "full_scale is 1000"),
    ):
        with pytest.raises(am.AudioMetamerError, match=message):
            MSBG(flat(20), **options)  # type: ignore[arg-type]
    with pytest.warns(AudioMetamerWarning, match="a loss of 105 dB HL; MSBG is not realistic above 80"):
        ear = MSBG(standard("N7"), sample_rate=8000)
    assert torch.isfinite(ear(torch.zeros(10) + 0.1)).all()
    with pytest.raises(am.AudioMetamerError, match="float16"):
        ear(torch.zeros(10, dtype=torch.float16))
    with pytest.raises(am.AudioMetamerError, match="at least one sample"):
        ear(torch.zeros(2, 0))
