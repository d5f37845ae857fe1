"""The estimated cost of a plan, worked out by hand for a clock that is told what to show."""

from dataclasses import replace

import pytest
from tiny_plan import PLAN, write_plan

from audiometamer.metamers.benchmark import StepTime
from audiometamer.metamers.criteria import METRICS, MetricNull, NullDistribution
from audiometamer.metamers.methods import load_method
from audiometamer.stimuli import estimate as estimating
from audiometamer.stimuli.estimate import Cost, estimate
from audiometamer.stimuli.plan import read_plan

COST = Cost(size=8, one=0.1, full=0.45, evidence=0.5)  # 0.05 s more for each further signal
DEFAULT, PUBLISHED = load_method("default"), load_method("feather2023")


@pytest.mark.parametrize(("signals", "seconds"), [(1, 0.1), (2, 0.15), (8, 0.45)])
def test_a_step_grows_with_its_batch(signals, seconds):
    assert COST.step(signals) == pytest.approx(seconds)
    assert Cost(1, 0.1, 0.1, 0.0).step(1) == 0.1


@pytest.mark.parametrize(
    ("items", "method", "steps", "judged", "seconds"),
    [
        (0, DEFAULT, 200, True, 0.0),
        (1, PUBLISHED, 24_000, True, 24_000 * 0.1 + 0.5),
        (8, PUBLISHED, 100, True, 100 * 0.45 + 8 * 0.5),
        (10, PUBLISHED, 100, True, 100 * (0.45 + 0.15) + 10 * 0.5),  # a full batch, and one of two
        (10, DEFAULT, 200, False, 200 * (0.45 + 0.15) + 10 * 0.5),  # nothing fails without a null distribution
        # Eighty steps more of each item, one item after the other; 280 / 200 attempts.
        (1, DEFAULT, 200, True, 200 * 0.1 + 80 * 0.1 + 1.4 * 0.5),
        (1, DEFAULT, 100, True, 100 * 0.1 + 40 * 0.1 + 1.4 * 0.5),
        # Eleven of 100 fail at first, more than a batch: 8000 steps of signals in batches of 8.
        (100, DEFAULT, 200, True, 200 * (12 * 0.45 + 0.25) + 80 * 100 / 8 * 0.45 + 100 * 1.4 * 0.5),
    ],
)
def test_batches_that_are_not_full_and_what_is_attempted_again_count(items, method, steps, judged, seconds):
    assert COST.of_items(items, method, steps, judged=judged) == pytest.approx(seconds)


def test_every_attempt_at_every_item():
    steps = sum(attempt.steps_factor for attempt in DEFAULT.attempts) * 5
    assert COST.at_most(10, DEFAULT, 5) == pytest.approx(steps * (0.45 + 0.15) + 16 * 10 * 0.5)
    assert len(DEFAULT.attempts) == 16
    assert COST.at_most(0, DEFAULT, 5) == 0


@pytest.mark.parametrize(
    ("steps", "method", "bounded"), [(20, "default", True), (200, "default", False), (20, "feather2023", False)]
)
def test_fewer_steps_than_the_methods_have_an_upper_bound(tmp_path, monkeypatch, steps, method, bounded):
    monkeypatch.setattr(
        estimating, "time_step", lambda _model, layer, *, batch_size, **_: StepTime(layer, batch_size, 0.0, 0.1, 0.5)
    )
    NullDistribution(1, 2, "", {"relu0": {m: MetricNull(0.5, {}) for m in METRICS}}).save(tmp_path / "null.json")
    text = PLAN.replace("steps = 20", f'steps = {steps}\nmethod = "{method}"').replace(
        "[[models]]", '[[models]]\nnull = "null.json"'
    )
    path = write_plan(tmp_path, text)
    found = estimate(read_plan(path), device="cpu")
    assert (found.at_most is not None) is bounded
    if bounded:
        assert found.at_most > found.seconds


def test_steps_through_a_coarser_front_end_count_as_such(tmp_path, monkeypatch):
    """Three quarters of the steps take a tenth of a second, the last two tenths."""

    def reported(model, layer, *, batch_size, repeats):
        return StepTime(layer, batch_size, 0.0, 0.01 * model.front_end.oversampling, 0.0)

    monkeypatch.setattr(estimating, "time_step", reported)
    plan = read_plan(write_plan(tmp_path, PLAN.replace("batch_size = 2", "batch_size = 1"), n_clips=1))
    coarse = replace(plan, method=replace(plan.method, early_oversampling=10.0))
    (row,) = estimate(coarse, device="cpu").rows
    assert row.seconds == pytest.approx(2 * (15 * 0.1 + 5 * 0.2))


def test_no_batch_is_measured_that_the_plan_cannot_fill(tmp_path, monkeypatch):
    asked = []

    def reported(model, layer, *, batch_size, repeats):
        asked.append(batch_size)
        return StepTime(layer, batch_size, 0.0, 0.1 * batch_size, 0.5 * batch_size)

    monkeypatch.setattr(estimating, "time_step", reported)
    path = write_plan(tmp_path, PLAN.replace("batch_size = 2", "batch_size = 128"), n_clips=3)
    found = estimate(read_plan(path), device="cpu")
    assert sorted(asked) == [1, 6]  # three clips, two seeds
    assert [row.seconds for row in found.rows] == [pytest.approx(20 * 0.6 + 6 * 0.5)]  # no null distribution: one attempt
    assert found.seconds == pytest.approx(found.rows[0].seconds + found.reading)
    assert 0 < found.reading < 60
    unmeasured = estimate(read_plan(path), device="cpu", measure=False)
    assert unmeasured.seconds is None
