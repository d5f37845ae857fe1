"""Mixed logistic models of single answers, with statsmodels: listeners and clips differ, layers make the difference."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import scipy.special
from numpy.typing import NDArray

from audiometamer.errors import AudioMetamerError
from audiometamer.io.tables import write_table
from audiometamer.listening.tables import TrialRow, trial_frame
from audiometamer.models.inputs import NATURAL
from audiometamer.statistics.contrasts import LEAST_P

if TYPE_CHECKING:
    import pandas as pd

_PRIOR_SD = 10.0  # of the coefficients, in log odds: hardly any, but one that is right everywhere stays finite
_PRIOR_LOG_SD = 1.0  # of the logarithm of the standard deviations of listeners and clips, around 0
_Z = 1.959964  # of a 95 % interval
_NAN = float("nan")


class Coefficient(NamedTuple):
    """A line of a mixed logistic model.

    Parameters
    ----------
    name : str
        As the formula makes it; ``sd(listener)``: the standard deviation of listeners.
    estimate : float
        Log odds; NaN if nothing can be fitted.
    se, low, high, p : float
        Standard error, 95 % interval, and Wald's p value of no effect, at least 2.2e-308. NaN where they mean nothing (see
        `note`).
    note : str
        Why something is not computed; else empty.
    """

    name: str
    estimate: float = _NAN
    se: float = _NAN
    low: float = _NAN
    high: float = _NAN
    p: float = _NAN
    note: str = ""


def mixed_logistic(
    trials: Sequence[TrialRow], formula: str = "correct ~ condition", *, vary: Sequence[str] = ("listener", "clip")
) -> list[Coefficient]:
    """Fit a logistic model with fixed effects and random intercepts.

    Variational Bayes of statsmodels' ``BinomialBayesMixedGLM`` gives the estimates. Its standard deviations of the coefficients
    are too small, since it takes coefficients and intercepts to be independent; ours come from the curvature of their joint log
    posterior with the intercepts' variances held, as in Laplace's approximation (Breslow & Clayton 1993, Journal of the American
    Statistical Association 88, 9).

    Parameters
    ----------
    trials : sequence of TrialRow
        Answers, each a row.
    formula : str
        As patsy reads it, in the columns of the trial table and ``condition``, which is ``MODEL LAYER``, or ``natural``, with
        which the others are compared. Default: every condition against natural clips.
    vary : sequence of str
        Columns whose values have random intercepts; default listeners and clips.

    Returns
    -------
    list of Coefficient
        Fixed effects, then the standard deviations of the random intercepts. If all answers are right, or all wrong, a single
        line without numbers, which says so.

    Raises
    ------
    AudioMetamerError
        If statsmodels is not installed, or the formula does not fit the table.

    Notes
    -----
    A condition in which every answer is right has no finite odds. A weak prior (normal, 10 log odds) keeps its estimate finite,
    but says nothing of how sure it is: it has no interval and no p, nor has any difference from it.
    """
    try:
        import patsy
        from statsmodels.genmod.bayes_mixed_glm import BinomialBayesMixedGLM
    except ImportError as error:
        raise AudioMetamerError(
            "mixed logistic models need statsmodels; `pip install 'audiometamer[analysis]'` installs it"
        ) from error
    frame = _frame(trials)
    if frame["correct"].nunique() < 2:
        return [Coefficient("(all)", note=f"not computed: {_alike(frame['correct'].to_numpy())}")]
    intercepts = {name: f"0 + C({name})" for name in vary}
    try:
        model = BinomialBayesMixedGLM.from_formula(formula, intercepts, frame, vcp_p=_PRIOR_LOG_SD, fe_p=_PRIOR_SD)
    except (patsy.PatsyError, KeyError, ValueError) as error:
        raise AudioMetamerError(f"the formula {formula!r} does not fit the trial table: {error}") from error
    fixed, kinds, random = model.exog.shape[1], len(vary), model.exog_vc.shape[1]
    start = np.zeros(fixed + kinds + random)
    found = model.fit_vb(mean=start, sd=np.full(len(start), 0.5))  # its own start is drawn
    errors = _standard_errors(model, found)
    p = np.maximum(2 * scipy.special.ndtr(-np.abs(found.fe_mean / errors)), LEAST_P)
    coefficients = []
    for k, (name, note) in enumerate(zip(model.exog_names, _separated(model.exog, model.endog), strict=True)):
        estimate, se = float(found.fe_mean[k]), float(errors[k])
        ends = (_NAN, _NAN, _NAN) if note else (estimate - _Z * se, estimate + _Z * se, float(p[k]))
        coefficients.append(Coefficient(name, estimate, se, *ends, note=note))
    return coefficients + [
        Coefficient(f"sd({name})", float(np.exp(log)), note="no standard error: the approximation makes it too small")
        for name, log in zip(vary, found.vcp_mean, strict=True)
    ]


def _separated(design: NDArray[np.float64], correct: NDArray[np.float64]) -> list[str]:
    """For each column of the design, why its coefficient has no finite value; empty where it has one.

    A column of zeros and ones marks a condition; where all others are zero is the one that it is compared with.
    """
    varying = np.ptp(design, axis=0) > 0
    reference = _alike(correct[~design[:, varying].any(axis=1)])
    notes = []
    for column, varies in zip(design.T, varying, strict=True):
        own = _alike(correct[column == 1]) if varies and set(np.unique(column)) == {0.0, 1.0} else ""
        other = f"{reference} in the reference condition" if reference and varies else reference
        notes.append(f"not computed: {own or other}" if own or other else "")
    return notes


def _alike(correct: NDArray[np.float64]) -> str:
    """Whether answers are all right or all wrong, in words; nothing if they differ, or there are none."""
    right = int(np.sum(correct))
    if not len(correct) or 0 < right < len(correct):
        return ""
    return f"all {len(correct)} answers are {'right' if right else 'wrong'}"


def write_logistic(path: Path, coefficients: Sequence[Coefficient]) -> Path:
    """Write the coefficients as a table; NaN is an empty cell."""
    write_table(path, Coefficient._fields, (coefficient._asdict() for coefficient in coefficients))
    return path


def _frame(trials: Sequence[TrialRow]) -> "pd.DataFrame":
    import pandas as pd

    frame = trial_frame(trials)
    frame["correct"] = frame["correct"].astype(int)
    conditions = [NATURAL if trial.layer == NATURAL else f"{trial.model} {trial.layer}" for trial in trials]
    frame["condition"] = pd.Categorical(conditions, sorted(set(conditions), key=lambda name: (name != NATURAL, name)))
    return frame


def _standard_errors(model: Any, found: Any) -> NDArray[np.float64]:
    """Of the fixed effects: the inverse of the curvature at the estimate, over fixed effects and intercepts together."""
    design = np.hstack([model.exog, model.exog_vc.toarray()])
    fitted = scipy.special.expit(design @ np.concatenate([found.fe_mean, found.vc_mean]))
    fixed = np.full(model.exog.shape[1], _PRIOR_SD**-2)
    random = np.exp(-2 * found.vcp_mean[model.ident])
    curvature = design.T @ (design * (fitted * (1 - fitted))[:, None]) + np.diag(np.concatenate([fixed, random]))
    variances: NDArray[np.float64] = np.diag(np.linalg.inv(curvature))
    return np.sqrt(variances[: len(fixed)])
