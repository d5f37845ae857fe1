"""Clips in any form, layers and seeds, as callers of a synthesis may give them."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from audiometamer.errors import AudioMetamerError
from audiometamer.io.integers import as_seed
from audiometamer.metamers.targets import GivenTarget
from audiometamer.models.model import Model
from audiometamer.signals.audio import Clip

Source = Clip | GivenTarget | Tensor | NDArray[Any] | str | os.PathLike[str]


def as_clips(model: Model, clips: Source | Iterable[Source]) -> list[Clip | GivenTarget]:
    """Clips and targets as a list.

    Parameters
    ----------
    model : Model
    clips : Clip, GivenTarget, Tensor, array or path, or iterable of them
        A tensor or an array is a signal [shape=signal_shape], or a batch of them; they are named ``clip0``, ``clip1``, …, by
        their position. A path is read as the model requires.

    Raises
    ------
    AudioMetamerError
        If there are none, or one has the wrong shape or type, or values outside the model's bounds; or if the model is none.
    """
    if not isinstance(model, Model):
        how = "wrap it: am.Model(network, sample_rate=…, duration=…)" if isinstance(model, nn.Module) else "give an am.Model"
        raise AudioMetamerError(f"model is a {type(model).__name__}; {how}")
    is_single = isinstance(clips, Clip | GivenTarget | str | os.PathLike)
    if isinstance(clips, Tensor | np.ndarray) and clips.ndim <= len(model.signal_shape):
        is_single = True
    sources = [clips] if is_single else list(_iterated(clips, "clips"))
    if not sources:
        raise AudioMetamerError("there are no clips: the list is empty")
    return [_as_clip(model, cast(Source, source), number) for number, source in enumerate(sources)]


def _as_clip(model: Model, source: Source, number: int) -> Clip | GivenTarget:
    if isinstance(source, GivenTarget):
        return source
    if isinstance(source, Clip):
        samples = _samples(source.name, source.samples)
        return source if samples is source.samples else replace(source, samples=samples)
    if isinstance(source, str | os.PathLike):
        return model.read_clip(source)
    if not isinstance(source, Tensor | np.ndarray):
        raise AudioMetamerError(f"a clip is a {type(source).__name__}; it must be a Clip, a GivenTarget, a tensor or a path")
    clip = Clip.from_array(source, model.sample_rate, name=f"clip{number}")
    if tuple(clip.samples.shape) != model.signal_shape:
        raise AudioMetamerError(f"{clip.name} has shape {tuple(clip.samples.shape)}; {model.name} takes {model.signal_shape}")
    low, high = model.bounds
    if clip.samples.min() < low or clip.samples.max() > high:
        found = f"from {float(clip.samples.min()):.4g} to {float(clip.samples.max()):.4g}"
        raise AudioMetamerError(f"{clip.name} has values {found}; {model.name} takes {low:g} to {high:g}")
    return clip


def _samples(name: str, values: Any) -> Tensor:
    """Samples as a tensor; raises unless they are floating-point numbers."""
    samples = values.detach() if isinstance(values, Tensor) else torch.from_numpy(np.array(values))
    if not samples.is_floating_point():
        raise AudioMetamerError(f"clip {name!r} holds {samples.dtype}; it must hold floating-point samples")
    return values if isinstance(values, Tensor) and not values.requires_grad else samples.float()


def as_layers(layers: Iterable[str] | str | None, default: Sequence[str]) -> list[str]:
    """Names of layers as a list; `default` if they are None."""
    names = list(default) if layers is None else [layers] if isinstance(layers, str) else list(_iterated(layers, "layers"))
    if not names:
        raise AudioMetamerError("there are no layers to match: the list is empty")
    if wrong := [name for name in names if not isinstance(name, str)]:
        raise AudioMetamerError(f"layer {wrong[0]!r} is not a name; layers are strings")
    return names


def as_seeds(seed: Iterable[Any] | Any) -> list[int]:
    """Seeds as a list of Python integers."""
    try:
        seeds = [seed] if isinstance(seed, str) else list(seed)
    except TypeError:  # one number, perhaps numpy's
        seeds = [seed]
    if not seeds:
        raise AudioMetamerError("there are no seeds: the list is empty")
    return [as_seed(each) for each in seeds]


def _iterated(values: Any, what: str) -> Iterable[Any]:
    if not isinstance(values, Iterable):
        raise AudioMetamerError(f"{what} is a {type(values).__name__}; give one or a list of them")
    return values
