"""The same test excerpts every time, attacks, and the files that are written."""

import csv

import matplotlib.image
import numpy as np
import pytest
import torch
from torch import nn

import audiometamer as am
from audiometamer.cli import attacking
from audiometamer.errors import AudioMetamerWarning
from audiometamer.training import testing
from audiometamer.training.adversaries import Adversary
from audiometamer.training.corpus import ClassificationTask, Corpus
from audiometamer.training.mixing import Augmentation, Backgrounds, word_in_the_middle
from audiometamer.training.recordings import checked
from audiometamer.training.testing import AccuracyCondition, TestSet

RATE = 20_000
QUIET = AccuracyCondition()
WORD, SOUNDS = ClassificationTask(("a", "b", "c")), ClassificationTask(("x", "y"), multi=True)


class Sound:
    """A recording in memory."""

    background, groups = None, {}

    def __init__(self, samples, split="test", **labels):
        self.samples, self.split = np.asarray(samples, dtype=np.float32), split
        self.labels = {task: tuple(names) for task, names in labels.items()}
        self.name, self.seconds = f"sound {id(self)}", len(samples) / RATE

    def read(self):
        return checked(self.samples, self.name, may_be_silent=True), RATE


def noise(n_samples, seed=0):
    return np.random.default_rng(seed).standard_normal(n_samples)


def test_names_of_conditions():
    adversary = Adversary("cochleagram", "l2", 1.0)
    found = testing.conditions((10.0, -2.5), [adversary])
    names = ["quiet", "low_passed_4_khz", "snr_10_db", "snr_-2.5_db", "cochleagram_l2_1"]
    assert [condition.name for condition in found] == names
    assert AccuracyCondition(0.0, 4000.0, adversary).name == "snr_0_db_low_passed_4_khz_cochleagram_l2_1"


def made_tests(level=0.1, seed=0):
    rng = np.random.default_rng(0)
    word = np.concatenate([np.zeros(30_000), rng.standard_normal(20_000), np.zeros(10_000)])
    sounds = [Sound(word, word="a"), Sound(rng.standard_normal(70_000), word="b"), Sound(np.ones(9), "valid", word="b")]
    corpus = Corpus([*sounds, *[Sound(noise(250_000, k), "background") for k in (1, 2)]], {"word": WORD}, sample_rate=RATE)
    backgrounds = corpus.backgrounds({"noise": 1}, (1, 1), for_tests=True)
    return TestSet(corpus, "test", backgrounds, n_samples=40_000, level=level, seed=seed)


def examples(tests, condition=QUIET):
    return [(sound, int(targets["word"])) for sound, targets in tests.examples(condition)]


def test_the_same_excerpts_every_time():
    condition = AccuracyCondition(snr=3.0)
    first, again, other = (examples(made_tests(seed=seed), condition) for seed in (0, 0, 1))
    assert [label for _, label in first] == [0, 1]
    for (a, _), (b, _), (c, _) in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(a, b)
        assert not np.array_equal(a, c)
    assert not np.array_equal(examples(made_tests(), AccuracyCondition(snr=2.0))[0][0], first[0][0])


def test_level_ratio_and_band_of_the_excerpts():
    (quiet, _), (long, _) = examples(made_tests())
    assert np.flatnonzero(np.abs(quiet) > 0.01)[[0, -1]] == pytest.approx([10_000, 29_999], abs=5)  # the word in the middle
    for sound in (quiet, long):
        assert sound.std() == pytest.approx(0.1, rel=1e-4)
        assert sound.mean() == pytest.approx(0, abs=1e-6)
    plain, mixed = (
        examples(made_tests(level=None), condition)[0][0] for condition in (AccuracyCondition(), AccuracyCondition(snr=6.0))
    )
    assert 20 * np.log10(plain.std() / (mixed - plain).std()) == pytest.approx(6, abs=0.01)
    (limited, _), _ = examples(made_tests(), AccuracyCondition(band_limit=4000.0))
    power = np.abs(np.fft.rfft(limited)) ** 2  # every half hertz
    assert power[10_000:].sum() < 1e-3 * power.sum()  # above 5 kHz: 31 dB or more below
    assert power[:7_000].sum() > 0.8 * power.sum()
    assert limited.std() == pytest.approx(0.1, rel=1e-4)


