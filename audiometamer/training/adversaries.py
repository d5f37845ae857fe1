"""Adversarial perturbations, and random ones of the same size as their control (Madry et al. 2018; Feather et al. 2023)."""

import math
from collections.abc import Callable
from typing import Annotated, Literal

import msgspec
import torch
from torch import Tensor

_TINY = 1e-12


class Adversary(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far, where and how an input is pushed to raise the loss.

    Parameters
    ----------
    at : {"waveform", "cochleagram"}
    norm : {"l2", "linf"}
    radius : float
        Largest norm of the perturbation of one sound, in the units of what is perturbed. Feather et al. (2023): 1 or 0.5 (L2),
        0.002 (L∞, waveform).
    kind : {"gradient", "random_step"}
        Projected gradient ascent on the loss from a random start; or its control, one random step of exactly this norm.
        Default "gradient".
    steps : int
        Steps of gradient ascent. Default 5.
    step : float
        Size of one as a share of the radius. Default 0.5.
    warm_up : float
        Share of the training in which the radius grows from 0 along a line: small networks do not learn under a large one from
        the start. Default 0.
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
        """As in ``cochleagram_l2_0.5``; of the control ``cochleagram_l2_0.5_random_step``."""
        return f"{self.at}_{self.norm}_{self.radius:g}" + ("_random_step" if self.kind == "random_step" else "")

    def after(self, share: float) -> "Adversary":
        """As it is when a share of the training is done."""
        return self if share >= self.warm_up else msgspec.structs.replace(self, radius=self.radius * share / self.warm_up)

    def perturbed(
        self,
        inputs: Tensor,
        loss: Callable[[Tensor], Tensor],
        *,
        generator: torch.Generator,
        bounds: tuple[float, float] = (-math.inf, math.inf),
    ) -> Tensor:
        """Inputs moved by at most the radius, each by itself.

        Parameters
        ----------
        inputs : Tensor [shape=(batch, ...)]
        loss : callable
            Inputs to the sum of their losses; is raised. Not called by a random step.
        generator : torch.Generator
            Source of the random start or step; on the inputs' device.
        bounds : tuple of float
            Range that inputs are clamped to before they are perturbed, and kept in by every step. Default: none.

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
        """The change of this norm that goes furthest along a direction (or, for noise, a random one)."""
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
