"""Twins: the same function of the signal, whatever was folded."""

import threading

import pytest
import torch
from torch import Tensor, nn

import audiometamer as am
from audiometamer.errors import AudioMetamerWarning
from audiometamer.models.folding import faster_copy


class TwoBranches(nn.Module):
    """Convolutions and normalisations in the ways they meet: one after the other, with another user between, called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.plain, self.plain_norm = nn.Conv1d(1, 4, 5), nn.BatchNorm1d(4)
        self.shared, self.shared_norm = nn.Conv1d(4, 4, 1), nn.BatchNorm1d(4)
        self.twice, self.twice_norm = nn.Conv1d(4, 4, 1), nn.BatchNorm1d(4)
        self.end = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.plain_norm(self.plain(x[:, None])).relu()
        z = self.shared(y)
        y = self.shared_norm(z) + z
        for _ in range(2):
            y = self.twice_norm(self.twice(y))
        return self.end(y).mean(2)


def model_of(network: nn.Module, **options: object) -> am.Model:
    """With running statistics that are not those of a new network."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            for tensor in (module.running_var, module.weight):
                tensor.data.uniform_(0.5, 2)
            for tensor in (module.running_mean, module.bias):
                tensor.data.normal_()
    network.eval().requires_grad_(False)
    return am.Model(network, **({"signal_shape": (64,)} | options))


def paths_of(model: am.Model, kind: type[nn.Module]) -> set[str]:
    return {path.removeprefix("network.") for path, module in model.named_modules() if isinstance(module, kind)}


def test_only_a_convolution_whose_output_nothing_else_uses_is_folded():
    twin = faster_copy(model_of(TwoBranches()), "end")
    assert paths_of(twin, nn.BatchNorm1d) == {"shared_norm", "twice_norm"}


@pytest.mark.parametrize("layer", ["plain_norm", "shared", "twice@1", "end"])
def test_activations_and_gradients_are_those_of_the_model(layer):
    model = model_of(TwoBranches()).double()
    twin = faster_copy(model, layer)
    signals = torch.randn(3, 64, dtype=torch.float64, requires_grad=True)
    here, there = (am.record(m, signals, layer) for m in (model, twin))
    torch.testing.assert_close(there, here)
    gradients = [torch.autograd.grad(a.square().sum(), signals)[0] for a in (here, there)]
    torch.testing.assert_close(gradients[1], gradients[0])


def test_a_convolution_that_is_the_layer_is_not_folded():
    model = model_of(TwoBranches())
    assert faster_copy(model, "plain") is model


def test_the_folded_weights_are_scale_times_weights():
    model = model_of(TwoBranches()).double()
    net, twin = model.network, faster_copy(model, "end").network
    scale = net.plain_norm.weight / (net.plain_norm.running_var + net.plain_norm.eps).sqrt()
    torch.testing.assert_close(twin.plain.weight, net.plain.weight * scale[:, None, None])
    offset = net.plain_norm.bias + scale * (net.plain.bias - net.plain_norm.running_mean)
    torch.testing.assert_close(twin.plain.bias, offset)


def test_the_model_is_left_as_it_is_and_the_rest_is_shared():
    model = model_of(TwoBranches())
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    twin = faster_copy(model, "end")
    assert {name: t for name, t in model.state_dict().items() if not torch.equal(t, before[name])} == {}
    assert twin.network.shared.weight is model.network.shared.weight


def test_wide_networks_have_channels_last_and_narrow_ones_do_not():
    for channels, last in ((96, True), (8, False)):
        convolutions = nn.Conv2d(1, channels, 3), nn.Conv2d(channels, channels, 3)
        model = model_of(nn.Sequential(nn.Unflatten(1, (1, 8, 8)), *convolutions, nn.BatchNorm2d(channels), nn.Flatten()))
        signals = torch.randn(2, 64)
        here, there = (am.record(m, signals, "3") for m in (model, faster_copy(model, "3")))
        assert there.is_contiguous(memory_format=torch.channels_last) is last
        torch.testing.assert_close(there, here)


def test_what_cannot_be_copied_is_used_as_it_is_and_said_so():
    model = model_of(TwoBranches())
    model.network.lock = threading.Lock()
    with pytest.warns(AudioMetamerWarning, match="cannot be copied"):
        assert faster_copy(model, "end") is model


def test_every_listed_layer_of_the_residual_network():
    network = am.networks.CochResNet50(3, width=0.06, blocks=(2, 1, 1, 2))
    model = model_of(network, front_end=am.Cochleagram(), signal_shape=(40_000,))
    signals = 0.1 * torch.randn(2, *model.signal_shape, generator=torch.Generator().manual_seed(0))
    for layer in model.layers:
        here, there = (am.record(m, signals, layer) for m in (model, faster_copy(model, layer)))
        assert am.similarity(here, there)["snr_db"] > 100
    assert paths_of(faster_copy(model, "final"), nn.BatchNorm2d) == set()


@pytest.mark.parametrize("options", [{}, {"stride": (3, 2), "padding": (1, 2)}, {"dilation": 2, "bias": False}])
def test_few_input_channels_have_the_same_gradient(options):
    convolution = nn.Conv2d(2, 96, (3, 4), **options)
    model = model_of(nn.Sequential(nn.Unflatten(1, (2, 9, 11)), convolution), signal_shape=(198,)).double()
    signals = torch.randn(3, 198, dtype=torch.float64, requires_grad=True)
    twin = faster_copy(model, "1")
    here, there = (am.record(m, signals, "1") for m in (model, twin))
    assert type(there.grad_fn).__name__ == "_FewChannelsBackward"
    weights = torch.randn_like(here)
    gradients = [torch.autograd.grad((a * weights).sum(), signals)[0] for a in (here, there)]
    torch.testing.assert_close(gradients[1], gradients[0])
