"""Regions of pools, against loops over their units."""

import numpy as np
import pytest
import torch
from torch import nn

from audiometamer.models.pooling import max_contribution, supports_max_contribution
from audiometamer.networks.hann import HannPool2d
from audiometamer.networks.same import SameAvgPool2d, SameMaxPool2d

POOLS = [
    (nn.AvgPool1d(3, stride=2, padding=1), (7,)),
    (nn.AvgPool2d((2, 3)), (5, 7)),
    (nn.AvgPool2d(3, stride=2, ceil_mode=True), (6, 6)),
    (nn.AvgPool3d(2), (4, 4, 4)),
    (nn.AdaptiveAvgPool1d(1), (5,)),
    (nn.AdaptiveAvgPool2d((1, 2)), (3, 4)),
    (nn.MaxPool1d(2), (6,)),
    (nn.MaxPool2d(3, stride=2, padding=1), (5, 7)),
    (nn.AdaptiveMaxPool2d(1), (3, 4)),
    (SameAvgPool2d((2, 5), (2, 2)), (6, 9)),
    (SameMaxPool2d((3, 3), (2, 2)), (6, 9)),
    (HannPool2d((2, 2)), (6, 9)),
    (HannPool2d((1, 3)), (2, 9)),
]


@pytest.mark.parametrize(("pool", "shape"), POOLS, ids=repr)
def test_waking_the_largest_unit_of_a_silent_region_begins_at_its_share(pool, shape):
    """The share, divided by what one unit alone adds to the region, is the largest of the units that add anything."""
    assert supports_max_contribution(pool)
    x = -torch.rand(1, 2, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 0.1
    share = max_contribution(pool, x)
    assert share.shape == pool(x).shape
    alone = np.stack([pool(row.view(x.shape)).numpy().ravel() for row in torch.eye(x.numel(), dtype=x.dtype)])
    largest = np.array([x.numpy().ravel()[weights > 0].max() for weights in alone.T])
    usual = alone.max() if not isinstance(pool, nn.AvgPool2d) or not pool.ceil_mode else 1 / 9
    np.testing.assert_allclose(share.numpy().ravel(), usual * largest)


def test_what_is_no_pool_with_regions():
    assert not supports_max_contribution(nn.Linear(2, 2))
    assert not supports_max_contribution(nn.MaxPool1d(2, return_indices=True))
    assert not supports_max_contribution(nn.LPPool1d(2, 2))
