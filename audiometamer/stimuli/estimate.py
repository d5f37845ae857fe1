"""Estimates of a plan: number of items, time and disk space, from a short measurement."""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch

from audiometamer.devices import choose_device
from audiometamer.jobs.progress import ProgressCallback
from audiometamer.metamers.batch_size import fitting_batch_size
from audiometamer.metamers.benchmark import time_step
from audiometamer.metamers.criteria import NullDistribution
from audiometamer.metamers.methods import FINE_SHARE, Method
from audiometamer.metamers.settings import places
from audiometamer.models.front_ends import with_coarser_front_end, with_exact_front_end
from audiometamer.models.model import Model
from audiometamer.stimuli.items import Expansion, ModelVisitor, PlannedItem, expand
from audiometamer.stimuli.layout import is_complete
from audiometamer.stimuli.plan import LoadedPlan
from audiometamer.stimuli.sources import find_sources

_RECORD_BYTES = 12_000  # an item.json with its loss curve
# Share of the items that the first attempt of the default method leaves to later ones, over three networks (docs/optimisers.md).
_LEFT = 0.11


@dataclass(frozen=True)
class Cost:
    """The cost of the items of a layer, in seconds.

    Parameters
    ----------
    size : int
        Number of signals in the largest batch.
    one, full : float
        A step of one signal, and of the largest batch; between them the time grows linearly.
    evidence : float
        Recording the evidence of one signal.
    """

    size: int
    one: float
    full: float
    evidence: float

    def after(self, early: "Cost") -> "Cost":
        """The mean cost of attempts whose steps before the last quarter have another."""
        share = FINE_SHARE
        one, full = (share * own + (1 - share) * other for own, other in ((self.one, early.one), (self.full, early.full)))
        return replace(self, one=one, full=full)

    def step(self, signals: float) -> float:
        """A step of a batch."""
        return self.one if self.size == 1 else self.one + (self.full - self.one) * (signals - 1) / (self.size - 1)

    def of_items(self, items: int, method: Method, steps: int, *, judged: bool) -> float:
        """All attempts at some items of one layer; not all batches are full.

        Parameters
        ----------
        items : int
        method : Method
        steps : int
            Steps of an attempt.
        judged : bool
            Whether there is a null distribution: without one nothing fails, and nothing is attempted again.
        """
        first = steps * self._step_of_all(items)
        if not judged or items == 0 or method.expected_steps == method.steps:
            return first + items * self.evidence
        left, expected = _LEFT * items, steps * method.expected_steps / method.steps
        batch = min(max(left, 1.0), self.size)  # few wait for each other, in small batches
        later = (expected - steps) * items / batch * self.step(batch)
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
    """Time steps of one signal and of a batch, and recording the evidence; of layers matched together, the slowest counts."""
    timed = [[time_step(model, place, batch_size=n, repeats=1) for n in {1, size}] for place in places(layer)]
    one, full = (max(t.step for each in timed for t in each if t.batch_size == n) for n in (1, size))
    return Cost(size, one, full, min(t.evidence / t.batch_size for each in timed for t in each))


@dataclass(frozen=True)
class LayerEstimate:
    """One layer of one model of a plan: the number of items, how many of them exist, and seconds for the rest if measured.

    `at_most` is given where the plan takes fewer steps than its method: how many items need every attempt is then unknown.
    """

    model: str
    layer: str
    items: int
    there: int
    seconds: float | None
    at_most: float | None = None


@dataclass(frozen=True)
class PlanEstimate:
    """The size and cost of a plan.

    Parameters
    ----------
    clips : int
    rows : list of LayerEstimate
    n_bytes : int
        Disk space of the whole set.
    reading : float
        Seconds for loading the models and reading the clips.
    """

    clips: int
    rows: list[LayerEstimate]
    n_bytes: int
    reading: float = 0.0

    @property
    def items(self) -> int:
        """Number of items."""
        return sum(row.items for row in self.rows)

    @property
    def there(self) -> int:
        """Number of items that are complete."""
        return sum(row.there for row in self.rows)

    @property
    def seconds(self) -> float | None:
        """Seconds of one worker for the rest; None if not measured."""
        known = [row.seconds for row in self.rows if row.seconds is not None]
        return self.reading + sum(known) if len(known) == len(self.rows) else None

    @property
    def at_most(self) -> float | None:
        """Seconds of one worker if every item needs every attempt; None if that is not to be expected, or not measured."""
        if self.seconds is None or all(row.at_most is None for row in self.rows):
            return None
        return self.reading + sum(row.at_most or row.seconds or 0 for row in self.rows)


