"""How a matched place is read: rectified units below zero too, where they are silent."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from audiometamer.matching.straight_through import straight_through_relu
from audiometamer.models.activations import Tap
from audiometamer.models.model import Model
from audiometamer.models.pooling import max_contribution, supports_max_contribution


@dataclass(frozen=True)
class Reading:
    """How a place is read.

    Parameters
    ----------
    taps : dict of str to Tap
        Taps to record, by names of their own.
    read : callable
        Recorded tensors to the place's activations [shape=(batch, ...)].
    unrectified : bool
        Whether silent units are read below zero, by how far they are from becoming active.
    """

    taps: dict[str, Tap]
    read: Callable[[Mapping[str, Tensor]], Tensor]
    unrectified: bool = False


def reading(model: Model, place: str, *, unrectified: bool) -> Reading:
    """How to read a place.

    Parameters
    ----------
    model : Model
        The one that will be run: a copy has modules of its own.
    place : str
    unrectified : bool
        Whether to read a ReLU by its input, and a pool of a ReLU's output such that a completely silent region has the (negative)
        contribution of its largest unit. Otherwise a ReLU at the place passes its gradient straight through, as in Feather et
        al. (2023). Other places are read as they are.
    """
    tap = model.tap(place)
    module = model.get_submodule(tap.path)
    if isinstance(module, nn.ReLU):
        whole = {place: tap.input_tap()}
        if unrectified and tap.part.average is None:
            return Reading(whole, lambda found: tap.part(found[place]), unrectified=True)
        return Reading(whole, lambda found: tap.part(straight_through_relu(found[place])))
    if (
        unrectified
        and supports_max_contribution(module)
        and tap.part.average is None
        and (relu := model.find_pooled_relu(place)) is not None
    ):
        before = f"{place} before its ReLU"

        def with_silent_regions(found: Mapping[str, Tensor]) -> Tensor:
            return found[place] + tap.part(max_contribution(module, found[before]).clamp(max=0))

        return Reading({before: relu.input_tap(), place: tap}, with_silent_regions, unrectified=True)
    return Reading({place: tap}, lambda found: found[place])
