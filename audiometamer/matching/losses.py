"""Losses: how far activations are from their target, one number for each signal of a batch."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from audiometamer.errors import AudioMetamerError
from audiometamer.matching.complex_values import as_real
from audiometamer.matching.straight_through import straight_through_relu

# Activations of a batch: of one layer, or of several by name.
Activations = Tensor | Mapping[str, Tensor]
Loss = Callable[[Activations, Activations], Tensor]
Transform = Callable[[Tensor], Tensor]


def _one(activations: Activations) -> Tensor:
    if not isinstance(activations, Tensor):
        raise AudioMetamerError(
            f"this loss takes one layer, and the activations are of {', '.join(activations)}; use losses.weighted"
        )
    return activations


def _rows(activations: Activations) -> Tensor:
    """One layer's activations as a row of real numbers for each example, [shape=(batch, units)]."""
    tensor = as_real(_one(activations))
    return tensor.reshape(len(tensor), -1)


def relative_l2(activations: Activations, target: Activations) -> Tensor:
    """‖a − t‖₂ / ‖t‖₂ of each example (Feather et al. 2023); ‖a‖₂ where the target is all zero.

    Parameters
    ----------
    activations, target : Tensor [shape=(batch, ...)]

    Returns
    -------
    Tensor [shape=(batch,)]
    """
    a, t = _rows(activations), _rows(target)
    floor = torch.finfo(t.dtype).tiny  # keeps the gradient finite where the match is perfect
    return (a - t).square().sum(1).clamp(min=floor).sqrt() / _or_one(t.square().sum(1)).sqrt()


def relative_l2_with_roots(activations: Activations, target: Activations, *, offset: float = 0.01) -> Tensor:
    """`relative_l2`, plus `relative_l2` of the activations' signed square roots.

    A layer of rectified units is mostly zeros, and a verdict asks for their ranks: small wrong activations where there should be
    none spoil ranks, but hardly a sum of squares. The root makes them count, and an offset bounds its slope.

    Parameters
    ----------
    activations, target : Tensor [shape=(batch, ...)]
    offset : float
        As a fraction of the target's mean magnitude; smaller ones count smaller activations. Default 0.01.

    Returns
    -------
    Tensor [shape=(batch,)]
    """
    a, t = _rows(activations), _rows(target)
    scale = _or_one(t.abs().mean(1, keepdim=True))
    return relative_l2(a, t) + relative_l2(_signed_root(a / scale, offset), _signed_root(t / scale, offset))


def _or_one(size: Tensor) -> Tensor:
    """The size of targets; 1 for those that are all zero, which have none to compare with."""
    return torch.where(size > 0, size, torch.ones_like(size))


def _signed_root(x: Tensor, offset: float) -> Tensor:
    return x.sign() * ((x.abs() + offset).sqrt() - offset**0.5)


def rectified(loss: Loss, margin: float, *, straight_through: bool = False) -> Loss:
    """Make a loss on activations before their ReLU, for a target after it.

    Where the target is above zero, a silent unit counts by how far it is below zero, which the ReLU would hide; with a
    straight-through ReLU it counts as zero, but still has a gradient. Where the target is zero, only what is above minus the
    margin is an error: a gradient that ended at zero would leave silent units on the verge, half of them slightly active, and a
    verdict looks at ranks.

    Parameters
    ----------
    loss : callable
        Loss on rectified activations.
    margin : float
        Margin as a fraction of the target's mean.
    straight_through : bool
        Whether silent units that should be active count as zero. Default False.
    """

    def rectified_loss(activations: Activations, target: Activations) -> Tensor:
        x, t = _one(activations), _one(target)
        below = margin * t.flatten(1).mean(1).view(-1, *[1] * (t.ndim - 1))
        wanted = straight_through_relu(x) if straight_through else x
        return loss(torch.where(t > 0, wanted, (x + below).clamp(min=0)), t)

    return rectified_loss


def half_squared_error(activations: Activations, target: Activations) -> Tensor:
    """½ Σ (a − t)² of each example (Feather et al. 2019).

    Parameters
    ----------
    activations, target : Tensor [shape=(batch, ...)]

    Returns
    -------
    Tensor [shape=(batch,)]
    """
    return 0.5 * (_rows(activations) - _rows(target)).square().sum(1)


