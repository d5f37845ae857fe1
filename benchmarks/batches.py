"""Many sounds: a batch against one after the other, and all pairs of a null distribution against one pair after the other."""

import time
import warnings

import torch
from torch import Tensor

import audiometamer as am
from audiometamer.errors import AudioMetamerWarning
from audiometamer.resources import clips_folder
from benchmarks.measuring import table

_CLIPS, _STEPS = 64, 50


def clips() -> list[am.Clip]:
    """The shipped words, again and again."""
    paths = sorted((clips_folder() / "words").glob("*.flac"))
    with warnings.catch_warnings(action="ignore", category=AudioMetamerWarning):  # peaks beyond 1
        return [am.read_clip(paths[k % len(paths)]) for k in range(_CLIPS)]


def batch_against_single(layer: str = "relu2") -> str:
    """Seconds for 64 clips at one layer, 50 steps each, in batches of 16 and one after the other."""
    model, sounds = am.load_model("cochcnn-word"), clips()
    rows: list[tuple[object, ...]] = [("clips", "layer", "one after the other (s)", "batches of 16 (s)", "ratio")]
    seconds = []
    for batch_size in (1, 16):
        began = time.perf_counter()
        am.synthesize(model, sounds, layer, method="feather2023", steps=_STEPS, batch_size=batch_size)
        seconds.append(time.perf_counter() - began)
    rows.append((_CLIPS, layer, *(f"{s:.0f}" for s in seconds), f"{seconds[0] / seconds[1]:.2f}"))
    return table(*rows)


def null_distribution(layer: str = "relu2", n_sounds: int = 300, n_pairs: int = 20) -> str:
    """Pairs in a second: all of them at once, and one after the other with two forward passes each."""
    model = am.load_model("cochcnn-word")
    generator = torch.Generator().manual_seed(0)
    sounds = 0.1 * torch.randn(n_sounds, *model.signal_shape, generator=generator)

    began = time.perf_counter()
    pairs = am.NullDistribution.measure(model, sounds, layers=[layer]).pairs
    at_once = pairs / (time.perf_counter() - began)

    began = time.perf_counter()
    for k in range(n_pairs):
        am.similarity(*(_activation(model, sounds[i], layer) for i in (2 * k, 2 * k + 1)))
    one_by_one = n_pairs / (time.perf_counter() - began)
    head = ("layer", "sounds", "pairs", "pair after pair (1/s)", "all pairs (1/s)", "ratio")
    return table(head, (layer, n_sounds, pairs, f"{one_by_one:.0f}", f"{at_once:.0f}", f"{at_once / one_by_one:.0f}"))


def _activation(model: am.Model, sound: Tensor, layer: str) -> Tensor:
    found = {}
    hook = model.get_submodule(model.tap(layer).path).register_forward_hook(lambda _, __, output: found.update(layer=output))
    with torch.no_grad():
        model(sound[None])
    hook.remove()
    return found["layer"]