def test_silence_stays_silent():
    """Rows of the published data that hold no word."""
    corpus = Corpus([Sound(np.zeros(500), word="c")], {"word": WORD}, sample_rate=RATE)
    tests = TestSet(corpus, "test", Backgrounds(kinds={"pink": 1}), n_samples=400, level=0.1)
    ((sound, label),) = examples(tests)
    assert label == 2
    assert not sound.any()
    ((sound, _),) = examples(tests, AccuracyCondition(snr=0.0))
    assert sound.std() == pytest.approx(0.1, rel=1e-4)


class TwoWords(nn.Module):
    """The logits of a sound: its mean, and minus it."""

    def __init__(self):
        super().__init__()
        self.read_out = nn.Linear(16, 2, bias=False)
        with torch.no_grad():
            self.read_out.weight.copy_(torch.tensor([[1.0], [-1.0]]).expand(2, 16) / 16)
        self.layers = {"final": "read_out"}

    def forward(self, x):
        return self.read_out(x)


def two_words():
    network = TwoWords().eval().requires_grad_(False)
    return am.Model(network, sample_rate=RATE, duration=16 / RATE, level=None, labels={"word": ("up", "down")}, name="two")


def test_an_attack_moves_what_lies_within_its_radius():
    """Means of ±0.1 and ±0.3: L∞ of 0.2 turns the first, L2 of 0.2 is only 0.05 a sample and turns none."""
    means = [0.1, -0.1, 0.3, -0.3, 0.3]
    sounds = [(np.full(16, mean, np.float32), {"word": np.asarray(int(mean < 0))}) for mean in means]
    sounds.append((np.zeros(16, np.float32), {"word": np.asarray(-1)}))  # without a label: not counted
    tasks = {"word": ClassificationTask(("up", "down"))}
    reported = []

    def percent(adversary=None):
        found = testing.collect_answers(
            two_words(), iter(sounds), tasks, adversary=adversary, batch_size=4, progress=reported.append
        )
        return found["word"].score()

    assert percent().correct == 5
    assert reported == [4, 6]
    attack = {"steps": attacking.ATTACK_STEPS, "step": attacking.ATTACK_STEP}
    under_attack = percent(Adversary("waveform", "linf", 0.2, **attack))
    assert (under_attack.clips, under_attack.correct) == (5, 3)
    assert percent(Adversary("waveform", "l2", 0.2, **attack)).correct == 5
    assert percent(Adversary("waveform", "l2", 0.5, **attack)).correct == 3  # 0.125 a sample
    with pytest.raises(am.AudioMetamerError, match="two has no front end, so no cochleagram to attack"):
        percent(Adversary("cochleagram", "l2", 1.0))


def test_tasks_of_which_no_sound_has_a_label_have_no_score():
    sounds = [(np.zeros(16, np.float32), {"word": np.asarray(-1), "sounds": np.zeros(2, np.float32)})]

    class Both(am.Model):
        def logits(self, outputs):
            return {"word": outputs, "sounds": outputs}

    model = Both(TwoWords().eval().requires_grad_(False), sample_rate=RATE, duration=16 / RATE, name="both")
    assert testing.collect_answers(model, iter(sounds), {"word": ClassificationTask(("up", "down")), "sounds": SOUNDS}) == {}


def test_measure(tiny):
    """Scores in every condition, answers in the first, progress from 0 to 1."""
    labels = tiny.labels["word"]
    recordings = [Sound(noise(5000 + k, k), word=[labels[k % 3]]) for k in range(6)]
    recordings[-1] = Sound(noise(5000, 9), word=["unknown"])
    with pytest.warns(AudioMetamerWarning, match="1 recording of split test with a word that is not among the 3 classes: unk"):
        tests = testing.prepare_test_set(tiny, recordings, split="test")
    reported = []
    wanted = testing.conditions((0.0,), [Adversary("cochleagram", "l2", 0.1, steps=1)])
    scores, answers = testing.measure(tiny, tests, wanted, batch_size=2, progress=lambda *report: reported.append(report))
    assert list(scores["word"]) == ["quiet", "low_passed_4_khz", "snr_0_db", "cochleagram_l2_0.1"]
    assert all(score.clips == 5 for score in scores["word"].values())
    confusion = answers["word"].confusion()
    assert confusion.sum(1).tolist() == [2, 2, 1]
    assert np.trace(confusion) == scores["word"]["quiet"].correct
    assert answers["word"].numbers.tolist() == [0, 1, 2, 3, 4]
    assert reported[0] == (2 / 5 / 4, "testing: quiet")
    assert reported[-1] == (1.0, "testing: cochleagram l2 0.1")


