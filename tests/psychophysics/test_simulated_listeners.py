"""The benchmark of 1,000 listeners, with fewer of them."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks import procedures as benchmark


def test_all_listeners_at_once_are_answered_as_one_by_one():
    procedure, group = replace(benchmark.bayesian()["Psi"], trials=20), benchmark.listeners(3)
    together = benchmark.answered_together(procedure, group, seed=7)
    assert together == [benchmark.answered(procedure, listener, seed=[7, k]) for k, listener in enumerate(group)]


def test_a_listener_has_the_target_at_the_level_that_is_called_true():
    (listener,) = benchmark.listeners(1, seed=2)
    assert listener.correct(listener.level(0.75)) == pytest.approx(0.75)


def test_thresholds_are_found_and_better_so_with_more_trials():
    rows = benchmark.measured(80, seed=1)
    for *key, first, last in [("2 down, 1 up", 0.707, "8 reversals", "16 reversals"), ("Psi", 0.707, "20 trials", "80 trials")]:
        assert rows[*key, last].spread < rows[*key, first].spread
    for (name, _, _), error in rows.items():
        assert abs(error.bias) < 2.5  # of a range of 40
        assert error.spread < 5
        assert np.isnan(error.coverage) == (name not in ("Psi", "QUEST+"))
    assert rows["Psi", 0.707, "80 trials"].spread < 2
    assert rows["Psi", 0.707, "80 trials"].coverage > 0.87  # 3 standard errors below 0.95
    assert rows["QUEST+", 0.794, "80 trials"].coverage > 0.87
