"""Difference scaling: the perceptual scale of sounds along a path, from which of two differences looked larger.

Maloney & Yang 2003, Journal of Vision 3, 573 (MLDS); Knoblauch & Maloney 2008, Journal of Statistical Software 25(2) (the GLM).
"""

import math
import warnings
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, NamedTuple

import numpy as np
import scipy.optimize
import scipy.special
from numpy.typing import ArrayLike, NDArray

from audiometamer.errors import AudioMetamerError, AudioMetamerWarning
from audiometamer.psychophysics.levels import Values

Indices = NDArray[np.intp]
SIGMA_BOUNDS = (0.01, 10.0)  # of the noise, where the scale goes from 0 to 1
_TOLERANCE = 1e-12  # of the log likelihood of an answer
_LARGEST = 2.0  # a free scale stays between minus this and this
_STEPS = 1000
_WEIGHTS = {3: (1, -2, 1), 4: (1, -1, -1, 1)}  # of the scale at the sounds of a trial: second difference minus first


class DifferenceScale(NamedTuple):
    """A fitted scale ψ, and the noise of the decision: the second difference is called larger if Δ + N(0, σ²) > 0.

    For sounds i < j < k of a triad, Δ = (ψ_k − ψ_j) − (ψ_j − ψ_i); for the sounds i < j < k < l of a quadruple,
    Δ = (ψ_l − ψ_k) − (ψ_j − ψ_i).

    Parameters
    ----------
    scale : array [shape=(sounds,)]
        ψ, 0 at the first sound and 1 at the last.
    sigma : float
        σ, the standard deviation of the noise of Δ.
    negative_log_likelihood : float
        Of all answers, in nats.
    at_bound : {"", "lower", "upper"}
        The bound that σ is at, if any: "lower" for answers without a contradiction, "upper" for answers that tell of no scale.
    intervals : array [shape=(2, sounds)] or None
        Lower and upper ends of 95 % intervals of ψ.
    sigma_interval : tuple of float or None
    """

    scale: Values
    sigma: float
    negative_log_likelihood: float
    at_bound: Literal["", "lower", "upper"]
    intervals: Values | None = None
    sigma_interval: tuple[float, float] | None = None

    @property
    def coefficients(self) -> Values:
        """ψ / σ, the coefficients of the probit model."""
        return self.scale / self.sigma


class ProbitScale(NamedTuple):
    """A scale as a generalised linear model: P(second difference larger) = Φ(Δ) of its coefficients.

    Parameters
    ----------
    coefficients : array [shape=(sounds,)]
        0 at the first sound; the last one is 1/σ.
    standard_errors : array [shape=(sounds,)]
        From the Fisher information; 0 at the first sound.
    negative_log_likelihood : float
    """

    coefficients: Values
    standard_errors: Values
    negative_log_likelihood: float


def all_triads(sounds: int) -> Indices:
    """All i < j < k of a number of sounds, shape=(trials, 3)."""
    return _all(sounds, 3)


def all_quadruples(sounds: int) -> Indices:
    """All i < j < k < l of a number of sounds, shape=(trials, 4)."""
    return _all(sounds, 4)


