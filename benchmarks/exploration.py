"""How long a moved sound takes, by itself and side by side with others: what a listener waits for on the way."""

import time

import torch

import audiometamer as am
from audiometamer.dimensions.finding import ComponentSettings, find_dimensions
from audiometamer.dimensions.moved import Move
from audiometamer.dimensions.moving import move
from benchmarks.front_end import sounds
from benchmarks.measuring import table

_LAYERS = ("relu0", "relu4")
_RATE, _TURNS = 20_000, 3


def moved_sounds() -> str:
    """Two seconds, 50 steps, at an early and a late layer of a compact network, nine coordinates held; medians of turns."""
    device = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    model = am.load_model("cochcnn-word").to(device)
    voice = sounds(2 * _RATE)["voice"]
    bank = [am.Clip(f"bank{k}", _noisy(voice, k), _RATE) for k in range(24)]
    dimensions = find_dimensions(model, bank, _LAYERS, ComponentSettings(method="pca", components=9, kept=9))
    rows: list[tuple[object, ...]] = [("layer", "one (s)", "eight (s)", "eight, each (s)")]
    for layer in _LAYERS:
        moves = [Move(clip, dimensions[layer].names[0], 0.5) for clip in bank[:8]]
        seconds: dict[int, list[float]] = {1: [], 8: []}
        for _ in range(_TURNS):
            for number, own in seconds.items():
                began = time.perf_counter()
                move(model, dimensions, moves[:number])
                own.append(time.perf_counter() - began)
        one, eight = (sorted(own)[_TURNS // 2] for own in seconds.values())
        rows.append((layer, f"{one:.2f}", f"{eight:.2f}", f"{eight / 8:.2f}"))
    return table(*rows)


def _noisy(sound: torch.Tensor, seed: int) -> torch.Tensor:
    """At the level of the sound, with noise at a tenth of it."""
    noise = torch.randn(len(sound), generator=torch.Generator().manual_seed(seed))
    return sound + 0.1 * sound.std() * noise
