"""MAD competition: four sounds that are as near as possible, and as far, by one measure, and equally far by another.

Wang & Simoncelli 2008, Journal of Vision 8(12), 8. They project the gradient on the level set of the held measure, as here; a
penalty in its place lets that measure drift by some per cent.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from audiometamer.comparison.bounds import BoundedSound
from audiometamer.comparison.level_sets import LevelSet, Measure
from audiometamer.comparison.representations import Representation
from audiometamer.errors import AudioMetamerError
from audiometamer.matching.domains import Domain, Gaussian


class MadSound(NamedTuple):
    """One sound of a competition.

    Parameters
    ----------
    extreme : {"nearest", "farthest"}
    optimised, held : str
        Names of the representation whose distance is extreme, and of that whose distance is held.
    sound : Tensor [shape=(...)]
    distance : float
        From the original, in the optimised representation.
    start_distance : float
        The same for the start.
    held_distance : float
        From the original, in the held representation.
    drift : float
        Relative difference of the held distance from that of the start.
    steps : int
    """

    extreme: Literal["nearest", "farthest"]
    optimised: str
    held: str
    sound: Tensor
    distance: float
    start_distance: float
    held_distance: float
    drift: float
    steps: int


def mad_competition(
    original: Tensor,
    first: Representation,
    second: Representation,
    *,
    start: Tensor | None = None,
    noise_db: float = -20.0,
    domain: Domain | None = None,
    steps: int = 200,
    tolerance: float = 0.01,
    seed: int = 0,
) -> list[MadSound]:
    """Four sounds from one start: nearest and farthest by each representation at the start's distance by the other.

    Parameters
    ----------
    original : Tensor [shape=(...)]
        The sound that distances are from.
    first, second : Representation
    start : Tensor [shape=(...)], optional
        Default: the original with white noise.
    noise_db : float
        Level of that noise in dB re the original's RMS. Default −20.
    domain : Domain, optional
        Bounds of the sounds, such as a `BoundedSound`; a representation of fewer units than samples needs them, or the farthest
        sound is infinitely far. Default: samples in [−1, 1].
    steps : int
        Largest number of steps for each sound. Default 200.
    tolerance : float
        Largest relative difference of the held distance from the start's. Default 0.01.
    seed : int
        Random seed of the noise. Default 0.

    Returns
    -------
    list of MadSound
        By first, nearest and farthest; then by second.

    Raises
    ------
    AudioMetamerError
        If the start is the original to one of the representations, or its shape another, or a value is out of its range.
    """
    if steps < 1:
        raise AudioMetamerError(f"steps is {steps}; it must be at least 1")
    domain = Gaussian(low=-1.0, high=1.0) if domain is None else domain
    original = original.detach()
    start = _with_noise(original, noise_db, seed) if start is None else start.detach().to(original)
    if start.shape != original.shape:
        raise AudioMetamerError(f"the start has shape {tuple(start.shape)}; the original has {tuple(original.shape)}")
    start = domain.project(start[None])[0]
    measures = {each.name: _distance_from(each, original) for each in (first, second)}
    if len(measures) < 2:
        raise AudioMetamerError(f"both representations are {first.name!r}; a competition needs two")
    with torch.no_grad():
        at_start = {name: float(measure(start[None])) for name, measure in measures.items()}
    for name, distance in at_start.items():
        if not distance > 0:
            raise AudioMetamerError(f"the start has distance {distance:g} from the original in {name}; start from another sound")
    sounds = []
    for optimised, held in ((first.name, second.name), (second.name, first.name)):
        level_set = LevelSet(measures[held], at_start[held], domain, tolerance)
        for extreme, sign in _EXTREMES:
            found = level_set.extreme(measures[optimised], start, sign=sign, steps=steps)
            sounds.append(
                MadSound(
                    extreme, optimised, held, found.sound, found.value, at_start[optimised], found.held,
                    found.held / at_start[held] - 1, found.steps,
                )
            )  # fmt: skip
    return sounds


def mad_bounds(
    original: Tensor,
    *,
    noise_db: float,
    sample_rate: int | None,
    rms: float | None = None,
    band: tuple[float, float] | None = None,
) -> BoundedSound:
    """Bounds of a competition: in full scale, within a band, and no louder than an RMS.

    Parameters
    ----------
    original : Tensor [shape=(...)]
    noise_db : float
        Level of the start's noise in dB re the original's RMS.
    sample_rate : int or None
        Hz; required for a band.
    rms : float, optional
        Largest RMS. Default: 1 dB above that of the original with its noise.
    band : tuple of float, optional
        Lowest and highest frequency in Hz. Default: all.
    """
    with_noise = float(original.square().mean().sqrt()) * (1 + 10 ** (noise_db / 10)) ** 0.5
    return BoundedSound(rms=rms or with_noise * 10**0.05, band=band, sample_rate=sample_rate)


_EXTREMES: Sequence[tuple[Literal["nearest", "farthest"], float]] = (("nearest", -1.0), ("farthest", 1.0))


def _distance_from(representation: Representation, original: Tensor) -> Measure:
    with torch.no_grad():
        reference = representation.features(original[None])
    return lambda sounds: representation.distance(sounds, reference)


def _with_noise(original: Tensor, noise_db: float, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(original.shape, generator=generator, dtype=torch.float64).to(original)
    return original + 10 ** (noise_db / 20) * original.square().mean().sqrt() * noise
