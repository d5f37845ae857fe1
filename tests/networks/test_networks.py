"""Networks against the published ones, layer by layer, and against closed forms."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import audiometamer as am
from audiometamer.networks.same import SameAvgPool2d, SameMaxPool2d, same_padding

NETWORKS = {"cochcnn9": am.networks.CochCNN9, "cochresnet50": am.networks.CochResNet50}


def weights_by_formula(network):
    """The reference's weights: sines of the golden ratio's multiples, see tests/data/README.md."""
    state = network.state_dict()
    floating = sorted(key for key, tensor in state.items() if tensor.is_floating_point())
    for j, key in enumerate(floating):
        shape = tuple(state[key].shape)
        phase = np.modf(np.arange(state[key].numel(), dtype=np.float64) * 0.6180339887498949)[0]
        s = np.sin(2 * np.pi * phase + 0.7 * j).reshape(shape)
        if key.endswith("running_var"):
            values = 1 + 0.5 * s
        elif key.endswith(("running_mean", "bias")):
            values = 0.1 * s
        elif s.ndim == 1:
            values = 1 + 0.1 * s
        else:
            values = s * np.sqrt(2 / (s.size / s.shape[0])) * np.sqrt(2)
        state[key].copy_(torch.from_numpy(values.astype(np.float32)))
    return network.eval().requires_grad_(False)


@pytest.mark.parametrize("name", NETWORKS)
def test_activations_are_the_published_ones(name, reference, network_reference):
    network = weights_by_formula(NETWORKS[name]())
    model = am.Model(network, signal_shape=(211, 390), bounds=(0, 10), check=False)
    cochleagram = torch.from_numpy(reference["vowel_like/cochleagram"])[None]
    with torch.no_grad():
        recorded = am.record(model, cochleagram, model.layers)
    assert len(recorded) >= 7
    for layer, activation in recorded.items():
        (key,) = [k for k in network_reference if k.startswith(f"{name}/{layer}/every_")]
        every = int(key.rsplit("_", 1)[1].removesuffix("th"))
        values = activation[0].flatten()
        assert list(activation.shape[1:]) == list(network_reference[f"{name}/{layer}/shape"])
        expected = network_reference[key]
        assert np.abs(values[::every][:256].numpy() - expected).max() < 1e-4 * np.abs(expected).max()
        summary = [values.double().mean(), values.double().std(correction=0), values.double().norm()]
        np.testing.assert_allclose(summary, network_reference[f"{name}/{layer}/mean_std_norm"], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("name", "parameters"), [("cochcnn9", 110_221_980), ("cochresnet50", 25_128_666)])
def test_state_dict_is_the_published_one(name, parameters, network_reference):
    with torch.device("meta"):
        network = NETWORKS[name]()
    assert sum(p.numel() for p in network.parameters()) == parameters
    shapes = {key: str(tuple(tensor.shape)) for key, tensor in network.state_dict().items()}
    published = zip(network_reference[f"{name}/state_dict_keys"], network_reference[f"{name}/state_dict_shapes"], strict=True)
    assert shapes == dict(published)


def test_several_heads_have_the_published_keys():
    tasks = {"signal/word_int": 5, "signal/speaker_int": 4, "noise/labels_binary_via_int": 3}
    network = am.networks.CochCNN9(tasks, width=0.02).eval()
    assert {k for k in network.state_dict() if k.startswith("classification")} == {
        f"classification.{task}.{part}" for task in tasks for part in ("weight", "bias")
    }
    out = network(torch.rand(2, 1, 211, 390))
    assert {task: tuple(t.shape) for task, t in out.items()} == {task: (2, n) for task, n in tasks.items()}
    resnet = am.networks.CochResNet50({"signal/word_int": 5}, width=0.05)
    assert "fc.signal/word_int.weight" in resnet.state_dict()
    assert resnet.layers["final/signal/word_int"] == "fc.signal/word_int"


@pytest.mark.parametrize("network", [am.networks.CochCNN9(7, width=0.02), am.networks.CochResNet50(7, width=0.05)])
def test_channel_dimension_is_optional(network):
    cochleagram = torch.rand(2, 211, 390)
    network.eval()
    torch.testing.assert_close(network(cochleagram), network(cochleagram[:, None]))


def test_other_sizes():
    assert am.networks.CochCNN9(3, width=0.02, cochleagram_shape=(211, 1390)).eval()(torch.rand(1, 211, 1390)).shape == (1, 3)
    with pytest.raises(am.AudioMetamerError, match=r"the cochleagram is \(211, 300\) .* takes \(211, 390\)"):
        am.networks.CochCNN9(3, width=0.02)(torch.rand(1, 211, 300))
    with pytest.raises(am.AudioMetamerError, match=r"width is 0.001"):
        am.networks.CochCNN9(3, width=0.001)
    with pytest.raises(am.AudioMetamerError, match=r"width is 0.001"):
        am.networks.CochResNet50(3, width=0.001)


@given(st.integers(1, 60), st.integers(1, 9), st.integers(1, 5))
def test_same_padding_gives_a_value_for_every_stride(n, kernel, stride):
    left, right, top, bottom = same_padding((n, n), (kernel, kernel), (stride, stride))
    assert (left, right) == (top, bottom)
    assert 0 <= right - left <= 1
    assert (n + left + right - kernel) // stride + 1 == -(-n // stride)


def test_pools_by_hand():
    x = torch.tensor([[-1.0, -2.0, -3.0]]).view(1, 1, 1, 3)
    # Width 3, kernel 2, stride 2: one column of padding on the right.
    assert SameMaxPool2d((1, 2), (1, 2))(x).flatten().tolist() == [-1, -3]  # the padding never wins
    assert SameAvgPool2d((1, 2), (1, 2))(x).flatten().tolist() == [-1.5, -1.5]  # the padded zero is counted


@pytest.fixture(scope="module")
def spectemp():
    torch.manual_seed(0)
    return am.networks.SpecTemp(10).eval()


@pytest.mark.slow
def test_spectemp_shapes(spectemp):
    model = am.Model(spectemp.requires_grad_(False), signal_shape=(211, 390), bounds=(0, 10), check=False)
    shapes = {layer: tuple(a.shape[1:]) for layer, a in am.record(model, torch.rand(1, 211, 390), model.layers).items()}
    assert shapes == {
        "filtered_signal": (111, 211, 390), "power": (111, 211, 390), "avgpool": (111, 211), "final": (10,),
    }  # fmt: skip
    assert spectemp.classification.in_features == 23_421
    assert set(spectemp.state_dict()) == {"classification.weight", "classification.bias"}


def test_spectemp_power_is_the_published_one(spectemp):
    reference = np.load(Path(__file__).parent.parent / "data" / "spectemp_feather.npz")
    filters = spectemp.filtered_signal
    for number in range(0, len(filters), 10):
        sign, scale, rate = filters.rates[number]
        named = (0, 0.0625, 0.125, 0.25, 0.5, 1, 2)[scale], sign * (0, 0.5, 1, 2, 4, 8, 16, 32, 64)[rate]
        assert named == tuple(reference["rate_scale"][number][::-1])
    power = spectemp.avgpool(spectemp.power(filters(torch.from_numpy(reference["cochleagram"])[None])))[0, :, ::10].numpy()
    published = reference["power_every_10th_channel"]
    np.testing.assert_allclose(power / published.max(1, keepdims=True), published / published.max(1, keepdims=True), atol=2e-6)


def test_filters_are_those_of_real_signals_with_peak_one(spectemp):
    filters = spectemp.filtered_signal.transfer_functions()
    assert filters.shape == (111, 422, 1170)
    impulse_responses = torch.fft.ifft2(filters)
    assert impulse_responses.imag.abs().max() < 1e-12
    # A filter of non-zero rates keeps two quadrants and the lines between: its peak may lie on a grid point beside 1.
    assert ((filters.abs().amax((1, 2)) - 1).abs() < 1e-2).all()


def test_a_moving_ripple_excites_filters_of_its_direction(spectemp):
    rows, frames = torch.arange(211.0)[:, None] / 6, torch.arange(390.0)[None] / 200
    ripples = [torch.cos(2 * torch.pi * (0.25 * rows + sign * 8 * frames)) for sign in (1, -1)]
    power = spectemp.power(spectemp.filtered_signal(torch.stack(ripples).double() * 100)).mean((-1, -2))
    rates = spectemp.filtered_signal.rates
    up, down = (rates.index((sign, 3, 5)) for sign in (1, -1))  # 0.25 cycles/ERB, 8 Hz
    assert power[0, up] > 50 * power[0, down]
    assert power[1, down] > 50 * power[1, up]
    assert power.argmax(1).tolist() == [up, down]


def test_the_delta_filter_is_the_mean_of_the_padded_map(spectemp):
    cochleagram = torch.rand(1, 211, 390, dtype=torch.float64)
    out = spectemp.filtered_signal(cochleagram)[0, 0]
    assert spectemp.filtered_signal.rates[0] == (-1, 0, 0)
    torch.testing.assert_close(out, torch.full_like(out, float(cochleagram.sum()) / (422 * 1170)))


@pytest.mark.parametrize("blocks", [(10**9,) * 4, (1, 1, 1, 0), (1, 1, 1), (1,) * 5])
def test_numbers_of_blocks_that_no_network_has(blocks):
    with pytest.raises(am.AudioMetamerError, match=r"blocks are .* they must be four numbers from 1 to 200"):
        am.networks.CochResNet50(3, width=0.02, blocks=blocks)


@pytest.mark.parametrize("task", ["a.b", "", "keys", "training"])
def test_tasks_whose_names_no_module_can_have(task):
    with pytest.raises(am.AudioMetamerError, match=f"a task cannot be called '{task}'"):
        am.networks.CochCNN9({task: 2, "word": 3}, width=0.02)


@pytest.mark.parametrize("network", [am.networks.CochCNN9, am.networks.SpecTemp])
@pytest.mark.parametrize("shape", [[390], [], [211, 390, 1], [211, 0], [-1, 390], [211, 10**9], ["a", "b"], [211.5, 390]])
def test_a_cochleagram_has_filters_and_frames(network, shape):
    with pytest.raises(am.AudioMetamerError, match=r"cochleagram_shape is .*; it must be \(filters, frames\), each from 1"):
        network(2, cochleagram_shape=shape)
