"""Labels as numbers, backgrounds kept for tests, and training batches that can be made again."""

import pickle
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

import audiometamer as am
from audiometamer.training.corpus import MISSING, ClassificationTask, Corpus, TrainingBatch, TrainingSet, batches_of
from audiometamer.training.mixing import Augmentation

RATE = 1000
WORD, SOUNDS = ClassificationTask(("cat", "dog")), ClassificationTask(("hiss", "rain", "wind"), multi=True)


@dataclass(frozen=True)
class Constant:
    """A recording whose every sample is the same, unless it is given them."""

    value: float
    split: str = "train"
    labels: dict = field(default_factory=dict)
    background: "Constant | None" = None
    n_samples: int = 300
    samples: tuple = ()
    groups: dict = field(default_factory=dict)

    @property
    def name(self):
        return f"recording {self.value}"

    @property
    def seconds(self):
        return (len(self.samples) or self.n_samples) / RATE

    def read(self):
        return np.array(self.samples or (self.value,) * self.n_samples, dtype=np.float32), RATE


def labelled(value, split="train", **labels):
    return Constant(value, split, {task: (names,) if isinstance(names, str) else names for task, names in labels.items()})


def values(recordings):
    return [r.value for r in recordings]


def test_labels_as_numbers():
    assert WORD.encoded(["dog"]) == 1
    assert WORD.encoded(["mouse", "cat"]) == 0  # a class that the task does not have counts as none
    for labels in (None, (), ["mouse"], ["cat", "dog"]):
        assert WORD.encoded(labels) == MISSING
    assert SOUNDS.encoded(["wind", "hiss"]).tolist() == [1, 0, 1]
    assert SOUNDS.encoded(["mouse"]).tolist() == SOUNDS.encoded(()).tolist() == [0, 0, 0]
    assert np.isnan(SOUNDS.encoded(None)).tolist() == [True] * 3
    assert WORD.known(torch.tensor([1, MISSING, 0])).tolist() == [True, False, True]
    targets = np.stack([SOUNDS.encoded(None), SOUNDS.encoded(()), SOUNDS.encoded(["rain"])])
    assert SOUNDS.known(torch.from_numpy(targets)).tolist() == [False, True, True]


def test_recordings_without_a_label_are_dropped():
    recordings = [
        labelled(1, word="cat"),
        labelled(2, word="mouse"),
        labelled(3),
        labelled(4, sounds=()),  # it is known that none is there
        Constant(5, background=labelled(6, sounds="rain")),
        labelled(7, "valid", word="dog"),
        labelled(8, "background"),
        labelled(9, "background", speaker="anna"),
        labelled(10, "background", sounds="wind"),
    ]
    corpus = Corpus(recordings, {"word": WORD, "sounds": SOUNDS}, sample_rate=RATE)
    found = {split: values(recordings) for split, recordings in corpus.recordings.items()}
    assert found == {"train": [1, 4, 5], "valid": [7], "test": [], "voices": [9], "noises": [8, 10]}
    only = Corpus(recordings, {"word": WORD}, sample_rate=RATE, splits=("valid",))
    assert {split: values(found) for split, found in only.recordings.items()} == {"valid": [7], "voices": [], "noises": []}


def test_the_last_fifth_of_the_backgrounds_is_for_tests_only():
    """Eleven voices, two of which are held out, and two noises whose samples tell their places."""
    voices = [labelled(k, "background", speaker="anna") for k in range(1, 12)]
    ramps = [Constant(20 + k, "background", samples=tuple(1000 * k + x for x in range(1, 101))) for k in (0, 1)]
    clips = [labelled(0.5, word="cat"), labelled(0.6, "test", word="cat")]
    corpus = Corpus([*voices, *ramps, *clips], {"word": WORD}, sample_rate=RATE)
    rng = np.random.default_rng(0)
    heard = {True: set(), False: set()}
    for for_tests, kinds in ((False, {"noise": 1}), (True, {"noise": 1})):
        noises = corpus.backgrounds(kinds, (1, 1), for_tests=for_tests)
        for _ in range(300):
            heard[for_tests] |= set(noises.draw(rng, 7)[2].tolist())
        pool = noises.voices
        assert {pool.draw(rng, 3)[0] for _ in range(200)} == (set(range(9, 11)) if for_tests else set(range(9)))
    assert heard[False] == {1000 * k + x for k in (0, 1) for x in range(1, 81)}
    assert heard[True] == {1000 * k + x for k in (0, 1) for x in range(81, 101)}
    assert corpus.backgrounds({"clips": 1}, (1, 1)).draw(rng, 3)[1] == 0  # of split train
    with pytest.raises(am.AudioMetamerError, match="no recordings for background of kind clips"):
        corpus.backgrounds({"clips": 1}, (1, 1), for_tests=True)


