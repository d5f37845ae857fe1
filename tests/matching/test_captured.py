"""A step of fixed shape: the same samples as the eager one, in one graph that nothing breaks."""

import contextlib

import pytest
import torch
from only_device import OnlyDevice

import audiometamer as am
from audiometamer.matching import Adam, Constant, match
from audiometamer.matching.captured import FixedShape, replayed, trace
from audiometamer.matching.domains import Waveform
from audiometamer.matching.loop import losses_and_gradients
from audiometamer.matching.losses import relative_l2


@pytest.fixture(scope="module")
def ear():
    return am.Cochleagram(
        sample_rate=4000, n_filters=2, overcompleteness=1, low_limit=200, high_limit=2000, frame_rate=100, window_size=401
    )


@pytest.fixture(scope="module")
def sounds():
    return 0.1 * torch.randn(3, 2000, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def step(ear, sounds):
    def function(parameters, target):
        return losses_and_gradients(ear, parameters, target, domain=Waveform(), loss=relative_l2)

    return FixedShape(function, sounds, ear(sounds.flip(1))), function


def test_the_graph_gives_the_losses_and_gradients_of_the_eager_step(ear, sounds, step, decibels):
    captured, eager = step
    target = ear(sounds.flip(1))
    for n in (3, 2):  # the third signal has left: its row stays, and is left out
        for a, b in zip(eager(0.5 * sounds[:n], target[:n]), captured(0.5 * sounds[:n], target[:n]), strict=True):
            assert a.shape == b.shape
            assert decibels(a, b) > 100


def test_one_graph_compiles_without_a_break(sounds, step, decibels):
    captured, _ = step
    torch._dynamo.reset()
    compiled = torch.compile(captured.graph, fullgraph=True, dynamic=False, backend="aot_eager")
    with torch.no_grad():
        assert decibels(captured.graph(*captured.inputs)[1], compiled(*captured.inputs)[1]) > 100


def test_the_graph_mutates_nothing_waits_for_nothing_and_has_fixed_shapes(step):
    captured, _ = step
    called = [node for node in captured.graph.graph.nodes if node.op == "call_function"]
    assert not any(node.target._schema.is_mutable for node in called if hasattr(node.target, "_schema"))
    assert all(isinstance(size, int) for node in called if "val" in node.meta for size in _shape(node.meta["val"]))
    with OnlyDevice("cpu"), torch.no_grad():  # fails where a value is asked for
        captured.graph(*captured.inputs)


def _shape(value):
    return value.shape if isinstance(value, torch.Tensor) else ()


def test_a_match_is_the_same_in_one_graph(ear, sounds):
    """Of three signals one stops at the first report after its third step; all end where they do without a graph."""

    def first_stops(steps, losses):
        return torch.arange(len(losses)) < (len(losses) == 3 and steps[-1] >= 4)

    options = {"domain": Waveform(), "optimizer": Adam(Constant(0.01)), "steps": 8, "report_every": 2, "stop": first_stops}
    eager, captured = (match(ear, ear(sounds.flip(1)), sounds, captured=c, **options) for c in (False, True))
    assert captured.steps.tolist() == eager.steps.tolist() == [4, 8, 8]
    torch.testing.assert_close(captured.signals, eager.signals, rtol=0, atol=1e-4)
    torch.testing.assert_close(captured.losses, eager.losses, rtol=1e-4, atol=0, equal_nan=True)


def test_several_layers_in_one_graph(sounds):
    """Two layers, and a signal that has left."""

    def function(x, target):
        return (x - target["a"]).square().sum(1), 2 * (x - target["b"])

    captured = FixedShape(function, sounds, {"a": sounds, "b": sounds})
    losses, gradients = captured(sounds[1:], {"a": sounds[1:] - 1, "b": sounds[1:] - 2})
    torch.testing.assert_close(losses, torch.full((2,), 2000.0), rtol=1e-5, atol=0)
    torch.testing.assert_close(gradients, torch.full((2, 2000), 4.0))


@pytest.mark.parametrize("function", [lambda x: (x[x > 0],), lambda x: (x if x.sum() > 0 else -x,)], ids=["shape", "branch"])
def test_what_depends_on_values_is_refused(function):
    with pytest.raises(am.AudioMetamerError, match="cannot be captured"):
        trace(function, [torch.ones(3)])


def test_a_replay_runs_what_was_captured_and_returns_copies(monkeypatch):
    """A stand-in for the device's graphs, which runs again whatever ran while it was being captured."""

    class Graph:
        def replay(self):
            output.copy_(2 * given)

    class Stream:
        def wait_stream(self, other):
            assert isinstance(other, Stream)

    for name, value in {
        "Stream": Stream, "current_stream": Stream, "stream": contextlib.nullcontext, "CUDAGraph": Graph,
        "graph": contextlib.nullcontext,
    }.items():  # fmt: skip
        monkeypatch.setattr(torch.cuda, name, value)
    given, output = torch.ones(2), torch.zeros(2)
    replay = replayed(lambda: [output])
    (first,) = replay()
    given.fill_(3)
    (second,) = replay()
    assert (first.tolist(), second.tolist()) == ([2, 2], [6, 6])
