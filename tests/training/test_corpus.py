"""Labels as numbers, and backgrounds kept for tests."""

import numpy as np
import pytest
import torch
from tiny_recordings import RATE, Constant, labelled

import audiometamer as am
from audiometamer.training.corpus import MISSING, ClassificationTask, Corpus
from audiometamer.training.excerpts import TrainingSet
from audiometamer.training.mixing import Augmentation

WORD, SOUNDS = ClassificationTask(("cat", "dog")), ClassificationTask(("hiss", "rain", "wind"), multi=True)


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


NOISES = [labelled(100, "background", sounds="rain"), labelled(101, "background", sounds="wind")]


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
    words = [labelled(k, word="cat") for k in range(21)]
    corpus = Corpus([*words, *NOISES], {"word": WORD, "sounds": SOUNDS}, sample_rate=RATE)
    rng = np.random.default_rng(0)
    speech = corpus.recordings["train"][0]
    found = {
        kind: [corpus.draw_background(speech, corpus.backgrounds({kind: 1}, (1, 1)), rng, 50)[0] for _ in range(40)]
        for kind in ("noise", "clips", "pink")
    }
    assert {r.value for r in found["noise"]} == {100, 101}
    assert {r.value for r in found["clips"]} <= set(range(21))
    assert set(found["pink"]) == {None}
