"""The compiled forward pass is the same forward pass."""

import pytest
import torch

import audiometamer as am
from audiometamer.metamers.compiled import compiled
from audiometamer.models.activations import Tap, record_taps
from audiometamer.models.folding import shallow_copy


@pytest.fixture(scope="module")
def word():
    torch.manual_seed(0)
    network = am.networks.CochResNet50(3, width=0.06, blocks=(2, 1, 1, 1)).eval().requires_grad_(False)
    return am.Model(network, front_end=am.Cochleagram(), sample_rate=20_000, duration=2.0)


@pytest.mark.programs
def test_activations_and_gradients_are_those_of_the_model(word):
    tap = word.tap("layer1")
    signals = (0.1 * torch.randn(2, *word.signal_shape, generator=torch.Generator().manual_seed(0))).requires_grad_()
    plain = record_taps(word, lambda: word(signals), {"layer1": tap})["layer1"]
    with compiled(shallow_copy(word), {"layer1": tap}) as forward:
        fast = forward(signals)["layer1"]
        gradients = [torch.autograd.grad(a.square().sum(), signals)[0] for a in (plain, fast)]
    assert am.similarity(plain.detach(), fast.detach())["snr_db"] > 100
    assert am.similarity(*gradients)["snr_db"] > 50  # a max-pool may choose another of two equal maxima


@pytest.mark.programs
def test_a_metamer_made_so_is_one(tiny, tiny_clip):
    (metamer,) = am.synthesize(tiny, tiny_clip, "relu1", compiled=True)
    (plain,) = am.synthesize(tiny, tiny_clip, "relu1")
    snrs = [m.evidence.similarity["relu1"]["snr_db"] for m in (metamer, plain)]
    assert abs(snrs[0] - snrs[1]) < 3
    assert [m.evidence.compiled for m in (metamer, plain)] == [True, False]
    assert not any(module._forward_hooks for module in tiny.modules())


@pytest.mark.parametrize("tap", [Tap("front_end"), Tap("network.relu1", call=1), Tap("network.relu1", key="a")])
def test_what_cannot_be_compiled_says_so(word, tap):
    with pytest.raises(am.AudioMetamerError, match="compile"), compiled(word, {"relu1": tap}):
        pass


def test_a_compiler_that_fails_is_one_clear_line(tiny, monkeypatch):
    def fails(*_, **__):
        raise torch._dynamo.exc.TorchDynamoException("no C++ compiler\nand a page of advice")

    monkeypatch.setattr(torch, "compile", lambda *_, **__: fails)
    tap = tiny.tap("relu1")
    with (
        compiled(shallow_copy(tiny), {"relu1": tap}) as forward,
        pytest.raises(am.AudioMetamerError, match=r"here: no C\+\+ compiler$"),
    ):
        forward(torch.zeros(1, *tiny.signal_shape))


def test_tf32_is_put_back(tiny, tiny_clip):
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    seen = set()
    tiny.register_forward_pre_hook(lambda *_: seen.add(torch.get_float32_matmul_precision()))
    am.synthesize(tiny, tiny_clip, "relu1", steps=2, method="feather2023", tf32=True)
    assert seen == {"high", "highest"}  # steps, evidence
    assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == before
