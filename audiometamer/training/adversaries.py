"""Adversarial perturbations, and random ones of the same size as their control (Madry et al. 2018; Feather et al. 2023)."""

import math
from collections.abc import Callable
from typing import Annotated, Literal

import msgspec
import torch
from torch import Tensor

_TINY = 1e-12


class Adversary(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An adversarial perturbation: which input is perturbed, how far and how.

    Parameters
    ----------
    at : {"waveform", "cochleagram"}
        Input that is perturbed.
    norm : {"l2", "linf"}
        Norm that is bounded.
    radius : float
        Largest norm of the perturbation of one sound, in the units of what is perturbed. Feather et al. (2023): 1 or 0.5 (L2),
        0.002 (L∞, waveform).
    kind : {"gradient", "random_step"}
        Projected gradient ascent on the loss from a random start; or its control, one random step of exactly this norm.
        Default "gradient".
    steps : int
        Number of steps of gradient ascent. Default 5.
    step : float
        Step size as a fraction of the radius. Default 0.5.
    warm_up : float
        Fraction of the training over which the radius grows linearly from 0: small networks do not learn under a large radius
        from the start. Default 0.
    """

    at: Literal["waveform", "cochleagram"]
    norm: Literal["l2", "linf"]
    radius: Annotated[float, msgspec.Meta(gt=0)]
    kind: Literal["gradient", "random_step"] = "gradient"
    steps: Annotated[int, msgspec.Meta(ge=1)] = 5
    step: Annotated[float, msgspec.Meta(gt=0)] = 0.5
    warm_up: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0

    @property
    def name(self) -> str:
        """For example ``cochleagram_l2_0.5``, or ``cochleagram_l2_0.5_random_step`` for the control."""
        return f"{self.at}_{self.norm}_{self.radius:g}" + ("_random_step" if self.kind == "random_step" else "")

    def after(self, share: float) -> "Adversary":
        """The adversary when a fraction of the training is done."""
        return self if share >= self.warm_up else msgspec.structs.replace(self, radius=self.radius * share / self.warm_up)

    def perturbed(
        self,
        inputs: Tensor,
        loss: Callable[[Tensor], Tensor],
        *,
        generator: torch.Generator,
        bounds: tuple[float, float] = (-math.inf, math.inf),
    ) -> Tensor:
        """Perturb each input by at most the radius.

        Parameters
        ----------
        inputs : Tensor [shape=(batch, ...)]
        loss : callable
            Maps inputs to the sum of their losses, which is raised. Not called for a random step.
        generator : torch.Generator
            Generator of the random start or step, on the device of the inputs.
        bounds : tuple of float
            Range to which inputs are clamped before the perturbation and after every step. Default: unbounded.

        Returns
        -------
        Tensor [shape=(batch, ...)]
            Without gradient history.
        """
        inputs = inputs.detach().clamp(*bounds)
        noise = torch.randn(inputs.shape, generator=generator, dtype=inputs.dtype, device=inputs.device)
        if self.kind == "random_step":
            return (inputs + self._of_radius(noise)).clamp(*bounds)
        share = torch.rand(inputs.shape[:1], generator=generator, dtype=inputs.dtype, device=inputs.device)
        change = self._of_radius(noise) * share.view(-1, *(1,) * (inputs.ndim - 1))
        for _ in range(self.steps):
            change = change.clamp(
                bounds[0] - inputs, bounds[1] - inputs
            ).requires_grad_()  # nearer to 0 everywhere: no larger norm
            (gradient,) = torch.autograd.grad(loss(inputs + change), change)
            change = self._projected(change.detach() + self.step * self._of_radius(gradient))
        return (inputs + change).clamp(*bounds)

    def _of_radius(self, direction: Tensor) -> Tensor:
        """The perturbation with the radius as its norm that goes furthest along a direction."""
        if self.norm == "linf":
            return self.radius * direction.sign()
        return self.radius * direction / _norms(direction).clamp(min=_TINY)

    def _projected(self, change: Tensor) -> Tensor:
        if self.norm == "linf":
            return change.clamp(-self.radius, self.radius)
        return change * (self.radius / _norms(change).clamp(min=_TINY)).clamp(max=1)


def _norms(x: Tensor) -> Tensor:
    """L2 norm of each sound [shape=(batch, 1, ...)]."""
    return x.flatten(1).norm(dim=1).view(-1, *(1,) * (x.ndim - 1))
