"""What a plan would make, how long that takes and how much disk, by a short measurement."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from audiometamer.benchmark import time_step
from audiometamer.criteria import NullDistribution
from audiometamer.devices import choose_device
from audiometamer.matching.methods import load_method
from audiometamer.metamers.batch_size import fitting_batch_size
from audiometamer.metamers.synthesis import places
from audiometamer.models import Model
from audiometamer.stimuli.items import Visit, expand
from audiometamer.stimuli.layout import is_complete
from audiometamer.stimuli.plan import Plan

_RECORD_BYTES = 12_000  # an item.json with its loss curve


@dataclass(frozen=True)
class Row:
    """One layer of one model of a plan: how many items, how many of them there, and seconds for the rest if measured."""

    model: str
    layer: str
    items: int
    there: int
    seconds: float | None


@dataclass(frozen=True)
class Estimate:
    """What a plan comes to.

    Parameters
    ----------
    clips : int
    rows : list of Row
    n_bytes : int
        Of the whole set.
    """

    clips: int
    rows: list[Row]
    n_bytes: int

    @property
    def items(self) -> int:
        """In all."""
        return sum(row.items for row in self.rows)

    @property
    def there(self) -> int:
        """Of them, complete."""
        return sum(row.there for row in self.rows)

    @property
    def seconds(self) -> float | None:
        """Of one worker, for the rest; None if not measured."""
        known = [row.seconds for row in self.rows if row.seconds is not None]
        return sum(known) if len(known) == len(self.rows) else None


def estimate(
    path: Path,
    plan: Plan,
    *,
    device: str = "auto",
    measure: bool = True,
    report: Callable[[float, str], None] | None = None,
    visit: Visit | None = None,
) -> Estimate:
    """Expand a plan, and time a few steps at every layer.

    Parameters
    ----------
    path : path
        Of the plan.
    plan : Plan
    device : str
    measure : bool
        Whether to time steps. Default True.
    report : callable, optional
        Told the share of the models that is done, and the layer.
    visit : callable, optional
        Shown each model; see `audiometamer.stimuli.items.expand`.
    """
    method, chosen = load_method(plan.method), choose_device(device)
    each: dict[tuple[str, str], float | None] = {}
    sizes: dict[str, int] = {}

    def look_at(entry: int, model: Model, null: NullDistribution | None, layers: Sequence[str]) -> None:
        if visit is not None:
            visit(entry, model, null, layers)
        done = len(sizes) / len(plan.models)
        sizes[model.name] = 4 * math.prod(model.signal_shape)
        model.to(chosen)
        for layer in layers:
            if report is not None:
                report(done, f"{model.name} {layer}")
            each[model.name, layer] = None
            if measure:
                size = plan.batch_size or fitting_batch_size(model, places(layer))
                timed = [time_step(model, place, batch_size=size).of_one_metamer(method, plan.steps) for place in places(layer)]
                each[model.name, layer] = max(timed)  # of layers that are matched at once, the deepest

    expansion = expand(path, plan, visit=look_at)
    planned, there = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for item in expansion.items:
        at = item.identity.settings.model, item.identity.settings.layer
        planned[at] += 1
        there[at] += is_complete(expansion.folder / item.folder)
    rows = [
        Row(*at, planned[at], there[at], None if seconds is None else seconds * (planned[at] - there[at]))
        for at, seconds in each.items()
    ]
    clips = len(expansion.sources)
    n_bytes = sum(row.items * (sizes[row.model] + _RECORD_BYTES) for row in rows) + clips * sum(sizes.values())
    return Estimate(clips, rows, n_bytes)
