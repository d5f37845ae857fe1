"""The cochleagram against the published computation: time, agreement, memory."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

import audiometamer as am
from audiometamer.metamers.benchmark import Work, medians
from benchmarks.measuring import peak_memory, table
from benchmarks.published import RATE, PublishedCochleagram


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


def forward(module: nn.Module, batch: Tensor) -> Tensor:
    with torch.no_grad():
        return module(batch)


def forward_backward(module: nn.Module, batch: Tensor) -> tuple[Tensor, Tensor]:
    batch = batch.detach().requires_grad_()
    out = module(batch)
    (gradient,) = torch.autograd.grad(out.square().sum(), batch)
    return out.detach(), gradient


def one_at_a_time(step: Callable[[nn.Module, Tensor], object], module: nn.Module, batch: Tensor) -> None:
    for sound in batch:
        step(module, sound[None])


def times(repeats: int) -> str:
    """Milliseconds of a batch; the published computation takes its sounds one at a time, as its synthesis does."""
    rows: list[tuple[object, ...]] = [("sounds", "seconds", "pass", "published (ms)", "default (ms)", "ratio")]
    for seconds in (2, 10):
        published, default = PublishedCochleagram(seconds * RATE), am.Cochleagram()
        noise = sounds(seconds * RATE)["noise"]
        for n_sounds in (1, 8):
            batch = noise.repeat(n_sounds, 1)
            for name, step in (("forward", forward), ("forward + backward", forward_backward)):
                a, b = medians([lambda: one_at_a_time(step, published, batch), lambda: step(default, batch)], repeats=repeats)  # noqa: B023 (called at once)
                rows.append((n_sounds, seconds, name, f"{1000 * a:.0f}", f"{1000 * b:.1f}", f"{a / b:.1f}"))
    return table(*rows)


def agreement() -> str:
    """How well the outputs and the gradients of their squares agree, in dB."""
    rows: list[tuple[object, ...]] = [("sound of 2 s", "output (dB)", "gradient of Σc² (dB)")]
    published, default = PublishedCochleagram(2 * RATE), am.Cochleagram()
    for name, sound in sounds(2 * RATE).items():
        pairs = zip(forward_backward(published, sound[None]), forward_backward(default, sound[None]), strict=True)
        rows.append((name, *(f"{am.similarity(a, b)['snr_db']:.0f}" for a, b in pairs)))
    return table(*rows)


def memory() -> str:
    """Peak memory of forward + backward."""
    rows: list[tuple[object, ...]] = [("sounds", "seconds", "published (MB)", "default (MB)", "share")]
    for n_sounds, seconds in ((1, 2), (1, 10), (4, 2)):
        a, b = (peak_memory(prepared, kind, n_sounds, seconds) for kind in ("published", "default"))
        rows.append((n_sounds, seconds, f"{a / 1e6:.0f}", f"{b / 1e6:.0f}", f"1/{a / b:.1f}"))
    return table(*rows)


def prepared(kind: str, n_sounds: int, seconds: int) -> Work:
    """The work of one row, with everything built that is built once."""
    batch = sounds(seconds * RATE)["noise"].repeat(n_sounds, 1)
    module = PublishedCochleagram(seconds * RATE) if kind == "published" else am.Cochleagram()
    forward(module, batch[:1])
    return lambda: forward_backward(module, batch)
