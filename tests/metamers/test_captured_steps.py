"""Metamers by captured steps: what watches, stops and resumes a synthesis does so as without."""

import dataclasses
from itertools import count

import pytest
import torch
from own_networks import SAMPLE_RATE, SAMPLES, Net, frozen

import audiometamer as am
from audiometamer.matching import captured
from audiometamer.metamers import attempts
from audiometamer.metamers.criteria import METRICS, MetricNull
from audiometamer.metamers.methods import load_method
from audiometamer.metamers.unfinished import Checkpoints

DEFAULT = load_method("default")
TWICE = dataclasses.replace(DEFAULT, attempts=DEFAULT.attempts[:2])
NEVER = am.NullDistribution(1, 2, "nothing passes", {"relu": {metric: MetricNull(500.0, {}) for metric in METRICS}})


@pytest.fixture
def traces(monkeypatch):
    """Rows of the graphs that are traced."""
    found, trace = [], captured.trace
    monkeypatch.setattr(captured, "trace", lambda function, inputs: (found.append(len(inputs[0])), trace(function, inputs))[1])
    return found


@pytest.fixture(scope="module")
def model():
    return am.Model(frozen(Net()), sample_rate=SAMPLE_RATE, duration=SAMPLES / SAMPLE_RATE, name="net")


@pytest.fixture(scope="module")
def clip():
    return am.Clip.from_array(0.1 * torch.randn(SAMPLES, generator=torch.Generator().manual_seed(1)), SAMPLE_RATE)


@pytest.fixture(scope="module")
def options(clip):
    noise = 0.01 * torch.randn(clip.samples.shape, generator=torch.Generator().manual_seed(0))
    return {"steps": 24, "initial": noise, "seed": [0, 1, 2], "null": NEVER}


def test_captured_steps_make_the_same_metamers(model, clip, options, traces):
    """The batch of three has a row that is masked; of two attempts the first has two kinds of steps."""
    shown = [], []
    eager, caught = (
        am.synthesize(model, clip, "relu", method=TWICE, captured=c, progress=shown[c].append, **options) for c in (False, True)
    )
    assert traces == [4, 4, 4]
    for a, b in zip(eager, caught, strict=True):
        torch.testing.assert_close(a.samples, b.samples, rtol=0, atol=1e-3)
        assert [t.outcome for t in a.evidence.tries] == [t.outcome for t in b.evidence.tries]
        for one, other in zip(a.evidence.tries, b.evidence.tries, strict=True):
            assert one.losses == pytest.approx(other.losses, rel=1e-3)
        assert (a.evidence.captured, b.evidence.captured) == (False, True)
        assert a.evidence.settings == b.evidence.settings
    assert [(p.attempt, p.step, p.signals) for p in shown[1]] == [(p.attempt, p.step, p.signals) for p in shown[0]]
    assert [p.snr_db for p in shown[1]] == pytest.approx([p.snr_db for p in shown[0]], abs=0.01)


def test_captured_steps_are_interrupted_and_resumed(model, clip, options, tmp_path):
    steps = count()
    method = dataclasses.replace(DEFAULT, attempts=DEFAULT.attempts[:1])
    own = options | {"method": method, "captured": True}
    whole = am.synthesize(model, clip, "relu", **own)
    checkpoints = Checkpoints(lambda s: tmp_path / f"{s.seed}.safetensors", stop=lambda: next(steps) == 15)
    with pytest.raises(KeyboardInterrupt):
        am.synthesize(model, clip, "relu", checkpoints=checkpoints, **own)
    assert len(list(tmp_path.iterdir())) == 3
    rest = Checkpoints(lambda s: tmp_path / f"{s.seed}.safetensors")
    for a, b in zip(whole, am.synthesize(model, clip, "relu", checkpoints=rest, **own), strict=True):
        torch.testing.assert_close(a.samples, b.samples, rtol=0, atol=1e-5)


def test_batches_of_one_kind_share_graphs_and_passed_signals_stop(model, clip, options, traces):
    """Two batches of the first attempt; every signal passes at its first report."""
    always = am.NullDistribution(1, 2, "all pass", {"relu": {metric: MetricNull(-500.0, {}) for metric in METRICS}})
    own = options | {"null": always, "seed": range(4), "initial": 0.9 * clip.samples}
    found = am.synthesize(model, clip, "relu", stop="passed", captured=True, batch_size=2, **own)
    assert [t.outcome for m in found for t in m.evidence.tries] == ["passed after 0 steps"] * 4
    assert traces == [2]


def test_either_compiled_or_captured(model, clip):
    with pytest.raises(am.AudioMetamerError, match="compiled and captured are both True"):
        am.synthesize(model, clip, "relu", compiled=True, captured=True)
    with pytest.raises(am.AudioMetamerError, match="captured is 1; it must be True or False"):
        am.synthesize(model, clip, "relu", captured=1)


def test_the_whole_verdict_is_asked_only_where_a_step_s_activations_pass(model, clip, options, monkeypatch):
    """Nothing passes: at its two reports no signal is measured, at its end each is."""
    measured, measure = [], attempts.measure
    monkeypatch.setattr(attempts, "measure", lambda *given: measured.append(given[3]) or measure(*given))
    method = dataclasses.replace(DEFAULT, attempts=DEFAULT.attempts[:1])
    am.synthesize(model, clip, "relu", stop="passed", method=method, **options)
    assert measured == [0, 1, 2]
