"""Simulated observers against the closed forms of signal detection theory."""

import numpy as np
import pytest
import tiny_models
import torch
from scipy.stats import norm
from tiny_exploration import image_model, images, sound_dimensions, sounds

from audiometamer.dimensions.dimensions import Dimension
from audiometamer.dimensions.moved import Move
from audiometamer.dimensions.moving import move
from audiometamer.errors import AudioMetamerError
from audiometamer.exploration.observers import (
    CoordinateObserver,
    LinearObserver,
    abx_answers,
    cochleagram_observer,
    network_observer,
)


@pytest.mark.parametrize("d_prime", [0.0, 0.7, 1.5, 3.0])
def test_abx_answers_are_as_often_right_as_theory_says(d_prime):
    """Macmillan & Creelman (2005), equations of chapter 9: independent observations and differencing."""
    n, d = 40_000, d_prime
    spread = 4 * 0.5 / n**0.5
    ideal = norm.cdf(d / 2**0.5) * norm.cdf(d / 2) + norm.cdf(-d / 2**0.5) * norm.cdf(-d / 2)
    assert abx_answers(np.full(n, d), np.random.default_rng(0)).mean() == pytest.approx(ideal, abs=spread)
    nearer = norm.cdf(d / 2**0.5) * norm.cdf(d / 6**0.5) + norm.cdf(-d / 2**0.5) * norm.cdf(-d / 6**0.5)
    assert abx_answers(np.full(n, d), np.random.default_rng(1), differencing=True).mean() == pytest.approx(nearer, abs=spread)
    lapsing = abx_answers(np.full(n, d), np.random.default_rng(2), guesses=0.2).mean()
    assert lapsing == pytest.approx(0.8 * ideal + 0.1, abs=spread)


def test_answers_are_of_the_seed():
    first, second = (abx_answers(torch.linspace(0, 2, 50), np.random.default_rng(7)) for _ in range(2))
    assert (first == second).all()
    assert abx_answers(5.0, np.random.default_rng(0)).shape == ()
    with pytest.raises(AudioMetamerError, match=r"the proportion of guesses is 1\.5; it must be between 0 and 1"):
        abx_answers(1.0, np.random.default_rng(0), guesses=1.5)


def test_a_linear_observer_by_hand():
    references, signals = torch.zeros(2, 3), torch.tensor([[3.0, 0.0, 4.0], [0.0, 0.0, 0.0]])
    assert LinearObserver(lambda x: x, 2.5).d_prime(references, signals).tolist() == [2, 0]
    template = torch.tensor([2.0, 0.0, 0.0])
    assert LinearObserver(lambda x: x, 1.5, template).d_prime(references, signals).tolist() == [2, 0]
    with pytest.raises(AudioMetamerError, match="an observer's noise is 0; it must be above 0"):
        LinearObserver(lambda x: x, 0)


def test_observers_of_cochleagrams_and_networks():
    model = tiny_models.sound_model()
    a, b = torch.stack([clip.samples for clip in sounds(2)])
    ear, network = cochleagram_observer(model, noise=2.0), network_observer(model, "relu1", noise=0.5)
    difference = (model.front_end(a[None]) - model.front_end(b[None])).norm()
    assert float(ear.d_prime(a[None], b[None])) == pytest.approx(float(difference) / 2, rel=1e-5)
    assert float(network.d_prime(a[None], a[None])) == 0
    assert float(network.d_prime(a[None], b[None])) > 0
    eye = cochleagram_observer(image_model(), noise=1.0)
    one, other = (clip.samples[None] for clip in images(2))
    assert float(eye.d_prime(one, other)) == pytest.approx(float((one - other).norm()), rel=1e-5)
    with pytest.raises(AudioMetamerError, match="has no layer 'relu9'"):
        network_observer(model, "relu9", noise=1.0)


def test_the_threshold_of_an_observer_of_coordinates_is_known():
    model = tiny_models.sound_model()
    dimensions = sound_dimensions(model)
    observer = CoordinateObserver(model, dimensions["relu0"], torch.tensor([4.0, 2.0, 1.0]))
    (clip,) = sounds(1, first=30)
    for component, threshold in ((0, 0.25), (1, 0.5)):  # d' = 1 at 1 / sensitivity
        (moved,) = move(model, dimensions, [Move(clip, Dimension("relu0", component, 1), threshold)], steps=150)
        assert float(observer.d_prime(clip.samples[None], moved.samples[None])) == pytest.approx(1, rel=0.1)
    with pytest.raises(AudioMetamerError, match=r"there are 3 components and sensitivities of shape \(2,\)"):
        CoordinateObserver(model, dimensions["relu0"], torch.ones(2))
