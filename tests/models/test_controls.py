"""Controls of networks that initialise their weights in other ways than by reset_parameters."""

import math

import foreign_models as fm
import pytest
import timm
import torch
import transformers
from torch import nn
from torch.nn.utils import parametrizations

import audiometamer as am
from audiometamer.models.controls import control


class Network(nn.Module):
    """Eight samples through a layer, and what comes after it, to three classes."""

    def __init__(self, inner=None, after=None):
        super().__init__()
        self.inner = inner or nn.Linear(8, 6)
        self.after = after or nn.Identity()
        self.read_out = nn.Linear(6, 3)
        self.layers = {"inner": "inner", "read_out": "read_out"}

    def forward(self, signals):
        return self.read_out(self.after(self.inner(signals).tanh()))


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)

    def forward(self, x):
        return x + self.attention(x[:, None], x[:, None], x[:, None])[0][:, 0]


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.TransformerEncoderLayer(6, 2, 5, batch_first=True)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, 6))
        self.pos_embed = nn.Parameter(torch.zeros(1, 2, 6))

    def forward(self, x):
        tokens = torch.cat((self.cls_token.expand(len(x), -1, -1), x[:, None]), 1) + self.pos_embed
        return self.encoder(tokens)[:, 0]


class Gain(nn.Module):
    """A parameter that nothing sets anew; with `buffer`, a statistic."""

    def __init__(self, value, *, buffer=False):
        super().__init__()
        if buffer:
            self.register_buffer("gain", value)
        else:
            self.gain = nn.Parameter(value)

    def forward(self, x):
        return x * self.gain


class Halved(nn.Module):
    """A parametrization that cannot be turned round."""

    def forward(self, weight):
        return weight / 2


def halved(module):
    return nn.utils.parametrize.register_parametrization(module, "weight", Halved())


