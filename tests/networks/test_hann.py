"""Hann pooling against closed forms, and the networks with reduced aliasing against the ordinary ones."""

import numpy as np
import pytest
import torch
from tiny_models import DURATION, SAMPLE_RATE, WORDS, front_end, seeded

import audiometamer as am
from audiometamer.models.activations import Tap
from audiometamer.networks.cochresnet50 import Bottleneck
from audiometamer.networks.hann import HannPool2d
from audiometamer.networks.same import SameMaxPool2d

NETWORKS = {"cochcnn9": am.networks.CochCNN9, "cochresnet50": am.networks.CochResNet50}
POOLED = {"cochcnn9": ("relu0", "hannpool0"), "cochresnet50": ("relu", "hannpool1")}


def hann(length):
    window = 0.5 * (1 - np.cos(2 * np.pi * np.arange(length) / (length - 1)))
    return window / window.sum()


def response(window, frequency):
    """|H| at a frequency in cycles per sample."""
    return abs(window @ np.exp(-2j * np.pi * frequency * np.arange(len(window))))


def pooled_impulse(stride):
    """What pooling makes of an impulse in the middle of a map [shape=(48, 48)], float64."""
    x = torch.zeros(1, 1, 48, 48, dtype=torch.float64)
    x[..., 24, 24] = 1
    return HannPool2d((stride, stride))(x)[0, 0].numpy()


@pytest.mark.parametrize(
    ("stride", "closed_form", "published"), [(2, -24.2933130, -24.131545969216841), (3, -28.7247028, -28.607805482176282)]
)
def test_response_at_the_new_nyquist_frequency(stride, closed_form, published):
    window = HannPool2d((1, stride))(torch.eye(48, dtype=torch.float64))[:, 8].numpy()  # what its eighth window weighs
    assert 20 * np.log10(response(window, 0.5 / stride)) == pytest.approx(closed_form, abs=1e-6)
    # The published figures were read at the last frequency below it of a transform of 2048 points.
    below = np.ceil(2048 * 0.5 / stride - 1) / 2048
    assert 20 * np.log10(response(window, below)) == pytest.approx(published, abs=1e-9)


