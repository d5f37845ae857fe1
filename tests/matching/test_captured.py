"""Steps of fixed shape: the same samples as the eager ones, in graphs that nothing breaks."""

import contextlib
from functools import partial

import pytest
import torch
from only_device import OnlyDevice
from torch.fx.experimental.proxy_tensor import make_fx

import audiometamer as am
from audiometamer.matching import LBFGS, Adam, Constant, Cosine, NormalizedDescent, Phases, Stages, match
from audiometamer.matching.batch import first_state
from audiometamer.matching.captured import Graphs, replayed, trace
from audiometamer.matching.descent import Descent
from audiometamer.matching.domains import Gaussian, Waveform
from audiometamer.matching.losses import relative_l2
from audiometamer.matching.optimizers import Whitened

MOMENTUM = NormalizedDescent(Cosine(0.1, 8), momentum=0.9)


@pytest.fixture(scope="module")
def sounds():
    return 0.1 * torch.randn(3, 400, generator=torch.Generator().manual_seed(0))


def layers(x):
    """Two layers, one of which is the input itself."""
    return {"power": x.unfold(1, 40, 40).square().mean(-1), "input": x}


def loss(found, wanted):
    return sum((found[name] - wanted[name]).square().sum(1) for name in wanted)


def first_stops(steps, losses):
    """Of three signals one, at the first report after its third step."""
    return torch.arange(len(losses)) < (len(losses) == 3 and steps[-1] >= 4)


class Plain:
    """An optimiser that knows of steps only."""

    def init(self, signals):
        return {"last": torch.zeros_like(signals)}

    def step(self, step, signals, gradients, state):
        return signals - 0.01 * (gradients + state["last"]) / (1 + step), {"last": gradients}


@pytest.mark.parametrize(
    "optimizer",
    [MOMENTUM, Phases(NormalizedDescent(Constant(0.1)), 3, MOMENTUM), Adam(Cosine(0.01, 8)), Whitened(LBFGS(memory=2)), Plain()],
    ids=lambda optimizer: type(optimizer).__name__,
)
def test_a_match_is_the_same_in_graphs(sounds, optimizer):
    """One signal stops; all end where they do without graphs, and whoever watches sees the same."""
    seen = []
    options = {"domain": Waveform(), "optimizer": optimizer, "steps": 8, "report_every": 2, "stop": first_stops, "loss": loss}
    target = layers(sounds.flip(1))

    def matched(captured):
        shown = []
        seen.append(shown)
        watch = {
            "observe": lambda found: shown.extend(tensor.clone() for tensor in found.values()),
            "callback": lambda step, signals, losses: shown.append(signals.clone()),
        }
        return match(layers, target, sounds, captured=captured, **watch, **options)

    eager, captured = matched(False), matched(True)
    assert captured.steps.tolist() == eager.steps.tolist() == [4, 8, 8]
    torch.testing.assert_close(captured.signals, eager.signals, rtol=0, atol=1e-5)
    torch.testing.assert_close(captured.losses, eager.losses, rtol=1e-4, atol=1e-6, equal_nan=True)
    for a, b in zip(*seen, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-5)


def test_graphs_are_kept_and_their_batch_refilled(sounds):
    """The second match finds the graphs of the first, whose batch has a row more than it needs, and resumes at its third step."""
    traced, states = [], []

    def forward(x):
        traced.append(len(x))
        return layers(x)

    graphs = Graphs(4)
    options = {"domain": Gaussian(), "optimizer": MOMENTUM, "steps": 6, "report_every": 2, "loss": loss}
    stages = Stages(((0, forward), (4, partial(forward))))
    match(stages, layers(sounds.flip(1)), sounds, captured=graphs, **options)
    first, target = list(traced), layers(sounds[:2].flip(1))
    found = match(stages, target, 2 * sounds[:2], captured=graphs, save=lambda active, state: states.append(state()), **options)
    assert set(first) == {4}
    assert traced == first
    eager = match(layers, target, 2 * sounds[:2], **options)
    torch.testing.assert_close(found.signals, eager.signals, rtol=0, atol=1e-5)
    resumed = match(stages, target, 2 * sounds[:2], captured=graphs, resume_from=states[2], **options)
    torch.testing.assert_close(resumed.signals, eager.signals, rtol=0, atol=1e-5)
    assert resumed.loss_steps == [0, 2, 4]


