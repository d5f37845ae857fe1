"""Growth of sensitivity d′ with the reached change: a power function under a decision model, by maximum likelihood."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audiometamer.errors import AudioMetamerError
from audiometamer.psychophysics import DECISION_MODELS, DEFAULT_TARGET, d_prime, proportion_correct

Values = NDArray[np.float64]

_MARGIN = 1e-9  # probabilities stay this far from 0 and 1
_BEYOND = 4.0  # the search extends to this factor beyond the smallest and the largest change
_STEP = 0.05  # between the thresholds of the search, in natural logarithms
EXPONENTS = tuple(np.geomspace(0.25, 4.0, 24).tolist())


@dataclass(frozen=True, kw_only=True)
class Decision:
    """A decision model with a lapse rate, and the definition of threshold.

    Parameters
    ----------
    task : str
        One of `audiometamer.psychophysics.DECISION_MODELS`; default ``abx-differencing``, for references that change.
    target : float
        Proportion correct at threshold; default 0.5^(1/3) = 0.794, at which three-down one-up converges.
    lapse : float
        See `audiometamer.psychophysics.proportion_correct`; default 0.02. It is not fitted, as procedures present few trials
        where lapses would show (Prins 2012, Journal of Vision 12(6):25).

    Raises
    ------
    AudioMetamerError
        If there is no such task, or no sensitivity gives the target.
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
        """Proportion correct at chance."""
        return DECISION_MODELS[self.task].guess

    @cached_property
    def d_prime(self) -> float:
        """d′ at threshold."""
        return float(d_prime(self.target, task=self.task, lapse=self.lapse))

    def proportion(self, d: ArrayLike) -> Values:
        """Proportion correct at some sensitivities."""
        return proportion_correct(d, task=self.task, lapse=self.lapse)

    def proportion_beyond(self, z: Values) -> Values:
        """Proportion correct where d′ is exp(z) times that at threshold; from a table, to six digits."""
        at, correct = self._table
        return np.asarray(np.interp(z, at, correct))

    @cached_property
    def _table(self) -> tuple[Values, Values]:
        at = np.linspace(-8.0, 4.0, 6001)
        return at, self.proportion(self.d_prime * np.exp(at))


def decision_at_d_prime(d: float, *, task: str = "abx-differencing", lapse: float = 0.02) -> Decision:
    """A decision model whose threshold is at a given d′."""
    return Decision(task=task, lapse=lapse, target=float(proportion_correct(d, task=task, lapse=lapse)))


@dataclass(frozen=True)
class SensitivityFits:
    """Maximum-likelihood functions d′(x) = d′_threshold · (x / threshold)^exponent for one or many sets of answers.

    Parameters
    ----------
    threshold, exponent : array [shape=(sets,)]
    at_bound : array of bool [shape=(sets,)]
        Whether the largest likelihood is at an end of the search.
    thresholds : array [shape=(thresholds,)]
        Thresholds of the search, in natural logarithms.
    lost : array [shape=(sets, thresholds)]
        Likelihood ratio statistics: twice the loss of log likelihood if the threshold is held at each of them.
    """

    threshold: Values
    exponent: Values
    at_bound: NDArray[np.bool_]
    thresholds: Values
    lost: Values

    def proportion(self, changes: ArrayLike, decision: Decision) -> Values:
        """Proportion correct at some changes, by the function of the first set."""
        x = np.log(np.asarray(changes, float))
        return decision.proportion_beyond(self.exponent[0] * (x - np.log(self.threshold[0])))

    def loss_at(self, threshold: float) -> Values:
        """Twice the loss of log likelihood of each set if its threshold is held at a value [shape=(sets,)]."""
        place = np.interp(np.log(threshold), self.thresholds, np.arange(len(self.thresholds)))
        below = min(int(place), len(self.thresholds) - 2)
        share = place - below
        return (1 - share) * self.lost[:, below] + share * self.lost[:, below + 1]

    def interval(self, max_loss: float) -> tuple[float, float]:
        """The thresholds of the first set that lose no more: 0 or infinite where the search does not reach the end."""
        held = np.flatnonzero(self.lost[0] <= max_loss)
        ends = []
        for edge, beyond, open_end in ((held[0], -1, 0.0), (held[-1], 1, np.inf)):
            if not 0 <= edge + beyond < len(self.thresholds):
                ends.append(open_end)
                continue
            inside, outside = self.lost[0, edge], self.lost[0, edge + beyond]
            share = (max_loss - inside) / (outside - inside)
            ends.append(float(np.exp(self.thresholds[edge] + share * beyond * (self.thresholds[1] - self.thresholds[0]))))
        return ends[0], ends[1]


def fit_sensitivity(
    changes: ArrayLike, correct: ArrayLike, trials: ArrayLike, decision: Decision, *, exponents: Sequence[float] = EXPONENTS
) -> SensitivityFits:
    """Fit many sets of answers at the same changes.

    The likelihood is computed on a grid of thresholds and exponents, for all sets in two products of matrices, so that nothing
    has to converge; its maximum is at the vertex of a parabola through the largest value of the profile and its neighbours.

    Parameters
    ----------
    changes : array [shape=(changes,)]
        Reached changes, above 0.
    correct, trials : array [shape=(..., changes)]
        Number of right answers, and of trials.
    decision : Decision
    exponents : sequence of float
        Exponents of the search; default: 24 from 0.25 to 4.

    Returns
    -------
    Fits
    """
    x = np.log(np.asarray(changes, float))
    right, of = (np.atleast_2d(np.asarray(values, float)) for values in (correct, trials))
    first, last = float(x.min()) - np.log(_BEYOND), float(x.max()) + np.log(_BEYOND)
    thresholds = np.linspace(first, last, int(np.ceil((last - first) / _STEP)) + 1)
    z = np.multiply.outer(np.array(exponents), x - thresholds[:, None]).swapaxes(0, 1)  # (thresholds, exponents, changes)
    p = np.clip(decision.proportion_beyond(z), _MARGIN, 1 - _MARGIN).reshape(-1, len(x))
    likelihood = (right @ np.log(p).T + (of - right) @ np.log1p(-p).T).reshape(len(right), len(thresholds), -1)
    profile, sets = likelihood.max(2), np.arange(len(right))
    best = profile.argmax(1)
    inner = np.clip(best, 1, len(thresholds) - 2)
    before, here, after = (profile[sets, inner + k] for k in (-1, 0, 1))
    bend = before - 2 * here + after
    peaked = (best == inner) & (bend < 0)
    offset = np.where(peaked, (before - after) / np.where(peaked, 2 * bend, 1.0), 0.0)
    top = profile[sets, best] - (before - after) * offset / 4
    return SensitivityFits(
        np.exp(thresholds[best] + (thresholds[1] - thresholds[0]) * offset),
        np.array(exponents)[likelihood[sets, best].argmax(1)],
        best != inner,
        thresholds,
        2 * (top[:, None] - profile),
    )
