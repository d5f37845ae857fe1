"""Networks against listeners, with a network whose answers can be read off the samples: everything worked out on paper."""

import doctest
import math

import matplotlib.image
import numpy as np
import pytest
from tiny_confusions import TOKENS, samples, write_corpus
from tiny_evaluation import LETTERS, echo, stranger_model

import audiometamer as am
from audiometamer.evaluation import (
    compare_confusions,
    confusion_corpus,
    confusion_measures,
    confusions,
    draw_confusions,
    read_corpus,
)
from audiometamer.evaluation.confusion_measures import CONTROLS, Listeners, Vocabulary, _controls
from audiometamer.io.tables import read_table

SETTINGS = {"permutations": 200, "resamples": 200, "splits": 20}


@pytest.mark.parametrize("module", [confusion_corpus, confusion_measures, confusions], ids=lambda module: module.__name__)
def test_examples(module):
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0


@pytest.fixture
def corpus(tmp_path):
    return read_corpus(write_corpus(tmp_path / "corpus"))


@pytest.fixture
def found(corpus):
    (found,) = compare_confusions(corpus, [echo()], **SETTINGS)
    return found


def probabilities(token):
    """Softmax of what the network heard."""
    powers = np.exp(samples(token[7]) + samples(token[8]))
    return dict(zip(LETTERS, powers / powers.sum(), strict=True))


def values(found, presentation="masker"):
    return {row.measure: row.value for row in found.rows if row.presentation == presentation and not row.masker}


def test_what_is_outside_the_vocabulary(found):
    assert [token["token"] for token in found.tokens] == ["11", "12", "13", "14"]  # yonder is no letter
    covered = values(found, "")
    assert covered == pytest.approx(
        {"target_coverage": 4 / 5, "confusion_coverage": 3 / 4, "response_coverage": (10 + 10 + 10 + 4) / 40}
    )
    row = found.row("target_coverage")
    assert (row.tokens, row.words) == (5, 5)


def test_accuracy(found):
    """The network hears b, c, c and e in the maskers, and the targets in quiet."""
    assert [token["answer"] for token in found.tokens] == list("bcce")
    assert [token["quiet_answer"] for token in found.tokens] == list("abcd")
    assert values(found)["network_accuracy"] == 1 / 4
    assert values(found, "quiet")["network_accuracy"] == 1
    assert values(found)["listener_accuracy"] == pytest.approx((3 + 3 + 4 + 4) / 40)
    by_condition = {
        (row.masker, row.snr): row.value for row in found.rows
        if row.measure == "network_accuracy" and row.presentation == "masker" and row.masker and math.isfinite(row.snr)
    }  # fmt: skip
    assert by_condition == {("SSN", -4.0): 0, ("SSN", -5.0): 0.5, ("BAB4", 0.0): 0}
    listeners = [row.value for row in found.rows if (row.measure, row.masker) == ("listener_accuracy", "SSN")]
    assert listeners == pytest.approx([(3 + 3 + 4) / 30, 7 / 20, 3 / 10])


def test_confusions(found):
    """In 11 and 12 both are wrong, with the same word in 11; a network that is right in quiet makes no confusions there."""
    assert values(found)["confusion_share"] == 1 / 2
    assert [token["confusion_share"] for token in found.tokens[:2]] == [1, 0]
    assert math.isnan(found.tokens[2]["confusion_share"])  # the network is right
    assert math.isnan(found.tokens[3]["confusion_share"])  # the listeners' confusion is outside
    assert found.row("confusion_share", "masker").tokens == 2
    assert found.row("confusion_share", "quiet") is None
    assert values(found)["agreement"] == pytest.approx((6 / 10 + 0 + 4 / 10 + 0) / 4)
    assert values(found, "quiet")["agreement"] == pytest.approx((3 + 3 + 4 + 4) / 40)


def test_words_of_equal_frequency(found):
    """11: b is above d to h. 12: a is as probable as d to h, and below c. 13: d is above all others."""
    percentiles = [1, (5 * 0.5 + 0) / 6, 1]
    assert [token["confusion_percentile"] for token in found.tokens[:3]] == pytest.approx(percentiles)
    assert values(found)["confusion_percentile"] == pytest.approx(np.mean(percentiles))
    advantages = [0.5 / math.log(2), -0.5 / 6 / math.log(2), 0.25 / math.log(2)]
    assert [token["confusion_advantage"] for token in found.tokens[:3]] == pytest.approx(advantages, abs=1e-3)


