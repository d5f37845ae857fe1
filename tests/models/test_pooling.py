"""Regions of pools, against loops over their units."""

import numpy as np
import pytest
import torch
from torch import nn

from audiometamer.models.pooling import max_contribution, supports_max_contribution
from audiometamer.networks.hann import HannPool2d
from audiometamer.networks.same import SameAvgPool2d, SameMaxPool2d

# Each with what one unit counts in its output: 1 of a maximum, 1/n of an average over n, the middle of a Hann window of n that
# sums to 1: sin²(π·3/7) / 3.5 for n = 8, sin²(π·5/11) / 5.5 for n = 12.
HANN_8, HANN_12 = np.sin(np.pi * 3 / 7) ** 2 / 3.5, np.sin(np.pi * 5 / 11) ** 2 / 5.5
POOLS = [
    (nn.AvgPool1d(3, stride=2, padding=1), (7,), 1 / 3),
    (nn.AvgPool2d((2, 3)), (5, 7), 1 / 6),
    (nn.AvgPool2d(3, stride=2, ceil_mode=True), (6, 6), 1 / 9),
    (nn.AvgPool3d(2), (4, 4, 4), 1 / 8),
    (nn.AdaptiveAvgPool1d(1), (5,), 1 / 5),
    (nn.AdaptiveAvgPool2d((1, 2)), (3, 4), 1 / 6),
    (nn.MaxPool1d(2), (6,), 1),
    (nn.MaxPool2d(3, stride=2, padding=1), (5, 7), 1),
    (nn.AdaptiveMaxPool2d(1), (3, 4), 1),
    (SameAvgPool2d((2, 5), (2, 2)), (6, 9), 1 / 10),
    (SameMaxPool2d((3, 3), (2, 2)), (6, 9), 1),
    (HannPool2d((2, 2)), (6, 9), HANN_8**2),
    (HannPool2d((1, 3)), (2, 9), HANN_12),
]


@pytest.mark.parametrize(("pool", "shape", "weight"), POOLS, ids=repr)
def test_waking_the_largest_unit_of_a_silent_region_begins_at_its_share(pool, shape, weight):
    """The share is the largest of the units that add anything to the region, times what one unit counts."""
    assert supports_max_contribution(pool)
    x = -torch.rand(1, 2, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 0.1
    share = max_contribution(pool, x)
    assert share.shape == pool(x).shape
    alone = np.stack([pool(row.view(x.shape)).numpy().ravel() for row in torch.eye(x.numel(), dtype=x.dtype)])
    largest = np.array([x.numpy().ravel()[weights > 0].max() for weights in alone.T])
    np.testing.assert_allclose(share.numpy().ravel(), weight * largest)


def test_what_is_no_pool_with_regions():
    assert not supports_max_contribution(nn.Linear(2, 2))
    assert not supports_max_contribution(nn.MaxPool1d(2, return_indices=True))
    assert not supports_max_contribution(nn.LPPool1d(2, 2))
