"""Signals near a reference at the reference's level, and how far they have to go to change their coordinates."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_RIDGE = 1e-3  # of the diagonal; limits what it costs to separate coordinates that almost always change together


@dataclass(frozen=True)
class PerturbationDomain:
    """Signals near references, with their mean and standard deviation: the level of a sound, the contrast of an image.

    The parameters are the difference from the reference in a unit of each signal's own, so that signals that need small and large
    steps share a batch. No signal may leave the batch.

    Parameters
    ----------
    references : Tensor [shape=(batch, ...)]
    unit : Tensor [shape=(batch,)]
    """

    references: Tensor
    unit: Tensor

    def start(self, shape: Sequence[int], *, seeds: Sequence[int], dtype: torch.dtype, device: torch.device | str) -> Tensor:
        """No difference at all, [shape=(seeds, *shape)]."""
        return torch.zeros(len(seeds), *shape, dtype=dtype, device=device)

    def project(self, signals: Tensor) -> Tensor:
        """The same: nothing is out of bounds."""
        return signals

    def signals(self, parameters: Tensor) -> Tensor:
        """References plus differences, at the mean and the standard deviation of the references."""
        moved = (self.references + per_signal(self.unit, parameters) * parameters).flatten(1)
        references = self.references.flatten(1)
        std, mean = torch.std_mean(references, 1, correction=0, keepdim=True)
        own_std, own_mean = torch.std_mean(moved, 1, correction=0, keepdim=True)
        return (mean + (moved - own_mean) * (std / own_std)).view_as(parameters)

    def as_written(self, signals: Tensor) -> Tensor:
        """Float32."""
        return signals.float()


def linearise(coordinates: Callable[[Tensor], Tensor], start: Tensor) -> tuple[Tensor, Tensor]:
    """Coordinates at a start, and the matrices that turn their changes into distances of signals.

    With J the Jacobian and J Jᵀ = L Lᵀ, the shortest way to a change Δc, were coordinates linear, is Jᵀ (J Jᵀ)⁻¹ Δc, of length
    ‖L⁻¹ Δc‖; the gradient of half its square is that way itself, a Gauss-Newton step.

    Parameters
    ----------
    coordinates : callable
        From signals [shape=(batch, ...)] to coordinates [shape=(batch, components)], differentiable.
    start : Tensor [shape=(batch, ...)]

    Returns
    -------
    Tensor [shape=(batch, components)]
    Tensor [shape=(batch, components, components)]
        L⁻¹; NaN where a coordinate does not depend on the signal.
    """
    signals = start.clone().requires_grad_()
    found = coordinates(signals)
    rows = [torch.autograd.grad(each.sum(), signals, retain_graph=True)[0].flatten(1) for each in found.unbind(1)]
    jacobian = torch.stack(rows, 1).double()
    products = jacobian @ jacobian.transpose(1, 2)
    size = products.diagonal(dim1=1, dim2=2)
    lower, failed = torch.linalg.cholesky_ex(products + torch.diag_embed(_RIDGE * size))
    identity = torch.eye(found.shape[1], dtype=lower.dtype, device=lower.device).expand_as(lower)
    inverse = torch.linalg.solve_triangular(lower, identity, upper=False)
    inverse[(failed > 0) | (size == 0).any(1)] = torch.nan
    return found.detach(), inverse.to(start)


def times(matrices: Tensor, vectors: Tensor) -> Tensor:
    """Each matrix [shape=(batch, n, n)] times its vector [shape=(batch, n)]."""
    return (matrices @ vectors[..., None])[..., 0]


def per_signal(values: Tensor, like: Tensor) -> Tensor:
    """One value for each signal [shape=(batch,)], shaped to be broadcast over a batch."""
    return values.view(-1, *[1] * (like.ndim - 1))