def trained(network):
    """As if trained: every parameter and statistic moved."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for tensor in network.state_dict().values():
            if tensor.is_floating_point():
                tensor += 0.1 + 0.1 * torch.rand(tensor.shape, generator=generator)
    return network.eval().requires_grad_(False)


def model(network, **options):
    return am.Model(network, signal_shape=(8,), check=False, **options)


def before_and_after(kind, make, seed=0):
    torch.manual_seed(1)
    network = trained(make())
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    return before, control(kind, model(network), seed)


WRAPPERS = [
    nn.utils.weight_norm,
    nn.utils.spectral_norm,
    parametrizations.weight_norm,
    parametrizations.spectral_norm,
    halved,
]


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("kind", ["random", "permuted"])
@pytest.mark.parametrize("wrap", WRAPPERS)
def test_wrapped_weights_are_new(kind, wrap):
    before, made = before_and_after(kind, lambda: Network(wrap(nn.Linear(8, 6))))
    assert [key for key, tensor in made.network.state_dict().items() if torch.equal(before[key], tensor)] == []
    _, again = before_and_after(kind, lambda: Network(wrap(nn.Linear(8, 6))))
    assert made.weights_sha256() == again.weights_sha256()


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("wrap", WRAPPERS)
def test_wrapped_weights_are_those_of_the_bare_module(wrap):
    """Drawn with the same seed, the effective weights are the bare ones, normalised where the wrapping normalises."""
    made = before_and_after("random", lambda: Network(wrap(nn.Linear(8, 6))))[1].network
    bare = before_and_after("random", Network)[1].network
    made(torch.zeros(1, 8))
    expected = bare.inner.weight
    if "spectral_norm" in repr(wrap):
        expected = expected / torch.linalg.matrix_norm(expected, 2)
    elif wrap is halved:
        expected = expected / 2
    torch.testing.assert_close(made.inner.weight.detach(), expected, rtol=1e-4, atol=1e-6)
    assert torch.equal(made.inner.bias, bare.inner.bias)
    assert torch.equal(made.read_out.weight, bare.read_out.weight)


def test_attention_and_transformers():
    before, made = before_and_after("random", lambda: Network(after=Attention()))
    attention = made.network.after.attention
    assert not torch.equal(attention.in_proj_weight, before["after.attention.in_proj_weight"])
    limit = math.sqrt(6 / (6 + 18))  # Glorot & Bengio (2010), as torch draws it
    assert 0.8 * limit < attention.in_proj_weight.abs().max() <= limit
    assert attention.in_proj_bias.eq(0).all()
    before, made = before_and_after("random", lambda: Network(after=Encoder()))
    after = made.network.state_dict()
    assert [key for key in before if torch.equal(before[key], after[key])] == []
    for key in ("after.cls_token", "after.pos_embed"):
        assert 0 < after[key].abs().max() <= 0.04
        assert after[key].unique().numel() == after[key].numel()


@pytest.mark.parametrize(
    ("value", "buffer"),
    [(torch.tensor([0.5, 0.7, 0.9, 1.1, 1.3, 1.5]), False), (torch.tensor([0.37]), False), (torch.arange(6.0), True)],
)
def test_what_nothing_sets_is_refused_by_name(value, buffer):
    with pytest.raises(am.AudioMetamerError, match=r"nothing resets its after\.gain, which would stay as trained; .*untrained="):
        before_and_after("random", lambda: Network(after=Gain(value, buffer=buffer)))


def test_what_was_never_trained_may_stay():
    torch.manual_seed(0)
    network = Network(after=nn.Sequential(Gain(torch.full((6,), 1e-5)), Gain(torch.tensor(1.0)), nn.PReLU(), nn.LayerNorm(6)))
    made = control("random", model(network.eval().requires_grad_(False)), 0)
    assert made.network.after[0].gain.eq(1e-5).all()


def test_a_network_is_made_by_its_maker():
    def make():
        network = Network(after=Gain(torch.ones(6)))
        nn.init.constant_(network.after.gain, 3)
        nn.init.normal_(network.inner.weight, std=100)
        return network

    state = torch.get_rng_state()
    controls = [control("random", model(trained(make()), untrained=make), seed) for seed in (0, 0, 1)]
    weights = [made.network.inner.weight for made in controls]
    assert controls[0].network.after.gain.eq(3).all()
    assert weights[0].std() > 50
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    torch.set_rng_state(state)


def test_a_maker_of_the_trained_network_is_refused():
    torch.manual_seed(0)
    network = trained(Network())
    again = Network()
    again.load_state_dict(network.state_dict())
    with pytest.raises(am.AudioMetamerError, match=r"nothing resets its inner\.weight"):
        control("random", model(network, untrained=lambda: again), 0)
    with pytest.raises(am.AudioMetamerError, match="makes a Linear of other tensors than its network"):
        control("random", model(network, untrained=lambda: nn.Linear(8, 3)), 0)


def test_what_training_does_not_set_may_stay():
    class Fixed(Network):
        def __init__(self):
            super().__init__()
            self.sinusoid = nn.Parameter(torch.arange(6.0).sin(), requires_grad=False)
            self.register_buffer("window", torch.hann_window(6))

    torch.manual_seed(0)
    made = control("random", model(Fixed().eval().requires_grad_(False), untrained=Fixed), 0)
    assert torch.equal(made.network.sinusoid, torch.arange(6.0).sin())


@pytest.mark.parametrize("kind", ["random", "permuted"])
def test_what_was_made_in_inference_mode_cannot_be_changed(kind):
    with torch.inference_mode():
        network = Network().eval()
    with pytest.raises(am.AudioMetamerError, match=r"inference_mode\(\), so inner\.weight cannot be changed"):
        control(kind, model(network), 0)


def test_two_values_are_exchanged():
    for seed in range(8):
        network = Network(after=Gain(torch.tensor([0.25, 0.75]).repeat_interleave(3)))
        network.read_out.bias = nn.Parameter(torch.tensor([1.0, 1.0, 2.0]))
        made = control("permuted", model(network.eval().requires_grad_(False)), seed).network
        assert not torch.equal(made.read_out.bias, torch.tensor([1.0, 1.0, 2.0]))
        assert made.read_out.bias.sum() == 4


def test_trained_front_ends_are_new_too():
    torch.manual_seed(0)
    ears = trained(nn.Linear(8, 8))
    before = ears.weight.clone()
    for kind in ("random", "permuted"):
        assert not torch.equal(control(kind, model(trained(Network()), front_end=ears), 0).front_end.weight, before)


def test_networks_that_keep_how_they_were_made():
    torch.manual_seed(0)
    vit = trained(timm.create_model("test_vit", num_classes=3))
    before = vit.pos_embed.clone()
    made = control("random", am.Model(vit, signal_shape=(3, 160, 160), check=False), 0).network
    assert not torch.equal(made.pos_embed, before)
    assert made.pos_embed.std() == pytest.approx(0.02, rel=0.1)
    speech = trained(transformers.Wav2Vec2ForCTC(fm.wav2vec2_config()))
    kept = {key: tensor.clone() for key, tensor in speech.state_dict().items()}
    control("random", am.Model(speech, signal_shape=(400,), check=False), 0)
    assert [key for key, tensor in speech.state_dict().items() if torch.equal(tensor, kept[key])] == []