def fit_difference_scale(
    trials: ArrayLike,
    second_larger: ArrayLike,
    *,
    monotone: bool = True,
    sigma_bounds: tuple[float, float] = SIGMA_BOUNDS,
    prior: float = 0.0,
    resamples: int = 0,
    seed: int = 0,
) -> DifferenceScale:
    """Fit a scale by maximum likelihood.

    The likelihood is concave in ψ/σ, so there is one maximum. Answers without a contradiction have none at any σ > 0; their σ is
    its lower bound, and the scale one of those that agree with the answers.

    Parameters
    ----------
    trials : array of int [shape=(trials, 3) or (trials, 4)]
        Numbers of the sounds of triads or quadruples, from 0, in ascending order.
    second_larger : array [shape=(trials,) or (trials, repetitions)]
        Whether the second difference, between the later sounds of the path, was called larger; NaN where there is no answer.
    monotone : bool
        Whether the scale may only rise. Default True; without, it stays within [−2, 2].
    sigma_bounds : tuple of float
        Least and largest σ. Default (0.01, 10).
    prior : float
        Weight of a gamma prior of σ, of shape 2 and rate n for n sounds: n σ − ln σ, times the weight, is added to the negative
        log likelihood. It keeps σ above 0 where no answer contradicts the scale. Vacher & Mamassian (2024) weigh it by the number
        of repetitions of each trial. Default 0: none.
    resamples : int
        Samples of the parametric bootstrap: answers drawn from the fitted scale. Default 0: no intervals.
    seed : int
        Random seed of the bootstrap. Default 0.

    Returns
    -------
    DifferenceScale

    Raises
    ------
    AudioMetamerError
        If the trials are not of the form above or leave a sound undetermined, an answer is not 0 or 1, all are the same, the
        bounds are not 0 < least < largest, or the weight of the prior is negative.

    Warns
    -----
    AudioMetamerWarning
        If σ is at one of its bounds.

    Examples
    --------
    >>> trials = all_triads(6)
    >>> answers = simulate_answers(np.linspace(0, 1, 6) ** 2, 0.2, trials, repetitions=30, seed=1)
    >>> fitted = fit_difference_scale(trials, answers)
    >>> bool(np.abs(fitted.scale - np.linspace(0, 1, 6) ** 2).max() < 0.05)
    True
    """
    low, high = sigma_bounds
    if not 0 < low < high < math.inf:
        raise AudioMetamerError(f"sigma_bounds are {low:g} and {high:g}; they must be above 0, the least first")
    if not 0 <= prior < math.inf:
        raise AudioMetamerError(f"the weight of the prior is {prior:g}; it must be 0 or more")
    problem, how = _checked(trials, second_larger), _How(monotone, sigma_bounds, prior)
    fitted = problem.best(how)
    if fitted.at_bound:
        why = "no contradiction" if fitted.at_bound == "lower" else "no relation to any scale"
        message = f"sigma is at its {fitted.at_bound} bound, {fitted.sigma:g}: the answers have {why}"
        warnings.warn(message, AudioMetamerWarning, stacklevel=2)
    return _with_intervals(problem, fitted, how, resamples, seed) if resamples else fitted


def fit_difference_scale_least_squares(trials: ArrayLike, second_larger: ArrayLike, *, least: float = 1e-3) -> DifferenceScale:
    """Fit a scale by least squares: Δ/σ to Φ⁻¹ of the proportion of answers, each trial with the same weight.

    A quick look, neither monotone nor bounded, that needs several answers to each trial (Vacher & Mamassian 2024).

    Parameters
    ----------
    trials, second_larger : array
        As for `fit_difference_scale`; repetitions are columns, not further rows.
    least : float
        Proportions are kept between this and 1 minus this. Default 0.001.

    Returns
    -------
    DifferenceScale

    Raises
    ------
    AudioMetamerError
        As for `fit_difference_scale`, and if `least` is not between 0 and ½, or the last sound is not above the first.
    """
    if not 0 < least < 0.5:
        raise AudioMetamerError(f"least is {least:g}; it must be between 0 and 0.5")
    problem = _checked(trials, second_larger)
    proportion = np.clip(problem.yes / (problem.yes + problem.no), least, 1 - least)
    beta, *_ = np.linalg.lstsq(problem.design[:, 1:], scipy.special.ndtri(proportion))
    if not beta[-1] > 0:
        raise AudioMetamerError(
            f"the answers put the last sound {beta[-1]:g} σ from the first; a scale takes a positive distance"
        )
    return DifferenceScale(np.concatenate([[0.0], beta / beta[-1]]), 1 / float(beta[-1]), problem.loss(beta)[0], "")


def fit_difference_scale_glm(trials: ArrayLike, second_larger: ArrayLike) -> ProbitScale:
    """Fit a scale as a probit model without an intercept, by Newton's method: neither monotone nor bounded.

    Parameters
    ----------
    trials, second_larger : array
        As for `fit_difference_scale`.

    Returns
    -------
    ProbitScale

    Raises
    ------
    AudioMetamerError
        As for `fit_difference_scale`, and if the answers have no contradiction: then no coefficients are best.
    """
    problem = _checked(trials, second_larger)
    design = problem.design[:, 1:]
    beta = np.zeros(design.shape[1])
    loss, gradient = problem.loss(beta)
    for _ in range(_STEPS):
        information = design.T @ (problem.curvature(design @ beta)[:, None] * design)
        if problem.contradicted(beta) and np.abs(gradient).max() < 1e-9 * problem.n_answers:
            errors = np.sqrt(np.diag(np.linalg.inv(information)))
            return ProbitScale(np.concatenate([[0.0], beta]), np.concatenate([[0.0], errors]), loss)
        if not problem.contradicted(beta) or np.linalg.cond(information) > 1e14:
            break
        step, share = np.linalg.solve(information, gradient), 1.0
        while share > 1e-6 and problem.loss(beta - share * step)[0] > loss:
            share /= 2
        beta = beta - share * step
        loss, gradient = problem.loss(beta)
    raise AudioMetamerError(
        f"{problem.n_answers:g} answers without a contradiction determine no coefficients; fit_difference_scale bounds sigma"
    )


