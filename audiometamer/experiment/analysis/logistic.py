"""Mixed logistic models of single answers, with statsmodels: conditions are fixed effects, listeners and clips random."""

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

_PRIOR_SD = 10.0  # of the coefficients, log odds: weak, but keeps estimates of all-correct conditions finite
_PRIOR_LOG_SD = 1.0  # of the log standard deviations of listeners and clips, around 0
_Z = 1.959964  # half width of a 95 % interval, in standard errors
_NAN = float("nan")


class Coefficient(NamedTuple):
    """A line of a mixed logistic model.

    Parameters
    ----------
    name : str
        Term of the formula; ``sd(listener)``: the standard deviation of listeners.
    estimate : float
        Log odds; NaN if nothing can be fitted.
    se, low, high, p : float
        Standard error, 95 % interval, and p value of Wald's test, at least 2.2e-308. NaN where they are meaningless (see
        `note`).
    note : str
        Why something is not computed; otherwise empty.
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
        One row for each answer.
    formula : str
        Formula in the syntax of patsy, of columns of the trial table and ``condition``, which is ``MODEL LAYER`` or ``natural``
        (the reference). Default: every condition against natural clips.
    vary : sequence of str
        Columns whose values have random intercepts. Default: listeners and clips.

    Returns
    -------
    list of Coefficient
        Fixed effects, then the standard deviations of the random intercepts. If all answers are right, or all wrong, a single
        row without numbers, which says so.

    Raises
    ------
    AudioMetamerError
        If statsmodels is not installed, or the formula does not fit the table.

    Notes
    -----
    A condition in which every answer is right has no finite odds. A weak prior (normal, 10 log odds) keeps its estimate finite,
    but says nothing about its precision: it has no interval and no p, nor has any difference from it.
    """
    mixed_model, formula_error = _statsmodels()
    frame = _frame(trials)
    if frame["correct"].nunique() < 2:
        return [Coefficient("(all)", note=f"not computed: {_alike(frame['correct'].to_numpy())}")]
    intercepts = {name: f"0 + C({name})" for name in vary}
    try:
        model = mixed_model.from_formula(formula, intercepts, frame, vcp_p=_PRIOR_LOG_SD, fe_p=_PRIOR_SD)
    except (formula_error, KeyError, ValueError) as error:
        raise AudioMetamerError(f"the formula {formula!r} does not fit the trial table: {error}") from error
    start = np.zeros(model.exog.shape[1] + len(vary) + model.exog_vc.shape[1])
    fit = model.fit_vb(mean=start, sd=np.full(len(start), 0.5))  # the default start is random
    return _fixed_effects(model, fit) + [
        Coefficient(f"sd({name})", float(np.exp(log_sd)), note="no standard error: the approximation makes it too small")
        for name, log_sd in zip(vary, fit.vcp_mean, strict=True)
    ]


def _fixed_effects(model: Any, fit: Any) -> list[Coefficient]:
    """The coefficients of the fixed effects, with Wald's intervals and tests."""
    errors = _standard_errors(model, fit)
    p = np.maximum(2 * scipy.special.ndtr(-np.abs(fit.fe_mean / errors)), LEAST_P)
    coefficients = []
    for k, (name, note) in enumerate(zip(model.exog_names, _separated(model.exog, model.endog), strict=True)):
        estimate, se = float(fit.fe_mean[k]), float(errors[k])
        ends = (_NAN, _NAN, _NAN) if note else (estimate - _Z * se, estimate + _Z * se, float(p[k]))
        coefficients.append(Coefficient(name, estimate, se, *ends, note=note))
    return coefficients


def _statsmodels() -> tuple[Any, type[Exception]]:
    """The mixed model of statsmodels, and what is raised where a formula is wrong."""
    try:
        import patsy
        from statsmodels.genmod.bayes_mixed_glm import BinomialBayesMixedGLM
    except ImportError as error:
        raise AudioMetamerError(
            "mixed logistic models need statsmodels; `pip install 'audiometamer[analysis]'` installs it"
        ) from error
    return BinomialBayesMixedGLM, patsy.PatsyError


def _separated(design: NDArray[np.float64], correct: NDArray[np.float64]) -> list[str]:
    """For each column of the design matrix, why its coefficient is not finite; empty where it is.

    A column of zeros and ones marks a condition; rows in which all columns are zero are those of the reference condition.
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
    """Whether answers are all right or all wrong, in words; empty if they differ, or there are none."""
    right = int(np.sum(correct))
    if not len(correct) or 0 < right < len(correct):
        return ""
    return f"all {len(correct)} answers are {'right' if right else 'wrong'}"


def write_logistic(path: Path, coefficients: Sequence[Coefficient]) -> Path:
    """Write the coefficients as a table; NaN becomes an empty cell."""
    write_table(path, Coefficient._fields, (coefficient._asdict() for coefficient in coefficients))
    return path


def _frame(trials: Sequence[TrialRow]) -> "pd.DataFrame":
    import pandas as pd

    frame = trial_frame(trials)
    frame["correct"] = frame["correct"].astype(int)
    conditions = [NATURAL if trial.layer == NATURAL else f"{trial.model} {trial.layer}" for trial in trials]
    frame["condition"] = pd.Categorical(conditions, sorted(set(conditions), key=lambda name: (name != NATURAL, name)))
    return frame


def _standard_errors(model: Any, fit: Any) -> NDArray[np.float64]:
    """Standard errors of the fixed effects: from the inverse curvature over fixed effects and intercepts together."""
    design = np.hstack([model.exog, model.exog_vc.toarray()])
    fitted = scipy.special.expit(design @ np.concatenate([fit.fe_mean, fit.vc_mean]))
    fixed = np.full(model.exog.shape[1], _PRIOR_SD**-2)
    random = np.exp(-2 * fit.vcp_mean[model.ident])
    curvature = design.T @ (design * (fitted * (1 - fitted))[:, None]) + np.diag(np.concatenate([fixed, random]))
    variances: NDArray[np.float64] = np.diag(np.linalg.inv(curvature))
    return np.sqrt(variances[: len(fixed)])
