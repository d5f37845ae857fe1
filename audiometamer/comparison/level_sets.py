"""Ascent of one function of a sound while another keeps its value: on a level set, by projection."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from audiometamer.errors import AudioMetamerError
from audiometamer.matching.domains import Domain

Measure = Callable[[Tensor], Tensor]  # of a batch of sounds [shape=(batch, ...)], shape=(batch,)
_CORRECTIONS = 5  # Newton steps back to the level
_FIRST_STEP, _SMALLEST_STEP = 0.03, 1e-7  # relative to the norm of the sound
_GROWTH, _SHRINKAGE = 1.6, 0.4


class Climbed(NamedTuple):
    """Where an ascent ended.

    Parameters
    ----------
    sound : Tensor [shape=(...)]
    value : float
        Of the function that was optimised.
    held : float
        Of the one that was held.
    steps : int
        Number of steps that were taken.
    """

    sound: Tensor
    value: float
    held: float
    steps: int


@dataclass(frozen=True)
class LevelSet:
    """The sounds at which a function has a value, within a tolerance.

    Parameters
    ----------
    held : callable
        The function, of sounds [shape=(batch, ...)], differentiable, shape=(batch,).
    level : float
        The value, above 0.
    domain : Domain
        Bounds of the sounds.
    tolerance : float
        Largest relative difference from the level. Default 0.01.
    at_most : bool
        Whether smaller values are allowed too. Default False.
    """

    held: Measure
    level: float
    domain: Domain
    tolerance: float = 0.01
    at_most: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.level < float("inf"):
            raise AudioMetamerError(f"the level to be held is {self.level:g}; it must be above 0: start from another sound")
        if not 0 < self.tolerance < 1:
            raise AudioMetamerError(f"tolerance is {self.tolerance:g}; it must be between 0 and 1")

    def contains(self, value: float) -> bool:
        """Whether a value of the function is the level, within the tolerance."""
        excess = value / self.level - 1
        return excess <= self.tolerance if self.at_most else abs(excess) <= self.tolerance

    def restored(self, sound: Tensor) -> tuple[Tensor, float, Tensor]:
        """A sound brought back by Newton's method along the gradient; its value and gradient there."""
        sound = self.domain.project(sound[None])[0]
        for correction in range(_CORRECTIONS + 1):
            value, gradient = value_and_gradient(self.held, sound)
            excess = value - self.level
            near = abs(excess) <= 0.1 * self.tolerance * self.level or (self.at_most and excess <= 0)
            if near or correction == _CORRECTIONS or not (square := float(gradient.square().sum())):
                break
            sound = self.domain.project((sound - excess / square * gradient)[None])[0]
        return sound, value, gradient

    def extreme(self, objective: Measure, start: Tensor, *, sign: float, steps: int) -> Climbed:
        """The sound at which a function is largest (sign 1) or smallest (−1), by conjugate gradients on the level set.

        A step is taken only if it improves the function and stays on the level set, so neither can drift.

        Parameters
        ----------
        objective : callable
            The function, of sounds [shape=(batch, ...)], shape=(batch,).
        start : Tensor [shape=(...)]
        sign : {1, -1}
        steps : int
            Largest number of steps; fewer if none improves.

        Raises
        ------
        AudioMetamerError
            If the start cannot be brought to the level within the domain.
        """
        sound, held, normal = self.restored(start)
        if not self.contains(held):
            raise AudioMetamerError(
                f"the start has {held:.4g} where {self.level:.4g} is to be held, and its bounds keep it from there: widen them"
            )
        value, gradient = value_and_gradient(objective, sound)
        size = _FIRST_STEP
        before: tuple[Tensor, Tensor] | None = None  # tangent and direction of the last step
        taken = 0
        while taken < steps and size > _SMALLEST_STEP:
            tangent = self._tangent(sign * gradient, normal, held)
            direction = self._direction(tangent, normal, held, before)
            if not (norm := float(direction.norm())):
                break
            scale = size * float(sound.norm()) / norm
            moved, new_held, new_normal = self.restored(sound + scale * direction)
            new_value, new_gradient = value_and_gradient(objective, moved) if self.contains(new_held) else (value, gradient)
            if not sign * (new_value - value) > 0:
                size *= _SHRINKAGE
                before = None if size < 1e-3 * _FIRST_STEP else before
                continue
            before, size, taken = (tangent, direction), size * _GROWTH, taken + 1
            sound, value, gradient, held, normal = moved, new_value, new_gradient, new_held, new_normal
        return Climbed(sound, value, held, taken)

    def _tangent(self, vector: Tensor, normal: Tensor, held: float) -> Tensor:
        """The part of a vector along which the held function does not change; all of it if smaller values are allowed."""
        along = float((vector * normal).sum())
        square = float(normal.square().sum())
        inside = self.at_most and (held < self.level * (1 - self.tolerance) or along < 0)
        return vector if inside or not square else vector - along / square * normal

    def _direction(self, tangent: Tensor, normal: Tensor, held: float, before: tuple[Tensor, Tensor] | None) -> Tensor:
        """Conjugate direction of Polak & Ribière, restarted where it does not ascend."""
        if before is None:
            return tangent
        last_tangent, last_direction = before
        change = (tangent * (tangent - self._tangent(last_tangent, normal, held))).sum()
        beta = max(0.0, float(change / last_tangent.square().sum().clamp_min(1e-30)))
        direction = tangent + beta * self._tangent(last_direction, normal, held)
        return direction if float((direction * tangent).sum()) > 0 else tangent


def value_and_gradient(measure: Measure, sound: Tensor) -> tuple[float, Tensor]:
    """The value of a function at one sound [shape=(...)], and its gradient there."""
    at = sound.detach()[None].requires_grad_()
    value = measure(at).sum()
    (gradient,) = torch.autograd.grad(value, at)
    return float(value.detach()), gradient[0]
