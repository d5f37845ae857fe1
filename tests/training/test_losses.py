"""Cross-entropies by hand."""

import math

import pytest
import torch

from audiometamer.training.corpus import ClassificationTask
from audiometamer.training.losses import each_loss, task_loss

WORD, SOUNDS = ClassificationTask(("a", "b")), ClassificationTask(("hiss", "rain"), multi=True)


def test_losses():
    """Cross-entropy of two equal logits is log 2; binary cross-entropies are averaged over classes."""
    logits = torch.tensor([[0.0, 0.0], [1000.0, 0.0], [0.0, 3.0]])
    loss = task_loss(logits, torch.tensor([1, 0, -1]), WORD)
    assert (float(loss.total), int(loss.n_sounds), int(loss.correct)) == (pytest.approx(math.log(2)), 2, 1)
    targets = torch.tensor([[1.0, 0.0], [1.0, 1.0], [torch.nan, torch.nan]])
    loss = task_loss(logits, targets, SOUNDS)
    assert (float(loss.total), int(loss.n_sounds), int(loss.correct)) == (pytest.approx(math.log(2) * 1.5), 2, 0)


def test_smoothed_targets():
    """With smoothing s of two classes the target is (1 − s/2, s/2)."""
    logits = torch.tensor([[math.log(3.0), 0.0]])  # probabilities 3/4 and 1/4
    expected = -(0.9 * math.log(0.75) + 0.1 * math.log(0.25))
    assert float(each_loss(logits, torch.tensor([0]), WORD, smoothing=0.2)) == pytest.approx(expected)
    both = (0.9 * math.log(0.75) + 0.1 * math.log(0.25)) + math.log(0.5)
    targets = torch.tensor([[1.0, 0.0]])
    assert float(each_loss(logits, targets, SOUNDS, smoothing=0.2)) == pytest.approx(-both / 2)


def test_the_worst_are_not_learned_from():
    """Of five labelled sounds a quarter is one, rounded down: the one with the highest loss; it gets no gradient."""
    logits = torch.tensor([[2.0, 0], [1, 0], [-3, 0], [0, 0], [3, 0], [0, 9]], requires_grad=True)
    loss = task_loss(logits, torch.tensor([0, 0, 0, 0, 0, -1]), WORD, trimmed=0.25)
    expected = sum(math.log(1 + math.exp(-x)) for x in (2, 1, 0, 3))
    assert (loss.total.item(), loss.n_sounds.item(), loss.correct.item()) == (pytest.approx(expected), 4, 4)
    loss.total.backward()
    assert logits.grad.any(dim=1).tolist() == [True, True, False, True, True, False]
    assert int(task_loss(logits, torch.full((6,), -1), WORD, trimmed=0.5).n_sounds) == 0
