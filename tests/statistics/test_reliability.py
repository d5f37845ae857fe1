"""The noise ceiling, against formulas for noise of known size."""

import numpy as np
import pytest

from audiometamer.errors import AudioMetamerError
from audiometamer.statistics.reliability import split_half


def test_split_halves_of_noise_of_known_size():
    """A pattern of variance 1 and noise of variance v per listener: halves agree with 1/(1 + 2v/n), all with 1/(1 + v/n)."""
    rng, n, conditions, v = np.random.default_rng(0), 20, 4000, 10.0
    values = rng.normal(0, 1, conditions) + rng.normal(0, v**0.5, (n, conditions))
    found = split_half(values, splits=30)
    assert found.correlation == pytest.approx(1 / (1 + 2 * v / n), abs=0.03)
    assert found.reliability == pytest.approx(1 / (1 + v / n), abs=0.03)
    assert found.ceiling == pytest.approx((1 / (1 + v / n)) ** 0.5, abs=0.02)


def test_split_halves_at_the_ends():
    agree = split_half(np.tile([0.1, 0.5, 0.9], (5, 1)))
    assert agree == pytest.approx((1, 1, 1, 5))
    assert np.isnan(split_half(np.full((4, 3), 0.5)).ceiling)
    with pytest.raises(
        AudioMetamerError, match="a noise ceiling of 3 listeners and 3 conditions; there must be at least 4 and 3"
    ):
        split_half(np.zeros((3, 3)))
