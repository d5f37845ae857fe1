"""What a model says when something is wrong with it, and how models are loaded."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import audiometamer as am
from audiometamer.matching.domains import Waveform


def linear(*, dtype=torch.float32):
    """The same in each test: now and then a layer drawn anew answers a ReLU with zeros only."""
    layer, generator = nn.Linear(6, 3), torch.Generator().manual_seed(0)
    for parameter in layer.parameters():
        nn.init.normal_(parameter, generator=generator)
    return layer.to(dtype).eval().requires_grad_(False)


def wrap(network):
    return am.Model(network, signal_shape=(6,), name="net")


class Wrapped(nn.Module):
    """A linear layer and a function of its output."""

    def __init__(self, function):
        super().__init__()
        self.linear = linear()
        self.function = function

    def forward(self, x):
        return self.function(self.linear(x), x)


def broken(function):
    return Wrapped(function).eval().requires_grad_(False)


def test_a_sound_network_passes():
    model = wrap(linear())
    assert model.layers == ()
    assert model(torch.zeros(2, 6)).shape == (2, 3)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (nn.Linear(6, 3).requires_grad_(False).train(), r"net is in train mode .*; call .eval\(\) on it first"),
        (nn.Linear(6, 3).eval(), r"2 parameters of net require gradients \(first: weight\); call .requires_grad_\(False\)"),
        (broken(lambda y, x: torch.ones(len(x), 3)), "does not depend on its input"),
        (broken(lambda y, x: y.detach()), "no gradient reaches the input of net: its output is detached"),
        (broken(lambda y, x: y.argmax(1)), "net returns no floating-point tensor"),
        (broken(lambda y, x: torch.sign(y) * 1.0 + y.detach()), "the gradient at the input of net is zero everywhere"),
        (broken(lambda y, x: y - y.mean(0)), "depends on the others in the batch, or on chance"),
        (broken(lambda y, x: y + torch.randn_like(y)), "depends on the others in the batch, or on chance"),
        (broken(lambda y, x: F.batch_norm(y[..., None] * torch.arange(4), None, None, training=True)), "depends on the others"),
        (broken(lambda y, x: F.dropout(y.repeat(1, 50), training=True)), "depends on .* or on chance"),
        (broken(lambda y, x: y.sigmoid().pow(2).mul_(y.sigmoid().mul_(2))), "the gradient of net cannot be computed: .*inplace"),
        (broken(lambda y, x: y / 0), "the output of net for noise is not finite"),
        (broken(lambda y, x: y.numpy()), "net fails on noise of shape"),
        (nn.Linear(7, 3).eval().requires_grad_(False), r"net fails on noise of shape \(2, 6\), torch.float32: .*shapes"),
        (nn.Sequential(linear(), nn.Linear(3, 2).double()).eval().requires_grad_(False),
         "parameters of several floating types: torch.float32, torch.float64; move it to one"),
        (nn.Sequential(linear(), nn.Linear(3, 2, device="meta")).eval().requires_grad_(False),
         "parameters of several devices: cpu, meta; move it to one"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_in_one_line(network, message):
    with pytest.raises(am.AudioMetamerError, match=message) as caught:
        wrap(network)
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning", "ignore:`torch.jit:DeprecationWarning")
def test_torchscript_is_refused():
    with pytest.raises(am.AudioMetamerError, match="TorchScript module, which takes no hooks"):
        wrap(torch.jit.trace(linear(), torch.zeros(1, 6)))
    with pytest.raises(am.AudioMetamerError, match="its module 0 is a TorchScript module"):
        wrap(nn.Sequential(torch.jit.trace(linear(), torch.zeros(1, 6))).eval())


def test_a_front_end_with_a_floor_is_told_of_a_louder_start():
    class Loud(nn.Module):
        def forward(self, x):
            return x.square().clamp(min=1e-6).log()

    network = nn.Sequential(Loud(), linear()).eval().requires_grad_(False)
    with pytest.warns(am.AudioMetamerWarning, match=r"near-silence that a synthesis starts from .*Waveform\(deviation=0.01\)"):
        am.Model(network, sample_rate=6, duration=1.0)
    am.Model(network, sample_rate=6, duration=1.0, domain=Waveform(deviation=0.01))


def test_a_gradient_that_is_computed_from_something_else():
    leaf = torch.ones(3, requires_grad=True)
    with pytest.raises(am.AudioMetamerError, match="its output is computed from something else"):
        wrap(broken(lambda y, x: y.detach() * leaf))


def test_what_a_sound_model_needs():
    with pytest.raises(am.AudioMetamerError, match="needs sample_rate and duration"):
        am.Model(linear())


def test_the_gradient_passes_at_the_bounds_and_not_beyond():
    x = torch.tensor([[-1.5, -1.0, 0.5, 1.0, 1.5, 0.0]], requires_grad=True)
    limited = wrap(linear()).clamp(x)
    assert limited.tolist() == [[-1.0, -1.0, 0.5, 1.0, 1.0, 0.0]]
    limited.sum().backward()
    assert x.grad.tolist() == [[0.0, 1.0, 1.0, 1.0, 0.0, 1.0]]


def test_layers_labels_and_bounds():
    network = nn.Sequential(linear(), nn.ReLU())
    model = am.Model(network.eval(), signal_shape=(6,), labels=["a", "b", "c"], layers={"rectified": "1"}, bounds=(0, 1))
    assert model.layers == ("rectified",)
    assert model.label("word", 2) == "c"
    torch.testing.assert_close(model(torch.full((1, 6), 5.0)), model(torch.ones(1, 6)))
    torch.testing.assert_close(am.record(model, torch.ones(1, 6), ["rectified", "0"])["rectified"], model(torch.ones(1, 6)))


def test_float64_models():
    model = wrap(linear(dtype=torch.float64))
    assert model.dtype == torch.float64


def test_a_read_out_beside_others_tells_of_its_own_task_only():
    network = am.networks.CochCNN9({"word": 3, "speaker": 2}, width=0.02).eval().requires_grad_(False)
    model = am.Model(network, front_end=am.Cochleagram(), sample_rate=20_000, duration=2.0, check=False)
    tasks = ["word", "speaker"]
    assert model.tasks_determined_by("final/word", tasks) == ["word"]
    assert model.tasks_determined_by("classification.speaker", tasks) == ["speaker"]
    assert model.tasks_determined_by("relufc", tasks) == tasks


def test_the_only_task_has_the_name_of_its_labels():
    model = am.Model(linear(), signal_shape=(6,), labels={"speaker": ["a", "b", "c"]})
    assert model.tasks == ("speaker",)
    assert list(model.logits(model(torch.zeros(2, 6)))) == ["speaker"]
    assert am.Model(linear(), signal_shape=(6,)).tasks == ("word",)


@pytest.mark.parametrize("duration", [float("nan"), float("inf"), 1e300, -2.0, 0.0])
def test_durations_that_no_sound_has(duration):
    with pytest.raises(am.AudioMetamerError, match="has no signals: give 1 to 10,000,000 samples"):
        am.Model(torch.nn.Linear(1000, 2).eval(), sample_rate=4000, duration=duration)


@pytest.mark.parametrize("level", [float("nan"), float("inf"), -0.1, 0.0, 1.5])
def test_levels_that_no_sound_has(level):
    with pytest.raises(am.AudioMetamerError, match="it must be above 0 and at most 1, an RMS, or None"):
        am.Model(torch.nn.Linear(1000, 2).eval(), sample_rate=4000, duration=0.25, level=level)