def test_what_cannot_be_tested(tiny):
    for split in ("test", "background", "elsewhere"):
        with pytest.raises(am.AudioMetamerError, match=f"no recording of split '{split}' has a label of task word"):
            testing.prepare_test_set(tiny, [Sound(noise(10), "train", word=["yes"])], split=split)
    nameless = am.Model(TwoWords().eval().requires_grad_(False), sample_rate=RATE, duration=16 / RATE, name="two")
    with pytest.raises(am.AudioMetamerError, match="two has no labels or no sample rate"):
        testing.prepare_test_set(nameless, [], split="test")


def test_the_table_of_a_confusion_matrix(tmp_path):
    testing.write_confusion(tmp_path / "confusion.tsv", np.array([[3, 1], [0, 2]]), ["tab\tin it", "b"])
    with (tmp_path / "confusion.tsv").open(newline="") as file:
        rows = list(csv.reader(file, delimiter="\t"))
    assert rows == [["label", "tab\tin it", "b"], ["tab\tin it", "3", "1"], ["b", "0", "2"]]


def test_the_picture_of_a_confusion_matrix(tmp_path):
    """Of two classes that are told apart the diagonal is dark; of two that never are, the rest."""
    pictures = []
    for name, confusion in (("right", [[5, 0], [0, 5]]), ("wrong", [[0, 5], [5, 0]])):
        testing.draw_confusion(tmp_path / f"{name}.png", np.array(confusion), ["a", "b"], title="two")
        pictures.append(matplotlib.image.imread(tmp_path / f"{name}.png")[..., :3])
    right, wrong = pictures
    assert right.shape == wrong.shape
    assert len(np.unique(right.reshape(-1, 3), axis=0)) > 10
    assert np.mean(right != wrong) > 0.05
    testing.draw_confusion(tmp_path / "large.png", np.eye(60, dtype=int), [str(k) for k in range(60)], title="60")
    assert matplotlib.image.imread(tmp_path / "large.png").shape[0] > right.shape[0]


def test_a_recording_cut_by_its_data_set_is_left_as_it_is():
    """Its word is where it should be, wherever its energy lies; a longer one is centred on what is loud."""
    sound = np.zeros(1000, dtype=np.float32)
    sound[800:] = 1
    np.testing.assert_array_equal(word_in_the_middle(sound, 1000, 1000), sound)
    assert np.flatnonzero(word_in_the_middle(np.pad(sound, (0, 1)), 1000, 1000))[0] == 400
    spoken = Augmentation(centered=0.0).speech(sound, np.random.default_rng(0), n_samples=1000, sample_rate=1000)
    np.testing.assert_array_equal(spoken, sound)


def test_attacks_on_some_of_the_recordings():
    """Drawn once: every attack perturbs the same recordings, and the excerpts are those of the whole."""
    adversary = Adversary("cochleagram", "l2", 1.0)
    *_, found = testing.conditions((), [adversary], attacked=3)
    assert (found.adversary, found.at_most) == (adversary, 3)
    sounds = [Sound(noise(40_000, k), word="ab"[k % 2]) for k in range(8)]
    corpus = Corpus([*sounds, Sound(noise(250_000, 9), "background")], {"word": WORD}, sample_rate=RATE)
    tests = TestSet(corpus, "test", corpus.backgrounds({"noise": 1}, (1, 1), for_tests=True), n_samples=40_000, level=0.1)
    numbers = tests.numbers(found)
    assert len(numbers) == 3
    assert sorted(set(numbers)) == numbers != [0, 1, 2]
    every, some = examples(tests), examples(tests, found)
    for number, (sound, label) in zip(numbers, some, strict=True):
        np.testing.assert_array_equal(sound, every[number][0])
        assert label == every[number][1]
    assert tests.numbers(AccuracyCondition(at_most=9)) == list(range(8))
