"""Domains of features: what they start from, what they keep, and the gradient that passes."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import audiometamer as am
from audiometamer.matching import Cosine, NormalizedDescent
from audiometamer.matching.domains import BinaryFeatures, Features, Gaussian, Image, Waveform


@given(st.integers(1, 4), st.integers(1, 12), st.integers(1, 9), st.floats(0, 1), st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_binary_features_keep_their_fraction(batch, nodes, width, fraction, seed):
    domain = BinaryFeatures(fraction=fraction)
    latent = domain.start((nodes, width), seeds=range(seed, seed + batch), dtype=torch.float32, device="cpu")
    signals = domain.signals(latent)
    assert signals.shape == (batch, nodes, width)
    assert set(signals.unique().tolist()) <= {0.0, 1.0}
    assert signals.flatten(1).sum(1).tolist() == [round(fraction * nodes * width)] * batch
    assert torch.equal(domain.signals(signals), signals)  # going on from a signal begins with it


def test_equal_latents_share_out_exactly_as_many_ones():
    assert BinaryFeatures(fraction=0.5).signals(torch.zeros(2, 3, 4)).flatten(1).sum(1).tolist() == [6, 6]


def test_the_largest_latents_are_the_ones_and_the_gradient_is_the_sigmoids():
    """d/dz of Σ w · x is w · slope · s (1 − s), s = sigmoid(slope · z)."""
    z = torch.tensor([[[-1.0, 0.0], [0.5, 2.0]]], dtype=torch.float64, requires_grad=True)
    weights = torch.tensor([[1.0, -2.0], [3.0, 4.0]], dtype=torch.float64)
    signals = BinaryFeatures(fraction=0.5, slope=2.0).signals(z)
    assert signals.tolist() == [[[0, 0], [1, 1]]]
    (gradient,) = torch.autograd.grad((signals * weights).sum(), z)
    s = [1 / (1 + math.exp(-2 * value)) for value in (-1, 0, 0.5, 2)]
    expected = [w * 2 * p * (1 - p) for w, p in zip((1, -2, 3, 4), s, strict=True)]
    assert gradient.flatten().tolist() == pytest.approx(expected)


def test_features_start_from_the_moments_of_their_reference():
    reference = torch.tensor([[0.0, 10.0], [2.0, 14.0]])
    shared, own = Features.like(reference), Features.like(reference, per_feature=True)
    assert (shared.mean, shared.deviation) == (6.5, pytest.approx(math.sqrt((6.5**2 + 3.5**2 + 4.5**2 + 7.5**2) / 4)))
    assert (own.mean, own.deviation) == ((1.0, 12.0), (1.0, 2.0))
    start = own.start((4000, 2), seeds=[0], dtype=torch.float64, device="cpu")[0]
    assert start.mean(0).tolist() == pytest.approx([1, 12], abs=0.1)
    assert start.std(0).tolist() == pytest.approx([1, 2], abs=0.1)
    assert torch.equal(own.project(start), start)
    assert BinaryFeatures.like(torch.eye(4)).fraction == 0.25


@pytest.mark.parametrize("domain", [Gaussian(), Waveform(), Image(), Features()])
def test_elsewhere_what_is_stepped_are_the_signals(domain):
    x = torch.rand(2, 3)
    assert domain.signals(x) is x


def test_a_match_returns_signals():
    """A sum of 12 features is matched by any that has as many ones; weights tell which ones are wanted."""
    wanted = torch.zeros(12).index_fill(0, torch.tensor([1, 5, 7]), 1.0)
    weights = torch.randn(30, 12, generator=torch.Generator().manual_seed(0))
    domain = BinaryFeatures(fraction=0.25)
    found = am.match(
        lambda signals: signals @ weights.T,
        (weights @ wanted).expand(3, -1),
        domain.start((12,), seeds=[0, 1, 2], dtype=torch.float32, device="cpu"),
        domain=domain,
        optimizer=NormalizedDescent(Cosine(0.3, 60)),
        steps=60,
    )
    assert found.signals.tolist() == [wanted.tolist()] * 3
    assert not found.signals.requires_grad


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BinaryFeatures(fraction=1.5), r"the fraction of ones is 1.5; it must be between 0 and 1"),
        (lambda: BinaryFeatures(slope=0.0), r"the slope is 0.0; it must be above 0"),
        (lambda: BinaryFeatures.like(torch.tensor([0.0, 0.5])), r"not binary: it has values other than 0 and 1"),
    ],
)
def test_what_cannot_be_is_reported_in_a_line(make, message):
    with pytest.raises(am.AudioMetamerError, match=message):
        make()