@pytest.fixture(scope="module")
def step():
    """A step through a front end, as a graph and its inputs."""
    ear = am.Cochleagram(
        sample_rate=4000,
        n_filters=2,
        include_edges=False,
        overcompleteness=1,
        low_limit=200,
        high_limit=2000,
        frame_rate=100,
        window_size=401,
    )
    sounds = 0.1 * torch.randn(2, 2000, generator=torch.Generator().manual_seed(0))
    descent = Descent(ear, relative_l2, Waveform(), MOMENTUM)
    graphs = Graphs().of(descent)
    graphs.begin(first_state(sounds, MOMENTUM), ear(sounds.flip(1)), 8)
    return graphs, descent


def test_a_front_end_is_one_graph_that_waits_for_nothing(step, decibels, monkeypatch):
    graphs, descent = step
    built = []
    monkeypatch.setattr("audiometamer.matching.captured.trace", lambda *given: built.append(trace(*given)) or built[0])
    fixed, batch = graphs._fixed, descent.begin(first_state(graphs._fixed.parameters.clone(), MOMENTUM), graphs._fixed.target, 8)
    expected = descent.take(0, batch, keep=True)
    taken = graphs.take(0, graphs.begin(first_state(fixed.parameters.clone(), MOMENTUM), fixed.target, 8), keep=True)
    assert decibels(expected.losses, taken.losses) > 100
    assert decibels(batch.parameters - expected.before, fixed.parameters - taken.before) > 80
    (graph,) = built
    called = [node for node in graph.graph.nodes if node.op == "call_function"]
    assert all(isinstance(size, int) for node in called if "val" in node.meta for size in _shape(node.meta["val"]))
    with OnlyDevice("cpu"), torch.no_grad():  # fails where a value is asked for
        moved = graph(*fixed.tensors())[2]
    torch._dynamo.reset()
    pure = make_fx(torch.func.functionalize(graph), tracing_mode="fake", _allow_non_fake_inputs=True)(*fixed.tensors())
    compiled = torch.compile(pure, fullgraph=True, dynamic=False, backend="eager")  # fails where the graph breaks
    with torch.no_grad():
        assert decibels(moved, compiled(*fixed.tensors())[2]) > 100


def _shape(value):
    return value.shape if isinstance(value, torch.Tensor) else ()


@pytest.mark.parametrize("function", [lambda x: (x[x > 0],), lambda x: (x if x.sum() > 0 else -x,)], ids=["shape", "branch"])
def test_what_depends_on_values_is_refused(function):
    with pytest.raises(am.AudioMetamerError, match="cannot be captured"):
        trace(function, [torch.ones(3)])


def test_a_replay_runs_what_was_captured(monkeypatch):
    """A stand-in for the device's graphs, which runs again whatever ran while it was being captured."""

    class Graph:
        def replay(self):
            output.copy_(2 * given)

    class Stream:
        def wait_stream(self, other):
            assert isinstance(other, Stream)

    for name, value in {
        "Stream": Stream, "current_stream": Stream, "stream": contextlib.nullcontext, "CUDAGraph": Graph,
        "graph": lambda _graph, pool: contextlib.nullcontext(),
    }.items():  # fmt: skip
        monkeypatch.setattr(torch.cuda, name, value)
    given, output, warmed = torch.ones(2), torch.zeros(2), []
    replay = replayed(lambda: output, warm_up=lambda: warmed.append(1))
    assert len(warmed) == 3
    assert replay().tolist() == [2, 2]
    given.fill_(3)
    assert replay().tolist() == [6, 6]
