"""Representations of sounds, and distances in them: a layer of any model, a cochleagram, spectrograms of several resolutions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from audiometamer.cochleagram import Cochleagram
from audiometamer.comparison.rates import at_common_rate
from audiometamer.errors import AudioMetamerError
from audiometamer.models.model import Model
from audiometamer.models.recording import record

WINDOWS = (0.005, 0.02, 0.08)  # seconds
_POWER, _FLOOR = 0.15, 1e-6  # of the power spectrum: the compression of a cochleagram, 0.3 of the amplitude


@dataclass(frozen=True)
class Representation:
    """A differentiable map of sounds; the distance of two sounds is the mean square difference of their images.

    Parameters
    ----------
    name : str
        Name in tables and files.
    features : callable
        Maps sounds [shape=(batch, ...)] to a tensor [shape=(batch, ...)].
    """

    name: str
    features: Callable[[Tensor], Tensor]

    def distance(self, sounds: Tensor, reference: Tensor) -> Tensor:
        """Distance of sounds [shape=(batch, ...)] from a reference's features [shape=(1, ...) or (batch, ...)], shape=(batch,).

        The square has no root, whose gradient would be infinite for equal sounds.
        """
        return (self.features(sounds) - reference).flatten(1).square().mean(1)


def layer_representation(model: Model, layer: str) -> Representation:
    """The activations at a layer of a model.

    Raises
    ------
    AudioMetamerError
        If the model has no such layer.
    """
    model.tap(layer)  # which raises if there is none
    layer = model.canonical(layer)
    return Representation(f"{model.name}:{layer}", lambda sounds: record(model, sounds, layer))


def cochleagram_representation(sample_rate: int) -> Representation:
    """The published cochleagram, up to half the sample rate in Hz."""
    return Representation("cochleagram", Cochleagram.for_rate(sample_rate))


def spectrogram_representation(sample_rate: int, *, windows: Sequence[float] = WINDOWS) -> Representation:
    """Spectrograms of several resolutions together: (|X|² + 1e-6)^0.15 of Hann windows that overlap by three quarters.

    The power 0.15 is the compression of a cochleagram, 0.3 of an amplitude. Each resolution has the same weight.

    Parameters
    ----------
    sample_rate : int
        Hz.
    windows : sequence of float
        Durations in seconds. Default 0.005, 0.02, 0.08.

    Raises
    ------
    AudioMetamerError
        If a window is shorter than four samples.
    """
    sizes = [4 * (round(seconds * sample_rate) // 4) for seconds in windows]
    if not sizes or min(sizes) < 4:
        raise AudioMetamerError(f"windows of {list(windows)} s at {sample_rate} Hz; each must have four samples or more")

    def features(sounds: Tensor) -> Tensor:
        rows = sounds.reshape(-1, sounds.shape[-1])
        each = []
        for size in sizes:
            window = torch.hann_window(size, dtype=rows.dtype, device=rows.device)
            spectrum = torch.stft(rows, size, size // 4, window=window, pad_mode="constant", return_complex=True)
            power = (spectrum.real.square() + spectrum.imag.square()) / window.square().sum()
            compressed = (power + _FLOOR).pow(_POWER).reshape(len(sounds), -1)
            each.append(compressed / compressed.shape[1] ** 0.5)
        return torch.cat(each, 1)

    return Representation("stft", features)


def representations(names: Sequence[str], load: Callable[[str], Model]) -> tuple[list[Representation], Model]:
    """Representations by name, of sounds at the highest rate of their models.

    Parameters
    ----------
    names : sequence of str
        ``MODEL:LAYER``, ``cochleagram`` or ``stft``; one or more of models, which give the sounds' rate and duration.
    load : callable
        Gives a model by its name.

    Returns
    -------
    list of Representation, and Model
        The representations, and a model that takes sounds as they do.

    Raises
    ------
    AudioMetamerError
        If a name is none of these, none is of a model, or the models cannot take the same sounds.
    """
    parts = {name: name.rpartition(":") for name in names if name not in ("cochleagram", "stft")}
    for name, (model, _, layer) in parts.items():
        if not model or not layer:
            raise AudioMetamerError(f"{name!r} is no representation; there are MODEL:LAYER, cochleagram and stft")
    if not parts:
        raise AudioMetamerError(
            f"{' and '.join(names)} say nothing of the sounds' rate; name a layer of a model, MODEL:LAYER, too"
        )
    loaded = {model: load(model) for model, _, _ in parts.values()}
    models = dict(zip(loaded, at_common_rate(list(loaded.values())), strict=True))
    any_model = next(iter(models.values()))
    rate = any_model.sample_rate
    assert rate is not None
    plain = {"cochleagram": cochleagram_representation, "stft": spectrogram_representation}
    made = [
        plain[name](rate) if name in plain else layer_representation(models[parts[name][0]], parts[name][2]) for name in names
    ]
    return made, any_model
