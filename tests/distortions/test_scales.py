"""Perceptual scales against closed forms, the corrected reference, and the published score."""

import numpy as np
import pytest
import tiny_models
import torch
from reference_distortions import REFERENCE, X, reference_model
from torch import nn

import audiometamer as am
from audiometamer.distortions.paths import crossfade
from audiometamer.distortions.scales import area_matching_score, fisher_scale, gaussian_information, gaussian_scale


class Root(nn.Module):
    def __init__(self):
        super().__init__()
        self.out = nn.Identity()

    def forward(self, x):
        return self.out(x.sqrt())


def root_model():
    return am.Model(Root(), signal_shape=(1,), bounds=(0, 10), check=False).double()


def test_a_root_has_a_root_as_scale():
    """f = √s: the length from 1 to 4 is 1, and half of it is reached at 2.25."""
    found = fisher_scale(root_model(), torch.tensor([[1.0], [2.25], [4.0]]), "out", positions=[1, 2.25, 4], points=8)
    assert found.values == pytest.approx([0, 0.5, 1], abs=1e-6)
    assert found.length == pytest.approx(1, abs=1e-6)
    assert found.positions == pytest.approx([0, 1.25 / 3, 1])
    assert found.steps == pytest.approx([0.5, 0.5])


def test_a_linear_network_is_linear_and_a_bent_one_longer_than_its_chord():
    linear, nonlinear = reference_model("linear"), reference_model(0)
    path = crossfade(X, -X, np.linspace(0, 1, 6))
    assert fisher_scale(linear[0], path, linear[1]).values == pytest.approx(np.linspace(0, 1, 6))
    found = fisher_scale(nonlinear[0], path, nonlinear[1], points=6)
    fine = fisher_scale(nonlinear[0], crossfade(X, -X, np.linspace(0, 1, 51)), nonlinear[1], points=2)
    assert found.values == pytest.approx(fine.values[::10], abs=1e-3)
    assert found.length == pytest.approx(fine.steps.sum(), rel=1e-3)
    assert found.length > found.steps.sum()


def test_sounds(tiny_clip):
    model = tiny_models.sound_model().double()
    found = fisher_scale(model, crossfade(tiny_clip.samples, tiny_clip.samples.flip(0), [0, 0.3, 1]), "relu1")
    assert found.values[0] == 0 < found.values[1] < found.values[2] == 1
    textures = gaussian_scale(model, tiny_clip.samples, tiny_clip.samples.flip(0) * 0.3, "relu0", points=11)
    assert (np.diff(textures.values) > 0).all()
    assert textures.values[[0, -1]].tolist() == [0, 1]
    with pytest.raises(am.AudioMetamerError, match=r"'final' of tiny has shape \(3,\); means and covariances take channels"):
        gaussian_scale(model, tiny_clip.samples, tiny_clip.samples, "final")


@pytest.mark.parametrize("k", range(3))
def test_the_corrected_reference(k):
    first, second = REFERENCE["path_features"][k]
    root = gaussian_information(first, second)
    expected = REFERENCE["path_fisher_sqrt_normalised_corrected"][k]
    assert root / root.sum() == pytest.approx(expected, rel=1e-6)
    assert np.abs(root / root.sum() - REFERENCE["path_fisher_sqrt_normalised"][k]).max() > 1e-4


def test_one_dimensional_gaussians_by_hand():
    """N(0, 1) to N(3, 4): deviation σ = 1 + t, I = 9/σ² + 2/σ² = 11/σ². With x of mean ∓1, the covariance of ±1 is 2 σ²."""
    first, second = np.array([[-1.0, 1.0]]) / 2**0.5, 3 + 2 * np.array([[-1.0, 1.0]]) / 2**0.5
    root = gaussian_information(first, second, points=3)
    assert root == pytest.approx(11**0.5 / np.array([1, 1.5, 2]), rel=1e-5)


def test_the_published_score():
    for predicted, score in zip(REFERENCE["ams_predicted"], REFERENCE["ams_score"], strict=True):
        assert area_matching_score(REFERENCE["ams_measured"], predicted).score == pytest.approx(float(score), abs=1e-12)


def test_a_score_has_an_interval_by_hand():
    """Each resample has one deviation of 0.1 k, the prediction 0.1: scores 1 / k for k = 1 … 5."""
    measured = np.array([0, 0.7, 1])
    resampled = [[0, 0.5 + 0.1 * k, 1] for k in range(1, 6)]
    found = area_matching_score(measured, [0, 0.6, 1], resampled=resampled)
    assert found.score == pytest.approx(0.5)
    assert found.area == pytest.approx(0.2)
    assert found.interval == pytest.approx((0.2 + 0.1 * 0.05, 1 - 0.1 * 0.5))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fisher_scale(root_model(), [torch.ones(1)], "out"), "a path has two or more sounds; this has 1"),
        (lambda: fisher_scale(root_model(), [torch.ones(1)] * 2, "out"), "layer 'out' of Root notices no change along the path"),
        (lambda: fisher_scale(root_model(), [torch.ones(1)] * 2, "out", points=0), "points is 0"),
        (lambda: fisher_scale(root_model(), [torch.ones(1)] * 2, "out", positions=[1, 1]), r"positions are \[1.0, 1.0\]; give 2"),
        (lambda: gaussian_information(np.ones((2, 5)), np.ones((3, 5))), r"features have shapes \(2, 5\) and \(3, 5\)"),
        (lambda: gaussian_information(np.ones((2, 5)), np.ones((2, 5)), points=1), "points is 1; it must be at least 2"),
        (lambda: area_matching_score([0, 0.5, 1], [0, 0.2, 1]), "the measured scale is the diagonal itself"),
        (lambda: area_matching_score([0, 0.6, 1], [0, 1]), r"scales have shapes \(3,\), \(2,\)"),
        (lambda: area_matching_score([0, 0.6, 1], [0, np.nan, 1]), "a value that is not finite"),
    ],
)
def test_what_has_no_scale_is_refused_in_a_line(call, message):
    with pytest.raises(am.AudioMetamerError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
