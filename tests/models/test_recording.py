"""Recording layers of a plain module: no model, the user's own."""

import pytest
import torch
from torch import nn

import audiometamer as am


def test_the_readme_program_a_layer_of_a_plain_module():
    network = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([[1.0, 0.0], [0.0, -1.0]]))
        network[0].bias.zero_()
    inputs = torch.tensor([[3.0, 4.0], [-3.0, -4.0]])

    rectified = am.record(network, inputs, "1")
    both = am.record(network, inputs, ["0", "1"])

    assert rectified.tolist() == [[3.0, 0.0], [0.0, 4.0]]
    assert both["0"].tolist() == [[3.0, -4.0], [-3.0, 4.0]]
    assert list(both) == ["0", "1"]


def test_gradients_reach_inputs_and_parameters():
    network = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU())
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([[1.0, 0.0], [0.0, -1.0]]))
    inputs = torch.tensor([[3.0, 4.0]], requires_grad=True)
    am.record(network, inputs, "1").sum().backward()
    assert inputs.grad.tolist() == [[1.0, 0.0]]
    assert network[0].weight.grad.tolist() == [[3.0, 4.0], [0.0, 0.0]]
    (through,) = torch.autograd.grad(am.record(network, inputs, "1", straight_through=True).sum(), inputs)
    assert through.tolist() == [[1.0, -1.0]]


def test_a_plain_module_runs_once_in_its_own_mode():
    network = nn.Sequential(nn.BatchNorm1d(1), nn.ReLU(inplace=True)).train()
    inputs = torch.tensor([[0.0], [2.0]])
    normalised = am.record(network, inputs, "0")
    # Mean 1 and unbiased variance 2 of the batch, once with momentum 0.1; the ReLU after it must not reach the record.
    assert network[0].num_batches_tracked == 1
    assert network[0].running_mean.item() == pytest.approx(0.1)
    torch.testing.assert_close(normalised, torch.tensor([[-1.0], [1.0]]), rtol=1e-4, atol=1e-4)


class Echo(nn.Module):
    layers = {"loud": "gain"}  # noqa: RUF012

    def __init__(self):
        super().__init__()
        self.gain = Pair()

    def forward(self, x):
        first, _ = self.gain(x)
        return self.gain(first)[0]


class Pair(nn.Module):
    def forward(self, x):
        return 2 * x, torch.complex(x, -x)


def test_calls_items_parts_and_names_of_its_own():
    x = torch.tensor([[1.0, 5.0]])
    found = am.record(Echo(), x, ["loud@0[0]", "gain@1[0]", "gain@0[0]/units=1", "gain@0[1]"])
    assert found["loud@0[0]"].tolist() == [[2.0, 10.0]]
    assert found["gain@1[0]"].tolist() == [[4.0, 20.0]]
    assert found["gain@0[0]/units=1"].tolist() == [[10.0]]
    assert found["gain@0[1]"].tolist() == [[[1.0, -1.0], [5.0, -5.0]]]


@pytest.mark.parametrize(
    ("layer", "message"),
    {
        "unknown": ("gian", r"Echo has no layer 'gian'; the nearest are gain"),
        "several calls": ("gain[0]", r"layer 'gain\[0\]' is called several times in a forward pass; say which: gain@0\[0\], …"),
        "several outputs": ("gain@0", r"layer 'gain@0' returns a tuple of 2; say which: gain@0\[0\], gain@0\[1\]"),
        "never reached": ("gain@2[0]", r"the forward pass never reached gain@2\[0\]"),
    }.values(),
)
def test_what_cannot_be_recorded_is_named(layer, message):
    with pytest.raises(am.AudioMetamerError, match=message):
        am.record(Echo(), torch.ones(1, 2), layer)


@pytest.mark.parametrize(
    ("module", "inputs", "message"),
    [
        (Echo(), am.Clip("x", torch.ones(2), 8000), r"inputs is a Clip; it must be a tensor .*: clip.samples\[None\]"),
        (Echo(), [[1.0, 2.0]], "inputs is a list; it must be a tensor with a batch dimension"),
        (torch.relu, torch.ones(1, 2), "the network is of type builtin_function_or_method; it must be a torch.nn.Module"),
    ],
)
def test_what_takes_or_is_no_tensor_is_one_line(module, inputs, message):
    with pytest.raises(am.AudioMetamerError, match=message):
        am.record(module, inputs, "gain@2")
