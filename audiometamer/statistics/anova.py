"""Repeated measures and mixed analysis of variance: factors within listeners, and one between groups of listeners."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from audiometamer.errors import AudioMetamerError, listeners_in_words
from audiometamer.statistics.arrays import FloatArray, GroupCodes
from audiometamer.statistics.contrasts import FRatio, f_ratio
from audiometamer.statistics.permutation import permutation_p


class Effect(NamedTuple):
    """One effect of an analysis of variance.

    Parameters
    ----------
    name : str
        The factor, or the factors of an interaction: ``observer × layer``.
    f : float
        F ratio; NaN, as are `p`, `epsilon`, `p_gg` and `partial_eta2`, if it cannot be computed.
    df, df_error : int
        Degrees of freedom of F.
    p : float
        p value under sphericity; at least 2.2e-308.
    epsilon : float
        Greenhouse and Geisser's epsilon; 1 if there is a single contrast.
    p_gg : float
        p value with both degrees of freedom multiplied by epsilon.
    partial_eta2 : float
        effect / (effect + error).
    p_permutation : float
        p value of the permutation test; NaN without permutations, or if values do not differ at all.
    effect, error : float
        Sums of squares.
    note : str
        Why F cannot be computed; otherwise empty.
    """

    name: str
    f: float
    df: int
    df_error: int
    p: float
    epsilon: float
    p_gg: float
    partial_eta2: float
    p_permutation: float
    effect: float
    error: float
    note: str = ""


def anova(
    values: ArrayLike,
    *,
    within: Sequence[str],
    between: str | None = None,
    groups: Sequence[object] | None = None,
    permutations: int = 0,
    seed: int = 0,
) -> list[Effect]:
    """Repeated measures or mixed analysis of variance (Maxwell & Delaney 2004, Designing Experiments and Analyzing Data).

    Parameters
    ----------
    values : array [shape=(listeners, levels, …)]
        The value of each listener at each combination of levels; one axis for each within factor, in the order of `within`.
    within : sequence of str
        Names of the within factors, one or more.
    between : str, optional
        Name of the between factor. Default: none.
    groups : sequence, optional
        The group of each listener. Default: none.
    permutations : int
        Number of permutations for `p_permutation`; see `audiometamer.statistics.permutation.permutation_p`. Default 0: none.
    seed : int
        Random seed of the permutations. Default 0.

    Returns
    -------
    list of Effect
        The between factor's main effect, then each within factor, each followed by its interaction with the between factor, then
        interactions of within factors in the same manner. Groups of unequal size weigh the same in the within effects (sums of
        squares of type III).

    Raises
    ------
    AudioMetamerError
        If a value is missing, a factor has fewer than two levels or groups, or there are too few listeners for an error term.

    Examples
    --------
    Differences of 1 and 3 have mean 2 and standard error 1, so t = 2 and F = t².

    >>> (effect,) = anova([[0, 1], [0, 3]], within=["layer"])
    >>> effect.name, round(effect.f, 6), effect.df, effect.df_error
    ('layer', 4.0, 1, 1)
    """
    table = np.asarray(values, float)
    codes = _checked(table, within, between, groups)
    subsets = (s for k in range(len(within) + 1) for s in itertools.combinations(range(len(within)), k))
    terms = [(factors, crossed) for factors in subsets for crossed in (False, True)]
    terms = [term for term in terms if any(term) and (between is not None or not term[1])]
    effects = []
    for number, (factors, crossed) in enumerate(terms):
        ratio = f_ratio(table[None], codes, within=factors, between=crossed)
        p = float("nan")
        if permutations:
            p = permutation_p(table, codes, within=factors, between=crossed, permutations=permutations, seed=(seed, number))
        name = " × ".join([str(between)] * crossed + [within[k] for k in factors])
        effects.append(_effect(name, ratio, p, between=crossed, within=bool(factors)))
    return effects


def _effect(name: str, ratio: FRatio, p_permutation: float, *, between: bool, within: bool) -> Effect:
    effect, error = float(ratio.effect[0]), float(ratio.error[0])
    nan = float("nan")
    return Effect(
        name, float(ratio.f[0]) if error else nan, ratio.df, ratio.df_error,
        p=float(ratio.p[0]),
        epsilon=float(ratio.epsilon[0]),
        p_gg=float(ratio.p_gg[0]),
        partial_eta2=effect / (effect + error) if error else nan,
        p_permutation=p_permutation, effect=effect, error=error,
        note="" if error else _why_not(effect, between=between, within=within),
    )  # fmt: skip


def _why_not(effect: float, *, between: bool, within: bool) -> str:
    """Why there is no F, where there is no error."""
    if not within:
        return "no variance between listeners of a group"
    if not effect:
        return "no variance within listeners"
    return (
        "no variance between listeners of a group in this effect" if between else "no variance between listeners in this effect"
    )


def _checked(values: FloatArray, within: Sequence[str], between: str | None, groups: Sequence[object] | None) -> GroupCodes:
    """The groups as numbers from 0; raises if values like these cannot be analysed."""
    if not within or values.ndim != 1 + len(within):
        raise AudioMetamerError(
            f"values of shape {values.shape} for the within factors {', '.join(within) or '(none)'}: there should be an axis for "
            "the listeners and one for each within factor"
        )
    if (between is None) != (groups is None):
        raise AudioMetamerError("a between factor needs both its name and the listeners' groups")
    listeners = len(values)
    if groups is not None and len(groups) != listeners:
        raise AudioMetamerError(f"{len(groups)} groups for {listeners} listeners; there should be one for each")
    if missing := np.argwhere(~np.isfinite(values)).tolist():
        listener, *levels = missing[0]
        raise AudioMetamerError(
            f"{len(missing)} of {values.size} values are missing or not finite, the first of listener {listener} at level "
            f"{', '.join(map(str, levels))} (counted from 0); an analysis of variance needs them all"
        )
    for name, levels in zip(within, values.shape[1:], strict=True):
        if levels < 2:
            raise AudioMetamerError(f"the factor {name} has {levels} level; an analysis of variance needs two or more")
    codes = np.zeros(listeners, np.intp)
    if groups is not None:
        names = list(dict.fromkeys(groups))
        codes = np.array([names.index(group) for group in groups], np.intp)
        if len(names) < 2:
            raise AudioMetamerError(f"the factor {between} has {len(names)} group; an analysis of variance needs two or more")
    if listeners <= (n_groups := len(np.unique(codes))):
        where = "" if groups is None else f" in {n_groups} groups"
        raise AudioMetamerError(
            f"{listeners_in_words(listeners)}{where}: there is no error; there must be {max(n_groups, 1) + 1} or more"
        )
    return codes
