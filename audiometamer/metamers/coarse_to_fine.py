"""The loss of the published metamers of SpecTemp: coarse modulation filters first, finer ones join them step by step."""

from collections.abc import Iterator, Mapping
from functools import partial

import torch
from torch import Tensor

from audiometamer.matching.losses import Activations, Loss
from audiometamer.matching.stages import Stages
from audiometamer.metamers.settings import places
from audiometamer.models.model import Model

ROUNDS = 8  # of equal length; the step size is halved from one to the next


def is_coarse_to_fine(model: Model, layer: str) -> bool:
    """Whether a network says for a layer which of its filters are coarse."""
    return any(_included(model, place) for place in places(layer))


def coarse_to_fine(model: Model, layer: str, loss: Loss, steps: int) -> Loss | Stages[Loss]:
    """A loss on the filters that are let in at each step, as published; the loss itself where a network names none.

    Parameters
    ----------
    model : Model
        Its network may have a method `coarse_to_fine` that returns, for a layer [shape=(filters, ...)], indices of the filters
        of each stage; see `audiometamer.networks.SpecTemp`.
    layer : str
    loss : callable
        Loss of activations by place.
    steps : int
        Number of steps of the attempt.
    """
    stages = {place: included for place in places(layer) if (included := _included(model, place))}
    if not stages:
        return loss
    rows = {place: [torch.tensor(rows, device=model.device) for rows in included] for place, included in stages.items()}
    count = max(map(len, rows.values()))
    return Stages(
        tuple(
            (first, partial(_of_some, loss, {place: each[min(number, len(each) - 1)] for place, each in rows.items()}))
            for first, number in published_stages(steps, count)
        )
    )


def published_stages(steps: int, count: int = 7) -> Iterator[tuple[int, int]]:
    """The first step of each stage, and its number, over all rounds of a synthesis.

    Each of the first seven rounds begins again with the coarsest filters and takes in finer ones after 2/15 of its steps (400 of
    3000) less one, since the published code counts a step before it is taken; the last round has all of them (Feather et al.
    2023: `custom_synthesis_losses.py` and `make_metamers_wsj400_behavior_only_save_metamer_layers.py` of their repository).

    Parameters
    ----------
    steps : int
        Number of steps: 24,000 as published.
    count : int
        Number of stages. Default 7.

    Examples
    --------
    >>> list(published_stages(24_000))[:8]
    [(0, 0), (399, 1), (799, 2), (1199, 3), (1599, 4), (1999, 5), (2399, 6), (3000, 0)]
    """
    length = max(steps // ROUNDS, 1)
    latest = -1
    for step in range(min(steps, (ROUNDS - 1) * length)):
        number = min(15 * (step % length + 1) // (2 * length), count - 1)
        if number != latest:
            yield step, number
        latest = number
    if latest != count - 1:
        yield (ROUNDS - 1) * length, count - 1


def _included(model: Model, place: str) -> list[list[int]]:
    found: list[list[int]] = getattr(model.network, "coarse_to_fine", lambda _place: [])(place)
    return found


def _of_some(loss: Loss, rows: Mapping[str, Tensor], activations: Activations, target: Activations) -> Tensor:
    """A loss of the filters [shape=(filters,)] of some places, and of everything else at the others."""
    assert not isinstance(activations, Tensor)
    assert not isinstance(target, Tensor)
    some = (
        {place: values.index_select(1, rows[place]) if place in rows else values for place, values in side.items()}
        for side in (activations, target)
    )
    return loss(*some)
