"""Training excerpts and batches that can be made again."""

import pickle

import numpy as np
import pytest
import torch
from tiny_recordings import RATE, Constant, labelled

import audiometamer as am
from audiometamer.training.corpus import ClassificationTask, Corpus
from audiometamer.training.excerpts import TrainingBatch, TrainingSet, batches_of
from audiometamer.training.mixing import Augmentation

WORD, SOUNDS = ClassificationTask(("cat", "dog")), ClassificationTask(("hiss", "rain", "wind"), multi=True)


RECORDINGS = [
    Constant(k, labels={"word": (word,)}, samples=tuple(np.random.default_rng(k).standard_normal(400)))
    for k, word in enumerate(["cat", "dog", "dog"] * 7)
]
NOISES = [labelled(100, "background", sounds="rain"), labelled(101, "background", sounds="wind")]


def training_set(recordings=RECORDINGS, *, memory=1e9, tasks=None, **settings):
    corpus = Corpus([*recordings, *NOISES], tasks or {"word": WORD, "sounds": SOUNDS}, sample_rate=RATE, memory=memory)
    augmentation = Augmentation(quiet=0.3, centered=0.5, speed=1.1)
    backgrounds = corpus.backgrounds({"noise": 1, "pink": 1}, (1, 1))
    settings = {"n_samples": 200, "level": 0.1, "seed": 0, "batch_size": 6} | settings
    return TrainingSet(corpus, augmentation, backgrounds, **settings)


def same(a, b):
    sounds, targets = a
    return np.array_equal(sounds, b[0]) and all(np.array_equal(targets[t], b[1][t], equal_nan=True) for t in ("word", "sounds"))


def test_every_excerpt_can_be_made_again():
    one, two = training_set(), training_set()
    excerpts = [one.excerpt(3, k) for k in range(len(one))]
    for k in (5, 0, 5, 20):  # in any order
        assert same(two.excerpt(3, k), excerpts[k])
    assert not any(same(one.excerpt(4, 5), excerpt) for excerpt in excerpts)
    assert not same(training_set(seed=1).excerpt(3, 5), excerpts[5])
    for sounds, _ in excerpts:
        assert sounds.shape == (200,)
        assert sounds.dtype == np.float32
        assert np.sqrt(np.mean(np.square(sounds))) == pytest.approx(0.1, rel=1e-4)


def test_a_pickled_set_and_one_that_reads_again_give_the_same_excerpts():
    kept, read = training_set(), training_set(memory=4 * RATE * 0.1)
    assert kept.waveforms[0] is kept.waveforms[0]
    assert read.waveforms[0] is not read.waveforms[0]
    for other in (read, pickle.loads(pickle.dumps(kept))):
        assert all(same(other.excerpt(0, k), kept.excerpt(0, k)) for k in range(len(kept)))


def test_a_batch_shared_by_two_processes_is_the_batch_of_one():
    one = training_set()
    whole = one.batch(1, 2)
    halves = [training_set().batch(1, 2, share=(k, 2)) for k in range(2)]
    assert whole.sounds.shape == (6, 200)
    for k, half in enumerate(halves):
        assert torch.equal(half.sounds, whole.sounds[k::2])
        for task in ("word", "sounds"):
            torch.testing.assert_close(half.targets[task], whole.targets[task][k::2], rtol=0, atol=0, equal_nan=True)
    for place, index in enumerate(range(12, 18)):
        assert same((whole.sounds[place].numpy(), {t: v[place].numpy() for t, v in whole.targets.items()}), one.excerpt(1, index))
    assert one.batches_per_epoch == 3  # of 21


def test_every_recording_once_in_an_epoch():
    plain = training_set()
    orders = [plain.order(epoch).tolist() for epoch in range(3)]
    assert [sorted(order) for order in orders] == [list(range(21))] * 3
    assert orders[0] != orders[1] != orders[2]
    assert training_set().order(1).tolist() == orders[1]


