"""Cross-entropies by hand."""

import math

import pytest
import torch

from audiometamer.training.corpus import ClassificationTask
from audiometamer.training.losses import Mixture, each_loss, task_loss

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


def test_the_labels_of_a_mixture_count_by_their_shares():
    """Sound 0 is 3/4 itself (class 0) and 1/4 sound 1 (class 1); sound 1 is itself, and its partner's label is unknown."""
    logits = torch.tensor([[math.log(3.0), 0.0], [0.0, math.log(3.0)], [0.0, 0.0]])
    mixture = Mixture(torch.tensor([1, 2, 0]), torch.tensor([0.75, 0.5, 1.0]))
    loss = task_loss(logits, torch.tensor([0, 1, -1]), WORD, mixture=mixture)
    right, wrong = -math.log(0.75), -math.log(0.25)
    assert float(loss.total) == pytest.approx(0.75 * right + 0.25 * wrong + 0.5 * right)
    assert (float(loss.n_sounds), float(loss.correct)) == (0.75 + 0.25 + 0.5, 0.75 + 0.5)


def test_mixtures():
    """Each is its own share of itself, at least a half, and the rest of its partner; of no mixture the loss is what it was."""
    x = torch.randn(50, 3, 2, generator=torch.Generator().manual_seed(0))
    mixture = Mixture.draw(50, 0.5, generator=torch.Generator().manual_seed(1))
    assert sorted(mixture.partner.tolist()) == list(range(50))
    assert 0.5 <= float(mixture.share.min()) < 0.55
    assert 0.95 < float(mixture.share.max()) <= 1
    expected = torch.stack([s * x[k] + (1 - s) * x[p] for k, (p, s) in enumerate(zip(*mixture, strict=True))])
    torch.testing.assert_close(mixture.of(x), expected)
    logits, targets = torch.randn(50, 2), torch.zeros(50, dtype=torch.long)
    whole = Mixture(mixture.partner, torch.ones(50))
    assert torch.equal(task_loss(logits, targets, WORD, mixture=whole).total, task_loss(logits, targets, WORD).total)