def simulate_answers(
    scale: ArrayLike, sigma: float, trials: ArrayLike, *, repetitions: int = 1, seed: int = 0
) -> NDArray[np.bool_]:
    """Draw the answers of a listener with a known scale.

    Parameters
    ----------
    scale : array [shape=(sounds,)]
    sigma : float
        Standard deviation of the decision's noise, see `DifferenceScale`; 0 for a listener without noise.
    trials : array of int [shape=(trials, 3) or (trials, 4)]
    repetitions : int
        Default 1.
    seed : int
        Random seed. Default 0.

    Returns
    -------
    array of bool [shape=(trials, repetitions)]
        Whether the second difference is called larger.
    """
    if not 0 <= sigma < math.inf:
        raise AudioMetamerError(f"sigma is {sigma:g}; it must be 0 or more")
    psi = np.asarray(scale, float)
    delta = difference_matrix(_checked_trials(trials), len(psi)) @ psi
    noise = np.random.default_rng(seed).standard_normal((len(delta), repetitions))
    return delta[:, None] + sigma * noise > 0


@dataclass(frozen=True)
class _How:
    """What a fit by maximum likelihood may find; see `fit_difference_scale`."""

    monotone: bool
    sigma_bounds: tuple[float, float]
    prior: float


@dataclass(frozen=True)
class _Problem:
    """Numbers of answers by trial; beta is ψ/σ without its first value, which is 0."""

    design: Values
    yes: Values
    no: Values

    @property
    def n_answers(self) -> float:
        return float((self.yes + self.no).sum())

    def loss(self, beta: Values) -> tuple[float, Values]:
        """The negative log likelihood and its gradient."""
        delta = self.design[:, 1:] @ beta
        above, below = scipy.special.log_ndtr(delta), scipy.special.log_ndtr(-delta)
        density = -0.5 * delta**2 - 0.5 * math.log(2 * math.pi)
        slope = self.no * np.exp(density - below) - self.yes * np.exp(density - above)
        return float(-(self.yes * above + self.no * below).sum()), self.design[:, 1:].T @ slope

    def curvature(self, delta: Values) -> Values:
        """The Fisher information of each trial about its Δ/σ: n φ² / (Φ (1 − Φ))."""
        log = -(delta**2) - math.log(2 * math.pi) - scipy.special.log_ndtr(delta) - scipy.special.log_ndtr(-delta)
        return (self.yes + self.no) * np.exp(log)

    def contradicted(self, beta: Values) -> bool:
        """Whether some answer is against the scale, or on the fence."""
        delta = self.design[:, 1:] @ beta
        return bool(((self.yes > 0) & (delta <= 0)).any() or ((self.no > 0) & (delta >= 0)).any())

    def best(self, how: _How) -> DifferenceScale:
        """The scale of the largest likelihood, by sequential quadratic programming in ψ/σ or, if monotone, in its increments."""
        n, monotone, sigma_bounds = self.design.shape[1] - 1, how.monotone, how.sigma_bounds
        to_beta = np.tril(np.ones((n, n))) if monotone else np.eye(n)
        last = to_beta[-1]
        constraints = [_linear(last, -1 / sigma_bounds[1]), _linear(-last, 1 / sigma_bounds[0])]
        if not monotone:
            constraints += [_linear(_LARGEST * last + sign * to_beta[:-1], 0.0) for sign in (-1.0, 1.0)]

        def loss(x: Values) -> tuple[float, Values]:
            beta = to_beta @ x
            value, gradient = self.loss(beta)
            if how.prior:
                value += how.prior * ((n + 1) / beta[-1] + math.log(beta[-1]))
                gradient[-1] += how.prior * (1 / beta[-1] - (n + 1) / beta[-1] ** 2)
            return value / self.n_answers, to_beta.T @ gradient / self.n_answers

        start = np.linalg.solve(to_beta, np.linspace(0, 1, n + 1)[1:] * n / 2)  # σ is 2/n
        found = scipy.optimize.minimize(
            loss, start, jac=True, method="SLSQP", constraints=constraints,
            bounds=[(0.0, None)] * n if monotone else None, options={"ftol": _TOLERANCE, "maxiter": _STEPS},
        )  # fmt: skip
        beta = to_beta @ found.x
        if not how.prior and not self.contradicted(beta):  # any smaller σ fits better
            beta = beta / beta[-1] / sigma_bounds[0]
        sigma = float(np.clip(1 / beta[-1], *sigma_bounds))
        near = [
            name for name, bound in zip(("lower", "upper"), sigma_bounds, strict=True) if math.isclose(sigma, bound, rel_tol=1e-4)
        ]
        at_bound: Literal["", "lower", "upper"] = "" if not near else "lower" if near[0] == "lower" else "upper"
        return DifferenceScale(np.concatenate([[0.0], beta / beta[-1]]), sigma, self.loss(beta)[0], at_bound)


