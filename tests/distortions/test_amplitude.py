"""Distortions of finite amplitude against functions whose curves are known."""

import math

import pytest
import tiny_models
import torch
from torch import nn

import audiometamer as am
from audiometamer.distortions.amplitude import AmplitudeCurve, amplitude_curve, finite_distortions
from audiometamer.distortions.directions import climbed, slope_of
from audiometamer.distortions.eigen import eigendistortions
from audiometamer.distortions.spaces import EqualLevel, WithinEnvelope


class Each(nn.Module):
    """A function of each value alone."""

    def __init__(self, function):
        super().__init__()
        self.function, self.out = function, nn.Identity()

    def forward(self, x):
        return self.out(self.function(x))


def model_of(function, n=4):
    return am.Model(Each(function), signal_shape=(n,), bounds=(-100, 100), check=False).double()


def test_a_linear_map_is_linear_at_every_level():
    curve = amplitude_curve(model_of(lambda x: 3 * x), torch.ones(4), "out", torch.tensor([0.0, 5.0, 0.0, 0.0]), levels=[0, -20])
    assert curve.levels == (-20, 0)
    assert curve.distances == pytest.approx([0.6, 6])  # RMS 1 over 4 samples: 2 in one of them, at 0 dB
    assert curve.predicted == pytest.approx(curve.distances)
    assert curve.linear_range == (-20, 0)


def test_a_square_is_linear_up_to_a_fifth():
    """f(x) = x² at 1: 2 s + s², which is 10 % above 2 s at s = 0.2, or −13.98 dB."""
    curve = amplitude_curve(model_of(torch.square, 1), torch.ones(1), "out", torch.ones(1), levels=[-40, -20, -14, -13.9, 0])
    steps = [10 ** (level / 20) for level in curve.levels]
    assert curve.distances == pytest.approx([2 * s + s * s for s in steps])
    assert curve.linear_range == (-40, -14)


def test_what_is_not_noticed_has_no_linear_range():
    curve = amplitude_curve(model_of(lambda x: x[:, :1]), torch.ones(4), "out", torch.tensor([0.0, 1, 0, 0]), levels=[-20, 0])
    assert curve.distances == curve.predicted == (0, 0)
    assert curve.linear_range is None
    assert AmplitudeCurve("l", (0, 1, 2, 3), (1, 9, 1, 1), (1, 1, 1, 1)).linear_range == (2, 3)


def test_extremes_at_a_level_are_not_the_eigendistortions():
    """f(x, y) = (x, 10 y³) at the origin of changes (0.3, 0): small changes are noticed along x, large ones along y.

    At the level of a change of length r the distance is r along x and 10 r³ along y: with r = 0.6, 0.6 and 2.16.
    """

    def function(x):
        return torch.stack([x[:, 0], 10 * x[:, 1] ** 3], dim=1)

    model, x = model_of(function, 2), torch.tensor([0.3, 0.0])
    eigen = eigendistortions(model, x, "out")
    assert eigen.top[0].abs().tolist() == pytest.approx([1, 0], abs=1e-12)
    nudge = torch.tensor([0.05, 0.05])  # off the symmetric points, which are stationary
    found = finite_distortions(model, x, "out", level=20 * math.log10(2), start=(eigen.top[0] + nudge, eigen.bottom[0] - nudge))
    assert found.most.abs().tolist() == pytest.approx([0, 0.6], abs=0.05)
    assert found.most_distance == pytest.approx(2.16, rel=1e-3)
    assert found.least_distance < found.start_distances[1]
    # Least: (r cos φ)² + (10 (r sin φ)³)² over the circle.
    angles = torch.linspace(0, math.pi, 100_001, dtype=torch.float64)
    least = ((0.6 * angles.cos()) ** 2 + (10 * (0.6 * angles.sin()) ** 3) ** 2).sqrt().min()
    assert found.least_distance == pytest.approx(float(least), rel=1e-4)


def test_on_a_model_of_sounds_the_extremes_frame_the_eigendistortions(tiny_clip):
    model, sound = tiny_models.sound_model().double(), tiny_clip.samples.double()
    for space in (EqualLevel(sound), WithinEnvelope(sound, sample_rate=tiny_models.SAMPLE_RATE)):
        eigen = eigendistortions(model, sound, "relu1", space=space)
        found = finite_distortions(model, sound, "relu1", level=-10, start=(eigen.top[0], eigen.bottom[0]), space=space, steps=5)
        assert found.most_distance > found.start_distances[0]
        assert found.least_distance < found.start_distances[1]
        for distortion in (found.most, found.least):
            assert float(distortion.norm() / sound.norm()) == pytest.approx(10**-0.5)
            inside = space.signals(space.nearest(distortion[None]))
            torch.testing.assert_close(inside[0], distortion)


def test_a_climb_ends_on_the_top_eigenvector():
    matrix = torch.diag(torch.tensor([1.0, 5.0, 3.0, 2.0], dtype=torch.float64))
    slope = slope_of(lambda z: (z @ matrix * z).sum() / z.square().sum())
    found = climbed(slope, torch.ones(1, 4, dtype=torch.float64), steps=200)
    assert found[0].abs().tolist() == pytest.approx([0, 1, 0, 0], abs=1e-5)


@pytest.mark.parametrize(
    ("signal", "distortion", "message"),
    [
        (torch.zeros(4), torch.ones(4), "the signal is silent; a level in dB needs sound"),
        (torch.ones(4), torch.zeros(4), "the distortion is silent"),
        (torch.ones(4), torch.ones(5), r"the signal has shape \(5,\)"),
    ],
)
def test_silence_has_no_level(signal, distortion, message):
    with pytest.raises(am.AudioMetamerError, match=message):
        amplitude_curve(model_of(torch.square), signal, "out", distortion)
