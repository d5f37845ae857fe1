"""How well adaptive procedures find the thresholds of listeners who are known, and how long the next level takes."""

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.special import expit, logit

from audiometamer.psychophysics import (
    AdaptiveTrial,
    Procedure,
    QuestPlus,
    Staircase,
    ThresholdEstimate,
    psi,
    spaced_levels,
    weighted_staircase,
)
from benchmarks.measuring import table

TARGETS = (0.5 ** (1 / 2), 0.5 ** (1 / 3))  # of two and three down, one up
_GUESS = 0.5  # ABX
_RANGE = (0.0, 40.0)  # dB, say


@dataclass(frozen=True)
class Listener:
    """Right with a probability that is logistic in the level."""

    threshold: float
    slope: float
    lapse: float

    def correct(self, level: float) -> float:
        return float(_GUESS + (1 - _GUESS - self.lapse) * expit(self.slope * (level - self.threshold)))

    def level(self, proportion: float) -> float:
        return float(self.threshold + logit((proportion - _GUESS) / (1 - _GUESS - self.lapse)) / self.slope)


class Errors(NamedTuple):
    """Of estimates, in the units of the levels; and the share of 95 % intervals that hold the truth, NaN without intervals."""

    trials: float
    bias: float
    spread: float
    coverage: float


def listeners(n: int, *, seed: int = 0) -> list[Listener]:
    """Thresholds from 10 to 30, slopes from 0.3 to 1 (15 to 4 from 10 % to 90 % of the rise), lapses from 0 to 4 %."""
    rng = np.random.default_rng(seed)
    slopes = np.exp(rng.uniform(np.log(0.3), 0.0, n))
    return [Listener(*values) for values in zip(rng.uniform(10, 30, n), slopes, rng.uniform(0, 0.04, n), strict=True)]


def staircases() -> dict[str, Staircase]:
    """The first two find the first and second of the targets, the last the first."""
    common = {"start": 36.0, "min_level": _RANGE[0], "max_level": _RANGE[1], "discard": 4}
    return {
        "2 down, 1 up": Staircase(**common, steps=(8, 4, 2), first_down=1),
        "3 down, 1 up": Staircase(**common, steps=(8, 4, 2), first_down=1, down=3),
        "weighted up/down": weighted_staircase(TARGETS[0], **common, steps=(4, 2, 1)),
    }


def bayesian() -> dict[str, QuestPlus]:
    """A grid of 40 levels, 40 thresholds, 10 slopes, and for QUEST+ 5 lapse rates."""
    levels, slopes = spaced_levels(*_RANGE, 40), spaced_levels(0.1, 2, 10, spacing="log")
    common = {"levels": levels, "thresholds": levels, "slopes": slopes, "guess": _GUESS}
    return {"Psi": psi(**common), "QUEST+": QuestPlus(**common, lapses=(0.0, 0.01, 0.02, 0.04, 0.08))}


def answered(procedure: Procedure, listener: Listener, *, seed: Sequence[int]) -> list[AdaptiveTrial]:
    """A listener's trials, from the first to the procedure's end."""
    rng, trials = np.random.default_rng(seed), list[AdaptiveTrial]()
    while (level := procedure.next(trials)) is not None:
        trials.append(AdaptiveTrial(level, bool(rng.random() < listener.correct(level))))
    return trials


def answered_together(procedure: QuestPlus, group: Sequence[Listener], *, seed: int) -> list[list[AdaptiveTrial]]:
    """The same as `answered` with seeds (seed, 0), (seed, 1), …; all listeners at once, which is a hundred times as fast."""
    right = procedure.correct(np.array(procedure.levels))
    log_right, log_wrong = np.log(right), np.log1p(-right)
    drawn = np.array([np.random.default_rng([seed, k]).random(procedure.trials) for k in range(len(group))])
    likelihood, trials = np.zeros((len(group), log_right.shape[1])), [list[AdaptiveTrial]() for _ in group]
    for n in range(procedure.trials):
        weights = np.exp(likelihood - likelihood.max(1, keepdims=True))
        best = procedure.best(weights / weights.sum(1, keepdims=True))
        for k, listener in enumerate(group):
            level = procedure.levels[best[k]]
            correct = bool(drawn[k, n] < listener.correct(level))
            trials[k].append(AdaptiveTrial(level, correct))
            likelihood[k] += (log_right if correct else log_wrong)[best[k]]
    return trials


def errors(group: Sequence[Listener], estimates: Sequence[ThresholdEstimate], target: float, n_trials: float) -> Errors:
    """Of all listeners' estimates against the levels at which they have the target proportion correct."""
    truth = np.array([listener.level(target) for listener in group])
    found, low, high, _ = np.array(estimates).T
    coverage = np.mean((low <= truth) & (truth <= high)) if np.isfinite(low).all() else float("nan")
    return Errors(n_trials, float(np.mean(found - truth)), float(np.std(found - truth)), float(coverage))


def measured(n: int = 1000, *, seed: int = 0) -> dict[tuple[str, float, str], Errors]:
    """Errors by procedure, target (to three digits), and the number of reversals or trials."""
    group, rows = listeners(n, seed=seed), dict[tuple[str, float, str], Errors]()
    for name, staircase in staircases().items():
        for reversals in (8, 12, 16):
            procedure = replace(staircase, reversals=reversals)
            runs = [answered(procedure, listener, seed=[seed, k]) for k, listener in enumerate(group)]
            estimates = [procedure.threshold(trials) for trials in runs]
            mean_trials = float(np.mean([len(trials) for trials in runs]))
            rows[name, round(procedure.target, 3), f"{reversals} reversals"] = errors(
                group, estimates, procedure.target, mean_trials
            )
    for name, procedure in bayesian().items():
        runs = answered_together(replace(procedure, trials=80), group, seed=seed)
        for target, trials in itertools.product(TARGETS, (20, 40, 80)):
            at_target = replace(procedure, target=target)
            estimates = [at_target.threshold(run[:trials]) for run in runs]
            rows[name, round(target, 3), f"{trials} trials"] = errors(group, estimates, target, trials)
    return rows


def thresholds(n: int = 1000) -> str:
    """Bias and spread of the thresholds of simulated ABX listeners."""
    head = (
        "procedure",
        "target",
        "ends after",
        "trials (mean)",
        "bias (dB)",
        "spread (dB)",
        "95 % intervals that hold the truth",
    )
    rows = [
        (*key, f"{e.trials:.0f}", f"{e.bias:+.2f}", f"{e.spread:.2f}", "–" if np.isnan(e.coverage) else f"{e.coverage:.0%}")
        for key, e in measured(n).items()
    ]  # fmt: skip
    return table(head, *rows)


def times(repeats: int = 50) -> str:
    """Of QUEST+'s next level after some trials whose reached levels are all different."""
    procedure = replace(bayesian()["QUEST+"], trials=1000)
    rng = np.random.default_rng(0)
    trials = [
        AdaptiveTrial(level, correct) for level, correct in zip(rng.uniform(*_RANGE, 200), rng.random(200) < 0.8, strict=True)
    ]
    rows = []
    for n in (0, 20, 50, 100, 200):
        taken = []
        for _ in range(repeats):
            began = time.perf_counter()
            procedure.next(trials[:n])
            taken.append(1000 * (time.perf_counter() - began))
        rows.append((n, f"{np.median(taken):.2f}"))
    return table(("trials so far", "next level (ms)"), *rows)