def test_targets_of_a_mixture():
    """One label comes from the speech alone; several come from the speech and from what is behind it."""
    corpus = Corpus([], {"word": WORD, "sounds": SOUNDS}, sample_rate=RATE)

    def targets(*recordings):
        found = corpus.targets(*recordings)
        return int(found["word"]), found["sounds"].tolist()

    speech, dog = labelled(1, word="cat"), labelled(2, word="dog", sounds="rain")
    rain_and_wind = labelled(3, sounds=("rain", "wind"))
    assert targets(speech, rain_and_wind) == (0, [0, 1, 1])
    assert targets(dog, rain_and_wind) == (1, [0, 1, 1])
    assert targets(labelled(4, sounds="hiss"), dog) == (MISSING, [1, 1, 0])
    assert np.isnan(targets(speech, None)[1]).all()
    assert targets(dog, None) == targets(dog, speech) == (1, [0, 1, 0])


def test_every_class_needs_a_recording():
    def check(*recordings):
        Corpus(recordings, {"word": WORD, "sounds": SOUNDS}, sample_rate=RATE).check_classes()

    hiss, behind = labelled(3, sounds="hiss"), Constant(4, labels={"word": ("dog",)}, background=labelled(5, sounds="rain"))
    wind = labelled(6, "background", sounds="wind")
    check(labelled(1, word="cat"), hiss, behind, wind)
    with pytest.raises(am.AudioMetamerError, match=r"^no recording of split 'train' has the word cat$"):
        check(labelled(1, "test", word="cat"), labelled(1, "background", word="cat"), hiss, behind, wind)
    with pytest.raises(am.AudioMetamerError, match=r"^no recording of split 'train' has the sounds rain, wind$"):
        check(labelled(1, word="cat"), labelled(2, word="dog"), hiss)
    with pytest.raises(am.AudioMetamerError, match=r"^no recording of split 'train' has a label of task word, sounds$"):
        check(labelled(1, "test", word="cat"))


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


def test_a_recording_has_its_own_background_behind_it():
    """Two tones of the same level, the one behind shorter than the excerpt."""
    t = np.arange(200) / RATE
    speech, behind = (tuple(np.sin(2 * np.pi * f * t)) for f in (50, 200))
    paired = Constant(
        1, labels={"word": ("cat",)}, background=Constant(2, labels={"sounds": ("wind",)}, samples=behind[:50]), samples=speech
    )
    corpus = Corpus([paired, *NOISES], {"word": WORD, "sounds": SOUNDS}, sample_rate=RATE)
    backgrounds = corpus.backgrounds({"pink": 1}, (1, 1))
    recording, samples = corpus.draw_background(paired, backgrounds, np.random.default_rng(0), 200)
    assert recording is paired.background
    np.testing.assert_allclose(samples, behind, atol=1e-5)  # 50 samples are ten periods: repeating goes on with them
    examples = TrainingSet(corpus, Augmentation(snr=(0, 0)), backgrounds, n_samples=200, level=1, seed=0, batch_size=1)
    sound, targets = examples.excerpt(0, 0)
    np.testing.assert_allclose(sound, np.array(speech) + behind, atol=1e-4)
    assert (int(targets["word"]), targets["sounds"].tolist()) == (0, [0, 0, 1])


def test_labels_of_what_is_behind():
    corpus = training_set().corpus
    rng = np.random.default_rng(0)
    speech = corpus.recordings["train"][0]
    found = {
        kind: [corpus.draw_background(speech, corpus.backgrounds({kind: 1}, (1, 1)), rng, 50)[0] for _ in range(40)]
        for kind in ("noise", "clips", "pink")
    }
    assert {r.value for r in found["noise"]} == {100, 101}
    assert {r.value for r in found["clips"]} <= set(range(21))
    assert set(found["pink"]) == {None}


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