@pytest.mark.parametrize("n_unlabelled", [0, 4])
def test_balanced_classes_are_equally_frequent(n_unlabelled):
    """However they lie in order: cat, dog, dog, cat, …, and in several orders one after the other."""
    recordings = [*RECORDINGS, *[labelled(50 + k, sounds="rain") for k in range(n_unlabelled)]]
    for order in (recordings, sorted(recordings, key=lambda r: str(r.labels)), recordings[::-1]):
        balanced = training_set(order, balanced="word")
        for epoch in range(20):
            words = [order[k].labels.get("word", ("",))[0] for k in balanced.order(epoch)]
            assert len(words) == len(order)
            assert abs(words.count("cat") - 10.5) <= 1
            assert abs(words.count("dog") - 10.5) <= 1
            assert abs(words.count("") - n_unlabelled) <= 1
    drawn = np.bincount(np.concatenate([balanced.order(epoch) for epoch in range(200)]), minlength=len(order))
    expected = [200 * {"cat": 10.5 / 7, "dog": 10.5 / 14}.get(r.labels.get("word", ("",))[0], 1) for r in order]
    np.testing.assert_allclose(drawn, expected, atol=45)  # six standard deviations of a draw in each epoch


def test_what_cannot_be_balanced():
    for balanced in ("sounds", "age"):
        with pytest.raises(am.AudioMetamerError, match=f"balanced is '{balanced}'; it must be one of the tasks with one label"):
            training_set(balanced=balanced)


def test_side_by_side():
    examples = [(np.full(3, k, np.float32), {"word": np.asarray(k)}) for k in range(5)]
    found = list(batches_of(iter(examples), 2))
    assert [batch.sounds[:, 0].tolist() for batch in found] == [[0, 1], [2, 3], [4]]
    assert [batch.targets["word"].tolist() for batch in found] == [[0, 1], [2, 3], [4]]
    assert TrainingBatch.stack(examples[:2]).sounds.shape == (2, 3)
    assert list(batches_of(iter([]), 2)) == []


def test_epochs_that_are_repeated_have_the_same_excerpts_in_another_order_of_batches():
    cached, plain = training_set(cached_epochs=2), training_set()
    steps = range(cached.batches_per_epoch)
    for epoch in range(5):
        places = [cached.place(epoch, step) for step in steps]
        assert sorted(places) == [(epoch % 2, step) for step in steps]
        assert torch.equal(cached.batch(epoch, 1).sounds, plain.batch(*places[1]).sounds)
    assert len({tuple(cached.place(epoch, step)[1] for step in steps) for epoch in range(20)}) > 2


def test_an_epoch_of_any_size():
    assert training_set(excerpts=50).batches_per_epoch == 8
    drawn = np.bincount(training_set(excerpts=63).order(0), minlength=21)
    assert drawn.tolist() == [3] * 21
    assert len(set(training_set(excerpts=7).order(0).tolist())) == 7


def test_neighbours_are_other_words_of_the_same_voice():
    """The voice is named by the data set, or else the speaker is the voice."""
    words = [Constant(k, labels={"word": ("cat",)}, n_samples=100, groups={"voice": "ab"[k % 2]}) for k in range(1, 9)]
    corpus = Corpus([*words, *NOISES], {"word": WORD}, sample_rate=RATE)
    augmentation = Augmentation(neighbours=1.0, quiet=1.0)
    examples = TrainingSet(
        corpus, augmentation, corpus.backgrounds({"pink": 1}, (1, 1)), n_samples=300, level=1, seed=0, batch_size=1
    )
    draw = examples._other_word(words[0])
    rng = np.random.default_rng(0)
    assert {float(draw(rng)[0]) for _ in range(60)} == {1, 3, 5, 7}
    assert examples._other_word(labelled(50, word="cat", speaker="anna"))(rng) is None