def test_cross_entropy(found):
    expected = []
    for token in TOKENS[:4]:
        p, known = probabilities(token), {word: count for word, count in token[6].items() if word in LETTERS}
        expected.append(-sum(count * math.log2(p[word]) for word, count in known.items()) / sum(known.values()))
    assert [token["cross_entropy"] for token in found.tokens] == pytest.approx(expected, abs=1e-3)
    assert values(found)["cross_entropy"] == pytest.approx(np.mean(expected), abs=1e-3)


def test_the_probability_of_the_target_follows_the_listeners(found):
    p = [probabilities(token)[token[4]] for token in TOKENS[:4]]
    assert [token["p_target"] for token in found.tokens] == pytest.approx(p, abs=1e-4)
    assert values(found)["accuracy_correlation"] == pytest.approx(np.corrcoef(p, [0.3, 0.3, 0.4, 0.4])[0, 1], abs=1e-3)


def test_chance_pairs_tokens_of_the_same_masker(found):
    """Of the six permutations of 11 to 13: agreement of answers b, c, c with listeners of a, b and c; 14 stays alone."""
    agreement = {"11": {"b": 0.6, "c": 0.1}, "12": {"b": 0.3, "c": 0}, "13": {"b": 0, "c": 0.4}}
    means = [
        (agreement[i]["b"] + agreement[j]["c"] + agreement[k]["c"]) / 4
        for i, j, k in [("11", "12", "13"), ("11", "13", "12"), ("12", "11", "13"), ("12", "13", "11"), ("13", "11", "12"),
                        ("13", "12", "11")]
    ]  # fmt: skip
    row = found.row("agreement", "masker")
    assert row.chance == pytest.approx(np.mean(means), abs=0.02)
    assert (row.chance_low, row.chance_high) == (pytest.approx(min(means)), pytest.approx(max(means)))
    assert row.p == pytest.approx(2 / 6, abs=0.1)


def test_listeners_who_agree_predict_each_other(tmp_path):
    """With all of n listeners hearing the confusion, half of them have a probability of (n/2 + its frequency) / (n/2 + 1)."""
    one = [
        (name, masker, snr, talker, target, confusion, {confusion: 10}, word, noise)
        for name, masker, snr, talker, target, confusion, _, word, noise in TOKENS[:3]
    ]
    (found,) = compare_confusions(read_corpus(write_corpus(tmp_path / "corpus", one)), [echo()], **SETTINGS)
    ceiling = {row.measure: row.listeners for row in found.rows if row.presentation == "masker" and not row.masker}
    assert [ceiling[name] for name in ("confusion_share", "agreement", "confusion_percentile")] == [1, 1, 1]
    frequency = (10 + 1) / (30 + 8)
    assert ceiling["cross_entropy"] == pytest.approx(-math.log2((5 + frequency) / 6))
    assert "accuracy_correlation" not in ceiling  # nobody is right


def test_listeners_of_whom_all_or_none_are_right_agree_about_it(tmp_path):
    tokens = [list(token) for token in TOKENS[:4]]
    for token, right in zip(tokens, (10, 1, 10, 1), strict=True):
        token[6] = {token[4]: right, token[5]: 1 if right > 1 else 10}
    (found,) = compare_confusions(read_corpus(write_corpus(tmp_path / "corpus", tokens)), [echo()], **SETTINGS)
    assert found.row("accuracy_correlation", "masker").listeners > 0.97


def test_classes_that_sound_alike_are_one_word():
    vocabulary = Vocabulary(["two", "Right", "write"], {"right": "right", "write": "right"})
    log_p = vocabulary.log_probabilities(np.log([[0.5, 0.2, 0.3]]))
    np.testing.assert_allclose(np.exp(log_p), [[0.5, 0.5]])
    assert vocabulary.numbers(["write", "RIGHT", "rite"]).tolist() == [1, 1, -1]


