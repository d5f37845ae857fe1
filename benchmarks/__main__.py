"""The fast front end against the exact one, side by side in one run: time of forward and of forward + backward, and agreement.

``python -m benchmarks`` prints a Markdown table. Times are medians of interleaved repetitions; the ratio is what to quote.
"""

import platform
import statistics
import time
from collections.abc import Callable

import click
import numpy as np
import torch
from torch import Tensor

import audiometamer as am

RATE = 20_000


def sounds(n_samples: int) -> dict[str, Tensor]:
    """Signals of RMS 0.1: speech-like harmonics with an envelope, noise, tones, and clicks with and without a noise floor."""
    t = np.arange(n_samples) / RATE
    rng = np.random.default_rng(0)
    f0 = 2 * np.pi * np.cumsum(120 + 15 * np.sin(2 * np.pi * 2.5 * t)) / RATE
    voice = sum(np.sin(k * f0) / (1 + ((120 * k - 700) / 300) ** 2) for k in range(1, 60)) * (0.55 + 0.45 * np.sin(8 * np.pi * t))
    clicks = np.zeros(n_samples)
    clicks[1000::2000] = 1
    signals = {
        "voice": voice,
        "noise": rng.standard_normal(n_samples),
        "tones": sum(np.sin(2 * np.pi * f * t) for f in (220.3, 440.7, 1001.1, 3007.9)),
        "clicks in noise 20 dB below": clicks + 0.1 * clicks.std() * rng.standard_normal(n_samples),
        "clicks in silence": clicks,
    }
    return {name: torch.from_numpy((0.1 * s / s.std()).astype(np.float32)) for name, s in signals.items()}


def forward_backward(module: Callable[[Tensor], Tensor], batch: Tensor) -> tuple[Tensor, Tensor]:
    batch = batch.detach().requires_grad_()
    out = module(batch)
    (gradient,) = torch.autograd.grad(out.square().sum(), batch)
    return out.detach(), gradient


def forward_only(module: Callable[[Tensor], Tensor], batch: Tensor) -> Tensor:
    with torch.no_grad():
        return module(batch)


def decibels(reference: Tensor, value: Tensor) -> float:
    noise = float((reference.double() - value.double()).square().sum())
    return float("inf") if noise == 0 else 10 * np.log10(float(reference.double().square().sum()) / noise)


def side_by_side(slow: Callable[[], object], fast: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Median seconds of each, in turn."""
    times: tuple[list[float], list[float]] = ([], [])
    for repeat in range(repeats + 1):
        for function, taken in zip((slow, fast), times, strict=True):
            began = time.perf_counter()
            function()
            if repeat:
                taken.append(time.perf_counter() - began)
    return statistics.median(times[0]), statistics.median(times[1])


@click.command()
@click.option("--repeats", default=7, show_default=True)
def main(repeats: int) -> None:
    """Print the tables."""
    exact, fast = am.Cochleagram(exact=True), am.Cochleagram()
    print(f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}\n")
    print("| batch of 2 s | pass | exact (ms) | default (ms) | ratio |\n|---|---|---|---|---|")
    noise = sounds(2 * RATE)["noise"]
    for batch_size in (1, 8):
        batch = noise.repeat(batch_size, 1)
        for name, step in (("forward", forward_only), ("forward + backward", forward_backward)):
            a, b = side_by_side(lambda: step(exact, batch), lambda: step(fast, batch), repeats)  # noqa: B023 (called at once)
            print(f"| {batch_size} | {name} | {1000 * a:.0f} | {1000 * b:.1f} | {a / b:.1f} |")
    print("\n| agreement with the exact path | output (dB) | gradient of Σc² (dB) |\n|---|---|---|")
    for name, sound in sounds(2 * RATE).items():
        (out, gradient), (out_fast, gradient_fast) = (forward_backward(m, sound[None]) for m in (exact, fast))
        print(f"| {name} | {decibels(out, out_fast):.0f} | {decibels(gradient, gradient_fast):.0f} |")


if __name__ == "__main__":
    main()
