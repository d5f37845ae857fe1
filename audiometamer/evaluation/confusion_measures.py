"""How well a network predicts what listeners heard: measures of each token, from its probabilities and their answers.

Words outside the network's vocabulary are left out of the distributions, but their listeners count in every proportion.

========================  ===========================================================================================
``confusion_share``       whether the network's answer is the listeners' confusion, where both are wrong
``agreement``             proportion of listeners who gave the network's answer
``confusion_percentile``  proportion of control words that the network finds less probable than the confusion
``confusion_advantage``   log2 of the confusion's probability minus the mean log2 of that of its control words
``cross_entropy``         bits per listener's answer: of the listeners' distribution relative to the network's
========================  ===========================================================================================

The control words of a confusion are the twenty words of the vocabulary closest to it in frequency (listeners of all other tokens
who heard them), without the target and the words that listeners heard in the token: a network that is merely biased towards
frequent words has a percentile of ½ and an advantage of 0. All measures but `cross_entropy` are higher for a better network.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy.special
from numpy.typing import NDArray

from audiometamer.evaluation.confusion_corpus import Token
from audiometamer.statistics.arrays import FloatArray

CONTROLS = 20
MEASURES = ("confusion_share", "agreement", "confusion_percentile", "confusion_advantage", "cross_entropy")
LOWER_IS_BETTER = frozenset({"cross_entropy"})

Numbers = NDArray[np.int64]  # numbers of words in a vocabulary; −1: none


class Vocabulary:
    """The words that a network can answer; classes that sound alike are one word.

    Parameters
    ----------
    classes : sequence of str
    homophones : mapping of str to str
        Words, and the word that stands for them.

    Examples
    --------
    >>> vocabulary = Vocabulary(["two", "Right", "write"], {"right": "right", "write": "right"})
    >>> vocabulary.words, vocabulary.number("write"), vocabulary.number("rite")
    (['two', 'right'], 1, -1)
    """

    def __init__(self, classes: Sequence[str], homophones: Mapping[str, str]) -> None:
        self._homophones = homophones
        keys = [self._key(name) for name in classes]
        self.words = list(dict.fromkeys(keys))
        self._numbers = {word: k for k, word in enumerate(self.words)}
        self._members = np.array([self._numbers[key] for key in keys])

    def _key(self, word: str) -> str:
        word = word.casefold()
        return self._homophones.get(word, word)

    def number(self, word: str) -> int:
        """The number of a word; −1 if it is not in the vocabulary."""
        return self._numbers.get(self._key(word), -1)

    def numbers(self, words: Iterable[str]) -> Numbers:
        """The numbers of words."""
        return np.array([self.number(word) for word in words], dtype=np.int64)

    def log_probabilities(self, logits: FloatArray) -> FloatArray:
        """Natural logarithm of the softmax of logits [shape=(tokens, classes)], summed over classes that sound alike."""
        log_p = logits - scipy.special.logsumexp(logits, axis=1, keepdims=True)
        of_word = [self._members == k for k in range(len(self.words))]
        return np.stack([scipy.special.logsumexp(log_p[:, own], axis=1) for own in of_word], axis=1)


@dataclass(frozen=True)
class Listeners:
    """What listeners heard in each token, in words of a vocabulary.

    Parameters
    ----------
    counts : array [shape=(tokens, words)]
        Listeners by the word that they heard.
    totals : array [shape=(tokens,)]
        All listeners, also those who heard a word outside the vocabulary.
    targets, confusions : array of int [shape=(tokens,)]
        Numbers of words; −1 for a confusion outside the vocabulary.
    controls : list of array
        Control words of each token.
    """

    counts: FloatArray
    totals: FloatArray
    targets: Numbers
    confusions: Numbers
    controls: list[Numbers]

    @classmethod
    def of(cls, tokens: Sequence[Token], vocabulary: Vocabulary, everywhere: FloatArray) -> "Listeners":
        """The listeners of tokens whose targets are in the vocabulary.

        Parameters
        ----------
        tokens : sequence of Token
        vocabulary : Vocabulary
        everywhere : array [shape=(words,)]
            Listeners by the word that they heard, in all tokens of the corpus.
        """
        counts = response_counts(tokens, vocabulary)
        totals = np.array([sum(token.responses.values()) for token in tokens], dtype=float)
        targets = vocabulary.numbers(token.target for token in tokens)
        confusions = vocabulary.numbers(token.confusion for token in tokens)
        confusions[confusions == targets] = -1  # a homophone of the target
        controls = [
            _controls(confusion, target, heard, everywhere)
            for confusion, target, heard in zip(confusions, targets, counts, strict=True)
        ]
        return cls(counts, totals, targets, confusions, controls)

    @property
    def right(self) -> FloatArray:
        """Proportion of listeners who heard the target, shape=(tokens,)."""
        return self.counts[np.arange(len(self.targets)), self.targets] / self.totals


class Predictions(NamedTuple):
    """A network's answers to tokens.

    Parameters
    ----------
    log_p : array [shape=(tokens, words)]
        Natural logarithms of probabilities.
    answers : array of int [shape=(tokens,)]
        The most probable words.
    wrong : array of bool [shape=(tokens,)]
        Whether they are not the target.
    """

    log_p: FloatArray
    answers: Numbers
    wrong: NDArray[np.bool_]

    @classmethod
    def of(cls, log_p: FloatArray, targets: Numbers) -> "Predictions":
        """The answers to tokens with these targets."""
        answers = log_p.argmax(1)
        return cls(log_p, answers, answers != targets)

    def token(self, k: int) -> "Predictions":
        """Those of one token."""
        one = slice(k, k + 1)
        return Predictions(self.log_p[one], self.answers[one], self.wrong[one])


def response_counts(tokens: Sequence[Token], vocabulary: Vocabulary) -> FloatArray:
    """Listeners by token and word, shape=(tokens, words)."""
    counts = np.zeros((len(tokens), len(vocabulary.words)))
    for k, token in enumerate(tokens):
        for word, count in token.responses.items():
            if (number := vocabulary.number(word)) >= 0:
                counts[k, number] += count
    return counts


def _controls(confusion: int, target: int, heard: FloatArray, everywhere: FloatArray) -> Numbers:
    """The words closest in frequency to a token's confusion; none if there is no confusion."""
    if confusion < 0:
        return np.empty(0, dtype=np.int64)
    frequencies = np.log1p(everywhere - heard)  # of the other tokens
    candidates = np.flatnonzero(heard == 0)
    candidates = candidates[(candidates != target) & (candidates != confusion)]
    order = np.argsort(np.abs(frequencies[candidates] - frequencies[confusion]), kind="stable")
    return candidates[order[:CONTROLS]]


