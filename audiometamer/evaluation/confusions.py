"""Do networks make the listeners' confusions? Networks against what listeners heard of the same words in the same maskers."""

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from audiometamer.errors import AudioMetamerError, AudioMetamerWarning, first_few
from audiometamer.evaluation.collection import fit_to_model, gain_for
from audiometamer.evaluation.confusion_corpus import Corpus, Token
from audiometamer.evaluation.confusion_measures import (
    LOWER_IS_BETTER,
    Listeners,
    Predictions,
    Vocabulary,
    listener_ceiling,
    own_values,
    pair_values,
    response_counts,
)
from audiometamer.evaluation.confusion_table import CORRELATION, HEARD, QUIET, ConfusionRow, NetworkConfusions
from audiometamer.evaluation.judging import Judge
from audiometamer.io.integers import as_seed
from audiometamer.models.model import Model
from audiometamer.statistics.arrays import FloatArray
from audiometamer.statistics.bootstrap import Bootstrap, IntervalEstimate
from audiometamer.statistics.pairing import PairingTest, pairing_test
from audiometamer.statistics.reliability import split_half

_CORPUS_NAME = "confusion corpus"  # in a card: what was it trained on?


def compare_confusions(
    corpus: Corpus,
    models: Sequence[Model],
    *,
    task: str | None = None,
    batch_size: int = 8,
    permutations: int = 1000,
    resamples: int = 10_000,
    splits: int = 100,
    seed: int = 0,
    progress: Callable[[float, str], None] | None = None,
) -> list[NetworkConfusions]:
    """Compare what networks answer to words in maskers with what listeners heard.

    Only tokens are used whose target is a word that the network knows. A sound is resampled to the network's rate, padded with
    equal silence before and after, and set to the network's level; nothing is cut.

    Parameters
    ----------
    corpus : Corpus
        See `audiometamer.evaluation.confusion_corpus.read_corpus`. None of its talkers should have been heard in training.
    models : sequence of Model
    task : str, optional
        Task whose labels are the words. Default: the one whose labels include the targets of most tokens.
    batch_size : int
        Sounds in one forward pass. Default 8.
    permutations, resamples, splits : int
        Number of permutations behind chance, of bootstrap samples, and of splits of the listeners. Default 1000, 10000 and 100.
    seed : int
        Random seed of all three. Default 0.
    progress : callable, optional
        Called with the fraction done and a description of the current work.

    Returns
    -------
    list of NetworkConfusions
        For each model, with rows for

        - ``target_coverage``, of all tokens; ``confusion_coverage`` and ``response_coverage``, of the tokens used: proportions of
          targets, of confusions and of all responses that are words which the network knows;
        - ``network_accuracy`` and ``listener_accuracy``, also by masker and SNR;
        - ``accuracy_correlation``: Pearson correlation over tokens of the network's probability of the target with the
          proportion of listeners who heard it; `listeners` is √reliability, see `audiometamer.statistics.split_half`;
        - the measures of `audiometamer.evaluation.confusion_measures`, in the masker and, if the corpus has the words alone, in
          quiet: if a network makes the listeners' confusions in quiet as well, they are not due to the masker.

    Raises
    ------
    AudioMetamerError
        If a model has no labels, knows none of the targets, has a talker of the corpus among its labels, or takes less than the
        tokens last.

    Examples
    --------
    A network of two words, which answers the one whose half of the sound is the higher.

    >>> import audiometamer as am, tempfile
    >>> from pathlib import Path
    >>> halves = am.Model(torch.nn.AvgPool1d(4).eval(), sample_rate=8, duration=1.0, level=None, labels=["early", "late"])
    >>> path = Path(tempfile.mkdtemp()) / "sound.wav"
    >>> am.write_wav(path, np.array([0, 0, 0, 0, 1, 0, 0, 0], dtype=np.float32), 8)
    >>> corpus = Corpus(path, [Token("first", path, "early", {"late": 9, "early": 6}, confusion="late")])
    >>> (found,) = compare_confusions(corpus, [halves])
    >>> found.row("confusion_share", "masker").value, found.row("agreement", "masker").value
    (1.0, 0.6)
    """
    seed = as_seed(seed)
    names = [model.name for model in models]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise AudioMetamerError(f"several models have the name {twice[0]!r}; each must have its own")
    asked = [_Comparison.of(corpus, Judge(model, with_layers=False, batch_size=batch_size), task) for model in models]
    found = []
    for k, comparison in enumerate(asked):
        done = 0

        def advance(more: int, k: int = k, comparison: "_Comparison" = comparison) -> None:
            nonlocal done
            done += more
            if progress is not None:
                total = len(comparison.tokens) * (1 + comparison.has_quiet)
                progress((k + done / total) / len(asked), f"{comparison.judge.model.name}: {done} of {total} sounds")

        statistics = _Statistics(Bootstrap(resamples=resamples, seed=seed), permutations, splits, seed)
        found.append(comparison.run(statistics, advance))
    return found