def estimate(
    plan: LoadedPlan,
    *,
    device: str = "auto",
    measure: bool = True,
    progress: ProgressCallback | None = None,
    visit: ModelVisitor | None = None,
) -> PlanEstimate:
    """Expand a plan, and time a few steps at every layer.

    Parameters
    ----------
    plan : LoadedPlan
    device : str
    measure : bool
        Whether to time steps. Default True.
    progress : callable, optional
        Called with the share of the models that is done, and the layer.
    visit : callable, optional
        Called with each model; see `audiometamer.stimuli.items.expand`.
    """
    survey = _Survey(plan, choose_device(device), measure, progress)
    began = time.monotonic()

    def look_at(number: int, model: Model, null: NullDistribution | None, layers: Sequence[str]) -> None:
        with survey.timed():
            if visit is not None:
                visit(number, model, null, layers)
            survey.add(model, layers)

    expansion = expand(plan, visit=look_at)
    reading = time.monotonic() - began - survey.seconds
    rows = _rows(expansion, survey.costs)
    clips = sum(not source.natural for source in expansion.sources)
    n_bytes = sum(row.items * (survey.sizes[row.model] + _RECORD_BYTES) for row in rows) + clips * sum(survey.sizes.values())
    return PlanEstimate(clips, rows, n_bytes, reading)


class _Survey:
    """The costs of the models of a plan, measured while each is loaded.

    Parameters
    ----------
    plan : LoadedPlan
    device : torch.device
    measure : bool
    progress : callable or None
    """

    def __init__(self, plan: LoadedPlan, device: torch.device, measure: bool, progress: ProgressCallback | None) -> None:
        self.plan, self.device, self.measure, self.progress = plan, device, measure, progress
        self.costs: dict[tuple[str, str], Cost | None] = {}  # by model and layer
        self.sizes: dict[str, int] = {}  # bytes of a signal by model
        self.seconds = 0.0  # spent here
        self._most = sum(not source.natural for source in find_sources(plan)) * len(plan.content.seeds)

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Count the time spent."""
        began = time.monotonic()
        yield
        self.seconds += time.monotonic() - began

    def add(self, model: Model, layers: Sequence[str]) -> None:
        """Measure a model at its layers."""
        done = len(self.sizes) / len(self.plan.content.models)
        self.sizes[model.name] = 4 * math.prod(model.signal_shape)
        if self.plan.method.is_exact(model, self.plan.content.exact):
            model = with_exact_front_end(model)
        model.to(self.device)
        for layer in layers:
            if self.progress is not None:
                self.progress(done, f"{model.name} {layer}")
            self.costs[model.name, layer] = self._cost(model, layer) if self.measure else None

    def _cost(self, model: Model, layer: str) -> Cost:
        size = self.plan.content.batch_size or fitting_batch_size(model, places(layer))
        size, early = min(size, self._most), self.plan.method.early_oversampling
        whole = measure_cost(model, layer, size=size)
        coarser = model if early is None else with_coarser_front_end(model, early)
        return whole if coarser is model else whole.after(measure_cost(coarser, layer, size=size))


def _rows(expansion: Expansion, costs: Mapping[tuple[str, str], Cost | None]) -> list[LayerEstimate]:
    method, steps = expansion.plan.method, expansion.plan.steps
    items: dict[tuple[str, str], list[PlannedItem]] = {}
    for item in expansion.items:
        items.setdefault((item.identity.settings.model, item.identity.settings.layer), []).append(item)
    rows = []
    for at, cost in costs.items():
        planned, judged = items[at], items[at][-1].has_null
        there = sum(is_complete(expansion.folder / item.folder) for item in planned)
        left = len(planned) - there
        seconds = None if cost is None else cost.of_items(left, method, steps, judged=judged)
        few = judged and steps < method.steps and len(method.attempts) > 1
        at_most = cost.at_most(left, method, steps) if cost is not None and few else None
        rows.append(LayerEstimate(*at, len(planned), there, seconds, at_most))
    return rows
