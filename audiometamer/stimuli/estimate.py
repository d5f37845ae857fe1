"""What a plan would make, how long that takes and how much disk, by a short measurement."""

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from audiometamer.devices import choose_device
from audiometamer.metamers.batch_size import fitting_batch_size
from audiometamer.metamers.benchmark import time_step
from audiometamer.metamers.criteria import NullDistribution
from audiometamer.metamers.methods import Method, load_method
from audiometamer.metamers.settings import places
from audiometamer.models.model import Model
from audiometamer.stimuli.items import Visit, expand
from audiometamer.stimuli.layout import is_complete
from audiometamer.stimuli.plan import Plan, sources

_RECORD_BYTES = 12_000  # an item.json with its loss curve
# Share of the items that the first attempt of the default method leaves to later ones, over three networks (docs/optimisers.md).
_LEFT = 0.11


@dataclass(frozen=True)
class Cost:
    """What the items of a layer cost, in seconds.

    Parameters
    ----------
    size : int
        Signals in the largest batch.
    one, full : float
        A step of one signal, and of the largest batch; between them it grows in proportion.
    evidence : float
        Recording the evidence of one signal.
    """

    size: int
    one: float
    full: float
    evidence: float

    def step(self, signals: float) -> float:
        """A step of a batch."""
        return self.one if self.size == 1 else self.one + (self.full - self.one) * (signals - 1) / (self.size - 1)

    def of_items(self, items: int, method: Method, steps: int, *, judged: bool) -> float:
        """All attempts at some items of one layer, in batches that are not all full.

        Parameters
        ----------
        items : int
        method : Method
        steps : int
            Steps of an attempt.
        judged : bool
            Whether there is a null distribution: without one, nothing fails by it and is attempted again.
        """
        first = steps * self._step_of_all(items)
        if not judged or items == 0 or method.expected_steps == method.steps:
            return first + items * self.evidence
        left, expected = _LEFT * items, steps * method.expected_steps / method.steps
        together = min(max(left, 1.0), self.size)  # few wait for each other in small batches
        later = (expected - steps) * items / together * self.step(together)
        return first + later + items * expected / steps * self.evidence

    def at_most(self, items: int, method: Method, steps: int) -> float:
        """Every attempt at each of some items."""
        taken = steps * sum(attempt.steps_factor for attempt in method.attempts)
        return taken * self._step_of_all(items) + len(method.attempts) * items * self.evidence

    def _step_of_all(self, items: int) -> float:
        """A step of each of some items, in full batches and a last one that may not be."""
        batches, rest = divmod(items, self.size)
        return batches * self.step(self.size) + (self.step(rest) if rest else 0)


def measure_cost(model: Model, layer: str, *, size: int) -> Cost:
    """Time steps of one signal and of a batch, and what is recorded of one; of layers that are matched at once, the slowest's."""
    timed = [[time_step(model, place, batch_size=n, repeats=1) for n in {1, size}] for place in places(layer)]
    one, full = (max(t.step for each in timed for t in each if t.batch_size == n) for n in (1, size))
    return Cost(size, one, full, min(t.evidence / t.batch_size for each in timed for t in each))


@dataclass(frozen=True)
class Row:
    """One layer of one model of a plan: how many items, how many of them there, and seconds for the rest if measured.

    `at_most` is given where the plan takes fewer steps than its method: how many items need every attempt is then unknown.
    """

    model: str
    layer: str
    items: int
    there: int
    seconds: float | None
    at_most: float | None = None


@dataclass(frozen=True)
class Estimate:
    """What a plan comes to.

    Parameters
    ----------
    clips : int
    rows : list of Row
    n_bytes : int
        Of the whole set.
    reading : float
        Seconds that it takes to load the models and read the clips.
    """

    clips: int
    rows: list[Row]
    n_bytes: int
    reading: float = 0.0

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
        return self.reading + sum(known) if len(known) == len(self.rows) else None

    @property
    def at_most(self) -> float | None:
        """Seconds of one worker if every item needs every attempt; None if that is not to be expected, or not measured."""
        if self.seconds is None or all(row.at_most is None for row in self.rows):
            return None
        return self.reading + sum(row.at_most or row.seconds or 0 for row in self.rows)


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
    costs: dict[tuple[str, str], Cost | None] = {}
    sizes: dict[str, int] = {}
    most = len(sources(path, plan.clips)) * len(plan.seeds)
    began, measuring = time.monotonic(), 0.0

    def look_at(entry: int, model: Model, null: NullDistribution | None, layers: Sequence[str]) -> None:
        nonlocal measuring
        looked = time.monotonic()
        if visit is not None:
            visit(entry, model, null, layers)
        done = len(sizes) / len(plan.models)
        sizes[model.name] = 4 * math.prod(model.signal_shape)
        model.to(chosen)
        for layer in layers:
            if report is not None:
                report(done, f"{model.name} {layer}")
            costs[model.name, layer] = None
            if measure:
                size = min(plan.batch_size or fitting_batch_size(model, places(layer)), most)
                costs[model.name, layer] = measure_cost(model, layer, size=size)
        measuring += time.monotonic() - looked

    expansion = expand(path, plan, visit=look_at)
    reading = time.monotonic() - began - measuring
    folder, planned, there = expansion.folder, Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for item in expansion.items:
        at = item.identity.settings.model, item.identity.settings.layer
        planned[at] += 1
        there[at] += is_complete(folder / item.folder)
    judged = {(item.identity.settings.model, item.identity.settings.layer): item.has_null for item in expansion.items}
    steps = plan.steps or method.steps
    rows = []
    for at, cost in costs.items():
        left = planned[at] - there[at]
        seconds = None if cost is None else cost.of_items(left, method, steps, judged=judged[at])
        few = judged[at] and steps < method.steps and len(method.attempts) > 1
        at_most = cost.at_most(left, method, steps) if cost is not None and few else None
        rows.append(Row(*at, planned[at], there[at], seconds, at_most))
    clips = len(expansion.sources)
    n_bytes = sum(row.items * (sizes[row.model] + _RECORD_BYTES) for row in rows) + clips * sum(sizes.values())
    return Estimate(clips, rows, n_bytes, reading)
