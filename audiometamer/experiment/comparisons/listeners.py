"""Simulated listeners: a model that compares sounds, or hears words, with noise in its decisions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.comparisons.stimuli import Compared
from audiometamer.listening.design import NEITHER
from audiometamer.listening.folder import Experiment
from audiometamer.listening.responders import Responder
from audiometamer.listening.tables import TrialRow
from audiometamer.listening.trials import ConditionKey, KeyEntry

_MILLISECONDS = 1500.0
_LEAST = 1e-9  # probability of a word


def confidence_of(probability: float) -> float:
    """Confidence, from 0 to 100, in one of three answers; a guess is 0.

    Examples
    --------
    >>> confidence_of(1 / 3), confidence_of(1.0)
    (0.0, 100.0)
    """
    return round(100 * float(np.clip((3 * probability - 1) / 2, 0, 1)), 6)


@dataclass(frozen=True)
class ModelListener:
    """A model as listener, with Gaussian noise in its decisions.

    Of two sounds it chooses the one whose distance from the original, plus noise, is larger. Of two words and neither it chooses
    the one whose log probability, plus noise, is largest; its confidence is the probability that this leaves to that answer. It
    passes the headphone check.

    Parameters
    ----------
    key : mapping of str to KeyEntry
        Key of the experiment.
    compared : mapping of str to Compared
        See `audiometamer.experiment.comparisons.stimuli.read_table_of_compared`.
    representation : str
        ``model:layer`` of distances, or the model of words.
    noise : float
        Standard deviation: of the difference of two distances, relative to its root mean square over all pairs; of log
        probabilities, in nats. Default 0.5.

    Raises
    ------
    AudioMetamerError
        If there is no such representation, or the noise is below 0.
    """

    key: Mapping[str, KeyEntry]
    compared: Mapping[str, Compared]
    representation: str
    noise: float = 0.5

    def __post_init__(self) -> None:
        known = next(iter(self.compared.values())).representations
        if self.representation not in known:
            raise AudioMetamerError(f"there is no {self.representation!r}; there are {', '.join(known)}")
        if not self.noise >= 0:
            raise AudioMetamerError(f"noise is {self.noise:g}; it must be 0 or more")

    @cached_property
    def _scale(self) -> float:
        """Root mean square difference of the two distances."""
        return float(np.sqrt(np.mean([(a - b) ** 2 for a, b in map(self._values, self.compared.values())]))) or 1.0

    def _values(self, one: Compared) -> tuple[float, float]:
        k = one.representations.index(self.representation)
        return one.first[k], one.second[k]

    def __call__(
        self, stimulus: str, options: Sequence[str], generator: np.random.Generator
    ) -> tuple[str, float] | tuple[str, float, float | None]:
        del options  # the stimulus says what they are
        if not isinstance(self.key[stimulus].condition, ConditionKey):
            return self.key[stimulus].answer, _MILLISECONDS
        one = self.compared[stimulus]
        first, second = self._values(one)
        if not one.words:
            further = (first - second) / self._scale + self.noise * generator.standard_normal()
            return "1" if further > 0 or (further == 0 and generator.random() < 0.5) else "2", _MILLISECONDS
        scores = np.log(np.maximum([first, second, 1 - first - second], _LEAST)) + self.noise * generator.standard_normal(3)
        chances = np.exp(scores - scores.max())
        chosen = int(chances.argmax())
        return (*one.words, NEITHER)[chosen], _MILLISECONDS, confidence_of(float(chances[chosen] / chances.sum()))


def simulated_answers(experiment: Experiment, reply: Responder, *, listeners: int, seed: int = 0) -> list[TrialRow]:
    """The answers of simulated listeners, one for each of the first lists, without a server.

    Parameters
    ----------
    experiment : Experiment
    reply : Responder
        How they answer, such as a `ModelListener`.
    listeners : int
    seed : int
        Random seed of the answers. Default 0.

    Raises
    ------
    AudioMetamerError
        If there are fewer lists.
    """
    if listeners > (n := len(experiment.lists.listeners)):
        raise AudioMetamerError(f"{listeners} listeners were requested, and there are {n} lists")
    rows = []
    for number in range(1, listeners + 1):
        generator = np.random.default_rng([seed, number])
        for trial in experiment.trials(number):
            answer, milliseconds, *confidence = reply(trial.stimulus, experiment.options(trial), generator)
            entry = experiment.key[trial.stimulus]
            model, layer, item_seed = ("", "", None)
            if isinstance(entry.condition, ConditionKey):
                model, layer, item_seed = entry.condition.model, entry.condition.layer, entry.condition.seed
            rows.append(
                TrialRow(
                    listener=str(number), trial=trial.trial, kind=trial.kind, stimulus=trial.stimulus, clip=entry.clip,
                    model=model, layer=layer, seed=item_seed, word=entry.word, answer=answer,
                    correct=experiment.correct(trial.stimulus, answer), reaction_time_ms=milliseconds,
                    confidence=next(iter(confidence), None),
                )
            )  # fmt: skip
    return rows
