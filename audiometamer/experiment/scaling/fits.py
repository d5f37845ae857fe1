"""The scale of each listener of a scaling experiment, and of all of them together."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from audiometamer.errors import AudioMetamerError, AudioMetamerWarning
from audiometamer.experiment.scaling.design import ScalingDesign
from audiometamer.experiment.scaling.trials import later_pair_larger
from audiometamer.listening.folder import Experiment
from audiometamer.listening.tables import TrialRow
from audiometamer.psychophysics import DifferenceScale, difference_matrix, fit_difference_scale, simulate_answers
from audiometamer.psychophysics.difference_scaling import SIGMA_BOUNDS, Indices
from audiometamer.psychophysics.levels import Values


class ScalingSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of an analysis.

    Parameters
    ----------
    monotone : bool
        Whether scales may only rise. Default True.
    prior : float
        Weight of the prior of σ; see `audiometamer.psychophysics.fit_difference_scale`. Default 0.
    resamples : int
        Bootstrap samples, of each listener's answers and of listeners. Default 400.
    seed : int
        Random seed of the bootstrap. Default 0.
    """

    monotone: bool = True
    prior: float = 0.0
    resamples: int = 400
    seed: int = 0


class PairAnswers(NamedTuple):
    """The answers of one listener.

    Parameters
    ----------
    numbers : array of int [shape=(trials, 3) or (trials, 4)]
        Numbers of the sounds on the path, ascending.
    later : array of bool [shape=(trials,)]
        Whether the pair further along the path was called more different.
    pressed : list of str
        The answers as given: 1 for the pair that was played first.
    """

    numbers: Indices
    later: NDArray[np.bool_]
    pressed: list[str]


class ListenerScale(NamedTuple):
    """The scale of one listener; None, and a note, where the answers determine none.

    Parameters
    ----------
    answers : int
        Number of answers.
    fitted : DifferenceScale or None
    note : str
    """

    answers: int
    fitted: DifferenceScale | None
    note: str = ""


class PooledScale(NamedTuple):
    """The scale of all listeners together.

    Parameters
    ----------
    fitted : DifferenceScale
        With intervals from the resamples.
    resampled : array [shape=(resamples, sounds)]
        Scales of resampled listeners or, of a single one, of answers that were drawn from the fit.
    note : str
    """

    fitted: DifferenceScale
    resampled: Values
    note: str = ""


def pair_answers(experiment: Experiment, trials: Sequence[TrialRow]) -> dict[str, PairAnswers]:
    """The answers to an experiment's main trials, by listener.

    Raises
    ------
    AudioMetamerError
        If the experiment compares no pairs, or a trial is none of its trials.
    """
    design = experiment.design
    if not isinstance(design, ScalingDesign):
        raise AudioMetamerError(f"{experiment.folder} compares no pairs of sounds; `audiometamer experiment analyse` analyses it")
    number = {file: k for k, file in enumerate(design.path.sounds or [])}
    rows: dict[str, list[tuple[list[int], str]]] = {}
    for trial in trials:
        if trial.kind != "main":
            continue
        if trial.stimulus not in experiment.key or trial.answer not in experiment.answers:
            raise AudioMetamerError(
                f"listener {trial.listener}, trial {trial.trial}: {trial.answer!r} to {trial.stimulus!r} is no answer to a trial "
                f"of {experiment.folder}"
            )
        played = [number[file] for file in experiment.key[trial.stimulus].sequence]
        rows.setdefault(trial.listener, []).append((played, trial.answer))
    return {
        listener: PairAnswers(
            np.array([sorted(played) for played, _ in own]),
            np.array([later_pair_larger(played, answer) for played, answer in own]),
            [answer for _, answer in own],
        )
        for listener, own in rows.items()
    }


def fit_listener(answers: PairAnswers, sounds: int, settings: ScalingSettings, *, seed: int) -> ListenerScale:
    """The scale of one listener, with intervals by parametric bootstrap.

    Answers without a contradiction determine no σ, and a bootstrap of them no intervals: σ is then at its lower bound, and the
    note says so.
    """
    n = len(answers.later)
    if len({*answers.pressed}) == 1 and n > 1:
        return ListenerScale(n, None, f"left out: gave the answer {answers.pressed[0]} in all {n} trials")
    if int(answers.numbers.max()) + 1 < sounds:
        return ListenerScale(n, None, "no scale: answered no trial with the last sound")
    try:
        fitted, note = _fit(answers.numbers, answers.later, settings)
        if not fitted.at_bound and settings.resamples:
            fitted, note = _fit(answers.numbers, answers.later, settings, resamples=settings.resamples, seed=seed)
    except AudioMetamerError as error:
        return ListenerScale(n, None, f"no scale: {error}")
    return ListenerScale(n, fitted, note)


