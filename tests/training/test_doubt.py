"""When a label is doubtful: the limit of the clips that are known, and how many others fall below it."""

import numpy as np
import pytest
import torch

import audiometamer as am
from audiometamer.training import testing
from audiometamer.training.doubt import measure_doubt
from audiometamer.training.recordings import checked
from audiometamer.training.testing import AccuracyCondition

RATE, N = 8000, 80


class Sound:
    """A recording of one level: its mean is the difference of the two logits."""

    background, groups, split, seconds = None, {}, "test", N / RATE

    def __init__(self, mean, word):
        self.mean, self.labels, self.name = mean, {"word": (word,)}, f"{word} {mean}"

    def read(self):
        return checked(np.full(N, self.mean, np.float32) + np.float32([1e-4, -1e-4] * (N // 2)), self.name), RATE


class Means(torch.nn.Module):
    """Two logits: ten times the mean of the sound, and 0."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Linear(1, 1, bias=False)
        self.scale.weight.data.fill_(10.0)
        self.layers = {"final": "scale"}

    def forward(self, x):
        return torch.cat([self.scale(x.mean(1, keepdim=True)), torch.zeros_like(x[:, :1])], 1)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_the_limit_and_the_others():
    """Known clips of means 0.1, 0.2, … 1.0, and one that is labelled wrongly and does not count; three clips of other words."""
    network = Means().eval().requires_grad_(False)
    model = am.Model(network, sample_rate=RATE, duration=N / RATE, level=None, labels={"word": ["up", "down"]}, check=False)
    means = np.arange(1, 11) / 10
    known = [*(Sound(mean, "up") for mean in means), Sound(0.01, "down")]
    others = [Sound(mean, "sideways") for mean in (0.05, -0.05, 0.9)]
    with pytest.warns(am.AudioMetamerWarning, match="3 recordings of split test with a word that is not among the 2 classes"):
        tests = testing.prepare_test_set(model, [*known, *others], split="test")
    _, answers = testing.measure(model, tests, [AccuracyCondition()])
    doubt = measure_doubt(model, tests, answers, batch_size=2)["word"]
    assert doubt.below == pytest.approx(np.percentile(sigmoid(10 * means), 5), abs=1e-4)
    assert (doubt.others, doubt.percent) == (3, 66.7)
    assert doubt.interval_95[0] < 66.7 < doubt.interval_95[1]
    alone = measure_doubt(model, testing.prepare_test_set(model, known, split="test"), answers)["word"]
    assert (alone.below, alone.others, alone.percent) == (doubt.below, 0, None)


def test_without_a_clip_that_is_labelled_correctly_there_is_no_limit():
    network = Means().eval().requires_grad_(False)
    model = am.Model(network, sample_rate=RATE, duration=N / RATE, level=None, labels={"word": ["up", "down"]}, check=False)
    tests = testing.prepare_test_set(model, [Sound(0.5, "down")], split="test")
    _, answers = testing.measure(model, tests, [AccuracyCondition()])
    assert measure_doubt(model, tests, answers) == {}