@dataclass(frozen=True)
class _Statistics:
    bootstrap: Bootstrap
    permutations: int
    splits: int
    seed: int

    def test(self, values: FloatArray, strata: Sequence[str], *, less: bool = False) -> PairingTest | None:
        return pairing_test(values, strata, less=less, permutations=self.permutations, seed=self.seed)


@dataclass(frozen=True)
class _Comparison:
    """One network, and the tokens whose targets it knows."""

    judge: Judge
    task: str
    vocabulary: Vocabulary
    corpus: Corpus
    tokens: list[Token]
    has_quiet: bool

    @classmethod
    def of(cls, corpus: Corpus, judge: Judge, task: str | None) -> "_Comparison":
        judge.check()
        if not judge.classes:
            raise AudioMetamerError(f"{judge.model.name} measures statistics and names no words, so it has no confusions")
        _check_model(judge.model)
        _check_talkers(corpus, judge)
        if task is not None and task not in judge.classes:
            raise AudioMetamerError(f"{judge.model.name} has no task {task!r} with labels; it has {', '.join(judge.classes)}")
        known = {name: Vocabulary(classes, corpus.homophones) for name, classes in judge.classes.items() if task in (None, name)}
        used = {name: [token for token in corpus.tokens if words.number(token.target) >= 0] for name, words in known.items()}
        chosen = max(used, key=lambda name: len(used[name]))
        if not (tokens := used[chosen]):
            targets = first_few(list(dict.fromkeys(token.target for token in corpus.tokens)))
            raise AudioMetamerError(
                f"{judge.model.name} knows none of the targets of {corpus.path} ({targets}); its words: "
                f"{first_few(known[chosen].words)}"
            )
        return cls(judge, chosen, known[chosen], corpus, tokens, all(token.has_quiet for token in tokens))

    def run(self, statistics: _Statistics, advance: Callable[[int], None]) -> NetworkConfusions:
        everywhere = response_counts(self.corpus.tokens, self.vocabulary).sum(0)
        listeners = Listeners.of(self.tokens, self.vocabulary, everywhere)
        predicted = {name: self._predict(name, listeners, advance) for name in (HEARD, QUIET)[: 1 + self.has_quiet]}
        measured = _Measured(
            self, statistics, listeners, listener_ceiling(listeners, everywhere, splits=statistics.splits, seed=statistics.seed)
        )
        rows = [*measured.coverage_rows(), *measured.listener_rows()]
        for presentation, predictions in predicted.items():
            rows += measured.rows(presentation, predictions)
        return NetworkConfusions(self.judge.model.name, self.task, rows, self._token_rows(listeners, predicted))

    def _predict(self, presentation: str, listeners: Listeners, advance: Callable[[int], None]) -> Predictions:
        logits, _ = self.judge.respond(self._signals(presentation), len(self.tokens), advance)
        return Predictions.of(self.vocabulary.log_probabilities(logits[self.task]), listeners.targets)

    def _signals(self, presentation: str) -> Iterator[Tensor]:
        model = self.judge.model
        assert model.sample_rate is not None
        takes = model.signal_shape[-1] / model.sample_rate
        for token in self.tokens:
            sounds = token.read()
            samples = sounds.heard if presentation == HEARD or sounds.quiet is None else sounds.quiet
            if (lasts := len(samples) / sounds.sample_rate) > takes + 1 / model.sample_rate:
                raise AudioMetamerError(f"{model.name} takes {takes:g} s and {token.path} lasts {lasts:.3f} s; nothing is cut")
            fitted = fit_to_model(model, torch.from_numpy(samples), sounds.sample_rate)
            yield gain_for(model, fitted) * fitted

    def _token_rows(self, listeners: Listeners, predicted: dict[str, Predictions]) -> list[dict[str, Any]]:
        predictions, words = predicted[HEARD], self.vocabulary.words
        p, right, own = np.exp(predictions.log_p), listeners.right, own_values(predictions, listeners)
        quiet = predicted[QUIET].answers if QUIET in predicted else None
        return [
            {
                "token": token.name, "talker": token.talker, "masker": token.masker, "snr": token.snr, "target": token.target,
                "confusion": token.confusion, "listeners": int(listeners.totals[k]), "listeners_right": float(right[k]),
                "answer": words[predictions.answers[k]], "p_target": float(p[k, listeners.targets[k]]),
                "p_confusion": float(p[k, listeners.confusions[k]]) if listeners.confusions[k] >= 0 else math.nan,
                **{measure: float(values[k]) for measure, values in own.items()},
                "quiet_answer": "" if quiet is None else words[quiet[k]],
            }
            for k, token in enumerate(self.tokens)
        ]  # fmt: skip


