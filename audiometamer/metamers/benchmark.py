"""Measure how fast metamers of a model are made on this machine."""

import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from audiometamer.devices import describe, synchronize
from audiometamer.matching import Match, NormalizedDescent, match
from audiometamer.matching.descent import Forward
from audiometamer.matching.domains import Waveform
from audiometamer.matching.optimizers import Constant
from audiometamer.metamers.criteria import similarity
from audiometamer.metamers.methods import Method
from audiometamer.models.activations import record_taps
from audiometamer.models.folding import faster_copy
from audiometamer.models.front_ends import cochleagrams_of
from audiometamer.models.model import Model
from audiometamer.models.recording import record

Work = Callable[[], object]

STEPS = 5  # timed together


@dataclass(frozen=True)
class StepTime:
    """Seconds of a batch at one layer.

    Parameters
    ----------
    layer : str
    batch_size : int
    network : float
        The network's forward pass from its input to the layer and back, which is the limit; 0 for a layer of the front end.
    step : float
        A step of the synthesis.
    evidence : float
        Measuring the evidence of a finished batch.
    """

    layer: str
    batch_size: int
    network: float
    step: float
    evidence: float

    def seconds_per_metamer(self, method: Method, steps: int | None = None) -> float:
        """Expected seconds of a metamer; `steps` of an attempt, default: the method's."""
        expected = method.expected_steps * (steps or method.steps) / method.steps
        return (expected * self.step + self.evidence) / self.batch_size


def machine(device: torch.device) -> str:
    """The processor or accelerator, the number of threads, and torch's version."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):  # not on Linux, or not an x86 processor
        name = platform.processor() or platform.machine()
    return f"{name}; {describe(device)}; torch {torch.__version__}"


def time_step(model: Model, layer: str, *, batch_size: int, repeats: int = 3) -> StepTime:
    """Time a step at a layer, on noise; the weights do not matter.

    Parameters
    ----------
    model : Model
    layer : str
    batch_size : int
    repeats : int
        Number of timed rounds, after one that is not; medians are taken. Default 3.
    """
    generator = torch.Generator().manual_seed(0)
    noise = sum(model.bounds) / 2 + 0.1 * torch.randn(batch_size, *model.signal_shape, generator=generator)
    signals = noise.to(dtype=model.dtype, device=model.device)

    def evidence() -> list[dict[str, float]]:
        """The evidence of one signal, as a synthesis records it."""
        pair = torch.cat([signals[:1], signals[-1:]])
        with torch.no_grad():
            activations = record(model, pair, model.layers)
            model(pair)
        return [similarity(a[0], a[1]) for a in activations.values()]

    count = 1 if any(ears.exact for ears in cochleagrams_of(model)) else STEPS  # one at the sound's own rate takes long enough
    work = [network_alone(model, layer, signals), step_of(model, layer, signals, count), evidence]
    network, steps, recorded = medians([_finished(w, model.device) for w in work], repeats=repeats)
    return StepTime(layer, batch_size, network, steps / count, batch_size * recorded)


def step_of(model: Model, layer: str, signals: Tensor, count: int = STEPS) -> Work:
    """`count` steps of a synthesis at a layer, as the default method takes them."""
    forward = forward_to(model, layer)
    with torch.no_grad():
        target = record(model, signals, layer)

    def steps() -> Match:
        optimizer = NormalizedDescent(Constant(0.1), momentum=0.9)
        return match(forward, target, signals, domain=Waveform(), optimizer=optimizer, steps=count)

    return steps


def forward_to(model: Model, layer: str) -> Forward:
    """A folded copy's forward pass to a layer, with a straight-through ReLU there."""
    folded = faster_copy(model, layer)
    return lambda signals: record(folded, signals, layer, straight_through=True)


def network_alone(model: Model, layer: str, signals: Tensor) -> Work:
    """The network's forward pass to a layer and back to its input; nothing for a layer of the front end."""
    tap = model.tap(layer)
    if not tap.path.startswith("network."):
        return lambda: None
    inner = {layer: replace(tap, path=tap.path.removeprefix("network."))}
    with torch.no_grad():
        heard = signals if model.front_end is None else model.front_end(signals)

    def there_and_back() -> object:
        given = heard.detach().requires_grad_()
        activation = record_taps(model.network, lambda: model.network(given), inner)[layer]
        return torch.autograd.grad(activation.square().sum(), given)

    return there_and_back


def medians(functions: Sequence[Work], *, repeats: int) -> list[float]:
    """Median seconds of each function; they take turns, and the first round does not count."""
    times: list[list[float]] = [[] for _ in functions]
    for repeat in range(repeats + 1):
        for function, taken in zip(functions, times, strict=True):
            began = time.perf_counter()
            function()
            if repeat:
                taken.append(time.perf_counter() - began)
    return [statistics.median(taken) for taken in times]


def _finished(work: Work, device: torch.device) -> Work:
    """Work that ends when the device has done it."""

    def waited() -> None:
        work()
        synchronize(device)

    return waited