def relative_squared_error(activations: Activations, target: Activations) -> Tensor:
    """Σ (a − t)² / Σ t² of each example, the inverse of the SNR; Σ a² where the target is all zero.

    Parameters
    ----------
    activations, target : Tensor [shape=(batch, ...)]

    Returns
    -------
    Tensor [shape=(batch,)]
    """
    a, t = _rows(activations), _rows(target)
    return (a - t).square().sum(1) / _or_one(t.square().sum(1))


def relative_fourth_power(activations: Activations, target: Activations) -> Tensor:
    """(Σ (a − t)² / Σ t²)² of each example: in a sum over several layers or parts, the one matched worst counts most.

    Parameters
    ----------
    activations, target : Tensor [shape=(batch, ...)]

    Returns
    -------
    Tensor [shape=(batch,)]
    """
    return relative_squared_error(activations, target).square()


def by_part(loss: Loss, parts: Sequence[tuple[int, float]]) -> Loss:
    """Make the weighted sum of a loss over the parts of a vector, so that a long part does not outweigh a short one.

    Parameters
    ----------
    loss : callable
        Loss of one part.
    parts : sequence of (int, float)
        Number of values and weight of each part, in their order.
    """
    sizes, weights = [size for size, _ in parts], [weight for _, weight in parts]

    def loss_by_part(activations: Activations, target: Activations) -> Tensor:
        a, t = (_rows(x).split(sizes, 1) for x in (activations, target))
        terms = [weight * loss(*pair) for weight, *pair in zip(weights, a, t, strict=True)]
        return torch.stack(terms).sum(0)

    return loss_by_part


def transformed(transform: Transform, loss: Loss = relative_l2) -> Loss:
    """Make a loss on a function of the activations, such as `time_average` or `gram`.

    Parameters
    ----------
    transform : callable
        Tensor [shape=(batch, ...)] to Tensor [shape=(batch, ...)].
    loss : callable
        Loss on the transformed activations. Default `relative_l2`.
    """

    def transformed_loss(activations: Activations, target: Activations) -> Tensor:
        return loss(transform(_one(activations)), transform(_one(target)))

    return transformed_loss


def time_average(activations: Tensor) -> Tensor:
    """Mean over the last dimension, time: [shape=(batch, ..., time)] to [shape=(batch, ...)]."""
    return activations.mean(-1)


def gram(activations: Tensor) -> Tensor:
    """Inner products between channels, averaged over all positions (Gatys et al. 2015, there for textures).

    Parameters
    ----------
    activations : Tensor [shape=(batch, channels, ...)]

    Returns
    -------
    Tensor [shape=(batch, channels, channels)]
    """
    maps = activations.flatten(2)
    return maps @ maps.transpose(1, 2) / maps.shape[2]


def weighted(weights: Mapping[str, float], loss: Loss = relative_l2) -> Loss:
    """Make a weighted sum of one loss over several layers.

    Parameters
    ----------
    weights : mapping of str to float
        Weights by layer; the activations must hold these layers.
    loss : callable
        Loss of one layer. Default `relative_l2`.
    """

    def weighted_loss(activations: Activations, target: Activations) -> Tensor:
        terms = _each(dict.fromkeys(weights, loss), activations, target)
        return torch.stack([w * term for w, term in zip(weights.values(), terms, strict=True)]).sum(0)

    return weighted_loss


def combined(losses: Mapping[str, Loss]) -> Loss:
    """Make the mean of a loss for each of several layers.

    Parameters
    ----------
    losses : mapping of str to callable
        Losses by layer; each compares one layer.
    """

    def combined_loss(activations: Activations, target: Activations) -> Tensor:
        terms = _each(losses, activations, target)
        return terms[0] if len(terms) == 1 else torch.stack(terms).mean(0)

    return combined_loss


def _each(losses: Mapping[str, Loss], activations: Activations, target: Activations) -> list[Tensor]:
    """The loss of each layer, [shape=(batch,)]."""
    if isinstance(activations, Tensor) or isinstance(target, Tensor):
        raise AudioMetamerError(f"this loss takes activations by layer ({', '.join(losses)}), and was given one tensor")
    return [loss(activations[layer], target[layer]) for layer, loss in losses.items()]