def fit_all(answers: Mapping[str, PairAnswers], settings: ScalingSettings) -> PooledScale:
    """One scale for all listeners, with intervals by a bootstrap over listeners.

    Raises
    ------
    AudioMetamerError
        If all answers together determine no scale.
    """
    columns = _columns([*answers.values()])
    fitted, note = _fit(columns.trials, np.concatenate(columns.of_listeners, axis=1), settings)
    found = [] if fitted.at_bound else [*_resampled(columns, fitted, settings)]
    if not found:
        return PooledScale(fitted, np.empty((0, len(fitted.scale))), note)
    scales = np.stack([each.scale for each in found])
    low, high = np.percentile([each.sigma for each in found], [2.5, 97.5])
    intervals = np.percentile(scales, [2.5, 97.5], axis=0)
    return PooledScale(fitted._replace(intervals=intervals, sigma_interval=(float(low), float(high))), scales, note)


def _resampled(columns: "_Columns", fitted: DifferenceScale, settings: ScalingSettings) -> Iterator[DifferenceScale]:
    """Fits of listeners drawn with replacement or, of a single one, of answers drawn from the fit."""
    generator, listeners = np.random.default_rng([settings.seed, 0]), columns.of_listeners
    for k in range(settings.resamples):
        if len(listeners) == 1:
            drawn = simulate_answers(
                fitted.scale, fitted.sigma, columns.trials, repetitions=listeners[0].shape[1], seed=settings.seed + k
            )  # fmt: skip
            later = np.where(np.isnan(listeners[0]), np.nan, drawn)
        else:
            later = np.concatenate([listeners[i] for i in generator.integers(len(listeners), size=len(listeners))], axis=1)
        with suppress(AudioMetamerError):  # listeners who together have not heard every sound
            yield _fit(columns.trials, later, settings)[0]


def scale_of_others(answers: Mapping[str, PairAnswers], listener: str, settings: ScalingSettings) -> Values:
    """The scale of all listeners but one."""
    columns = _columns([own for name, own in answers.items() if name != listener])
    return _fit(columns.trials, np.concatenate(columns.of_listeners, axis=1), settings)[0].scale


class _Columns(NamedTuple):
    """Different trials, and each listener's answers to them, shape=(trials, repetitions), NaN where there is none."""

    trials: Indices
    of_listeners: list[Values]


def _columns(listeners: Sequence[PairAnswers]) -> _Columns:
    trials, rows = np.unique(np.concatenate([own.numbers for own in listeners]), axis=0, return_inverse=True)
    of_listeners, start = [], 0
    for own in listeners:
        mine = rows.ravel()[start : start + len(own.later)]
        start += len(own.later)
        table = np.full((len(trials), np.bincount(mine).max()), np.nan)
        for row, later in zip(mine, own.later, strict=True):
            table[row, np.isnan(table[row]).argmax()] = later
        of_listeners.append(table)
    return _Columns(trials, of_listeners)


def _fit(
    trials: Indices, later: Values | NDArray[np.bool_], settings: ScalingSettings, *, resamples: int = 0, seed: int = 0
) -> tuple[DifferenceScale, str]:
    """A fit, and the note that σ is at a bound."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AudioMetamerWarning)  # what it says is in the note
        fitted = fit_difference_scale(
            trials, later, monotone=settings.monotone, prior=settings.prior, resamples=resamples, seed=seed
        )  # fmt: skip
    notes = {
        "lower": f"sigma is at most {fitted.sigma:g}: no answer contradicts the scale, so it has no intervals",
        "upper": f"sigma is at least {fitted.sigma:g}: the answers have no relation to any scale",
        "": "",
    }
    return fitted, notes[fitted.at_bound]


def explained(scale: Values, answers: PairAnswers) -> tuple[float, float]:
    """How well a scale explains the answers of a listener.

    Parameters
    ----------
    scale : array [shape=(sounds,)]
    answers : PairAnswers

    Returns
    -------
    float
        Bits per answer: 1 + mean log₂ P(answer) with P = Φ(±Δ/σ), at the σ from 0.01 to 10 that suits the listener best; 0 for a
        coin, 1 for certainty.
    float
        Proportion of answers that agree with the sign of Δ.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_ndtr

    delta = difference_matrix(answers.numbers, len(scale)) @ scale
    signed = np.where(answers.later, delta, -delta)
    found = minimize_scalar(
        lambda log_sigma: -log_ndtr(signed / np.exp(log_sigma)).mean(), bounds=np.log(SIGMA_BOUNDS), method="bounded"
    )
    agree = np.where(np.isclose(signed, 0), 0.5, signed > 0)
    return float(1 - found.fun / np.log(2)), float(agree.mean())