def values_at(token: int, predictions: Predictions, listeners: Listeners) -> dict[str, FloatArray]:
    """Measures of predictions, made for any tokens, against what listeners heard in one token.

    Returns
    -------
    dict of str to array [shape=(predictions,)]
        NaN where a measure does not apply.
    """
    log_p, answers, wrong = predictions
    unknown = np.full(len(answers), np.nan)
    found = dict.fromkeys(MEASURES, unknown)
    counts, confusion, controls = listeners.counts[token], listeners.confusions[token], listeners.controls[token]
    found["agreement"] = counts[answers] / listeners.totals[token]
    if (heard := np.flatnonzero(counts)).size:
        found["cross_entropy"] = -(log_p[:, heard] @ counts[heard]) / counts.sum() / np.log(2)
    if confusion >= 0:
        found["confusion_share"] = np.where(wrong, answers == confusion, np.nan)
    if controls.size:
        lead = log_p[:, [confusion]] - log_p[:, controls]
        found["confusion_percentile"] = ((lead > 0) + 0.5 * (lead == 0)).mean(1)
        found["confusion_advantage"] = lead.mean(1) / np.log(2)
    return found


def pair_values(predictions: Predictions, listeners: Listeners) -> dict[str, FloatArray]:
    """Measures of the predictions for each token (rows) against the listeners of each (columns)."""
    columns = [values_at(token, predictions, listeners) for token in range(len(listeners.totals))]
    return {measure: np.stack([column[measure] for column in columns], axis=1) for measure in MEASURES}


def own_values(predictions: Predictions, listeners: Listeners) -> dict[str, FloatArray]:
    """Measures of the predictions for each token against its own listeners, shape=(tokens,)."""
    rows = [values_at(token, predictions.token(token), listeners) for token in range(len(listeners.totals))]
    return {measure: np.concatenate([row[measure] for row in rows]) for measure in MEASURES}


def listener_ceiling(listeners: Listeners, everywhere: FloatArray, *, splits: int, seed: int) -> dict[str, float]:
    """What half of the listeners, as a network that answers within its vocabulary, would reach against the other half.

    Means over random splits. The half's probabilities are its proportions, smoothed by one listener's answer drawn from the
    frequencies `everywhere`; the confusion is the wrong word of the vocabulary that most of the other half heard.

    Parameters
    ----------
    listeners : Listeners
    everywhere : array [shape=(words,)]
        Listeners by the word that they heard, in all tokens of the corpus.
    splits, seed : int
        Number of splits, and random seed.
    """
    rng = np.random.default_rng(seed)
    prior = (everywhere + 1) / (everywhere + 1).sum()
    means = []
    for _ in range(splits):
        half = _half(listeners, rng)
        others = _others(listeners, half)
        smoothed = (half + prior) / (half.sum(1, keepdims=True) + 1)
        found = own_values(Predictions.of(np.log(smoothed), listeners.targets), others)
        means.append([values[np.isfinite(values)].mean() if np.isfinite(values).any() else np.nan for values in found.values()])
    known = np.isfinite(means)
    totals = np.where(known, means, 0.0).sum(0)
    return {m: total / n if n else float("nan") for m, total, n in zip(MEASURES, totals, known.sum(0), strict=True)}


def _half(listeners: Listeners, rng: np.random.Generator) -> FloatArray:
    """Counts of a random half of each token's listeners."""
    outside = listeners.totals - listeners.counts.sum(1)
    everything = np.column_stack([listeners.counts, outside]).astype(np.int64)
    halves = [rng.multivariate_hypergeometric(counts, counts.sum() // 2) for counts in everything]
    return np.stack(halves)[:, :-1].astype(float)


def _others(listeners: Listeners, half: FloatArray) -> Listeners:
    """The listeners who are not in a half, with the confusions that they had where all listeners had one."""
    counts = listeners.counts - half
    wrong = counts.copy()
    wrong[np.arange(len(wrong)), listeners.targets] = 0
    confusions = np.where((listeners.confusions >= 0) & wrong.any(1), wrong.argmax(1), -1)
    return Listeners(counts, listeners.totals - listeners.totals // 2, listeners.targets, confusions, listeners.controls)
