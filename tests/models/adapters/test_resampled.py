"""Models at other sample rates."""

import pytest
import tiny_models
import torch
from torch import nn

import audiometamer as am
from audiometamer.models.adapters.resampled import Resampled, resampled


def tone(rate, seconds=0.25):
    t = torch.arange(round(rate * seconds)) / rate
    return 0.1 * torch.sin(2 * torch.pi * 300 * t) * torch.sin(torch.pi * t / seconds) ** 2


@pytest.mark.parametrize("rate", [8000, 11_025, 44_100])
def test_the_same_sound_at_another_rate_is_heard_the_same(tiny, rate):
    model = resampled(tiny, rate)
    assert model.signal_shape == (round(0.25 * rate),)
    assert (model.duration, model.labels, model.level) == (tiny.duration, tiny.labels, tiny.level)
    with torch.no_grad():
        expected = am.record(tiny, tone(4000)[None], ["cochleagram", "relu1"])
        found = am.record(model, tone(rate)[None], ["front_end", "relu1"])
    torch.testing.assert_close(
        found["front_end"], expected["cochleagram"], rtol=0, atol=0.02 * float(expected["cochleagram"].max())
    )
    torch.testing.assert_close(found["relu1"], expected["relu1"], rtol=0, atol=0.02 * float(expected["relu1"].max()))


def test_its_gradient(relative_slope_error):
    assert relative_slope_error(Resampled(None, rate=11_025, new_rate=8000, samples=800), tone(11_025, 0.1)) < 1e-6


def test_metamers_at_another_rate(tiny):
    model = resampled(tiny, 6000)
    clip = am.Clip("tone", tone(6000), 6000)
    (metamer,) = am.synthesize(model, clip, "relu0", steps=20)
    assert metamer.samples.shape == (1500,)
    assert metamer.evidence.sample_rate == 6000


def test_nothing_to_do_and_nothing_that_can_be_done(tiny):
    assert resampled(tiny, None) is resampled(tiny, 4000) is tiny
    with pytest.raises(am.AudioMetamerError, match="sample_rate is -1 Hz; it must be above 0"):
        resampled(tiny, -1)
    image = am.Model(tiny_models.seeded(nn.Linear(4, 2)), signal_shape=(4,), name="picture")
    with pytest.raises(am.AudioMetamerError, match="picture takes no sounds: it has no sample rate to change to 8000 Hz"):
        resampled(image, 8000)
