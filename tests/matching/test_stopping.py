"""Stopping rules on curves made by hand."""

import pytest
import torch

import audiometamer as am
from audiometamer.matching import AnyOf, Below, Halving, NormalizedDescent, Plateau, StopSynthesis, Stuck
from audiometamer.matching.domains import Gaussian
from audiometamer.matching.stopping import outcome_of


def asked(rule, curve, every=20):
    """At which of its reports a signal with this loss curve stops."""
    steps = [every * k for k in range(len(curve))]
    losses = torch.tensor([curve])
    return [steps[k] for k in range(len(curve)) if rule(steps[: k + 1], losses[:, : k + 1]).item()]


def test_stuck_signals_are_those_whose_loss_has_not_fallen_by_a_quarter():
    assert asked(Stuck(40), [1.0, 1.0, 0.9, 0.9, 0.9]) == [40]
    assert asked(Stuck(40), [1.0, 1.0, 0.7, 0.9, 0.9]) == []
    assert asked(Stuck(31), [0.2, 0.2, 0.16]) == [40]  # the first report after 31 steps
    assert asked(Stuck(40, min_decrease=0.5), [1.0, 1.0, 0.7]) == [40]
    losses = torch.tensor([[1.0, 0.9], [1.0, 0.7], [0.2, 0.16]])
    assert Stuck(20)([0, 20], losses).tolist() == [True, False, True]


def test_a_plateau_is_no_progress_over_the_last_steps():
    """Patience 40: at a report, the least of the last two losses against the least of those before."""
    assert asked(Plateau(40), [1.0, 0.5, 0.4, 0.398, 0.397, 0.397]) == [80, 100]
    assert asked(Plateau(40), [1.0, 0.9, 0.8, 0.7, 0.6, 0.5]) == []
    assert asked(Plateau(40, min_decrease=0.3), [1.0, 0.9, 0.8, 0.7, 0.6, 0.5]) == [40, 60, 80, 100]
    assert asked(Plateau(40), [0.4, 0.9, 0.9, 0.39]) == [40]  # what rises is not progress either
    assert asked(Plateau(1000), [1.0] * 6) == []
    with pytest.raises(am.AudioMetamerError, match="the patience of a plateau is 0; it must be at least 1"):
        Plateau(0)


def test_of_several_rules_the_first_that_stops_a_signal_is_named():
    rule = AnyOf((Stuck(20), Below(0.5), lambda steps, losses: losses > 2))
    steps, losses = [0, 20], torch.tensor([[1.0, 0.9], [1.0, 0.4], [1.0, 0.6], [1.0, 3.0], [9.0, 3.0]])
    assert rule(steps, losses).tolist() == [True, True, False, True, True]
    assert [outcome_of(rule, steps, losses[k]) for k in (0, 1, 4)] == ["stuck", "matched", "stopped"]
    assert outcome_of(Plateau(5), steps, losses[0]) == "plateau"
    assert outcome_of(None, steps, losses[0]) == "stopped"


def run(**options):
    """Activations x to targets 1 and 3 of two signals that start at 0, by steps of 0.1."""
    target = torch.tensor([[1.0], [3.0]])
    return am.match(
        lambda x: x, target, torch.zeros(2, 1), domain=Gaussian(), optimizer=NormalizedDescent(Halving(0.1)), steps=20,
        loss=lambda a, t: (a - t).abs().sum(1), report_every=1, **options,
    )  # fmt: skip


def test_each_signal_stops_by_itself():
    found = run(stop=lambda steps, losses: losses < 0.45)
    assert found.steps.tolist() == [6, 20]
    torch.testing.assert_close(found.signals, torch.tensor([[0.6], [2.0]]))
    last = run(stop=lambda steps, losses: losses[:, -1] < 0.45)
    assert torch.equal(last.signals, found.signals)


@pytest.mark.parametrize(
    ("rule", "match"),
    [
        (
            lambda steps, losses: losses[:, -1],
            r"the stopping rule returns torch.float32 of shape \(2,\); it must return torch.bool of",
        ),
        (lambda steps, losses: torch.zeros(3, dtype=torch.bool), r"returns torch.bool of shape \(3,\)"),
        (lambda steps, losses: False, r"the stopping rule returns bool; it must return torch.bool of shape \(2,\)"),
        (lambda step: False, "the stopping rule fails: TypeError"),
    ],
)
def test_rules_that_return_something_else(rule, match):
    with pytest.raises(am.AudioMetamerError, match=match):
        run(stop=rule)


def test_a_callback_sees_all_signals_and_may_stop_the_match():
    seen = []

    def callback(step, signals, losses):
        seen.append((step, signals[:, 0].tolist(), losses.tolist()))
        signals.zero_()  # a copy: it changes nothing
        if step == 3:
            raise StopSynthesis

    found = run(callback=callback)
    assert [step for step, _, _ in seen] == [0, 1, 2, 3]
    assert seen[2][1] == pytest.approx([0.2, 0.2])
    assert seen[2][2] == pytest.approx([0.8, 2.8])
    assert found.interrupted
    assert found.steps.tolist() == [3, 3]
    torch.testing.assert_close(found.signals, torch.tensor([[0.3], [0.3]]))
    assert found.loss_steps == [0, 1, 2, 3]
    assert not run(callback=lambda *_: None).interrupted


def test_stopped_signals_stay_where_they_are_in_a_callback():
    seen = []
    run(stop=lambda steps, losses: losses < 0.45, callback=lambda step, signals, losses: seen.append((signals.clone(), losses)))
    signals, losses = seen[-1]
    torch.testing.assert_close(signals, torch.tensor([[0.6], [1.9]]))
    assert losses.isnan().tolist() == [True, False]