def test_a_confusion_that_sounds_like_the_target_is_none(corpus):
    vocabulary = Vocabulary(LETTERS, {"a": "b"})
    tokens = list(corpus.tokens[:1])
    listeners = Listeners.of(tokens, vocabulary, np.ones(7))
    assert listeners.confusions.tolist() == [-1]
    assert listeners.right.tolist() == [0.9]


def test_control_words_are_the_closest_in_frequency():
    everywhere, heard = np.arange(100.0), np.zeros(100)
    heard[[50, 51]] = 10, 1
    everywhere[50] += 10  # it is word 50 in the other tokens
    chosen = _controls(50, 48, heard, everywhere)
    assert len(chosen) == CONTROLS
    assert sorted(chosen.tolist()) == sorted({*range(40, 63)} - {48, 50, 51})  # on a logarithmic scale


def test_sounds_are_resampled_and_padded(tmp_path):
    """Eight samples at twice the network's rate are four of its eight, in the middle."""
    short = write_corpus(tmp_path / "corpus", rate=16)
    (found,) = compare_confusions(read_corpus(short), [echo()], **SETTINGS)
    assert len(found.tokens) == 4
    assert {token["answer"] for token in found.tokens} <= set("cdef")


def test_what_cannot_be_compared(corpus, tmp_path):
    def refusal(*models, **options):
        with pytest.raises(am.AudioMetamerError) as error:
            compare_confusions(corpus, models, **SETTINGS | options)
        return str(error.value)

    assert "several models have the name 'echo'; each must have its own" in refusal(echo(), echo())
    assert "stranger knows none of the targets of" in refusal(stranger_model())
    assert "(a, b, c and 2 more); its words: s, t, u and 5 more" in refusal(stranger_model())
    assert "echo has no task 'word' with labels; it has letter" in refusal(echo(), task="word")
    assert "echo has no labels" in refusal(echo(labels=None))
    assert "echo was trained to recognise the talker 's2' (task letter)" in refusal(echo(labels={"letter": (*"abcdefg", "s2")}))
    assert "seed is -1; it must be a whole number" in refusal(echo(), seed=-1)
    slow = read_corpus(write_corpus(tmp_path / "slow", rate=4))
    with pytest.raises(am.AudioMetamerError, match=r"echo takes 1 s and .*T_11.wav lasts 2.000 s; nothing is cut"):
        compare_confusions(slow, [echo()], **SETTINGS)


def test_a_card_that_names_the_corpus_is_pointed_out(corpus):
    model = echo()
    model.card = type("Card", (), {"data": {"ECCC": "English Consistent Confusion Corpus"}, "multi_label": []})()
    with pytest.warns(am.AudioMetamerWarning, match=r"the card of echo lists 'ECCC' .*the talkers of the tests must not have"):
        compare_confusions(corpus, [model], **SETTINGS)


def test_the_figure_shows_the_numbers(found, corpus, tmp_path):
    draw_confusions(found, tmp_path / "first.png")
    (other,) = compare_confusions(corpus.of_talkers(["s1"]), [echo()], **SETTINGS)
    draw_confusions(other, tmp_path / "second.png")
    first, second = (matplotlib.image.imread(tmp_path / name)[..., :3] for name in ("first.png", "second.png"))
    assert first.shape == second.shape
    assert np.mean(first != second) > 1e-3


def test_a_figure_without_confusions_or_maskers(tmp_path):
    path = tmp_path / "tokens.csv"
    write_corpus(tmp_path / "corpus", TOKENS[:1])
    path.write_text("path,target,responses\ncorpus/confusionWavs/T_11.wav,a,a:3\n")
    (found,) = compare_confusions(read_corpus(path), [echo()], **SETTINGS)
    assert [row.measure for row in found.rows if row.presentation == "masker"] == [
        "listener_accuracy", "network_accuracy", "agreement", "cross_entropy",
    ]  # fmt: skip
    draw_confusions(found, tmp_path / "figure.png")
    assert len(np.unique(matplotlib.image.imread(tmp_path / "figure.png"))) > 20
    assert read_table(path)[0]["target"] == "a"
