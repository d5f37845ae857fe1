"""Distortions of finite amplitude: how far they move a layer, where that is linear, and which are extreme at a given level.

An eigendistortion is extreme for changes that are small enough. Scaled until it can be heard, it need not be: the curve of
‖f(x + s ε) − f(x)‖ against s says up to which level the linear prediction s ‖J ε‖ holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from audiometamer.distortions.directions import climbed, slope_of
from audiometamer.distortions.jacobian import Jacobian, fitting
from audiometamer.distortions.spaces import EverySample, Space
from audiometamer.errors import AudioMetamerError
from audiometamer.models.model import Model

LEVELS = tuple(float(level) for level in range(-160, 11, 5))
_LINEAR = 0.1  # of the prediction


@dataclass(frozen=True)
class AmplitudeCurve:
    """How far a distortion moves a layer, by its level.

    Parameters
    ----------
    layer : str
    levels : tuple of float
        RMS of the distortion in dB re that of the signal, rising.
    distances : tuple of float
        ‖f(x + s ε) − f(x)‖.
    predicted : tuple of float
        s ‖J ε‖.
    """

    layer: str
    levels: tuple[float, ...]
    distances: tuple[float, ...]
    predicted: tuple[float, ...]

    @property
    def linear_range(self) -> tuple[float, float] | None:
        """First and last level of the longest run of levels within 10 % of the prediction; None if there is none."""
        best: list[float] = []
        run: list[float] = []
        for level, distance, predicted in zip(self.levels, self.distances, self.predicted, strict=True):
            run = [*run, level] if predicted > 0 and abs(distance / predicted - 1) <= _LINEAR else []
            best = run if len(run) > len(best) else best
        return (best[0], best[-1]) if best else None


def amplitude_curve(
    model: Model, signal: Tensor, layer: str, distortion: Tensor, *, levels: Sequence[float] = LEVELS, batch_size: int = 8
) -> AmplitudeCurve:
    """Measure how far a distortion moves a layer at several levels.

    Parameters
    ----------
    model : Model
        Model in float64, for meaningful distances at low levels.
    signal : Tensor [shape=signal_shape]
    layer : str
    distortion : Tensor [shape=signal_shape]
        Its own size does not matter.
    levels : sequence of float
        RMS in dB re that of the signal. Default −160, −155, …, 10.
    batch_size : int
        Signals in one pass. Default 8.

    Raises
    ------
    AudioMetamerError
        If the signal or the distortion is silent or does not fit the model.
    """
    levels = sorted(map(float, levels))
    jacobian = Jacobian(model, signal, layer, batch_size=batch_size)
    direction = at_level(fitting(model, distortion), jacobian.at, 0.0)
    scales = torch.tensor([10 ** (level / 20) for level in levels]).to(jacobian.at)
    slope = float(jacobian.times(direction.reshape(1, -1)).norm())
    signals = jacobian.at + scales.view(-1, *[1] * jacobian.at.ndim) * direction
    distances = _distances(jacobian, signals)
    return AmplitudeCurve(layer, tuple(levels), tuple(distances.tolist()), tuple((slope * scales).tolist()))


def at_level(distortion: Tensor, signal: Tensor, level: float) -> Tensor:
    """A distortion at an RMS of `level` dB re that of a signal.

    Examples
    --------
    >>> at_level(torch.tensor([0.0, 1.0]), torch.tensor([3.0, 4.0]), 0.0)
    tensor([0., 5.])
    """
    sizes = signal.norm(), distortion.norm()
    if not min(sizes) > 0:
        raise AudioMetamerError(f"the {'signal' if not sizes[0] > 0 else 'distortion'} is silent; a level in dB needs sound")
    return distortion * (sizes[0] / sizes[1] * 10 ** (level / 20))


@dataclass(frozen=True)
class FiniteDistortions:
    """Distortions of a given level that move a layer most and least.

    Parameters
    ----------
    layer : str
    level : float
        RMS of the distortions in dB re that of the signal.
    most, least : Tensor [shape=signal_shape]
        The distortions, at their level.
    most_distance, least_distance : float
        ‖f(x + ε) − f(x)‖.
    start_distances : tuple of float
        The distances of the distortions that the searches started from, at the same level.
    """

    layer: str
    level: float
    most: Tensor
    least: Tensor
    most_distance: float
    least_distance: float
    start_distances: tuple[float, float]


def finite_distortions(
    model: Model,
    signal: Tensor,
    layer: str,
    *,
    level: float,
    start: tuple[Tensor, Tensor],
    space: Space | None = None,
    steps: int = 100,
) -> FiniteDistortions:
    """Search the distortions of a given level that move a layer most and least.

    Ascent and descent of log ‖f(x + ε) − f(x)‖ on the sphere of changes of that level. The results are local extremes, at least
    as extreme as what they start from.

    Parameters
    ----------
    model : Model
    signal : Tensor [shape=signal_shape]
    layer : str
    level : float
        RMS of the distortions in dB re that of the signal.
    start : tuple of Tensor [shape=signal_shape]
        Distortions to ascend and descend from, such as the top and bottom eigendistortions of the same space.
    space : Space, optional
        Allowed changes. Default: all.
    steps : int
        Most iterations of each search. Default 100.

    Raises
    ------
    AudioMetamerError
        If a signal or a start is silent or does not fit the model.
    """
    jacobian = Jacobian(model, signal, layer)
    space = space or EverySample(jacobian.inputs)
    with torch.no_grad():
        unchanged = jacobian.activations(jacobian.at[None])
    starts = [space.nearest(fitting(model, s).reshape(1, -1)) for s in start]
    scale = float((unchanged.square().sum()) * torch.finfo(unchanged.dtype).eps ** 2)  # where rounding begins

    def distortion(rows: Tensor) -> Tensor:
        return at_level(space.signals(rows).view(jacobian.at.shape), jacobian.at, level)

    def log_distance(rows: Tensor) -> Tensor:
        changed = jacobian.activations((jacobian.at + distortion(rows))[None])
        return ((changed - unchanged).square().sum() + scale).log()

    most = distortion(climbed(slope_of(log_distance), starts[0], steps=steps))
    least = distortion(climbed(slope_of(lambda rows: -log_distance(rows)), starts[1], steps=steps))
    found = torch.stack([most, least, distortion(starts[0]), distortion(starts[1])])
    distances = _distances(jacobian, jacobian.at + found).tolist()
    return FiniteDistortions(layer, level, most.cpu(), least.cpu(), distances[0], distances[1], (distances[2], distances[3]))


def _distances(jacobian: Jacobian, signals: Tensor) -> Tensor:
    """‖f(y) − f(x)‖ for signals y [shape=(k, *signal_shape)]."""
    with torch.no_grad():
        unchanged = jacobian.activations(jacobian.at[None])
        parts = [(jacobian.activations(part) - unchanged).norm(dim=1) for part in signals.split(jacobian.batch_size)]
    return torch.cat(parts)
