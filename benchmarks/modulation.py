"""Modulation models: iterations of histogram matching; time and memory of a step down the gradient of the moments."""

import time
from collections.abc import Callable

import torch

import audiometamer as am
from audiometamer.metamers.benchmark import Work
from audiometamer.networks.histogram_matching import HistogramMatching
from audiometamer.networks.modulation import moment_loss
from audiometamer.networks.modulation_filters import Condition
from benchmarks.measuring import peak_memory, table

_RATE, _SECONDS, _ITERATIONS = 20_000, 4, 100


def _noise(batch: int, seconds: float) -> torch.Tensor:
    return 0.01 * torch.randn(batch, round(seconds * _RATE), generator=torch.Generator().manual_seed(0))


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    """CPU and wall seconds."""
    cpu, wall = time.process_time(), time.monotonic()
    work()
    return time.process_time() - cpu, time.monotonic() - wall


def histogram_matching() -> str:
    """Iterations for 4 s of noise with their comparisons, and what a hundred take; with the published padding and with less.

    In the first one the original's maps are sorted, too; they are kept if they fit in 4 GB.
    """
    original, start = _noise(2, _SECONDS).split(1)
    head = ("condition", "padding (s)", "first: CPU (s)", "next: CPU (s)", "next: wall (s)", "100: CPU (min)", "100: wall (min)")
    rows: list[tuple[object, ...]] = [head]
    cases: tuple[tuple[Condition, float], ...] = (("temporal", 24), ("full", 24), ("full", 3))
    for condition, padding in cases:
        method = HistogramMatching(original, condition, padding_seconds=padding)

        def iteration(step: int, method: HistogramMatching = method) -> None:
            method.losses(start)
            method.advance(step, start)

        first, then = _timed(lambda: iteration(0)), _timed(lambda: iteration(1))
        hundred = [(a + b * (_ITERATIONS - 1)) / 60 for a, b in zip(first, then, strict=True)]
        rows.append((condition, padding, *(f"{each:.1f}" for each in (first[0], *then, *hundred))))
    return table(*rows)


def forward_backward(condition: str, seconds: float, batch: int) -> Work:
    """A forward and a backward pass of a batch of noises through the moments of a condition."""
    model = am.load_model(f"modulation:normanhaignere2018/seconds={seconds:g}")
    noise = _noise(batch, seconds)

    def work() -> None:
        x = noise.clone().requires_grad_()
        found = am.record(model, x, [condition])[condition]
        moment_loss(found, found.detach().flip(2)).sum().backward()

    am.record(model, noise[:1], ["cochlear"])  # the filters are made once
    return work


def gradient() -> str:
    """One step down the gradient of the moments of 4 s."""
    rows: list[tuple[object, ...]] = [("condition", "sounds of 4 s", "CPU (s)", "wall (s)", "CPU per sound (s)")]
    for condition, batch in (("cochlear", 1), ("temporal", 1), ("full", 1), ("full", 8)):
        cpu, wall = _timed(forward_backward(condition, _SECONDS, batch))
        rows.append((condition, batch, f"{cpu:.1f}", f"{wall:.1f}", f"{cpu / batch:.1f}"))
    return table(*rows)


def memory() -> str:
    """Peak memory of forward + backward; linear in seconds and batch, with the padding of each sound."""
    rows: list[tuple[object, ...]] = [("condition", "seconds", "sounds", "MB", "MB per second of sound")]
    for condition, seconds, batch in (
        ("temporal", 4, 1),
        ("temporal", 4, 8),
        ("temporal", 60, 1),
        ("full", 4, 1),
        ("full", 8, 1),
    ):
        megabytes = peak_memory(forward_backward, condition, seconds, batch) / 1e6
        rows.append((condition, seconds, batch, f"{megabytes:.0f}", f"{megabytes / seconds / batch:.1f}"))
    return table(*rows)
