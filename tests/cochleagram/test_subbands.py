"""The plan of the fast computation: densities and groups worked out by hand."""

import math

import numpy as np
import pytest
import torch

from audiometamer.cochleagram.filters import Band
from audiometamer.cochleagram.spectra import Gather, gather_positions
from audiometamer.cochleagram.subbands import SubbandGroup, grid_points, pack_bands, plan_subbands


def plan(bandwidths, **options):
    return plan_subbands(bandwidths, **{"stride": 100, "n_samples": 40_000, "oversampling": 20.0} | options)


@pytest.mark.parametrize(
    ("bandwidth", "coarse", "fine"),
    [
        (1.0, 4, 20),  # 3.3 → 4; 20 · 1
        (1.6, 6, 30),  # 5.28 → 6; 27.4 → the next of which 16 points of the coarse grid have a whole number: multiples of 3
        (8.0, 32, 80),  # 26.4 → 32; 20 · 8 ** (2/3) = 80
        (27.0, 100, 100),  # 20 · 9 exceeds the sound's own rate
    ],
)
def test_densities_of_one_subband(bandwidth, coarse, fine):
    assert plan([bandwidth]) == [SubbandGroup((0,), coarse, fine)]


def test_subbands_of_one_coarse_density_share_the_finest_grid_that_one_of_them_needs():
    # 2.2 and 2.0 both have a coarse density of 8; their fine ones are 34 and 32.
    assert plan([2.2, 27.0, 2.0, 1.0]) == [SubbandGroup((0, 2), 8, 34), SubbandGroup((1,), 100, 100), SubbandGroup((3,), 4, 20)]


def test_a_short_sound_has_at_least_two_blocks_of_the_coarse_grid():
    assert plan([0.1], n_samples=400) == [SubbandGroup((0,), 8, 8)]  # 2 · 16 / 4; 20 · 0.1 ** (2/3) is less


@pytest.mark.parametrize(
    ("bandwidth", "n_samples", "coarse"),
    [
        (1.0, 40_000, 4),
        (1.6, 40_000, 8),  # of 6 points 16 have no whole number of samples: 16 · 100 / 6
        (8.0, 40_000, 32),
        (12.0, 40_000, 64),
        (27.0, 40_000, 100),
        (1.0, 39_999, 100),  # frames are no whole number of the sound's samples
    ],
)
def test_at_the_sounds_own_rate(bandwidth, n_samples, coarse):
    assert plan([bandwidth], n_samples=n_samples, oversampling=math.inf) == [SubbandGroup((0,), coarse, 100)]
    assert grid_points(100, stride=100, n_samples=n_samples) == n_samples


def test_bands_packed_to_one_width():
    bands = [Band(0, np.array([8.0, 16.0, 8.0])), Band(4, np.array([16.0]))]
    bins, gains, halved = pack_bands(bands, n_samples=8, length=4)
    assert bins.tolist() == [[0, 1, 2], [4, 4, 4]]  # the last bin of 8 samples is 4
    assert gains.tolist() == [[1, 2, 1], [2, 0, 0]]
    assert halved.tolist() == [[1, 1, 1], [2, 0, 0]]  # the first bin and the Nyquist bin of 4 points are not halved


def test_gathered_columns_give_their_gradients_back():
    columns, used = np.array([2, 0, 2, 1]), np.array([True, True, True, False])
    positions = torch.as_tensor(gather_positions(columns, used, 3))
    assert positions.tolist() == [[1, 4, 0], [4, 4, 2]]  # 4: nowhere
    values = torch.tensor([[1.0, 2.0, 3.0]], requires_grad=True)
    gathered = Gather.apply(values, torch.as_tensor(columns), positions)
    assert gathered.tolist() == [[3, 1, 3, 2]]
    gathered.backward(torch.tensor([[10.0, 20.0, 30.0, 40.0]]))
    assert values.grad.tolist() == [[20, 0, 40]]  # the last column is not used: it gives nothing back
