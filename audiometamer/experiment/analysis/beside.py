"""Listeners of other experiments beside one's own: which ones, and at which conditions they match."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from audiometamer.errors import listeners_in_words
from audiometamer.experiment.analysis.recognition import RecognitionRow, row_of_means
from audiometamer.published.listeners import PublishedListeners, our_name
from audiometamer.statistics.intervals import mean_over_listeners

_LABEL = 40  # characters in a line of the legend


@dataclass(frozen=True)
class Beside:
    """Published listeners beside the listeners of one model.

    Parameters
    ----------
    model : str
        The model beside which they stand.
    published : PublishedListeners
    recognition : list of RecognitionRow
        What they recognise, at all their conditions.
    matched : list of str
        Layers of the model that they heard, in the model's order.
    own : list of str
        Layers of the model that they did not hear.
    """

    model: str
    published: PublishedListeners
    recognition: list[RecognitionRow]
    matched: list[str]
    own: list[str]

    @property
    def drawn(self) -> list[RecognitionRow]:
        """The rows at conditions of the model, in its order and under its names of layers."""
        rows = {row.layer: row for row in self.recognition}
        return [msgspec.structs.replace(rows[our_name(layer)], layer=layer) for layer in self.matched]

    @property
    def label(self) -> str:
        """Paper, number of listeners, and network, for a legend."""
        network, n = textwrap.fill(self.published.network, _LABEL), f"n = {len(self.published.listeners)}"
        return f"{self.published.paper}, {n}:\n{network}" if self.published.paper else f"{network}, {n}"

    @property
    def unmatched(self) -> list[str]:
        """Their conditions that the model lacks."""
        matched = {*map(our_name, self.matched)}
        return [layer for layer in self.published.layers if layer not in matched]

    @property
    def statement(self) -> str:
        """In a line: who they are, which network's metamers they heard, and what does not match."""
        published = self.published
        text = (
            f"Beside {self.model}: {listeners_in_words(len(published.listeners))} who heard metamers of {published.network} "
            f"({published.source}); {len(self.matched)} of {len(self.matched) + len(self.own)} conditions match"
        )
        text += f"; only here: {', '.join(self.own)}" if self.own else ""
        text += f"; only there: {', '.join(self.unmatched)}" if self.unmatched else ""
        return f"{text}." if self.matched else f"{text}. They are not drawn."

    def record(self) -> dict[str, Any]:
        """The same for ``beside.json``."""
        published = self.published
        about = {name: getattr(published, name) for name in ("paper", "experiment", "network", "file")}
        return {
            "model": self.model, **about, "source": published.source, "listeners": len(published.listeners),
            "matched": self.matched, "only_here": self.own, "only_there": self.unmatched,
            "recognition": [msgspec.to_builtins(row) for row in self.recognition],
        }  # fmt: skip


def stand_beside(
    recognition: Iterable[RecognitionRow],
    published: Iterable[Sequence[PublishedListeners]],
    *,
    resamples: int = 10_000,
    seed: int = 0,
) -> list[Beside]:
    """Choose published listeners for each model of an analysis.

    Of each sequence of candidates, a model gets those at metamers of a network of its own name; otherwise of the network with
    most layers of the same names; among equals the first, which in Feather et al. (2023) is one trained without perturbations.

    Parameters
    ----------
    recognition : iterable of RecognitionRow
        Results of one's own listeners.
    published : iterable of sequence of PublishedListeners
        Candidates; one of each sequence is chosen for each model.
    resamples, seed : int
        Bootstrap samples of listeners, as in `mean_over_listeners`. Default 10000, 0.

    Returns
    -------
    list of Beside
        Sorted by model, in the order of the sequences.
    """
    layers: dict[str, dict[str, None]] = {}
    for row in recognition:
        layers.setdefault(row.model, {})[row.layer] = None
    candidates = list(published)
    return [
        _beside(model, [*names], _nearest(model, [*names], groups), resamples=resamples, seed=seed)
        for model, names in layers.items()
        for groups in candidates
    ]


def _nearest(model: str, layers: Sequence[str], groups: Sequence[PublishedListeners]) -> PublishedListeners:
    """The group whose network is the model or, if none is, shares most layers with it."""
    name = model.rpartition("/")[2]
    ours = {*map(our_name, layers)}
    return max(groups, key=lambda group: (group.network == name, len(ours & {*group.layers})))


def _beside(model: str, layers: Sequence[str], group: PublishedListeners, *, resamples: int, seed: int) -> Beside:
    matched = [layer for layer in layers if our_name(layer) in group.layers]
    own = [layer for layer in layers if layer not in matched]
    return Beside(model, group, [*_rows(group, resamples=resamples, seed=seed)], matched, own)


def _rows(group: PublishedListeners, *, resamples: int, seed: int) -> Iterator[RecognitionRow]:
    """Means over published listeners at each of their conditions, with intervals of the same kind as one's own."""
    means = mean_over_listeners(group.human, resamples=resamples, seed=seed)
    for k, layer in enumerate(group.layers):
        yield row_of_means(means, k, model=group.network, layer=layer, observer="human", trials=None, source=group.source)


def labelled(beside: Sequence[Beside]) -> Iterator[tuple[str, Beside]]:
    """Each with a label for a legend; of several groups that have the same one, with their experiment or file."""
    sources: dict[str, set[str]] = {}
    for each in beside:
        sources.setdefault(each.label, set()).add(each.published.source)
    for each in beside:
        published = each.published
        where = f"experiment {published.experiment}" if published.experiment else published.file
        yield (f"{each.label}, {where}" if len(sources[each.label]) > 1 else each.label), each


def distinct_rows(beside: Iterable[Beside]) -> list[RecognitionRow]:
    """The rows of all published listeners, each group once."""
    groups = {each.published.source + each.published.network: each.recognition for each in beside}
    return [row for rows in groups.values() for row in rows]
