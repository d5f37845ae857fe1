"""Times of a step: what is timed, and what is reported of it."""

from copy import deepcopy
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import audiometamer as am
from audiometamer.metamers import benchmark
from audiometamer.metamers.benchmark import StepTime, medians, network_alone, step_of, time_step
from audiometamer.metamers.methods import load_method


def test_medians_leave_out_the_first_turn(monkeypatch):
    now, turns = 0.0, iter([100, 1, 3, 2])

    def work():
        nonlocal now
        now += next(turns)

    monkeypatch.setattr(benchmark, "time", SimpleNamespace(perf_counter=lambda: now))
    assert medians([work], repeats=3) == [2]


def test_the_network_alone_goes_to_the_layer_and_back_to_its_input(tiny):
    calls, tiny = [], deepcopy(tiny)  # the hooks are of this test alone
    for name, module in tiny.named_modules():
        module.register_forward_hook(lambda *_, name=name: calls.append(name))
    signals = 0.1 * torch.randn(2, *tiny.signal_shape)
    work = network_alone(tiny, "relu1", signals)
    shape = tiny.front_end(signals).shape
    calls.clear()
    (gradient,) = work()
    assert gradient.shape == shape
    assert calls
    assert not any(name.startswith("front_end") for name in calls)
    assert network_alone(tiny, "cochleagram", signals)() is None


def test_the_steps_are_those_of_a_synthesis(tiny):
    match = step_of(tiny, "relu1", 0.1 * torch.randn(3, *tiny.signal_shape))()
    assert match.steps.tolist() == [benchmark.STEPS] * 3


def test_a_model_without_a_front_end_is_timed_too():
    network = nn.Sequential(nn.Linear(64, 32), nn.ReLU()).eval().requires_grad_(False)
    timed = time_step(am.Model(network, signal_shape=(64,)), "1", batch_size=2, repeats=1)
    assert timed.network > 0
    assert timed.step > 0


@pytest.mark.parametrize(
    ("method", "steps", "expected"), [("feather2023", None, 24_000), ("feather2023", 100, 100), ("default", 400, 560)]
)
def test_seconds_of_a_metamer(method, steps, expected):
    timed = StepTime("relu1", batch_size=4, network=0.1, step=0.2, evidence=0.4)
    assert timed.seconds_per_metamer(load_method(method), steps) == pytest.approx((expected * 0.2 + 0.4) / 4)
