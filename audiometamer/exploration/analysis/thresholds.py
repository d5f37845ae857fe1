"""Thresholds along dimensions, of all listeners together and of each, also in physical units."""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

import msgspec
import numpy as np

from audiometamer.errors import AudioMetamerError
from audiometamer.exploration.analysis.groups import TrialGroup, groups
from audiometamer.exploration.analysis.sensitivity import EXPONENTS, Decision
from audiometamer.exploration.analysis.uncertainty import dispersion, max_loss
from audiometamer.exploration.trials import AnsweredTrial, level_of
from audiometamer.psychophysics import AdaptiveTrial, Procedure


class Threshold(msgspec.Struct, frozen=True):
    """A row of ``thresholds.tsv``: one dimension, for all its listeners together or for one.

    Parameters
    ----------
    dimension, layer : str
    component : int
    sign : str
        ``+`` or ``-``.
    listener : str
        Empty for all listeners.
    listeners, references, trials, correct : int
        Numbers; `correct` is the number of trials with a right answer.
    backwards : int
        Number of trials whose stimulus had moved to the other side, or not at all; they are not used.
    threshold, low, high : float or None
        The reached change at which the target proportion is correct, in standard deviations of the bank, and its 95 % interval.
        None if no stimulus had moved to the dimension's side, and for an end that the interval does not have (see `no_end`).
    exponent : float or None
        d′ is proportional to the change to this power, from 0.25 to 4; at 4, answers jump from chance to right between two
        changes, and it may be larger.
    snr_db, snr_at_low, snr_at_high : float or None
        SNR of the cochleagram at threshold and at the ends of its interval; the lower it is, the larger the unnoticed change.
    modulation, modulation_at_low, modulation_at_high : float or None
        The same for the distance of modulation spectra.
    procedure : float or None
        Estimate of the adaptive procedure itself, for its own target: geometric mean over listeners. Backward trials do not
        enter.
    at_bound : int or None
        Number of these listeners whose procedure reached the end of its range, so that its estimate may be too low.
    flag : str
        Why the threshold is not a measurement: ``beyond``, it lies outside the presented changes; ``no slope``, answers hardly
        depend on the change; ``backwards``, all stimuli had moved to the other side, or not at all; else empty.
    no_end : str
        The end that the interval does not have: ``low``, ``high`` or ``both``; else empty.
    """

    dimension: str
    layer: str
    component: int
    sign: str
    listener: str
    listeners: int
    references: int
    trials: int
    correct: int
    backwards: int
    threshold: float | None
    low: float | None
    high: float | None
    exponent: float | None
    snr_db: float | None
    snr_at_low: float | None
    snr_at_high: float | None
    modulation: float | None
    modulation_at_low: float | None
    modulation_at_high: float | None
    procedure: float | None
    at_bound: int | None
    flag: str
    no_end: str = ""


class Thresholds(NamedTuple):
    """The result of `thresholds`.

    Parameters
    ----------
    rows : list of Threshold
        Thresholds in the order of dimensions, for each first all listeners, then single ones.
    dispersion : float
        See `audiometamer.exploration.analysis.uncertainty.dispersion`.
    max_loss_of_one, max_loss_of_all : float
        Twice the largest loss of log likelihood within the intervals, for one listener and for all.
    """

    rows: list[Threshold]
    dispersion: float
    max_loss_of_one: float
    max_loss_of_all: float


def thresholds(
    trials: Sequence[AnsweredTrial],
    decision: Decision,
    *,
    procedures: Mapping[str, Procedure] | None = None,
    resamples: int = 400,
    seed: int = 0,
) -> Thresholds:
    """The threshold of each dimension: of all its listeners together, then, if there are several, of each.

    Parameters
    ----------
    trials : sequence of Answered
        Trials of the procedures.
    decision : Decision
    procedures : mapping of str to Procedure, optional
        Procedures by dimension, for their own estimates.
    resamples : int
        Bootstrap samples for intervals. Default 400.
    seed : int
        Random seed. Default 0.

    Returns
    -------
    Thresholds

    Raises
    ------
    AudioMetamerError
        If there are no trials.
    """
    if not trials:
        raise AudioMetamerError("no trials of the main part to analyse")
    rng, known = np.random.default_rng(seed), procedures or {}
    found = list(groups(trials, decision))
    measured = [group for group in found if group.is_measured]
    if not measured:
        raise AudioMetamerError(f"none of the stimuli of {len(trials)} trials had moved to its dimension's side")
    single, together = ([group for group in measured if (len(group.listeners) > 1) is many] for many in (False, True))
    spread = dispersion(together)
    of_one = max_loss(single, known, resamples=resamples, rng=rng)
    of_all = spread * max_loss(together, known, resamples=resamples, rng=rng)
    rows = []
    for group in found:
        lost = of_one if len(group.listeners) == 1 else of_all
        rows.append(_threshold(group, lost, known.get(str(group.dimension))))
    return Thresholds(rows, spread, of_one, of_all)


