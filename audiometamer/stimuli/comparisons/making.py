"""The sounds of one item: how each kind is made from a clip, or from two words, and layers of models."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from audiometamer.comparison.controversial import Search, controversial_sounds
from audiometamer.comparison.distant import distant_metamers
from audiometamer.comparison.mad import mad_bounds, mad_competition
from audiometamer.comparison.representations import (
    Representation,
    cochleagram_representation,
    layer_representation,
    spectrogram_representation,
)
from audiometamer.distortions.amplitude import at_level, finite_distortions
from audiometamer.distortions.eigen import Eigendistortions, eigendistortions
from audiometamer.distortions.principal import principal_distortions
from audiometamer.distortions.spaces import Space, space_named
from audiometamer.models.model import Model
from audiometamer.signals.audio import Clip
from audiometamer.stimuli.comparisons.plan import Comparison, Kind

_WHOLE = 0.94  # of the lower Nyquist frequency: below the roll-off of `resample_by_fourier`
CONTROVERSIAL_LEVEL = 0.1  # RMS, where the plan names none
FLOAT64: tuple[Kind, ...] = ("eigendistortions", "finite", "principal")  # kinds that need small eigenvalues
Place = tuple[Model, str]  # a model, and a layer of it


@dataclass(frozen=True)
class MadeSound:
    """A sound of an item, as it was made.

    Parameters
    ----------
    name : str
        Name within the item.
    contrast : str
        Sounds of one item with the same contrast are compared with each other.
    sound : Tensor [shape=signal_shape]
    level : float, optional
        RMS of a distortion in dB re that of the clip.
    held : str
        Representation at whose distance from the clip it was held; empty if at none.
    held_distance : float
        That distance, a mean square difference.
    least_snr : float, optional
        SNR in dB at the layer that it must keep.
    """

    name: str
    contrast: str
    sound: Tensor
    level: float | None = None
    held: str = ""
    held_distance: float = 0.0
    least_snr: float | None = None


@dataclass(frozen=True)
class Task:
    """Everything that determines the sounds of one item.

    Parameters
    ----------
    comparison : Comparison
    places : sequence of (Model, str)
        The layers that the sounds are made for; the models take sounds at one sample rate.
    clip : Clip or None
    words : tuple of str
        The words of controversial sounds, or nothing.
    seed : int
    level : float or None
        RMS of controversial sounds.
    rate : int
        Sample rate in Hz of the files.
    """

    comparison: Comparison
    places: Sequence[Place]
    clip: Clip | None
    words: tuple[str, ...]
    seed: int
    level: float | None
    rate: int

    @property
    def model(self) -> Model:
        """The first model."""
        return self.places[0][0]

    @cached_property
    def signal(self) -> Tensor:
        """The clip, as the models take it."""
        assert self.clip is not None
        return self.clip.samples.to(dtype=self.model.dtype, device=self.model.device)

    @property
    def space(self) -> Space:
        """The space of distortions."""
        one = self.comparison
        return space_named(
            one.space or "all", self.signal, sample_rate=self.model.sample_rate, band=one.band, bands=one.bands or 30
        )

    @property
    def band(self) -> tuple[float, float] | None:
        """The band of the sounds; where they are resampled for their files, it ends where that attenuates nothing."""
        assert self.model.sample_rate is not None
        whole = None if self.model.sample_rate == self.rate else (0.0, _WHOLE * min(self.model.sample_rate, self.rate) / 2)
        return self.comparison.band or whole

    def steps(self, default: int) -> int:
        """Steps of the search."""
        return self.comparison.steps or default


def make_sounds(task: Task) -> list[MadeSound]:
    """The sounds of an item.

    Raises
    ------
    AudioMetamerError
        If the function that makes them raises it.
    """
    return _MAKERS[task.comparison.kind](task)


def _eigen(task: Task) -> Eigendistortions:
    model, layer = task.places[0]
    return eigendistortions(model, task.signal, layer, space=task.space, seed=task.seed)


def _eigendistortions(task: Task) -> list[MadeSound]:
    found = _eigen(task)
    return _distorted(task, {"most": found.top[0], "least": found.bottom[0]})


def _finite(task: Task) -> list[MadeSound]:
    (model, layer), made, found = task.places[0], [], _eigen(task)
    for level in task.comparison.distortion_levels:
        extreme = finite_distortions(
            model, task.signal, layer, level=level, start=(found.top[0], found.bottom[0]), space=task.space,
            steps=task.steps(100),
        )  # fmt: skip
        made += _at_level(task, {"most": extreme.most, "least": extreme.least}, level)
    return made


def _principal(task: Task) -> list[MadeSound]:
    models, layers = zip(*task.places, strict=True)
    found = principal_distortions(models, task.signal, layers, space=task.space, steps=task.steps(500), seed=task.seed)
    return _distorted(task, {"first": found.first, "second": found.second})


def _distorted(task: Task, distortions: dict[str, Tensor]) -> list[MadeSound]:
    return [sound for level in task.comparison.distortion_levels for sound in _at_level(task, distortions, level)]


def _at_level(task: Task, distortions: dict[str, Tensor], level: float) -> list[MadeSound]:
    signal = task.signal
    return [
        MadeSound(f"{end}_{level:g}dB", f"at {level:g} dB", signal + at_level(change.to(signal), signal, level), level=level)
        for end, change in distortions.items()
    ]


def _mad(task: Task) -> list[MadeSound]:
    first, second = (layer_representation(model, layer) for model, layer in task.places)
    noise = -20.0 if task.comparison.noise is None else task.comparison.noise
    domain = mad_bounds(task.signal, noise_db=noise, sample_rate=task.model.sample_rate, band=task.band)
    found = mad_competition(
        task.signal, first, second, noise_db=noise, domain=domain, steps=task.steps(200), seed=task.seed
    )  # fmt: skip
    return [
        MadeSound(
            f"{each.extreme}_{each.optimised}", f"{each.held} held", each.sound, held=each.held,
            held_distance=each.held_distance / (1 + each.drift),
        )
        for each in found
    ]  # fmt: skip


def _controversial(task: Task) -> list[MadeSound]:
    search = search_of(task.comparison, task.level, task.rate)
    pair = (task.words[0], task.words[1])
    (found,) = controversial_sounds([model for model, _ in task.places], [pair], search=search, seed=task.seed)
    return [MadeSound("controversial", "", found.sound)]


def search_of(comparison: Comparison, level: float | None, rate: int) -> Search:
    """The search of controversial sounds."""
    return Search(
        read_out=comparison.read_out or "softmax", steps=comparison.steps or Search.steps, level=level or CONTROVERSIAL_LEVEL,
        band=comparison.band, presentation_rate=rate, task=comparison.task,
    )  # fmt: skip


def _distant(task: Task) -> list[MadeSound]:
    (model, layer), one = task.places[0], task.comparison
    assert task.clip is not None
    assert model.sample_rate is not None
    found = distant_metamers(
        model, task.clip, layer, _PLAIN[one.apart_in or "stft"](model.sample_rate), count=one.count or 3, rounds=one.rounds or 2,
        steps=task.steps(50), synthesis_steps=one.synthesis_steps, seed=task.seed,
    )  # fmt: skip
    least = min(found.start_snr)
    return [MadeSound(f"metamer{k}", "metamers", sound, least_snr=least) for k, sound in enumerate(found.sounds)]


_PLAIN: dict[str, Callable[[int], Representation]] = {
    "stft": spectrogram_representation, "cochleagram": cochleagram_representation,
}  # fmt: skip
_MAKERS: dict[Kind, Callable[[Task], list[MadeSound]]] = {
    "eigendistortions": _eigendistortions, "finite": _finite, "principal": _principal, "mad": _mad,
    "controversial": _controversial, "distant": _distant,
}  # fmt: skip


def as_taken(signal: Tensor, model: Model) -> Tensor:
    """A sound on the device and in the type of a model."""
    return torch.as_tensor(signal).to(dtype=model.dtype, device=model.device)
