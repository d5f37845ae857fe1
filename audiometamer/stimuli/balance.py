"""The largest subset in which groups are equally frequent; exact."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.optimize
import scipy.sparse
from numpy.typing import NDArray

from audiometamer.errors import AudioMetamerError

_SOLVER_SECONDS = 600.0


class Family(NamedTuple):
    """Groups of units that must contain equally many of the chosen units.

    Parameters
    ----------
    values : list of list of list of int
        For each value of a column, the groups (one for each condition), each a list of units.
    may_drop : bool
        Whether all groups of a value may contain none instead.
    """

    values: list[list[list[int]]]
    may_drop: bool


def most_balanced(counts: NDArray[np.int64], *, may_drop: bool) -> int:
    """Upper bound on the number of balanced units from the size of each group, for one family by itself.

    With k units in each group of a value, every value with at least k takes part; without `may_drop`, all values must.

    Parameters
    ----------
    counts : array [shape=(values, groups)]
    may_drop : bool
    """
    smallest = np.sort(counts.min(axis=1))[::-1]
    most = (smallest * np.arange(1, len(smallest) + 1)).max() if may_drop else smallest[-1] * len(smallest)
    return int(counts.shape[1] * most)


def largest_balanced(n: int, families: Sequence[Family], *, most: int, generator: np.random.Generator) -> list[int]:
    """The largest subset of `n` units such that, in each family, every group contains equally many of them; exact.

    A mixed integer program, solved by HiGHS. Units of the same groups are interchangeable: cᵢ of the nᵢ units of kind i are
    drawn. Maximise Σ cᵢ (1 + εᵢ), where the number in each group of family f is k_f, or 0 for a value that may be dropped.
    Σ nᵢ εᵢ < 1/2, so that the number counts first and the drawn ε choose among equals.

    Parameters
    ----------
    n : int
    families : sequence of Family
    most : int
        Maximum number of units.
    generator : Generator

    Returns
    -------
    list of int
        The chosen units, ascending; empty if nothing can be balanced.

    Raises
    ------
    AudioMetamerError
        If the solver gives up, or takes longer than ten minutes.
    """
    alike, kinds = _kinds(n, families)
    program = _Program([len(units) for units in alike])
    for f, family in enumerate(families):
        highest = max(len(group) for groups in family.values for group in groups)
        common = program.variable(highest)
        for v, groups in enumerate(family.values):
            used = program.variable(1) if family.may_drop else None
            for g in range(len(groups)):
                group = kinds.get((f, v, g), [])
                if used is None:
                    program.constrain(group, {common: -1.0}, 0, 0)
                    continue
                # Used: as many as in every other group. Not used: none.
                program.constrain(group, {common: -1.0}, -np.inf, 0)
                program.constrain(group, {common: -1.0, used: -highest}, -highest, np.inf)
                program.constrain(group, {used: -highest}, -np.inf, 0)
    program.constrain(range(len(alike)), {}, 0, most)
    counts = program.solve(1 + generator.random(len(alike)) / (2 * n + 1))
    return sorted(
        int(k) for units, count in zip(alike, counts, strict=True) for k in generator.choice(units, count, replace=False)
    )


_Place = tuple[int, int, int]  # family, value, group


def _kinds(n: int, families: Sequence[Family]) -> tuple[list[list[int]], dict[_Place, list[int]]]:
    """The units of each kind, which are in the same groups; and the kinds in each group."""
    places: list[list[_Place]] = [[] for _ in range(n)]
    for f, family in enumerate(families):
        for v, groups in enumerate(family.values):
            for g, group in enumerate(groups):
                for k in group:
                    places[k].append((f, v, g))
    alike: dict[tuple[_Place, ...], list[int]] = {}
    for k, at in enumerate(places):
        alike.setdefault(tuple(at), []).append(k)
    kinds: dict[_Place, list[int]] = {}
    for kind, at_all in enumerate(alike):
        for place in at_all:
            kinds.setdefault(place, []).append(kind)
    return list(alike.values()), kinds


class _Program:
    """A mixed integer program, built row by row; its solution is the values of the first variables, whole numbers from 0."""

    def __init__(self, highest: Sequence[float]) -> None:
        self.n, self.highest = len(highest), list(highest)
        self.entries: list[tuple[int, int, float]] = []
        self.low: list[float] = []
        self.high: list[float] = []

    def variable(self, highest: float) -> int:
        """Add a whole number from 0 to `highest`; returns its index."""
        self.highest.append(highest)
        return len(self.highest) - 1

    def constrain(self, ones: Sequence[int] | range, others: dict[int, float], low: float, high: float) -> None:
        """Require that Σ of some variables + Σ of weighted others lies from `low` to `high`."""
        row = len(self.low)
        self.entries += [(row, k, 1.0) for k in ones] + [(row, k, weight) for k, weight in others.items()]
        self.low.append(low)
        self.high.append(high)

    def solve(self, values: NDArray[np.float64]) -> list[int]:
        """The first variables, where the sum of their values is highest."""
        rows, columns, weights = zip(*self.entries, strict=True)
        shape = (len(self.low), len(self.highest))
        matrix = scipy.sparse.csr_array((weights, (rows, columns)), shape=shape)
        cost = np.concatenate([-values, np.zeros(shape[1] - self.n)])
        solved = scipy.optimize.milp(
            cost,
            integrality=np.ones(shape[1]),
            bounds=scipy.optimize.Bounds(0, self.highest),
            constraints=scipy.optimize.LinearConstraint(matrix, self.low, self.high),
            options={"mip_rel_gap": 0.0, "time_limit": _SOLVER_SECONDS},
        )
        if solved.x is None or solved.status != 0:
            raise AudioMetamerError(f"the largest balanced subset was not found: {solved.message}")
        return [round(count) for count in solved.x[: self.n]]
