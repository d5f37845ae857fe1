"""Which places of other people's networks are listed, and that all of them can be recorded, measured and matched."""

import own_networks
import pytest
import torch
from own_networks import NETWORKS, SAMPLE_RATE, SAMPLES, Blocks, Net, frozen
from torch import nn

import audiometamer as am
from audiometamer.cli import main
from audiometamer.models import layer_info

LISTED = {
    "Blocks": ["conv", "relu", "blocks.0", "blocks.1", "read_out"],
    "Shared": ["conv", "relu@0", "relu@1", "read_out"],
    "Unused": ["conv", "relu", "read_out"],
    "Attention": ["conv", "relu", "att[0]", "att[1]", "read_out"],
    "Normed": ["conv", "relu", "read_out"],
    "TimeFirst": ["conv", "relu", "rnn[0]", "rnn[1.0]", "rnn[1.1]", "read_out"],
    "Keyword": ["conv", "relu", "read_out"],
    "Nested": ["conv", "relu", "inner[states.0]", "inner[states.1]", "read_out"],
    "Detached": ["conv", "relu", "read_out"],
    "Complex": ["spectrum", "read_out"],
}
LEFT_OUT = {
    "Blocks": {"blocks": "is a ModuleList, a container that is never called itself"},
    "Unused": {"aux": "is never called in a forward pass"},
    "Attention": {"att.out_proj": "is never called in a forward pass"},
    "Normed": {
        "conv.parametrizations.weight.0": "has shape (4, 1, 16) for any number of signals: it holds no batch",
        "conv.parametrizations.weight": "has shape (4, 1, 16) for any number of signals: it holds no batch",
        "conv.parametrizations": "is a ModuleDict, a container that is never called itself",
    },
    "Detached": {"cut": "passes no gradient to the signal"},
    "Complex": {"conv": "is never called in a forward pass", "relu": "is never called in a forward pass"},
}


def model_of(network, **options):
    return am.Model(frozen(network), sample_rate=SAMPLE_RATE, duration=SAMPLES / SAMPLE_RATE, **options)


