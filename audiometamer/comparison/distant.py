"""Metamers far apart: several sounds that a layer hears as one clip, as different as possible in another representation."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from audiometamer.comparison.bounds import BoundedSound
from audiometamer.comparison.level_sets import LevelSet, Measure
from audiometamer.comparison.representations import Representation, layer_representation
from audiometamer.errors import AudioMetamerError
from audiometamer.matching.domains import Domain
from audiometamer.metamers.metamer import Metamer
from audiometamer.metamers.synthesis import synthesize
from audiometamer.models.model import Model
from audiometamer.signals.audio import Clip

_EXTRA_DB = 0.05  # above the RMS and the peak of the metamers


class DistantMetamers(NamedTuple):
    """Metamers of one clip.

    Parameters
    ----------
    sounds : Tensor [shape=(metamers, ...)]
    snr : tuple of float
        Of each metamer's activations at the layer, in dB.
    start_snr : tuple of float
        The same of the metamers before they were moved apart.
    distances : Tensor [shape=(metamers, metamers)]
        Mean square differences in the other representation.
    start_distances : Tensor [shape=(metamers, metamers)]
    """

    sounds: Tensor
    snr: tuple[float, ...]
    start_snr: tuple[float, ...]
    distances: Tensor
    start_distances: Tensor

    @property
    def gain(self) -> float:
        """Mean distance between two metamers, relative to that before they were moved apart."""
        return float(self.distances.sum() / self.start_distances.sum())


def distant_metamers(
    model: Model,
    clip: Clip,
    layer: str,
    representation: Representation,
    *,
    starts: Sequence[Metamer] | None = None,
    count: int = 3,
    domain: Domain | None = None,
    rounds: int = 2,
    steps: int = 50,
    synthesis_steps: int | None = None,
    seed: int = 0,
) -> DistantMetamers:
    """Move metamers apart, one after the other, while each keeps the similarity at the layer that the worst of them had.

    Parameters
    ----------
    model : Model
    clip : Clip
    layer : str
        Layer at which all sounds match the clip.
    representation : Representation
        Where they are to differ, see `audiometamer.comparison.representations`.
    starts : sequence of Metamer, optional
        Metamers of this clip at this layer. Default: synthesised, from `count` seeds.
    count : int
        Default 3.
    domain : Domain, optional
        Bounds of the sounds. Default: the RMS and the peak of the loudest metamer.
    rounds : int
        How often each metamer is moved. Default 2.
    steps : int
        Largest number of steps of a move. Default 50.
    synthesis_steps : int, optional
        Steps of the synthesis. Default: the method's own.
    seed : int
        First seed of the synthesis. Default 0.

    Returns
    -------
    DistantMetamers

    Raises
    ------
    AudioMetamerError
        If there are fewer than two metamers, a number is out of its range, or the layer is unknown.
    """
    for name, value, least in (("count", count, 2), ("rounds", rounds, 1), ("steps", steps, 1)):
        if value < least:
            raise AudioMetamerError(f"{name} is {value}; it must be at least {least}")
    if starts is None:
        starts = [
            metamer for k in range(count) for metamer in synthesize(model, clip, layer, seed=seed + k, steps=synthesis_steps)
        ]
    if len(starts) < 2:
        raise AudioMetamerError(f"{len(starts)} metamer; two or more can be apart")
    sounds = torch.stack([metamer.samples for metamer in starts]).to(dtype=model.dtype, device=model.device)
    domain = _as_loud_as(sounds) if domain is None else domain
    error = _relative_error(model, clip, layer)
    with torch.no_grad():
        errors = error(sounds)
        start_distances = _distances(representation, sounds)
    level_set = LevelSet(error, float(errors.max()), domain, at_most=True)
    for _ in range(rounds):
        for k in range(len(sounds)):
            others = [i for i in range(len(sounds)) if i != k]
            apart = _mean_distance(representation, sounds[others])
            sounds[k] = level_set.extreme(apart, sounds[k], sign=1.0, steps=steps).sound
    with torch.no_grad():
        return DistantMetamers(sounds, _snr(error(sounds)), _snr(errors), _distances(representation, sounds), start_distances)


def _as_loud_as(sounds: Tensor) -> BoundedSound:
    gain = 10 ** (_EXTRA_DB / 20)
    peak = min(1.0, gain * float(sounds.abs().max()))
    return BoundedSound(rms=gain * float(sounds.flatten(1).square().mean(1).sqrt().max()), low=-peak, high=peak)


def _relative_error(model: Model, clip: Clip, layer: str) -> Measure:
    """Σ (target − activation)² / Σ target², the inverse of the SNR."""
    features = layer_representation(model, layer).features
    with torch.no_grad():
        target = features(clip.samples[None].to(dtype=model.dtype, device=model.device)).flatten(1)
    return lambda sounds: (features(sounds).flatten(1) - target).square().sum(1) / target.square().sum()


def _mean_distance(representation: Representation, others: Tensor) -> Measure:
    with torch.no_grad():
        features = representation.features(others).flatten(1)
    return lambda sounds: (representation.features(sounds).flatten(1)[:, None] - features).square().mean((1, 2))


def _distances(representation: Representation, sounds: Tensor) -> Tensor:
    features = representation.features(sounds).flatten(1)
    return torch.stack([(features - each).square().mean(1) for each in features])


def _snr(errors: Tensor) -> tuple[float, ...]:
    return tuple((-10 * errors.log10()).tolist())
