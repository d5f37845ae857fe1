"""Controversial sounds against the scores and the stimuli of the published tutorial."""

from pathlib import Path

import numpy as np
import pytest
import tiny_models
import torch
from torch import nn

import audiometamer as am
from audiometamer.comparison.controversial import Search, controversial_sounds, word_pairs
from audiometamer.comparison.presented import as_16_bits, as_heard
from audiometamer.comparison.scores import controversy_terms, hard_score, smooth_minimum, with_words_first
from audiometamer.matching.domains import Gaussian, Image
from audiometamer.models.adapters.resampled import resampled

REFERENCE = np.load(Path(__file__).parents[1] / "data" / "telling_apart.npz")
PUBLISHED = {"sigmoid": "logits", "softmax": "logsoftmax"}


class Published(nn.Module):
    """W2 · relu(W1 (x − ½) + b1)."""

    def __init__(self, net, order=(0, 1, 2, 3, 4)):
        super().__init__()
        w1, b1, w2 = (torch.from_numpy(REFERENCE[f"contro_{net}_{name}"]) for name in ("w1", "b1", "w2"))
        self.hidden, self.read_out = nn.Linear(64, 24).double(), nn.Linear(24, 5, bias=False).double()
        self.hidden.weight, self.hidden.bias, self.read_out.weight = map(nn.Parameter, (w1, b1, w2[list(order)]))

    def forward(self, x):
        return self.read_out(torch.relu(self.hidden(x - 0.5)))


def published_model(net, order=(0, 1, 2, 3, 4), bounds=(0, 1)):
    labels = [f"w{k}" for k in order]
    network = Published(net, order).eval().requires_grad_(False)
    return am.Model(network, signal_shape=(64,), bounds=bounds, labels=labels, name=net, check=False)


MODELS = [published_model("net1"), published_model("net2", order=(3, 4, 0, 2, 1))]


@pytest.mark.parametrize("read_out", PUBLISHED)
def test_the_published_scores(read_out):
    inputs = torch.from_numpy(REFERENCE["contro_inputs"]).double()
    places = [torch.tensor([[1, 3]] * 6), torch.tensor([[4, 0]] * 6)]
    logits = [with_words_first(model(inputs), place) for model, place in zip(MODELS, places, strict=True)]
    name = PUBLISHED[read_out]
    assert hard_score(*logits, read_out).numpy() == pytest.approx(REFERENCE[f"contro_{name}_hard"], abs=1e-5)
    for alpha in (1, 10, 100):
        found = smooth_minimum(controversy_terms(*logits, read_out), alpha).numpy()
        assert found == pytest.approx(REFERENCE[f"contro_{name}_alpha{alpha}_smooth"], abs=1e-5)


@pytest.mark.parametrize("read_out", PUBLISHED)
def test_stimuli_are_at_least_as_controversial_as_the_published_ones(read_out):
    found = search_as_published(read_out, Image(steps=255))
    scores = np.array([each.score for each in found])
    assert (scores >= REFERENCE[f"contro_{PUBLISHED[read_out]}_optimised_300_hard"]).all()
    assert all(each.kept for each in found)


def test_in_the_range_of_a_sound_softmax_scores_are_above_nine_tenths():
    wider = [published_model(net, bounds=(-1, 1)) for net in ("net1", "net2")]
    found = search_as_published("softmax", Gaussian(low=-1, high=1), models=wider, steps=150)
    assert min(each.score for each in found) >= 0.9
    assert {(each.first_hears, each.second_hears) for each in found} == {("w1", "w3")}


def search_as_published(read_out, domain, models=MODELS, steps=80):
    starts = torch.from_numpy(REFERENCE["contro_optimised_init"]).double()
    search = Search(read_out=read_out, steps=steps)
    return controversial_sounds(models, [("w1", "w3")] * 3, search=search, domain=domain, starts=starts)


