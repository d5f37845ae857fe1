"""Recording: which values, which call, which item, how far the forward pass goes, and what the gradient sees."""

import pytest
import torch
from torch import nn

import audiometamer as am
from audiometamer.models.activations import Tap, record_taps


class Counter(nn.Module):
    """The identity, counting its calls."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return x


class Shared(nn.Module):
    """A ReLU that is called three times, a container, a dict and a tuple on the way."""

    def __init__(self, inplace=False):
        super().__init__()
        self.blocks = nn.Sequential(nn.Sequential(nn.Linear(4, 4), nn.Tanh()), nn.Linear(4, 4))
        self.relu = nn.ReLU(inplace=inplace)
        self.split = Split()
        self.named = Named()
        self.lstm = nn.LSTM(2, 3, batch_first=True)
        self.after = Counter()
        self.final = nn.Linear(3, 2)

    def forward(self, x):
        x = self.relu(self.blocks(x))
        x = self.relu(x - 0.5)
        a, b = self.split(self.relu(x * 2) + 0.1 * x)
        y = self.named(a)["doubled"] + b
        out, _ = self.lstm(y[:, None])
        return self.final(self.after(out[:, 0]))


class Split(nn.Module):
    def forward(self, x):
        return x[:, :2], x[:, 2:]


class Named(nn.Module):
    def forward(self, x):
        return {"doubled": 2 * x, "text": "not a tensor"}


def seeded(inplace=False):
    torch.manual_seed(0)
    return Shared(inplace)


def make(network=None, **options):
    network = (network or seeded()).eval().requires_grad_(False)
    return am.Model(network, signal_shape=(4,), check=False, bounds=(-10, 10), **options)


@pytest.fixture
def model():
    return make()


@pytest.fixture
def signals():
    return torch.randn(5, 4, generator=torch.Generator().manual_seed(1))


def test_values_inside_containers(model, signals):
    got = am.record(model, signals, ["blocks.0.1", "blocks"])
    inner = torch.tanh(model.network.blocks[0][0](signals))
    torch.testing.assert_close(got["blocks.0.1"], inner)
    torch.testing.assert_close(got["blocks"], model.network.blocks[1](inner))


def test_each_call_of_a_module_called_several_times(model, signals):
    got = am.record(model, signals, ["relu@0", "relu@1", "relu@2"])
    first = model.network.blocks(signals).relu()
    torch.testing.assert_close(got["relu@0"], first)
    torch.testing.assert_close(got["relu@1"], (first - 0.5).relu())
    torch.testing.assert_close(got["relu@2"], 2 * (first - 0.5).relu())


def test_a_module_called_several_times_must_say_which(model, signals):
    with pytest.raises(
        am.AudioMetamerError, match="'relu' is called 3 times in a forward pass; say which: relu@0, relu@1, relu@2"
    ):
        am.record(model, signals, "relu")
    with pytest.raises(am.AudioMetamerError, match=r"'relu@3': the module is called 3 time\(s\), numbered from 0"):
        am.record(model, signals, "relu@3")


def test_items_of_tuples_and_dicts(model, signals):
    got = am.record(model, signals, ["split[0]", "split[1]", "named", "named[doubled]", "lstm"])
    torch.testing.assert_close(got["named"], 2 * got["split[0]"])
    torch.testing.assert_close(got["named[doubled]"], got["named"])
    assert got["lstm"].shape == (5, 1, 3)  # its only item that is a tensor; the other is a tuple of states


def test_a_tuple_of_several_tensors_must_say_which(model, signals):
    with pytest.raises(am.AudioMetamerError, match=r"'split' returns a tuple of 2; say which: split\[0\], split\[1\]"):
        am.record(model, signals, "split")


def test_unknown_layers_name_the_nearest(model, signals):
    with pytest.raises(am.AudioMetamerError, match=r"Shared has no layer 'block'; the nearest are .*blocks"):
        am.record(model, signals, "block")


def test_the_forward_pass_stops_after_the_last_layer(model, signals):
    am.record(model, signals, "relu@0")  # the first use counts calls with one whole pass
    model.network.after.calls = 0
    am.record(model, signals, ["split[0]", "blocks"])
    assert model.network.after.calls == 0
    am.record(model, signals, ["after", "blocks"])
    assert model.network.after.calls == 1


def test_no_hook_stays_behind(model, signals):
    am.record(model, signals, ["relu@0", "final"])
    assert all(not module._forward_hooks for module in model.modules())


def test_an_error_in_the_network_passes_through_and_removes_the_hooks(model):
    with pytest.raises(RuntimeError):
        am.record(model, torch.zeros(1, 7), "final")
    assert all(not module._forward_hooks for module in model.modules())


def test_later_work_in_place_does_not_change_what_was_recorded(signals):
    plain, in_place = make(seeded()), make(seeded(inplace=True))
    expected = am.record(plain, signals, ["blocks", "relu@0", "final"])
    got = am.record(in_place, signals, ["blocks", "relu@0", "final"])
    for layer, values in expected.items():
        torch.testing.assert_close(got[layer], values)


class TwoReLUs(nn.Module):
    def __init__(self, inplace=False):
        super().__init__()
        self.relu0, self.relu1 = nn.ReLU(inplace=inplace), nn.ReLU(inplace=inplace)

    def forward(self, x):
        return self.relu1(self.relu0(x * 1.0) - 1.0)


@pytest.mark.parametrize("inplace", [False, True])
def test_straight_through_at_the_recorded_relu_only(inplace):
    """x = (−2, 0.5, 3): relu0 gives (0, 0.5, 3), relu1 gives (0, 0, 2). By hand:

    recorded relu1 passes everything and relu0 blocks the first: (0, 1, 1); without, only the last passes: (0, 0, 1).
    """
    model = make(TwoReLUs(inplace))
    gradients = []
    for layer, through in (("relu1", True), ("relu1", False), ("relu0", True)):
        x = torch.tensor([[-2.0, 0.5, 3.0, 0.0]], requires_grad=True)
        out = am.record(model, x, layer, straight_through=through)
        assert out.tolist()[0][:3] == ([0, 0, 2] if layer == "relu1" else [0, 0.5, 3])
        gradients.append(torch.autograd.grad(out.sum(), x)[0][0, :3].tolist())
    assert gradients == [[0, 1, 1], [0, 0, 1], [1, 1, 1]]
    assert model.network.relu0.inplace is inplace


def test_a_layer_after_a_recorded_relu_is_given_what_the_relu_returns():
    """By hand as above: relu1 passes its gradient straight through, relu0 before it is an ordinary ReLU."""
    model = make(TwoReLUs())
    x = torch.tensor([[-2.0, 0.5, 3.0, 0.0]], requires_grad=True)
    both = am.record(model, x, ["relu0", "relu1"], straight_through=True)
    assert both["relu1"].tolist() == [[0, 0, 2, 0]]
    (gradient,) = torch.autograd.grad(both["relu1"].sum(), x)
    assert gradient.tolist() == [[0, 1, 1, 0]]


@pytest.mark.parametrize("inplace", [False, True])
def test_what_a_relu_is_given(inplace):
    """x = (−2, 0.5, 3): relu0 is given x and relu1 relu0's output − 1; recording it changes neither."""
    model = make(TwoReLUs(inplace))
    x = torch.tensor([[-2.0, 0.5, 3.0, 0.0]])
    taps = {"before0": model.tap("relu0").input_tap(), "before1": model.tap("relu1").input_tap(), "relu1": model.tap("relu1")}
    found = record_taps(model, lambda: model(x), taps)
    assert found["before0"].tolist() == [[-2, 0.5, 3, 0]]
    assert found["before1"].tolist() == [[-1, -0.5, 2, -1]]
    assert found["relu1"].tolist() == [[0, 0, 2, 0]]


class Pooled(nn.Module):
    """One ReLU module called twice, a pool of what it gives and one of that less 1, dropout, and a pool of a linear map."""

    def __init__(self):
        super().__init__()
        self.relu, self.linear = nn.ReLU(), nn.Linear(2, 2)
        self.dropout, self.pool, self.other = nn.Dropout(), nn.MaxPool1d(2), nn.MaxPool1d(2)
        self.last = nn.AvgPool1d(2)

    def forward(self, x):
        y = self.dropout(self.relu(self.relu(x[:, None]) - 0.1))
        return self.last(self.linear(self.pool(y) + self.other(y - 1)))[:, 0]


def test_the_relu_that_a_layer_pools():
    model = make(Pooled())
    assert model.find_pooled_relu("pool") == Tap("network.relu", 1)
    for layer in ("other", "linear", "last", "relu@0"):
        assert model.find_pooled_relu(layer) is None


def test_a_layer_that_is_never_called(signals):
    class Idle(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = nn.Linear(4, 2), nn.Linear(4, 2)

        def forward(self, x):
            return self.used(x)

    with pytest.raises(am.AudioMetamerError, match="layer 'unused' is never called"):
        am.record(make(Idle()), signals, "unused")
