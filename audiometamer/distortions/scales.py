"""Perceptual scales along a path of sounds, as a layer predicts them, and how well they match a measured one.

A scale ψ rises from 0 at the path's first sound to 1 at its last, in proportion to the differences that are noticed: its slope is
√I, the root of the Fisher information about the position on the path (Vacher & Mamassian 2024, ICLR).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from audiometamer.distortions.jacobian import Jacobian, fitting
from audiometamer.errors import AudioMetamerError
from audiometamer.models.model import Model
from audiometamer.models.recording import record

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class PerceptualScale:
    """A scale along a path of sounds.

    Parameters
    ----------
    layer : str
    positions : array [shape=(sounds,)]
        Positions of the sounds on the path, from 0 to 1.
    values : array [shape=(sounds,)]
        The scale ψ, from 0 to 1.
    length : float
        ∫ ‖J γ′‖ ds, the length of the path in the layer.
    steps : array [shape=(sounds − 1,)]
        Distance ‖f(x_{i+1}) − f(x_i)‖ of neighbours: at most the length of the path between them.
    model : str
        Name of the model. Default: none.
    """

    layer: str
    positions: Vector
    values: Vector
    length: float
    steps: Vector
    model: str = ""


def fisher_scale(
    model: Model,
    sounds: Sequence[Tensor],
    layer: str,
    *,
    positions: ArrayLike | None = None,
    points: int = 4,
    batch_size: int = 8,
) -> PerceptualScale:
    """Predict the perceptual scale along a path of sounds, for a layer with white noise.

    Then √I = ‖J(γ) γ′‖, and the scale is the length of the path in the layer. The path is straight between neighbouring sounds,
    and integrated there by the Gauss-Legendre rule.

    Parameters
    ----------
    model : Model
    sounds : sequence of Tensor [shape=signal_shape]
        The path, of two or more sounds.
    layer : str
    positions : array-like [shape=(sounds,)], optional
        Rising positions of the sounds on the path; they are scaled to 0 to 1. Default: equally spaced.
    points : int
        Points of integration between two sounds. Default 4.
    batch_size : int
        Signals in one pass. Default 8.

    Raises
    ------
    AudioMetamerError
        If there are fewer than two sounds, one does not fit the model, the positions do not rise, or the layer notices no change.
    """
    if len(sounds) < 2:
        raise AudioMetamerError(f"a path has two or more sounds; this has {len(sounds)}")
    if points < 1:
        raise AudioMetamerError(f"points is {points}; it must be at least 1")
    x = _positions(positions, len(sounds))
    path = torch.stack([fitting(model, sound) for sound in sounds])
    lengths = [_length(model, layer, here, there, points) for here, there in pairwise(path)]
    length = sum(lengths)
    if not length > 0:
        raise AudioMetamerError(f"layer {layer!r} of {model.name} notices no change along the path; a scale needs one")
    with torch.no_grad():
        activations = torch.cat([record(model, part, layer).flatten(1) for part in path.split(batch_size)]).double()
    steps = (activations[1:] - activations[:-1]).norm(dim=1).cpu().numpy()
    return PerceptualScale(layer, x, np.concatenate([[0.0], np.cumsum(lengths) / length]), length, steps, model.name)


def gaussian_information(first: ArrayLike, second: ArrayLike, *, points: int = 100) -> Vector:
    """√I(t) of a path between two textures, each a Gaussian of features.

    With means a, b and covariances A, B, the path is of optimal transport: mean (1 − t) a + t b, covariance Σ(t) = G Gᵀ with
    G = t B^½ + (1 − t) Q, Q = B^−½ (B^½ A B^½)^½, for t from 0 to 1. Then
    I = (b − a)ᵀ Σ⁻¹ (b − a) + ½ tr(Σ⁻¹ Σ′ Σ⁻¹ Σ′), with Σ′ = D Gᵀ + G Dᵀ, D = B^½ − Q (Vacher & Mamassian 2024; there Σ is Gᵀ G,
    which does not begin at A, and Σ′ is that of another path).

    Parameters
    ----------
    first, second : array-like [shape=(features, observations)]
    points : int
        Number of values of t. Default 100.

    Returns
    -------
    array [shape=(points,)]

    Raises
    ------
    AudioMetamerError
        If the features differ in number, or there are fewer than two observations.
    """
    ends = [np.asarray(each, dtype=np.float64) for each in (first, second)]
    for end in ends:
        if end.ndim != 2 or end.shape[1] < 2 or len(end) != len(ends[0]):
            raise AudioMetamerError(
                f"features have shapes {ends[0].shape} and {ends[1].shape}; give (features, observations), with as many features "
                "and at least 2 observations"
            )
    if points < 2:
        raise AudioMetamerError(f"points is {points}; it must be at least 2")
    change = ends[1].mean(1) - ends[0].mean(1)
    a, b = (np.cov(end).reshape(len(end), -1) + 1e-6 * np.eye(len(end)) for end in ends)
    root = _root(b)
    q = np.linalg.inv(root) @ _root(root @ a @ root)
    d = root - q
    information = []
    for t in np.linspace(0, 1, points):
        g = t * root + (1 - t) * q
        slope = np.linalg.solve(g @ g.T, d @ g.T + g @ d.T)
        information.append(change @ np.linalg.solve(g @ g.T, change) + np.trace(slope @ slope) / 2)
    return np.sqrt(information)


def gaussian_scale(model: Model, first: Tensor, second: Tensor, layer: str, *, points: int = 100) -> PerceptualScale:
    """Predict the perceptual scale between two textures from the means and covariances of a layer's channels.

    Channels are the features, and times (and frequencies) the observations of `gaussian_information`.

    Parameters
    ----------
    model : Model
    first, second : Tensor [shape=signal_shape]
    layer : str
        Layer of shape (channels, ...), with at least two values of each channel.
    points : int
        Number of positions. Default 100.

    Raises
    ------
    AudioMetamerError
        If a sound does not fit the model, or the layer has one value of each channel.
    """
    with torch.no_grad():
        signals = torch.stack([fitting(model, sound) for sound in (first, second)])
        activations = record(model, signals, layer).double()
    if activations.ndim < 3:
        raise AudioMetamerError(
            f"layer {layer!r} of {model.name} has shape {tuple(activations.shape[1:])}; means and covariances take channels of "
            "several values each"
        )
    if activations.ndim == 4 and activations.shape[1] == 1:  # a cochleagram with a channel dimension
        activations = activations[:, 0]
    features = activations.flatten(2).cpu().numpy()
    root = gaussian_information(features[0], features[1], points=points)
    t = np.linspace(0, 1, points)
    along = np.concatenate([[0.0], np.cumsum((root[1:] + root[:-1]) / 2 * np.diff(t))])
    if not along[-1] > 0:
        raise AudioMetamerError(f"layer {layer!r} of {model.name} has the same means and covariances for both sounds")
    return PerceptualScale(layer, t, along / along[-1], float(along[-1]), np.diff(along), model.name)


@dataclass(frozen=True)
class AreaMatch:
    """How well a predicted scale matches a measured one.

    Parameters
    ----------
    score : float
        Σ sign(ψ − x)(ψ̂ − x) / Σ|ψ − x|: 1 for an equal area on the same side of the diagonal, 0 for a prediction on it, negative
        for the other side. It has no bounds: where `area` is small it is of little use.
    area : float
        Σ|ψ − x|.
    interval : tuple of float or None
        2.5th and 97.5th percentiles of the score over resampled measurements.
    """

    score: float
    area: float
    interval: tuple[float, float] | None


def area_matching_score(
    measured: ArrayLike, predicted: ArrayLike, *, positions: ArrayLike | None = None, resampled: ArrayLike | None = None
) -> AreaMatch:
    """Compare a predicted perceptual scale with a measured one (Vacher & Mamassian 2024).

    Parameters
    ----------
    measured, predicted : array-like [shape=(sounds,)]
        Scales ψ and ψ̂, from 0 to 1.
    positions : array-like [shape=(sounds,)], optional
        Rising positions x of the sounds; they are scaled to 0 to 1. Default: equally spaced.
    resampled : array-like [shape=(resamples, sounds)], optional
        Bootstrap resamples of the measured scale, for an interval. Default: none.

    Returns
    -------
    AreaMatch

    Raises
    ------
    AudioMetamerError
        If the lengths differ, a value is not finite, or the measured scale is the diagonal, for which there is no score.

    Examples
    --------
    >>> area_matching_score([0, 0.7, 1], [0, 0.6, 1])
    AreaMatch(score=0.5, area=0.2, interval=None)
    """
    psi, guess = (np.asarray(each, dtype=np.float64) for each in (measured, predicted))
    repeated = None if resampled is None else np.atleast_2d(np.asarray(resampled, dtype=np.float64))
    if psi.ndim != 1 or psi.shape != guess.shape or (repeated is not None and repeated.shape[1:] != psi.shape):
        shapes = [psi.shape, guess.shape, *([] if repeated is None else [repeated.shape])]
        raise AudioMetamerError(f"scales have shapes {', '.join(map(str, shapes))}; give one value for each sound")
    if not all(np.isfinite(each).all() for each in (psi, guess)):
        raise AudioMetamerError("a scale has a value that is not finite; give numbers from 0 to 1")
    x = _positions(positions, len(psi))
    if not np.abs(psi - x).sum() > 1e-12:
        raise AudioMetamerError("the measured scale is the diagonal itself; no area lies between them, so there is no score")

    def score(scales: Vector) -> Vector:
        deviations = scales - x
        return np.asarray((np.sign(deviations) * (guess - x)).sum(-1) / np.abs(deviations).sum(-1))

    interval = None
    if repeated is not None:
        low, high = np.percentile(score(repeated), [2.5, 97.5])
        interval = float(low), float(high)
    return AreaMatch(round(float(score(psi)), 12), round(float(np.abs(psi - x).sum()), 12), interval)


def _length(model: Model, layer: str, here: Tensor, there: Tensor, points: int) -> float:
    """The length in a layer of the straight line between two signals, by the Gauss-Legendre rule."""
    change = (there - here).reshape(1, -1)
    nodes, weights = np.polynomial.legendre.leggauss(points)
    places = [here + (node + 1) / 2 * (there - here) for node in nodes.tolist()]
    slopes = [float(Jacobian(model, place, layer).times(change).norm()) for place in places]
    return float(np.dot(weights / 2, slopes))


def _positions(positions: ArrayLike | None, number: int) -> Vector:
    """Positions scaled to 0 to 1."""
    if positions is None:
        return np.linspace(0, 1, number)
    x = np.asarray(positions, dtype=np.float64)
    if x.shape != (number,) or not np.isfinite(x).all() or not (np.diff(x) > 0).all():
        raise AudioMetamerError(f"positions are {x.tolist()}; give {number} rising numbers, one for each sound")
    return np.asarray((x - x[0]) / (x[-1] - x[0]))


def _root(matrix: Vector) -> Vector:
    """The symmetric square root of a positive semidefinite matrix."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return np.asarray((vectors * np.sqrt(values.clip(0))) @ vectors.T)
