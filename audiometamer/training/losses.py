"""What is minimised: cross-entropies, smoothed, without the sounds whose labels are probably wrong."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from audiometamer.training.corpus import MISSING, ClassificationTask


class Mixture(NamedTuple):
    """Which other sound of the batch is mixed into each, and the share of the sound itself, at least a half [shape=(batch,)]."""

    partner: Tensor
    share: Tensor

    @classmethod
    def draw(cls, n_sounds: int, most: float, *, generator: torch.Generator) -> "Mixture":
        """Draw partners, and their shares from 0 to `most`, uniform."""
        device = generator.device
        partner = torch.randperm(n_sounds, generator=generator, device=device)
        return cls(partner, 1 - most * torch.rand(n_sounds, generator=generator, device=device))

    def of(self, inputs: Tensor) -> Tensor:
        """The mixed inputs [shape=(batch, ...)]."""
        share = self.share.to(inputs.dtype).reshape(-1, *[1] * (inputs.ndim - 1))
        return share * inputs + (1 - share) * inputs[self.partner]


class TaskLoss(NamedTuple):
    """The loss of a task over a batch: its sum, the number of sounds in it, and how many of them were labelled correctly.

    In a mixture the sounds count by their shares.
    """

    total: Tensor
    n_sounds: Tensor
    correct: Tensor


def each_loss(logits: Tensor, targets: Tensor, task: ClassificationTask, *, smoothing: float = 0.0) -> Tensor:
    """The cross-entropy of every sound [shape=(batch,)]; 0 where the target is unknown.

    For a multi-label task: the binary cross-entropy, averaged over classes.

    Parameters
    ----------
    logits : Tensor [shape=(batch, classes)]
    targets : Tensor [shape=(batch,) or (batch, classes)]
    task : ClassificationTask
    smoothing : float
        Probability that the targets spread evenly over all classes. Default 0.
    """
    if not task.multi:
        return F.cross_entropy(logits, targets, ignore_index=MISSING, reduction="none", label_smoothing=smoothing)
    smooth = targets.nan_to_num() * (1 - smoothing) + smoothing / 2
    return F.binary_cross_entropy_with_logits(logits, smooth, reduction="none").mean(1) * task.known(targets)


def task_loss(
    logits: Tensor,
    targets: Tensor,
    task: ClassificationTask,
    *,
    smoothing: float = 0.0,
    trimmed: float = 0.0,
    mixture: Mixture | None = None,
) -> TaskLoss:
    """The loss of the sounds whose target is known, without the fraction `trimmed` that has the highest.

    Of a mixture: the losses with the targets of both sounds, weighted by their shares (Zhang et al. 2018, "mixup", section 2).
    Small losses select clean labels (Han et al. 2018, "Co-teaching", algorithm 1; here by one network, for itself).

    Examples
    --------
    >>> logits = torch.tensor([[5.0, 0.0], [5.0, 0.0], [5.0, 0.0]])
    >>> loss = task_loss(logits, torch.tensor([0, 0, 1]), ClassificationTask(("a", "b")), trimmed=0.34)
    >>> int(loss.n_sounds), int(loss.correct), round(float(loss.total), 3)
    (2, 2, 0.013)
    """
    if mixture is not None:
        own = _weighted(logits, targets, task, smoothing, trimmed, mixture.share)
        other = _weighted(logits, targets[mixture.partner], task, smoothing, trimmed, 1 - mixture.share)
        return TaskLoss(own.total + other.total, own.n_sounds + other.n_sounds, own.correct)
    return _weighted(logits, targets, task, smoothing, trimmed, None)


def _weighted(
    logits: Tensor, targets: Tensor, task: ClassificationTask, smoothing: float, trimmed: float, weights: Tensor | None
) -> TaskLoss:
    each = each_loss(logits, targets, task, smoothing=smoothing)
    kept = task.known(targets)
    if trimmed:
        left_out = int(trimmed * int(kept.sum()))
        worst = each.detach().masked_fill(~kept, -torch.inf).topk(left_out).indices
        kept = kept.index_fill(0, worst, False)
    right = kept.new_zeros(len(kept)) if task.multi else logits.argmax(1) == targets
    counted = kept if weights is None else kept * weights
    return TaskLoss((each * counted).sum(), counted.sum(), (right * counted).sum())