def noise(seed):
    return 0.1 * torch.randn(SAMPLES, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", NETWORKS)
def test_what_a_forward_pass_calls_is_listed_and_the_rest_has_its_reason(kind):
    model = model_of(kind())
    assert list(model.layers) == LISTED[kind.__name__]
    assert model.left_out == LEFT_OUT.get(kind.__name__, {})


@pytest.mark.parametrize("kind", NETWORKS)
def test_every_listed_layer_is_recorded_measured_and_matched(kind):
    model = model_of(kind())
    found = am.record(model, torch.stack([noise(0), noise(1), noise(2)]), model.layers)
    assert {layer: tuple(a.shape) for layer, a in found.items()} == {n: (3, *model.layer_info()[n].shape) for n in model.layers}
    null = am.NullDistribution.measure(model, [noise(seed) for seed in range(3)])
    assert list(null.layers) == list(model.layers)
    metamers = am.synthesize(model, noise(0), steps=4, method="feather2023", null=null)
    assert [m.evidence.settings.layer for m in metamers] == list(model.layers)
    assert all(list(m.evidence.similarity) == list(model.layers) for m in metamers)


def test_a_batch_in_another_dimension_is_moved_to_the_front():
    model = model_of(own_networks.TimeFirst())
    signals = torch.stack([noise(0), noise(1)])
    expected, (last, _) = model.network.rnn(model.network.heard(signals).permute(2, 0, 1))
    found = am.record(model, signals, ["rnn[0]", "rnn", "rnn[1.0]", "rnn[1][0]"])
    torch.testing.assert_close(found["rnn[0]"], expected.transpose(0, 1))
    torch.testing.assert_close(found["rnn"], expected.transpose(0, 1))
    torch.testing.assert_close(found["rnn[1.0]"], last.transpose(0, 1))
    torch.testing.assert_close(found["rnn[1][0]"], last.transpose(0, 1))


def test_complex_activations_come_as_pairs_and_their_imaginary_part_counts():
    model = model_of(own_networks.Complex())
    x = noise(0)
    found = am.record(model, x[None], ["spectrum"])
    torch.testing.assert_close(found["spectrum"][0], torch.view_as_real(torch.fft.rfft(x)))
    # A shift around the circle leaves all magnitudes and turns every phase.
    shifted = am.record(model, x.roll(7)[None], "spectrum")
    assert am.similarity(found["spectrum"][0], shifted[0])["snr_db"] < 3
    a = torch.tensor([3 + 4j, 1j])
    assert am.similarity(a, a.conj())["snr_db"] == pytest.approx(10 * torch.log10(torch.tensor(26 / 68)).item())
    (metamer,) = am.synthesize(model, x, "spectrum", steps=200, method="feather2023")
    assert metamer.evidence.similarity["spectrum"]["snr_db"] > 20
    assert am.similarity(x, metamer.samples)["snr_db"] > 20  # a spectrum has one signal


def test_parts_of_complex_activations_are_cut_before_they_become_pairs():
    class Frames(nn.Module):
        def forward(self, x):
            return torch.stft(x, 32, 16, window=torch.ones(32), return_complex=True)

    class Stft(Net):
        def __init__(self):
            super().__init__()
            self.frames, self.read_out = Frames(), nn.Linear(17, 3)

        def forward(self, x):
            return self.read_out(self.frames(x).abs().mean(-1))

    model = model_of(Stft())
    found = am.record(model, noise(0)[None], ["frames", "frames/frames=2:5"])
    torch.testing.assert_close(found["frames/frames=2:5"], found["frames"][:, :, 2:5])


def test_names_of_the_callers_own_are_expanded_too():
    model = model_of(own_networks.Shared(), layers={"rectified": "relu", "words": "read_out", "lost": "nowhere"})
    assert model.layers == ("rectified@0", "rectified@1", "words")
    assert model.left_out == {"lost": "is no module of the network"}
    signal = noise(0)[None]
    found = am.record(model, signal, ["rectified@1", "relu@1"])
    torch.testing.assert_close(found["rectified@1"], found["relu@1"])
    assert model_of(Net(), layers=["relu", "conv"]).layers == ("relu", "conv")


def test_an_attribute_layers_that_holds_modules_is_no_list_of_names():
    class Layered(Blocks):
        def __init__(self):
            super().__init__()
            self.layers = self.blocks

    assert "layers" not in model_of(Layered()).layers
    assert set(model_of(Layered()).layers) >= {"conv", "relu", "blocks.0", "read_out"}


class Frames(Net):
    """Its read-out sees every frame as a row of the batch, one signal's after the other's."""

    def forward(self, x):
        h = self.heard(x).transpose(1, 2)
        return self.read_out(h.flatten(0, 1)).unflatten(0, h.shape[:2]).mean(1)


class FramesByTurns(Net):
    """The same, but for the order: the first frame of every signal, then the second of every signal."""

    def forward(self, x):
        h = self.heard(x).movedim(2, 0)
        return self.read_out(h.flatten(0, 1)).unflatten(0, h.shape[:2]).mean(0)


def test_rows_that_are_several_items_of_each_signal_are_told_apart_by_their_values():
    model, signals = model_of(Frames()), torch.stack([noise(seed) for seed in range(3)])
    assert model.layers == ("conv", "relu", "read_out")
    expected = model.network.read_out(model.network.heard(signals).transpose(1, 2))
    torch.testing.assert_close(am.record(model, signals, "read_out"), expected)
    (metamer,) = am.synthesize(model, signals[0], "read_out", steps=100)
    assert metamer.evidence.similarity["read_out"]["snr_db"] > 10


def test_rows_of_several_signals_by_turns_are_left_out():
    model = model_of(FramesByTurns())
    assert model.layers == ("conv", "relu")
    assert "49 rows for each, in an order that their values do not show" in model.left_out["read_out"]
    with pytest.raises(
        am.AudioMetamerError, match=r"layer 'read_out' has shape .* give the network an attribute items_per_signal"
    ):
        am.record(model, noise(0)[None], "read_out")


def test_rows_that_are_all_the_same_need_to_be_announced():
    class Still(Frames):
        def heard(self, x):
            return super().heard(x)[..., :1].expand(-1, -1, 49) * 0 + x.new_ones(1)

        def forward(self, x):
            return super().forward(x) + self.read_out(super().heard(x).mean(-1))

    model = model_of(Still())
    assert "in an order that their values do not show" in model.left_out["read_out@0"]
    announced = Still()
    announced.items_per_signal = 49
    assert am.record(model_of(announced), noise(0)[None], "read_out@0").shape == (1, 49, 3)


def test_values_that_depend_on_the_batch_or_on_chance_are_left_out():
    class Watched(Net):
        def __init__(self):
            super().__init__()
            self.centred, self.noisy = nn.Identity(), nn.Identity()

        def forward(self, x):
            h = self.heard(x).mean(-1)
            self.centred(h - h.mean(0)), self.noisy(h + torch.randn_like(h))
            return self.read_out(h)

    model = model_of(Watched())
    assert model.layers == ("conv", "relu", "read_out")
    assert model.left_out == dict.fromkeys(("centred", "noisy"), layer_info.MIXED)
    with pytest.raises(am.AudioMetamerError, match="layer 'noisy' has other values for a signal when another is beside it"):
        am.synthesize(model, noise(0), "noisy", steps=3)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_rounding_is_no_dependence_on_the_batch(dtype):
    assert model_of(Frames().to(dtype)).layers == ("conv", "relu", "read_out")


def test_what_was_left_out_can_be_asked_for_and_says_why():
    model = model_of(own_networks.Detached())
    assert am.record(model, noise(0)[None], "cut").shape == (1, 4)
    with pytest.raises(am.AudioMetamerError, match=r"layer cut: the activations do not depend on the signal by differentiable"):
        am.synthesize(model, noise(0), "cut", steps=3)
    with pytest.raises(am.AudioMetamerError, match=r"layer 'blocks' is a ModuleList, a container that is never called itself"):
        am.synthesize(model_of(Blocks()), noise(0), "blocks", steps=3)


def test_a_layer_that_only_some_signals_reach_fails_no_metamer_of_another():
    class Loud(Net):
        def __init__(self):
            super().__init__()
            self.extra = nn.Identity()

        def forward(self, x):
            h = self.heard(x).mean(-1)
            return self.read_out(self.extra(h) if float(x.detach().abs().max()) > 0.05 else h)

    model = model_of(Loud())
    assert "extra" in model.layers
    quiet = 0.01 * noise(0)
    (metamer,) = am.synthesize(model, quiet, "conv", steps=2, method="feather2023")
    assert "conv" in metamer.evidence.similarity


def test_the_command_says_what_is_left_out_and_where_the_batch_was(capsys):
    assert main(["layers", "own_networks:time_first"]) == 0
    listed = " ".join(capsys.readouterr().out.split())
    assert "batch in dimension 1 (counted from 0), moved to the front: rnn[0], rnn[1.0], rnn[1.1]" in listed
    assert "49 × 4" in listed
    assert main(["layers", "own_networks:blocks"]) == 0
    assert " blocks is a ModuleList, a container that is never called itself" in " ".join(capsys.readouterr().out.split())
