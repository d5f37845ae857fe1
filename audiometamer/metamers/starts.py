"""Signals to start from in place of noise, as callers of a synthesis may give them."""

import os
from collections.abc import Iterable, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from audiometamer.errors import AudioMetamerError, pluralize
from audiometamer.metamers.targets import GivenTarget
from audiometamer.models.model import Model
from audiometamer.signals.audio import Clip, read_clip
from audiometamer.signals.images import read_image

Initial = Clip | Tensor | NDArray[Any] | str | os.PathLike[str]


def as_starts(
    model: Model, initial: Initial | Iterable[Initial] | None, clips: Sequence[Clip | GivenTarget]
) -> dict[int, Tensor]:
    """Signals to start from [shape=signal_shape], by the `id` of their clips; empty for None.

    Parameters
    ----------
    model : Model
    initial : Clip, Tensor, array or path, or iterable of them
        One for all clips, or one for each. Sounds from files keep their level.
    clips : sequence of Clip or GivenTarget

    Raises
    ------
    AudioMetamerError
        If their number is another, or one has another shape, sample rate or range of values than the model takes.
    """
    if initial is None:
        return {}
    is_single = isinstance(initial, Clip | str | os.PathLike)
    if isinstance(initial, Tensor | np.ndarray) and initial.ndim <= len(model.signal_shape):
        is_single = True
    if not is_single and not isinstance(initial, Iterable):
        raise AudioMetamerError(f"initial is a {type(initial).__name__}; give a signal, or one for each clip")
    given = [cast(Initial, initial)] * len(clips) if is_single else list(cast(Iterable[Initial], initial))
    if len(given) != len(clips):
        raise AudioMetamerError(
            f"initial has {pluralize(len(given), 'signal')} for {pluralize(len(clips), 'clip')}; give one for each"
        )
    return {id(clip): as_start(model, each) for clip, each in zip(clips, given, strict=True)}


def as_start(model: Model, source: Initial) -> Tensor:
    """A signal to start from [shape=signal_shape]; raises if it does not fit the model."""
    if isinstance(source, str | os.PathLike):
        source = _read(model, source)
    signal = source if isinstance(source, Clip) else Clip.from_array(source, model.sample_rate, name="initial")
    found, name = tuple(signal.samples.shape), "initial" if signal.name == "initial" else f"initial {signal.name!r}"
    if found != model.signal_shape or signal.sample_rate != model.sample_rate:
        rates = [f" at {rate} Hz" if rate else "" for rate in (signal.sample_rate, model.sample_rate)]
        raise AudioMetamerError(f"{name} has shape {found}{rates[0]}; {model.name} takes {model.signal_shape}{rates[1]}")
    low, high = model.bounds
    if not bool(((signal.samples >= low) & (signal.samples <= high)).all()):
        reached = f"from {float(signal.samples.min()):.4g} to {float(signal.samples.max()):.4g}"
        raise AudioMetamerError(f"{name} has values {reached}; {model.name} takes {low:g} to {high:g}")
    return signal.samples


def _read(model: Model, path: str | os.PathLike[str]) -> Clip:
    if model.picture is not None:
        return read_image(path, model.picture)
    if model.sample_rate is None:
        raise AudioMetamerError(f"{model.name} takes neither sounds nor images, so initial must be an array, not {path}")
    return read_clip(path, sample_rate=model.sample_rate, duration=model.duration, channels=model.channels, level=None)
