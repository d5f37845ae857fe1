"""The analyses of variance of an experiment: layers, models, groups of listeners, and listeners against networks."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.analysis.recognition import CorrectCounts, ObserverKind
from audiometamer.listening.exclusions import listener_names
from audiometamer.statistics.anova import Effect, anova


class Anova(NamedTuple):
    """One analysis of variance.

    Parameters
    ----------
    listeners : int
        Number of listeners included.
    groups : dict of str to int
        Size of each group, if it compares groups.
    effects : list of Effect
        Empty if none can be computed.
    note : str
        Why there are none; else empty.
    """

    listeners: int
    groups: dict[str, int]
    effects: list[Effect]
    note: str = ""


class AnovaData(NamedTuple):
    """The data of one analysis of variance.

    Parameters
    ----------
    name : str
        The comparison.
    values : array [shape=(rows, levels, …)]
        Proportions correct; NaN where a listener had no trial.
    within : sequence of str
        Names of the within factors, one for each axis of levels.
    listeners : sequence of str
        The listener of each row.
    between : str, optional
        Name of the between factor. Default: none.
    groups : sequence of str, optional
        The group of each row. Default: none.
    """

    name: str
    values: NDArray[np.float64]
    within: Sequence[str]
    listeners: Sequence[str]
    between: str | None = None
    groups: Sequence[str] | None = None

    def restricted(self, rows: Sequence[int]) -> "AnovaData":
        """The same comparison of some of the rows."""
        groups = None if self.groups is None else [self.groups[k] for k in rows]
        return self._replace(values=self.values[rows], listeners=[self.listeners[k] for k in rows], groups=groups)


def anova_data(counts: Mapping[ObserverKind, CorrectCounts], groups: Mapping[str, str]) -> Iterator[AnovaData]:
    """The comparisons of an experiment.

    For each model, its layers: in all listeners, between groups of listeners, and between listeners and the network. If there
    are several models, also layers × models in all listeners.

    Parameters
    ----------
    counts : mapping
        Counts of listeners (``human``), and of networks if they are known.
    groups : mapping of str to str
        The group of each listener; empty if the listener has none.
    """
    human = counts["human"]
    values, listeners = human.proportions, human.listeners
    columns: dict[str, dict[str, int]] = {}
    for k, (model, layer) in enumerate(human.conditions):
        columns.setdefault(model, {})[layer] = k
    for model, layers in columns.items():
        yield AnovaData(f"listeners, {model}", values[:, [*layers.values()]], ["layer"], listeners)
        yield from _between_groups(human, model, [*layers.values()], groups)
        if network := counts.get("network"):
            yield _with_network(human, network, model, [*layers.values()])
    if len(columns) > 1:
        shared = [layer for layer in next(iter(columns.values())) if all(layer in layers for layers in columns.values())]
        crossed = np.stack([values[:, [layers[layer] for layer in shared]] for layers in columns.values()], axis=2)
        yield AnovaData(f"listeners, {' and '.join(columns)}", crossed, ["layer", "model"], listeners)


def _between_groups(human: CorrectCounts, model: str, columns: Sequence[int], groups: Mapping[str, str]) -> Iterator[AnovaData]:
    """Groups of listeners at the layers of a model, if there are two or more."""
    everyone = AnovaData(
        f"groups of listeners, {model}", human.proportions[:, columns], ["layer"], human.listeners, "group",
        [groups[listener] for listener in human.listeners],
    )  # fmt: skip
    grouped = everyone.restricted([k for k, listener in enumerate(human.listeners) if groups[listener]])
    if len(set(grouped.groups or ())) > 1:
        yield grouped


def _with_network(human: CorrectCounts, network: CorrectCounts, model: str, columns: Sequence[int]) -> AnovaData:
    """Listeners and the network, at the layers at which the network's answers are known."""
    known = [k for k in columns if network.total[:, k].any()]
    both = np.concatenate([human.proportions[:, known], network.proportions[:, known]])
    observers = ["human"] * len(human.listeners) + ["network"] * len(human.listeners)
    return AnovaData(
        f"listeners and network, {model}", both, ["layer"], [*human.listeners, *human.listeners], "observer", observers
    )


def analyse_variance(compared: Iterable[AnovaData], *, permutations: int, seed: int) -> tuple[dict[str, Anova], list[str]]:
    """Analyse each comparison over the listeners who have a trial at each of its conditions; and note who has not.

    Parameters
    ----------
    compared : iterable of AnovaData
    permutations : int
        In each permutation test.
    seed : int

    Returns
    -------
    dict of str to Anova
        Tests by the name of the comparison.
    list of str
        Which listeners are left out of which comparison.
    """
    tests, notes = {}, []
    for comparison in compared:
        gaps = np.isnan(comparison.values.reshape(len(comparison.values), -1)).sum(axis=1)
        incomplete = dict.fromkeys(name for name, gap in zip(comparison.listeners, gaps, strict=True) if gap)
        if incomplete:
            notes.append(
                f"{comparison.name}: {len(incomplete)} of {len(set(comparison.listeners))} had no trial at some condition "
                f"({listener_names([*incomplete])}); left out of the test."
            )
        # A listener who lacks a condition is left out with all rows, so that observers are compared over the same listeners.
        kept = [k for k, name in enumerate(comparison.listeners) if name not in incomplete]
        tests[comparison.name] = _anova(comparison.restricted(kept), permutations=permutations, seed=seed)
    return tests, notes


def _anova(comparison: AnovaData, *, permutations: int, seed: int) -> Anova:
    """The analysis of variance of a comparison, or why there is none."""
    listeners, sizes = len(set(comparison.listeners)), dict(Counter(comparison.groups or ()))
    if listeners < 2:
        return Anova(listeners, sizes, [], "a single listener" if listeners else "no listener has trials at every condition")
    try:
        effects = anova(
            comparison.values, within=comparison.within, between=comparison.between, groups=comparison.groups,
            permutations=permutations, seed=seed,
        )  # fmt: skip
    except AudioMetamerError as error:
        return Anova(listeners, sizes, [], str(error))
    return Anova(listeners, sizes, effects)
