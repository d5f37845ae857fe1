"""Modulation models: an iteration of histogram matching, and a step down the gradient of the moments."""

import time

import torch

import audiometamer as am
from audiometamer.networks.histogram_matching import HistogramMatching
from audiometamer.networks.modulation import moment_loss
from benchmarks.measuring import table

_SECONDS, _ITERATIONS = 4, 100


def histogram_matching() -> str:
    """One iteration for 4 s of noise with its comparison, and what a hundred take; with the published padding and with less."""
    generator = torch.Generator().manual_seed(0)
    sounds = 0.01 * torch.randn(2, _SECONDS * 20_000, generator=generator)
    rows: list[tuple[object, ...]] = [("condition", "padding (s)", "one iteration (s)", "100 iterations (min)")]
    for condition, padding in (("temporal", 24), ("full", 24), ("full", 3)):
        method = HistogramMatching(sounds[:1], condition, padding_seconds=padding)
        began = time.perf_counter()
        method.losses(sounds[1:])
        method.advance(0, sounds[1:])
        took = time.perf_counter() - began
        rows.append((condition, padding, f"{took:.1f}", f"{took * _ITERATIONS / 60:.0f}"))
    return table(*rows)


def gradient() -> str:
    """One step down the gradient of the moments of 4 s."""
    model = am.load_model(f"modulation:normanhaignere2018/seconds={_SECONDS}")
    rows: list[tuple[object, ...]] = [("condition", "forward + backward (s)")]
    sound = 0.01 * torch.randn(1, _SECONDS * 20_000, generator=torch.Generator().manual_seed(0))
    for condition in ("cochlear", "temporal", "full"):
        began = time.perf_counter()
        x = sound.clone().requires_grad_()
        found = am.record(model, x, [condition])[condition]
        moment_loss(found, found.detach().flip(2)).sum().backward()
        rows.append((condition, f"{time.perf_counter() - began:.1f}"))
    return table(*rows)
