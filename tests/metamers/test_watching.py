"""Watching a synthesis, and stopping it; how many forward passes a synthesis takes."""

import pytest
import torch
from own_networks import SAMPLE_RATE, SAMPLES, Net, frozen
from tiny_models import make_clip

import audiometamer as am
from audiometamer.metamers.criteria import METRICS, MetricNull


@pytest.fixture(scope="module")
def model():
    return am.Model(frozen(Net()), sample_rate=SAMPLE_RATE, duration=SAMPLES / SAMPLE_RATE, name="net")


def noise(seed=0):
    return 0.1 * torch.randn(SAMPLES, generator=torch.Generator().manual_seed(seed))


def test_a_callback_sees_the_signals_as_they_are_moved(tiny, tiny_clip):
    seen = []

    def callback(step, signals, losses):
        seen.append((step, signals.clone(), losses.clone()))

    options = {"method": "feather2023", "steps": 41, "seed": [0, 1]}
    metamers = am.synthesize(tiny, tiny_clip, "relu1", callback=callback, **options)
    unseen = am.synthesize(tiny, tiny_clip, "relu1", **options)
    assert [torch.equal(a.samples, b.samples) for a, b in zip(metamers, unseen, strict=True)] == [True, True]
    assert [step for step, _, _ in seen] == [0, 20, 40]
    for k, metamer in enumerate(metamers):
        assert [float(losses[k]) for _, _, losses in seen] == metamer.evidence.tries[0].losses
    assert float(seen[0][1].abs().max()) < 1e-5  # noise of 1e-7
    earlier = am.synthesize(tiny, tiny_clip, "relu1", **(options | {"steps": 41, "seed": 1}))[0]
    assert earlier.evidence.tries[0].losses == pytest.approx(metamers[1].evidence.tries[0].losses, rel=1e-3)


def test_a_callback_that_stops_gets_what_has_been_reached(tiny, tiny_clip):
    """Of three seeds in batches of two the third has not begun, and neither has the other layer."""

    def callback(step, signals, losses):
        if step == 40:
            raise am.StopSynthesis

    found = am.synthesize(tiny, tiny_clip, ["relu1", "final"], seed=[0, 1, 2], steps=100, batch_size=2, callback=callback)
    assert [(m.evidence.settings.layer, m.evidence.settings.seed) for m in found] == [("relu1", 0), ("relu1", 1)]
    for metamer in found:
        (tried,) = metamer.evidence.tries
        assert (tried.outcome, tried.steps, tried.loss_steps) == ("stopped by the callback after 40 steps", 40, [0, 20, 40])
        measured = am.similarity(*am.record(tiny, torch.stack([tiny_clip.samples, metamer.samples]), ["relu1"])["relu1"])
        assert measured["snr_db"] == pytest.approx(metamer.evidence.similarity["relu1"]["snr_db"], abs=1e-3)
        assert tried.losses[-1] < 0.5 * tried.losses[0]
        assert metamer.evidence.verdict.labels.keys() == {"word"}


def test_what_has_a_result_is_returned_when_a_later_attempt_is_stopped(tiny, tiny_clip):
    never = am.NullDistribution(1, 2, "", {"relu1": {metric: MetricNull(500.0, {}) for metric in METRICS}})
    calls = []

    def callback(step, signals, losses):
        calls.append(step)
        if len(calls) == 4:  # 0 and 20 of the first attempt, then 0 and 20 of the second
            raise am.StopSynthesis

    (metamer,) = am.synthesize(tiny, tiny_clip, "relu1", steps=40, null=never, callback=callback)
    assert [tried.outcome for tried in metamer.evidence.tries] == ["finished", "stopped by the callback after 20 steps"]
    assert metamer.passed is False


def test_any_other_exception_is_not_swallowed(tiny, tiny_clip):
    def callback(step, signals, losses):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        am.synthesize(tiny, tiny_clip, "relu1", steps=20, callback=callback)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"tf32": "x"}, "tf32 is 'x'; it must be True or False"),
        ({"compiled": 1}, "compiled is 1; it must be True or False"),
        ({"checkpoints": "x"}, r"checkpoints is 'x'; it must be Checkpoints\(path_of\), with a function of settings to a path"),
        ({"callback": 3}, "callback is 3; it must be a function"),
        ({"callback": lambda step: None}, r"callback takes other arguments than it is called with: \(step, signals, losses\)"),
        ({"progress": "x"}, "progress is 'x'; it must be a function"),
    ],
)
def test_options_of_another_kind_are_one_line(model, options, match):
    with pytest.raises(am.AudioMetamerError, match=match):
        am.synthesize(model, noise(), "conv", **options)


def test_targets_and_logits_are_computed_once(tiny):
    """For each of three clips one pass gives target and logits, which attempts find again; each result takes one more."""
    network, passes = tiny.network, []
    hook = network.register_forward_pre_hook(lambda module, args: passes.append((len(args[0]), torch.is_grad_enabled())))
    try:
        am.synthesize(tiny, [make_clip(f"c{k}", k) for k in range(3)], "relu1", steps=4, method="feather2023", batch_size=3)
    finally:
        hook.remove()
    assert passes.count((1, False)) == 3
    assert passes.count((2, False)) == 3