def tiny(name, seed, words=("yes", "no", "perhaps")):
    network = tiny_models.seeded(tiny_models.TinyNetwork(), seed)
    return am.Model(
        network, front_end=tiny_models.front_end(), sample_rate=4000, duration=0.25, labels=list(words), name=name, check=False
    )


def test_sounds_are_scored_as_listeners_hear_them():
    first, second = tiny("first", 0), resampled(tiny("second", 1, words=("perhaps", "yes", "maybe")), 8000)
    search = Search(steps=4, alphas=(1, 100), presentation_rate=16_000, level=0.05, band=(50, 1900), batch_size=1)
    pairs = word_pairs([first, second])
    assert pairs == [("yes", "perhaps"), ("perhaps", "yes")]
    found = controversial_sounds([first, second], pairs, search=search, seed=5)
    for each, pair in zip(found, pairs, strict=True):
        assert (each.first, each.second, each.first_word, each.second_word) == ("first", "second", *pair)
        assert each.sound.shape == (2000,)  # the higher rate
        assert each.sound.square().mean().sqrt() == pytest.approx(0.05, rel=1e-3)
        assert each.kept == (each.score >= 0.75)
        assert each.score == pytest.approx(each.found_score, abs=0.02)
    alone = controversial_sounds([first, second], pairs[1:], search=search, starts=None, seed=6)
    assert alone[0].sound == pytest.approx(found[1].sound, abs=1e-4)  # whoever shares the batch


def test_sixteen_bits_at_another_rate_and_back():
    time = torch.arange(4000) / 4000
    tone = 0.3 * torch.sin(2 * torch.pi * 440 * time)
    written = as_16_bits(tone, sample_rate=4000, presentation_rate=44_100, level=0.1)
    assert (written.dtype, len(written)) == (np.int16, 44_100)
    heard = as_heard(written, tone, sample_rate=4000, presentation_rate=44_100)
    middle = slice(500, 3500)
    assert heard[middle] == pytest.approx((tone * 0.1 / tone.square().mean().sqrt())[middle], abs=2e-4)
    with pytest.raises(am.AudioMetamerError, match=r"a peak of 1\.4\d* at 4000 Hz and clips; lower its level"):
        as_16_bits(tone, sample_rate=4000, presentation_rate=4000, level=1.0)
    with pytest.raises(am.AudioMetamerError, match=r"a silent sound cannot be brought to an RMS of 0\.1"):
        as_16_bits(0 * tone, sample_rate=4000, presentation_rate=4000, level=0.1)


@pytest.mark.parametrize(
    ("models", "pairs", "message"),
    [
        (MODELS[:1], [("w1", "w3")], "1 model; two or more can disagree"),
        (MODELS, [("w1", "w9")], "net1 has no class 'w9'; it has w0, w1, w2 and 2 more"),
        (MODELS, [("w1", "w1")], "both words are 'w1'; models disagree about two different ones"),
        ([MODELS[0], MODELS[0]], [("w1", "w3")], "both models are net1; give one of them another name"),
    ],
)
def test_what_is_no_disagreement(models, pairs, message):
    with pytest.raises(am.AudioMetamerError) as error:
        controversial_sounds(models, pairs)
    assert message in str(error.value)


def test_labels_and_settings():
    unlabelled = am.Model(Published("net1").eval().requires_grad_(False), signal_shape=(64,), bounds=(0, 1), check=False)
    with pytest.raises(am.AudioMetamerError, match="Published has no labels"):
        controversial_sounds([MODELS[0], unlabelled], [("w1", "w3")])
    with pytest.raises(am.AudioMetamerError, match="net1 has no task 'genre'; it has word"):
        controversial_sounds(MODELS, [("w1", "w3")], search=Search(task="genre"))
    with pytest.raises(am.AudioMetamerError, match="1 word in common; models disagree about two or more: w1"):
        word_pairs(MODELS, ["w1"])
    with pytest.raises(am.AudioMetamerError, match="alphas are"):
        Search(alphas=(0,))
