"""How sensitivity d′ grows with the reached change: a power function under a model of the decision, by maximum likelihood."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audiometamer.errors import AudioMetamerError
from audiometamer.psychophysics import DECISION_MODELS, DEFAULT_TARGET, d_prime, proportion_correct

Values = NDArray[np.float64]

_EVEN = 1e-9  # probabilities are kept this far from 0 and 1
_BEYOND = 4.0  # times the smallest and the largest change, that a threshold is looked for
_STEP = 0.05  # of the thresholds that are looked at, in natural logarithms
EXPONENTS = tuple(np.geomspace(0.25, 4.0, 24).tolist())


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What makes a proportion correct of a sensitivity, and at which of them a threshold is.

    Parameters
    ----------
    task : str
        One of `audiometamer.psychophysics.DECISION_MODELS`; default ``abx-differencing``, for a reference that changes.
    target : float
        The proportion correct at threshold; default 0.5^(1/3) = 0.794, where three down and one up settles.
    lapse : float
        See `audiometamer.psychophysics.proportion_correct`; default 0.02. It is not fitted: few trials of a procedure
        are where a lapse would show (Prins 2012, Journal of Vision 12(6):25).

    Raises
    ------
    AudioMetamerError
        If there is no such task, or a target that is no sensitivity's.
    """

    task: str = "abx-differencing"
    target: float = DEFAULT_TARGET
    lapse: float = 0.02

    def __post_init__(self) -> None:
        if self.task not in DECISION_MODELS:
            raise AudioMetamerError(f"no task {self.task!r}; there are {', '.join(DECISION_MODELS)}")
        if not self.guess < self.target < 1 - self.lapse:
            raise AudioMetamerError(
                f"a threshold at {self.target:g} correct; {self.task} has one between {self.guess:.4g} and {1 - self.lapse:.4g}"
            )

    @property
    def guess(self) -> float:
        """The proportion correct at chance."""
        return DECISION_MODELS[self.task].guess

    @cached_property
    def d_prime(self) -> float:
        """At threshold."""
        return float(d_prime(self.target, task=self.task, lapse=self.lapse))

    def proportion(self, d: ArrayLike) -> Values:
        """Correct at some sensitivities."""
        return proportion_correct(d, task=self.task, lapse=self.lapse)

    def proportion_beyond(self, z: Values) -> Values:
        """Correct where d′ is exp(z) times that at threshold; from a table, to six digits."""
        at, correct = self._table
        return np.asarray(np.interp(z, at, correct))

    @cached_property
    def _table(self) -> tuple[Values, Values]:
        at = np.linspace(-8.0, 4.0, 6001)
        return at, self.proportion(self.d_prime * np.exp(at))


def at_d_prime(d: float, *, task: str = "abx-differencing", lapse: float = 0.02) -> Decision:
    """With the threshold where d′ has some value."""
    return Decision(task=task, lapse=lapse, target=float(proportion_correct(d, task=task, lapse=lapse)))


@dataclass(frozen=True)
class Fits:
    """Functions d′(x) = d′_threshold · (x / threshold)^exponent of the largest likelihood, of one or many sets of answers.

    Parameters
    ----------
    threshold, exponent : array [shape=(sets,)]
    at_bound : array of bool [shape=(sets,)]
        Whether the largest likelihood is at the first or the last threshold that was looked at.
    thresholds : array [shape=(thresholds,)]
        That were looked at, in natural logarithms.
    lost : array [shape=(sets, thresholds)]
        Twice the log likelihood that is lost if the threshold is held there: likelihood ratio statistics.
    """

    threshold: Values
    exponent: Values
    at_bound: NDArray[np.bool_]
    thresholds: Values
    lost: Values

    def proportion(self, changes: ArrayLike, decision: Decision) -> Values:
        """Correct at some changes, by the first set's function."""
        x = np.log(np.asarray(changes, float))
        return decision.proportion_beyond(self.exponent[0] * (x - np.log(self.threshold[0])))

    def lost_at(self, threshold: float) -> Values:
        """Twice the log likelihood that each set loses if its threshold is held at one [shape=(sets,)]."""
        place = np.interp(np.log(threshold), self.thresholds, np.arange(len(self.thresholds)))
        below = min(int(place), len(self.thresholds) - 2)
        share = place - below
        return (1 - share) * self.lost[:, below] + share * self.lost[:, below + 1]

    def interval(self, most_lost: float) -> tuple[float, float]:
        """Thresholds of the first set that lose no more; 0 or infinity where all that were looked at on that side do."""
        held = np.flatnonzero(self.lost[0] <= most_lost)
        ends = []
        for edge, beyond, open_end in ((held[0], -1, 0.0), (held[-1], 1, np.inf)):
            if not 0 <= edge + beyond < len(self.thresholds):
                ends.append(open_end)
                continue
            inside, outside = self.lost[0, edge], self.lost[0, edge + beyond]
            share = (most_lost - inside) / (outside - inside)
            ends.append(float(np.exp(self.thresholds[edge] + share * beyond * (self.thresholds[1] - self.thresholds[0]))))
        return ends[0], ends[1]


def fit(
    changes: ArrayLike, correct: ArrayLike, trials: ArrayLike, decision: Decision, *, exponents: Sequence[float] = EXPONENTS
) -> Fits:
    """Fit many sets of answers at the same changes at once.

    The likelihood is taken at all of many thresholds and exponents, for all sets in two products of matrices, so that there is
    nothing to converge; the largest is at the vertex of a parabola through the profile's largest value and its neighbours.

    Parameters
    ----------
    changes : array [shape=(changes,)]
        That were reached, above 0.
    correct, trials : array [shape=(..., changes)]
        How many answers were right, of how many.
    decision : Decision
    exponents : sequence of float
        That are looked at; default: 24 from 0.25 to 4.

    Returns
    -------
    Fits
    """
    x = np.log(np.asarray(changes, float))
    right, of = (np.atleast_2d(np.asarray(values, float)) for values in (correct, trials))
    first, last = float(x.min()) - np.log(_BEYOND), float(x.max()) + np.log(_BEYOND)
    thresholds = np.linspace(first, last, int(np.ceil((last - first) / _STEP)) + 1)
    z = np.multiply.outer(np.array(exponents), x - thresholds[:, None]).swapaxes(0, 1)  # (thresholds, exponents, changes)
    p = np.clip(decision.proportion_beyond(z), _EVEN, 1 - _EVEN).reshape(-1, len(x))
    likelihood = (right @ np.log(p).T + (of - right) @ np.log1p(-p).T).reshape(len(right), len(thresholds), -1)
    profile, sets = likelihood.max(2), np.arange(len(right))
    best = profile.argmax(1)
    inner = np.clip(best, 1, len(thresholds) - 2)
    before, here, after = (profile[sets, inner + k] for k in (-1, 0, 1))
    bend = before - 2 * here + after
    peaked = (best == inner) & (bend < 0)
    offset = np.where(peaked, (before - after) / np.where(peaked, 2 * bend, 1.0), 0.0)
    top = profile[sets, best] - (before - after) * offset / 4
    return Fits(
        np.exp(thresholds[best] + (thresholds[1] - thresholds[0]) * offset),
        np.array(exponents)[likelihood[sets, best].argmax(1)],
        best != inner,
        thresholds,
        2 * (top[:, None] - profile),
    )