@dataclass(frozen=True)
class _Measured:
    """The numbers of one comparison."""

    comparison: _Comparison
    statistics: _Statistics
    listeners: Listeners
    ceiling: dict[str, float]

    @property
    def _words(self) -> list[str]:
        return [token.target for token in self.comparison.tokens]

    def coverage_rows(self) -> Iterator[ConfusionRow]:
        comparison, listeners = self.comparison, self.listeners
        everything = comparison.corpus.tokens
        known = comparison.vocabulary.numbers(token.target for token in everything) >= 0
        n_words = len({token.target for token in everything})
        yield self._plain("target_coverage", float(known.mean()), len(everything), n_words)
        covered = float((listeners.confusions >= 0).mean())
        yield self._plain("confusion_coverage", covered, len(self._words), len({*self._words}))
        covered = float(listeners.counts.sum() / listeners.totals.sum())
        yield self._plain("response_coverage", covered, len(self._words), len({*self._words}))

    def _plain(self, measure: str, value: float, tokens: int, words: int) -> ConfusionRow:
        return ConfusionRow(self.comparison.judge.model.name, self.comparison.task, measure, value, tokens, words)

    def listener_rows(self) -> Iterator[ConfusionRow]:
        yield from self._accuracy_rows("listener_accuracy", HEARD, self.listeners.right)

    def rows(self, presentation: str, predictions: Predictions) -> Iterator[ConfusionRow]:
        """Everything about one presentation."""
        yield from self._accuracy_rows("network_accuracy", presentation, (~predictions.wrong).astype(float))
        yield from self._correlation_rows(presentation, predictions)
        maskers = [token.masker for token in self.comparison.tokens]
        for measure, values in pair_values(predictions, self.listeners).items():
            own = np.diagonal(values)
            test = self.statistics.test(values, maskers, less=measure in LOWER_IS_BETTER)
            estimate = self.statistics.bootstrap.mean(own, self._words)
            yield from self._row(estimate, measure, presentation, test=test, ceiling=self.ceiling[measure])

    def _accuracy_rows(self, measure: str, presentation: str, values: FloatArray) -> Iterator[ConfusionRow]:
        """Accuracy over all tokens, by masker, and by masker and SNR."""
        bootstrap, words = self.statistics.bootstrap, np.array(self._words)
        yield from self._row(bootstrap.mean(values, words), measure, presentation)
        conditions = [
            (token.masker, float(round(token.snr)) if math.isfinite(token.snr) else math.nan) for token in self.comparison.tokens
        ]
        for masker in sorted({masker for masker, _ in conditions} - {""}):
            own = np.array([name == masker for name, _ in conditions])
            yield from self._row(bootstrap.mean(values[own], words[own]), measure, presentation, masker=masker)
            for snr in sorted({snr for name, snr in conditions if name == masker and math.isfinite(snr)}):
                own = np.array([condition == (masker, snr) for condition in conditions])
                yield from self._row(bootstrap.mean(values[own], words[own]), measure, presentation, masker=masker, snr=snr)

    def _correlation_rows(self, presentation: str, predictions: Predictions) -> Iterator[ConfusionRow]:
        """Correlation over tokens; as a mean of products of z scores, it is tested like the other measures."""
        p_target = np.exp(predictions.log_p[np.arange(len(self._words)), self.listeners.targets])
        right = self.listeners.right
        estimate = self.statistics.bootstrap.correlation(p_target, right, self._words)
        if estimate is None:
            return
        products = np.outer((p_target - p_target.mean()) / p_target.std(), (right - right.mean()) / right.std())
        test = self.statistics.test(products, [token.masker for token in self.comparison.tokens])
        yield from self._row(estimate, CORRELATION, presentation, test=test, ceiling=self._reliability())

    def _reliability(self) -> float:
        """√reliability of the proportion of listeners who are right; those of a token are in no order."""
        totals = self.listeners.totals.astype(int)
        n_right = np.rint(self.listeners.right * totals).astype(int)
        if totals.min() < 4 or len(totals) < 3:
            return math.nan
        order = np.arange(totals.max())[:, None]
        answers = np.where(order < totals, (order < n_right).astype(float), np.nan)
        answers = np.random.default_rng(self.statistics.seed).permuted(answers, axis=0)
        return split_half(answers, splits=self.statistics.splits, seed=self.statistics.seed).ceiling

    def _row(
        self, estimate: IntervalEstimate | None, measure: str, presentation: str, *, test: PairingTest | None = None,
        ceiling: float = math.nan, masker: str = "", snr: float = math.nan,
    ) -> Iterator[ConfusionRow]:  # fmt: skip
        if estimate is None:
            return
        chance = {} if test is None else {"chance": test.null, "chance_low": test.low, "chance_high": test.high, "p": test.p}
        yield ConfusionRow(
            self.comparison.judge.model.name, self.comparison.task, measure, estimate.value, estimate.sounds, estimate.clips,
            presentation, masker, snr, estimate.low, estimate.high, **chance, listeners=ceiling,
        )  # fmt: skip


def _check_model(model: Model) -> None:
    if model.sample_rate is None or model.channels != 1:
        raise AudioMetamerError(f"{model.name} does not take sounds of one channel, as the tokens are: leave it out")


def _check_talkers(corpus: Corpus, judge: Judge) -> None:
    """Raise if a talker is one of a model's classes; note it if its card names the corpus among its data."""
    talkers = {token.talker for token in corpus.tokens} - {""}
    for task, classes in judge.classes.items():
        if known := sorted(talkers & {*classes}):
            raise AudioMetamerError(
                f"{judge.model.name} was trained to recognise the talker {known[0]!r} (task {task}): leave out the talker or the "
                "network, which must not have heard those it is tested with"
            )
    data = {} if judge.model.card is None else judge.model.card.data
    for name, text in data.items():
        if _CORPUS_NAME in f"{name} {text}".casefold():
            warnings.warn(
                f"the card of {judge.model.name} lists {name!r} ({text}); the talkers of the tests must not have trained it",
                AudioMetamerWarning,
                stacklevel=4,
            )
