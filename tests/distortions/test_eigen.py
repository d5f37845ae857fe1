"""Eigendistortions against exact eigenpairs of reference networks, closed forms, and each other's residuals."""

import numpy as np
import pytest
import tiny_models
import torch
from reference_distortions import REFERENCE, X, model_of, reference_model
from torch import nn

import audiometamer as am
from audiometamer.distortions.eigen import eigendistortions
from audiometamer.distortions.jacobian import Jacobian
from audiometamer.distortions.spaces import Band


@pytest.mark.parametrize("k", ["linear", 0])
@pytest.mark.parametrize("exact_up_to", [512, 0])
def test_the_reference_networks(k, exact_up_to):
    """The top to 1e-8, by both ways; the bottom by residual and by the subspace of the exact one."""
    model, layer = reference_model(k)
    prefix = "linear" if k == "linear" else f"net{k}"
    values, vectors = REFERENCE[f"{prefix}_exact_eigenvalues"], REFERENCE[f"{prefix}_exact_eigenvectors"]
    vectors = vectors if abs(vectors[0] @ vectors[0] - 1) < 1e-9 else vectors.T
    found = eigendistortions(model, X, layer, n=2, exact_up_to=exact_up_to)
    assert found.exact == (exact_up_to > 0)
    assert found.top_eigenvalues == pytest.approx(values[:2], rel=1e-8)
    assert found.bottom_eigenvalues == pytest.approx(values[::-1][:2], abs=1e-8 * values[0])
    cosines = np.abs(np.sum(found.top.numpy() * vectors[:2], axis=1))
    assert cosines == pytest.approx([1, 1], abs=1e-8)
    assert max(found.top_residuals + found.bottom_residuals) < 1e-8
    null = 18 if k == 0 else 0
    least = vectors[-max(null, 2) :]
    assert np.linalg.norm(found.bottom.numpy() @ least.T, axis=1) == pytest.approx([1, 1], abs=1e-6)
    assert found.null_dimension == ((null, null) if exact_up_to else (null, 46))
    assert found.through == ("JJᵀ" if k == 0 else "JᵀJ")
    assert bool(found.criterion) == (k == 0)


def test_the_top_of_a_model_of_sounds_by_both_ways(tiny_clip):
    model = tiny_models.sound_model().double()
    exact = eigendistortions(model, tiny_clip.samples, "relu1")
    iterated = eigendistortions(model, tiny_clip.samples, "relu1", exact_up_to=0)
    assert iterated.top_eigenvalues == pytest.approx(exact.top_eigenvalues, rel=1e-8)
    assert abs(float((iterated.top * exact.top).sum())) == pytest.approx(1, abs=1e-8)
    assert max(exact.bottom_residuals + iterated.bottom_residuals + iterated.top_residuals) < 1e-8
    assert exact.null_dimension[0] == exact.null_dimension[1] > 0


def test_in_the_null_space_another_layer_decides(tiny_clip):
    """Unnoticed by `final`, and noticed by relu0 more than any other such direction: J_final v = 0, P F_relu0 v = λ v."""
    model = tiny_models.sound_model().double()
    found = eigendistortions(model, tiny_clip.samples, "final", n=2, criterion="relu0")
    assert found.criterion == "most noticeable at relu0"
    assert found.null_dimension == (997, 997)
    assert found.bottom_eigenvalues == pytest.approx([0, 0], abs=1e-9 * found.top_eigenvalues[0])
    final, other = (Jacobian(model, tiny_clip.samples, layer) for layer in ("final", "relu0"))
    rows = final.transposed_times(torch.eye(3, dtype=torch.float64))
    seen = torch.linalg.qr(rows.T).Q
    image = other.transposed_times(other.times(found.bottom))
    image = image - (image @ seen) @ seen.T
    values = (image * found.bottom).sum(1)
    assert values[0] > values[1] > 0
    torch.testing.assert_close(image, values[:, None] * found.bottom, atol=1e-4 * float(values[0]), rtol=0)
    assert eigendistortions(model, tiny_clip.samples, "final").criterion == "most noticeable at cochleagram"


def test_in_a_band_a_linear_filter_has_its_gains_as_eigenvalues():
    """A circular filter's eigenvalues are the squared gains at the band's frequencies."""
    n, rate = 64, 6400

    class Filter(nn.Module):
        def __init__(self):
            super().__init__()
            self.out = nn.Identity()

        def forward(self, x):
            return self.out(torch.fft.irfft(torch.fft.rfft(x) * torch.arange(1, 34), n=n))

    model = am.Model(Filter(), sample_rate=rate, duration=n / rate, check=False).double()
    space = Band(n, sample_rate=rate, low=500, high=1000)  # bins 5 to 10, with gains 6 to 11
    found = eigendistortions(model, torch.linspace(-0.5, 0.5, n), "out", n=2, space=space)
    assert found.top_eigenvalues == pytest.approx([121, 121])  # a sine and a cosine
    assert found.bottom_eigenvalues == pytest.approx([36, 36])
    assert found.null_dimension == (0, 0)
    assert found.space == "changes from 500 to 1000 Hz, of equal RMS"
    spectrum = torch.fft.rfft(found.bottom).abs()
    assert float(spectrum[:, 5].min()) == pytest.approx(float(spectrum.norm(dim=1).min()))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 49}, "n is 49; the space has 48 dimensions, so give 1 to 48"),
        ({"n": 0}, "n is 0; the space has 48 dimensions"),
        ({"n": 40}, "n is 40; the layer responds to 30 independent changes, so give at most 30"),
        ({"criterion": "0", "exact_up_to": 3}, "a criterion takes an exact null space; layer '2' has 30 active units"),
        ({"criterion": "9"}, "has no layer '9'"),
        ({"space": Band(50, sample_rate=100, low=1, high=9)}, "the space has signals of 50 values; Sequential takes 48"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(options, message):
    model, layer = reference_model(0)
    with pytest.raises(am.AudioMetamerError, match=message) as caught:
        eigendistortions(model, X, layer, **options)
    assert "\n" not in str(caught.value)


def test_a_silent_layer_has_none():
    hidden = nn.Linear(3, 2)
    hidden.bias = nn.Parameter(torch.full((2,), -100.0))
    with pytest.raises(am.AudioMetamerError, match="no unit of layer '1' responds to any of the changes"):
        eigendistortions(model_of(nn.Sequential(hidden, nn.ReLU()), 3), torch.ones(3), "1")