def _threshold(group: TrialGroup, lost: float, procedure: Procedure | None) -> Threshold:
    layer, component, sign = group.dimension
    estimate, at_bound = _procedure_estimate(procedure, group.trials)
    exponent, no_end = None, ""
    ends: list[float | None] = [None, None, None]
    if group.is_measured:
        low, high = group.fits.interval(lost)
        no_end = {(True, False): "low", (False, True): "high", (True, True): "both"}.get((low <= 0, high == math.inf), "")
        exponent = float(group.fits.exponent[0])
        ends = [group.threshold, low if low > 0 else None, high if high < math.inf else None]
    snr_db, snr_at_low, snr_at_high = _at(group.trials, _snr, ends)
    modulation, modulation_at_low, modulation_at_high = (
        None if value is None else math.exp(value) for value in _at(group.trials, _log_modulation, ends)
    )
    return Threshold(
        dimension=str(group.dimension), layer=layer, component=component, sign="+" if sign > 0 else "-",
        listener=group.listener, listeners=len(group.listeners),
        references=len({trial.reference for trial in group.trials}), trials=len(group.trials),
        correct=sum(trial.correct for trial in group.trials),
        backwards=sum(trial.reached <= 0 for trial in group.trials), threshold=ends[0], low=ends[1], high=ends[2],
        exponent=exponent, snr_db=snr_db, snr_at_low=snr_at_low, snr_at_high=snr_at_high, modulation=modulation,
        modulation_at_low=modulation_at_low, modulation_at_high=modulation_at_high,
        procedure=estimate, at_bound=at_bound, flag=_flag(group), no_end=no_end,
    )  # fmt: skip


def _flag(group: TrialGroup) -> str:
    if not group.is_measured:
        return "backwards"
    if group.fits.exponent[0] == EXPONENTS[0]:
        return "no slope"
    inside = group.counts.changes.min() <= group.threshold <= group.counts.changes.max()
    return "" if inside else "beyond"


def _snr(trial: AnsweredTrial) -> float | None:
    return trial.snr_db


def _log_modulation(trial: AnsweredTrial) -> float | None:
    return math.log(trial.modulation) if 0 < trial.modulation < math.inf else None


def _at(
    trials: Sequence[AnsweredTrial], value: Callable[[AnsweredTrial], float | None], thresholds: Sequence[float | None]
) -> list[float | None]:
    """A physical value at some changes, from the presented stimuli: the mean over references of lines with a common slope.

    The lines are over the logarithm of the reached change, by least squares over trials, most of which are near the threshold.
    None unless a reference has two stimuli, as a slope needs.
    """
    stimuli = [(trial.reference, trial.reached, value(trial)) for trial in trials if trial.reached > 0]
    known = [(reference, math.log(reached), z) for reference, reached, z in stimuli if z is not None]
    names = list(dict.fromkeys(reference for reference, _, _ in known))
    of = np.array([names.index(reference) for reference, _, _ in known], int)
    x, y = (np.array([row[k] for row in known], float) for k in (1, 2))
    each = np.maximum(np.bincount(of, minlength=len(names)), 1)
    mean_x, mean_y = (np.bincount(of, values, minlength=len(names)) / each for values in (x, y))
    within = x - mean_x[of] if names else x
    if not (within**2).sum() > 1e-12:
        return [None] * len(thresholds)
    slope = float(within @ y / (within @ within))
    level = float(np.mean(mean_y - slope * mean_x))
    return [None if at is None else level + slope * math.log(at) for at in thresholds]


def _procedure_estimate(procedure: Procedure | None, trials: Sequence[AnsweredTrial]) -> tuple[float, int] | tuple[None, None]:
    """Geometric mean over listeners of a procedure's estimates, and how many of them are at its bounds."""
    if procedure is None:
        return None, None
    by_listener: dict[str, list[AdaptiveTrial]] = {}
    for trial in trials:
        by_listener.setdefault(trial.listener, []).append(AdaptiveTrial(level_of(trial.reached), trial.correct))
    estimates = []
    for own in by_listener.values():
        with suppress(AudioMetamerError):  # stopped before it had an estimate
            estimates.append(procedure.threshold(own))
    if not estimates:
        return None, None
    return statistics.geometric_mean(each.level for each in estimates), sum(each.at_bound for each in estimates)
