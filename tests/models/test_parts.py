"""Parts of layers: values picked by hand, what cannot be picked, and parts as layers everywhere."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import audiometamer as am
from audiometamer.metamers.criteria import METRICS, MetricNull
from audiometamer.models.parts import Part

X = torch.arange(2 * 4 * 3 * 6.0).view(2, 4, 3, 6)  # batch, channels, frequency, time


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", X),
        ("channels=1:3", X[:, 1:3]),
        ("channels=3", X[:, 3:4]),
        ("channels=3.0.1", X[:, [3, 0, 1]]),
        ("frames=::2", X[..., ::2]),
        ("frames=-2:", X[..., -2:]),
        ("average=time", X.mean(-1)),
        ("average=time/frames=2:4/channels=0", X[:, :1, :, 2:4].mean(-1)),
        ("units=0.5.71", X.flatten(1)[:, [0, 5, 71]]),
        ("channels=1/units=::4", X[:, 1].flatten(1)[:, ::4]),
    ],
)
def test_values(text, expected):
    torch.testing.assert_close(Part.parse(text)(X), expected, rtol=0, atol=0)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12))
def test_numbers_in_any_order_and_again(numbers):
    part = Part.parse("channels=" + ".".join(map(str, numbers)))
    assert torch.equal(part(X), X[:, numbers])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rows=3", "'rows=3' is no part of a layer"),
        ("channels=a", "'channels=a': channels= takes a slice like 0:32"),
        ("channels=1.", "takes a slice"),
        ("average=frequency", "average= takes time"),
        ("frames=1/frames=2", "says frames= twice"),
    ],
)
def test_what_is_no_part(text, message):
    with pytest.raises(am.AudioMetamerError, match=message):
        Part.parse(text)


@pytest.mark.parametrize(
    ("text", "activations", "message"),
    [
        ("channels=9", X, "there are 4 channels, numbered from 0, so no 9"),
        ("channels=5:", X, "leaves none of 4 channels"),
        ("frames=::0", X, "the step of a slice is at least 1"),
        ("frames=0", X[:, :, 0, 0], r"of shape \(2, 4\) have no time"),
        ("channels=0", X[:, 0, 0, 0], "have no channels"),
    ],
)
def test_what_activations_do_not_have(text, activations, message):
    with pytest.raises(am.AudioMetamerError, match=message):
        Part.parse(text)(activations)


def test_a_part_is_a_layer_wherever_a_layer_is(tiny, tiny_clip):
    signals = tiny_clip.samples[None]
    whole = am.record(tiny, signals, "relu0")
    parts = ["relu0/channels=2:5", "relu0/average=time", "relu0"]
    found = am.record(tiny, signals, parts)
    assert torch.equal(found[parts[0]], whole[:, 2:5])
    assert torch.equal(found[parts[1]], whole.mean(-1))
    assert torch.equal(found["relu0"], whole)
    null = am.NullDistribution.measure(tiny, list(torch.randn(4, 1000)), layers=parts[1:2])
    assert list(null.layers) == ["relu0/average=time"]
    with pytest.raises(am.AudioMetamerError, match=r"no layer 'relu7'.*relu0"):
        tiny.tap("relu7/channels=0")


def test_only_the_part_is_matched(tiny, tiny_clip):
    """Its own SNR is high; the frames' order, of which the mean knows nothing, comes out as it likes."""
    mean, channels = am.synthesize(tiny, tiny_clip, ["relu0/average=time", "relu0/channels=0:3"])
    assert mean.evidence.similarity["relu0/average=time"]["snr_db"] > mean.evidence.similarity["relu0"]["snr_db"] + 10
    assert channels.evidence.similarity["relu0/channels=0:3"]["snr_db"] > 15
    assert channels.evidence.similarity["relu0/channels=0:3"]["snr_db"] > channels.evidence.similarity["relu0"]["snr_db"] + 3


class Frames(nn.Module):
    """Sees each of five frames of a signal as a row of the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.end = nn.Linear(4, 3), nn.Linear(15, 2)

    def forward(self, x):
        return self.end(self.linear(x.view(-1, 4)).view(len(x), 15))


def test_items_of_a_signal_are_put_together_again():
    network = Frames().eval().requires_grad_(False)
    model = am.Model(network, signal_shape=(20,), labels=["a", "b"])
    signals = torch.randn(3, 20).clamp(*model.bounds)
    expected = signals.view(3, 5, 4) @ network.linear.weight.T + network.linear.bias
    torch.testing.assert_close(am.record(model, signals, "linear"), expected)
    assert am.record(model, signals, "end").shape == (3, 2)
    both = am.synthesize(model, [am.Clip(str(i), s, None) for i, s in enumerate(signals)], "linear", steps=300)
    assert all(m.evidence.similarity["linear"]["snr_db"] > 20 for m in both)


def test_several_layers_at_once(tiny, tiny_clip):
    (alone,) = am.synthesize(tiny, tiny_clip, "final")
    (both,) = am.synthesize(tiny, tiny_clip, "relu0+final")
    similarity = both.evidence.similarity
    assert similarity["relu0"]["snr_db"] > alone.evidence.similarity["relu0"]["snr_db"] + 5
    assert similarity["final"]["snr_db"] > 20
    assert similarity["relu0+final"] == {metric: min(similarity[x][metric] for x in ("relu0", "final")) for metric in METRICS}
    with pytest.raises(am.AudioMetamerError, match="no layer 'relu9'"):
        am.synthesize(tiny, tiny_clip, "relu0+relu9")


def test_a_verdict_on_several_layers_asks_for_each(tiny, tiny_clip):
    easy = MetricNull(-np.inf, {})
    hard = MetricNull(1e6, {})
    null = {"relu0": dict.fromkeys(METRICS, easy), "final": {**dict.fromkeys(METRICS, easy), "snr_db": hard}}
    null = am.NullDistribution(1, 2, "by hand", null)
    (metamer,) = am.synthesize(tiny, tiny_clip, "relu0+final", steps=20, null=null)
    verdict = metamer.evidence.verdict
    assert verdict.passed is False
    assert verdict.beyond_null == {"snr_db": False, "pearson_r2": True, "spearman_rho": True}
    assert verdict.margin["snr_db"] < -1e5


@pytest.mark.parametrize("text", ["channels=0:7", "channels=-7:", "frames=2:6"])
def test_slices_beyond_a_dimension_are_refused(text):
    kind, size = text.split("=")[0], {"channels": 6, "frames": 5}[text.split("=")[0]]
    with pytest.raises(am.AudioMetamerError, match=rf"{text}: there are {size} {kind}, so no slice ends at"):
        Part.parse(text)(torch.zeros(1, 6, 5))
    assert Part.parse("channels=-6:6/frames=0:5")(torch.zeros(1, 6, 5)).shape == (1, 6, 5)