def _linear(rows: Values, constant: float) -> dict[str, object]:
    """The constraint rows · x + constant ≥ 0."""
    return {"type": "ineq", "fun": lambda x: np.atleast_1d(rows @ x + constant), "jac": lambda _: np.atleast_2d(rows)}


def _with_intervals(problem: _Problem, fitted: DifferenceScale, how: _How, resamples: int, seed: int) -> DifferenceScale:
    """95 % percentile intervals by parametric bootstrap."""
    p = scipy.special.ndtr(problem.design @ fitted.coefficients)
    answered = problem.yes + problem.no
    drawn = np.random.default_rng(seed).binomial(answered.astype(int), p, (resamples, len(p))).astype(float)
    fits = [_Problem(problem.design, yes, answered - yes).best(how) for yes in drawn]
    low, high = np.percentile([each.sigma for each in fits], [2.5, 97.5])
    ends = np.percentile(np.stack([each.scale for each in fits]), [2.5, 97.5], axis=0)
    return fitted._replace(intervals=ends, sigma_interval=(float(low), float(high)))


def _all(sounds: int, size: int) -> Indices:
    if sounds < size:
        raise AudioMetamerError(f"there are {sounds} sounds; a trial takes {size}")
    return np.array(list(combinations(range(sounds), size)), dtype=np.intp)


def difference_matrix(trials: Indices, sounds: int) -> Values:
    """The matrix that maps ψ to Δ, shape=(trials, sounds); see `DifferenceScale`."""
    if trials.max() >= sounds:
        raise AudioMetamerError(f"a trial has sound {trials.max()}; the scale has the sounds 0 to {sounds - 1}")
    design = np.zeros((len(trials), sounds))
    for place, weight in enumerate(_WEIGHTS[trials.shape[1]]):
        design[np.arange(len(trials)), trials[:, place]] += weight
    return design


def _checked_trials(trials: ArrayLike) -> Indices:
    rows = np.asarray(trials)
    if rows.ndim != 2 or rows.shape[1] not in _WEIGHTS or not len(rows) or not np.issubdtype(rows.dtype, np.integer):
        raise AudioMetamerError(
            f"the trials are {rows.dtype} of shape {rows.shape}; they must be integers of shape (n, 3) or (n, 4)"
        )
    wrong = (np.diff(rows, axis=1) <= 0).any(axis=1) | (rows < 0).any(axis=1)
    if wrong.any():
        k = int(np.argmax(wrong))
        raise AudioMetamerError(f"trial {k} has the sounds {rows[k].tolist()}; they must be in ascending order, from 0")
    return rows.astype(np.intp)


def _checked(trials: ArrayLike, second_larger: ArrayLike) -> _Problem:
    rows, answers = _checked_trials(trials), np.asarray(second_larger, float)
    if answers.ndim not in (1, 2) or len(answers) != len(rows):
        raise AudioMetamerError(f"the answers have shape {answers.shape}; there must be a row for each of {len(rows)} trials")
    answers = answers.reshape(len(rows), -1)
    known = ~np.isnan(answers)
    given = answers[known]
    if (wrong := ~np.isin(given, (0, 1))).any():
        raise AudioMetamerError(f"an answer is {given[wrong][0]:g}; answers are 1 (second difference larger), 0, or NaN (none)")
    if given.size == 0 or given.min() == given.max():
        same = f" are {given[0]:g}" if given.size else ""
        raise AudioMetamerError(f"all {given.size} answers{same}: they determine no scale; both answers are needed")
    yes = np.where(known, answers, 0).sum(axis=1)
    design = difference_matrix(rows, int(rows.max()) + 1)
    answered = known.any(axis=1)
    if (rank := np.linalg.matrix_rank(design[answered][:, 1:])) < design.shape[1] - 1:
        raise AudioMetamerError(
            f"the trials determine {rank} of {design.shape[1] - 1} steps of the scale; add trials with all sounds"
        )
    return _Problem(design[answered], yes[answered], known.sum(axis=1)[answered] - yes[answered])
