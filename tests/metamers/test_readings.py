"""How matched places are read, on networks small enough for the head."""

import pytest
import torch
from torch import nn

import audiometamer as am
from audiometamer.metamers.readings import reading


class Rectified(nn.Module):
    """Two ReLUs, the second of (x − 1); an average-pool of the second's output."""

    def __init__(self):
        super().__init__()
        self.relu0, self.relu1, self.pool = nn.ReLU(), nn.ReLU(), nn.AvgPool1d(2)

    def forward(self, x):
        return self.pool(self.relu1(self.relu0(x) - 1.0))


@pytest.fixture(scope="module")
def model():
    return am.Model(Rectified().eval(), signal_shape=(1, 4), bounds=(-10, 10))


def read(model, layer, x, *, unrectified=True):
    found = reading(model, layer, unrectified=unrectified)
    return found, found.read(model.activations(x, found.taps))


X = [[[-2.0, 0.5, 3.0, 0.25]]]


def test_a_relu_is_read_by_what_it_was_given(model):
    found, values = read(model, "relu1", torch.tensor(X))
    assert found.unrectified
    assert values.tolist() == [[[-1, -0.5, 2, -0.75]]]
    found, values = read(model, "relu1/units=0.2", torch.tensor(X))
    assert found.unrectified
    assert values.tolist() == [[-1, 2]]


def test_the_published_reading_is_the_relu_with_a_straight_through_gradient(model):
    x = torch.tensor(X, requires_grad=True)
    found, values = read(model, "relu0", x, unrectified=False)
    assert not found.unrectified
    assert values.tolist() == [[[0, 0.5, 3, 0.25]]]
    assert torch.autograd.grad(values.sum(), x)[0].tolist() == [[[1, 1, 1, 1]]]


def test_a_pool_of_a_silent_region_is_read_as_its_largest_units_share(model):
    """relu1 is given (−1, −0.5, 2, −0.75): the first region is silent, and −0.5 / 2 short of waking up; the second is 2 / 2."""
    x = torch.tensor(X, requires_grad=True)
    found, values = read(model, "pool", x)
    assert found.unrectified
    assert values.tolist() == [[[-0.25, 1.0]]]
    assert torch.autograd.grad(values.sum(), x)[0].tolist() == [[[0, 0.5, 0.5, 0]]]
    found, values = read(model, "pool", x, unrectified=False)
    assert not found.unrectified
    assert values.tolist() == [[[0, 1.0]]]
    found, values = read(model, "pool/units=0", x)
    assert values.tolist() == [[-0.25]]


def test_a_mean_over_time_is_of_the_rectified():
    network = nn.Sequential(nn.ReLU(), nn.AvgPool1d(1)).eval()
    model = am.Model(network, signal_shape=(1, 2), bounds=(-10, 10))
    for layer in ("0/average=time", "1/average=time"):
        found, values = read(model, layer, torch.tensor([[[-4.0, 3.0]]]))
        assert not found.unrectified
        assert values.tolist() == [[1.5]]


def test_layers_matched_at_once_do_not_change_each_other(model):
    """relu1 is given what relu0 returns, not what relu0 is given."""
    readings = [reading(model, layer, unrectified=True) for layer in ("relu0", "relu1", "pool")]
    found = model.activations(torch.tensor(X), {name: tap for each in readings for name, tap in each.taps.items()})
    values = [each.read(found).tolist() for each in readings]
    assert values == [X, [[[-1, -0.5, 2, -0.75]]], [[[-0.25, 1.0]]]]