@pytest.mark.parametrize("stride", [2, 3])
def test_an_impulse_gives_the_decimated_window(stride):
    # With 48 samples and SAME padding the first window begins (3 · stride) // 2 samples before the first sample.
    places = 24 - (np.arange(48 // stride) * stride - 3 * stride // 2)
    window = np.where((places >= 0) & (places < 4 * stride), hann(4 * stride)[places.clip(0, 4 * stride - 1)], 0)
    np.testing.assert_allclose(pooled_impulse(stride), np.outer(window, window), atol=1e-15)


def test_agrees_with_a_convolution_with_the_2d_window():
    x = torch.rand(2, 3, 37, 52, dtype=torch.float64)
    window = torch.from_numpy(np.outer(hann(12), hann(8)))
    padded = torch.nn.functional.pad(x, (3, 3, 5, 6))  # left, right, top, bottom; 37 = 12 · 3 + 1
    expected = torch.nn.functional.conv2d(padded.flatten(0, 1)[:, None], window[None, None], stride=(3, 2))
    torch.testing.assert_close(HannPool2d((3, 2))(x).flatten(0, 1), expected[:, 0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_constants_keep_their_value_away_from_the_edges(dtype):
    out = HannPool2d((3, 2))(torch.full((1, 2, 30, 41), 5.0, dtype=dtype))
    assert out.shape == (1, 2, 10, 21)
    assert out.dtype == dtype
    torch.testing.assert_close(out[..., 2:-2, 2:-2], torch.full((1, 2, 6, 17), 5.0, dtype=dtype))
    assert (out[..., 0, :] < 4.5).all()


def test_the_window_is_of_the_device_of_the_input():
    assert HannPool2d((3, 2))(torch.empty(1, 1, 9, 8, device="meta")).device.type == "meta"


def test_a_stride_of_one_changes_nothing():
    x = torch.rand(1, 1, 5, 7)
    torch.testing.assert_close(HannPool2d((1, 1))(x), x, rtol=0, atol=0)


@pytest.mark.parametrize("stride", [2, 3])
@pytest.mark.parametrize("frequency", [0.05, 0.3, 0.4])
def test_a_sinusoid_is_attenuated_by_the_response(stride, frequency):
    n = np.arange(600)
    x = torch.from_numpy(np.stack([np.cos(2 * np.pi * frequency * n), np.sin(2 * np.pi * frequency * n)]))[:, None]
    real, imaginary = HannPool2d((1, stride))(x)[..., 5:-5].numpy()
    np.testing.assert_allclose(np.hypot(real, imaginary), response(hann(4 * stride), frequency), atol=1e-12)


def test_gradients_flow():
    x = torch.rand(1, 2, 9, 10, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(HannPool2d((3, 2)), x)


def pair(name):
    """An ordinary network and one with reduced aliasing and the same weights, in eval mode."""
    torch.manual_seed(0)
    ordinary, reduced = (NETWORKS[name](7, width=0.03, reduced_aliasing=reduced) for reduced in (False, True))
    reduced.load_state_dict(ordinary.state_dict())
    return ordinary.eval().requires_grad_(False), reduced.eval().requires_grad_(False)


def activations(network, cochleagrams):
    model = am.Model(network, signal_shape=(211, 390), bounds=(0, 10), check=False)
    return am.record(model, cochleagrams, model.layers)


@pytest.mark.parametrize("name", NETWORKS)
def test_same_state_dict_and_shapes(name):
    ordinary, reduced = pair(name)
    own, other = ({k: t.shape for k, t in network.state_dict().items()} for network in (ordinary, reduced))
    assert own == other
    assert list(own) == list(other)
    a, b = (activations(network, torch.rand(1, 211, 390)) for network in (ordinary, reduced))
    assert [t.shape for t in a.values()] == [t.shape for t in b.values()]
    assert [layer for layer in b if layer not in a] == [f"hannpool{k}" for k in ((0, 1) if name == "cochcnn9" else (1,))]
    assert not any(isinstance(module, HannPool2d) for module in ordinary.modules())
    strided = (torch.nn.Conv2d, torch.nn.MaxPool2d, SameMaxPool2d)
    assert {m.stride for m in reduced.modules() if isinstance(m, strided)} <= {1, (1, 1)}


def test_pooling_follows_the_relu_and_the_max_pool():
    model = am.Model(pair("cochcnn9")[1], signal_shape=(211, 390), bounds=(0, 10), check=False)
    places = {"relu0": (211, 390), "hannpool0": (71, 130), "maxpool0.0": (71, 130), "maxpool0": (36, 65), "relu1": (36, 65)}
    recorded = am.record(model, torch.rand(1, 211, 390), list(places))
    assert {layer: tuple(a.shape[-2:]) for layer, a in recorded.items()} == places
    torch.testing.assert_close(recorded["hannpool0"], HannPool2d((3, 3))(recorded["relu0"]))
    torch.testing.assert_close(recorded["maxpool0"], HannPool2d((2, 2))(recorded["maxpool0.0"]))


def test_a_strided_bottleneck_pools_its_convolution_and_its_shortcut():
    torch.manual_seed(0)
    block, x, pool = Bottleneck(3, 2, 2, reduced_aliasing=True).eval(), torch.randn(1, 3, 9, 10), HannPool2d((2, 2))
    y = block.relu2(block.bn2(block.conv2(block.relu1(block.bn1(block.conv1(x))))))
    assert y.shape[-2:] == (9, 10)
    shortcut = block.downsample[1](pool(block.downsample[0](x)))  # the 1×1 convolution at full rate: it commutes
    torch.testing.assert_close(block(x), torch.relu(block.bn3(block.conv3(pool(y))) + shortcut))


@pytest.mark.parametrize("name", NETWORKS)
def test_less_of_the_activations_depends_on_where_the_samples_fall(name):
    # A shift by one sample only turns phases, unless frequencies above the new Nyquist are folded back.
    ordinary, reduced = pair(name)
    generator = torch.Generator().manual_seed(1)
    blob = torch.hann_window(200)[None] * torch.hann_window(150)[:, None] * torch.rand(150, 200, generator=generator)
    cochleagrams = torch.zeros(2, 211, 390)
    for k in range(2):
        cochleagrams[k, 30:180, 90 + k : 290 + k] = blob
    relu, hannpool = POOLED[name]
    changes = {}
    for layer, network in ((relu, ordinary), (hannpool, reduced)):
        model = am.Model(network, signal_shape=(211, 390), bounds=(0, 10), check=False)
        here, shifted = torch.fft.rfft(am.record(model, cochleagrams, layer).double()).abs()
        changes[layer] = float((here - shifted).norm() / here.norm())
    assert changes[hannpool] < 0.1 * changes[relu]


def test_a_metamer_at_a_pooled_layer(tiny_clip):
    network = seeded(am.networks.CochCNN9(len(WORDS), width=0.02, cochleagram_shape=(13, 21), reduced_aliasing=True))
    model = am.Model(network, front_end=front_end(), sample_rate=SAMPLE_RATE, duration=DURATION, labels={"word": WORDS})
    assert model.find_pooled_relu("hannpool0") == Tap("network.relu0", 0)
    (metamer,) = am.synthesize(model, tiny_clip, "hannpool0", steps=200)
    assert metamer.evidence.similarity["hannpool0"]["snr_db"] > 20
