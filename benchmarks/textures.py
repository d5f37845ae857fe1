"""Sound-texture statistics: time of forward + backward, and its peak memory."""

import torch

from audiometamer.metamers.benchmark import Work, medians
from audiometamer.networks.texture_statistics import TextureStatistics
from benchmarks.measuring import peak_memory, table

RATE = 20_000
# Of 2 s of bubbles, one iteration of the toolbox in Octave 7 on one core; another run, on a shared machine.
PUBLISHED_SECONDS = 13.0


def forward_backward(preset: str, seconds: float, batch: int) -> Work:
    """A forward and a backward pass of a batch of noises."""
    measure = TextureStatistics.from_preset(preset)
    noise = 0.01 * torch.randn(batch, round(seconds * RATE), generator=torch.Generator().manual_seed(0))

    def work() -> None:
        signals = noise.clone().requires_grad_()
        total = torch.stack([values.square().sum() for values in measure(signals).values()]).sum()
        torch.autograd.grad(total, signals)

    measure(noise[:1])  # the filters are made once
    return work


def times(repeats: int) -> str:
    """Forward + backward of 4 s."""
    rows: list[tuple[object, ...]] = [("preset", "sounds of 4 s", "forward + backward (s)", "per sound (s)")]
    for preset in ("toolbox", "mcdermott2011"):
        for batch in (1, 8):
            (seconds,) = medians([forward_backward(preset, 4.0, batch)], repeats=repeats)
            rows.append((preset, batch, f"{seconds:.2f}", f"{seconds / batch:.2f}"))
    return f"{table(*rows)}\n\nAn iteration of the toolbox took {PUBLISHED_SECONDS:g} s for 2 s of sound, in another run."


def memory() -> str:
    """Peak memory of forward + backward; linear in seconds and batch."""
    rows: list[tuple[object, ...]] = [("seconds", "sounds", "MB", "MB per second of sound")]
    for seconds, batch in ((4, 1), (4, 8), (15, 1), (60, 1)):
        megabytes = peak_memory(forward_backward, "toolbox", seconds, batch) / 1e6
        rows.append((seconds, batch, f"{megabytes:.0f}", f"{megabytes / seconds / batch:.1f}"))
    return table(*rows)
