"""Simulated listeners: how a program answers, at a chosen accuracy, as a network does, or knowing the trial."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from audiometamer.errors import AudioMetamerError
from audiometamer.listening.adaptive import DecidedTrial
from audiometamer.listening.folder import SOUNDS, Experiment
from audiometamer.listening.reading import read_decided
from audiometamer.listening.trials import ConditionKey, KeyEntry

if TYPE_CHECKING:
    from audiometamer.models.model import Model


class Responder(Protocol):
    """A listener's answer to a stimulus, the reaction time in ms and, where it is asked for, the confidence from 0 to 100."""

    def __call__(
        self, stimulus: str, options: Sequence[str], generator: np.random.Generator
    ) -> tuple[str, float] | tuple[str, float, float | None]: ...


@dataclass(frozen=True)
class SimulatedListener:
    """A listener with a chosen accuracy in each condition.

    With probability `guesses` the answer is drawn from all options, whatever the stimulus (a lapse); otherwise it is right with
    the probability of the condition, and one of the wrong options if not. Reaction times are log-normal.

    Parameters
    ----------
    key : mapping of str to KeyEntry
        Key of the experiment.
    accuracy : mapping of str to float
        By ``<model>/<layer>``, ``<layer>``, ``natural`` or ``headphones``; the first that matches counts. Default: 0.5, but 1 for
        natural clips and headphones.
    guesses : float
        Lapse rate. Default 0.02.
    reaction_time_ms : float
        Median reaction time. Default 1500.
    spread : float
        Standard deviation of the reaction time's natural logarithm. Default 0.4.
    """

    key: Mapping[str, KeyEntry]
    accuracy: Mapping[str, float] = field(default_factory=dict)
    guesses: float = 0.02
    reaction_time_ms: float = 1500.0
    spread: float = 0.4

    def __post_init__(self) -> None:
        for name, value in {**self.accuracy, "guesses": self.guesses}.items():
            if not 0 <= value <= 1:
                raise AudioMetamerError(f"{name} is {value}; it must be from 0 to 1")
        known = set(_DEFAULTS).union(*(_names(entry) for entry in self.key.values()))
        if unknown := sorted(set(self.accuracy) - known):
            raise AudioMetamerError(f"there is no condition {unknown[0]!r}; there are {', '.join(sorted(known))}")

    def __call__(self, stimulus: str, options: Sequence[str], generator: np.random.Generator) -> tuple[str, float]:
        entry = self.key[stimulus]
        wrong = [option for option in options if option != entry.answer]
        if generator.random() < self.guesses or not wrong:
            answer = options[int(generator.integers(len(options)))]
        elif generator.random() < self.expected(entry):
            answer = entry.answer
        else:
            answer = wrong[int(generator.integers(len(wrong)))]
        return answer, self.reaction_time_ms * math.exp(self.spread * float(generator.standard_normal()))

    def expected(self, entry: KeyEntry) -> float:
        """The accuracy of a condition, without lapses."""
        named = [name for name in _names(entry) if name in self.accuracy]
        return self.accuracy[named[0]] if named else _DEFAULTS.get(_names(entry)[0], 0.5)


_DEFAULTS = {"natural": 1.0, "headphones": 1.0}


def _names(entry: KeyEntry) -> list[str]:
    """Names under which an accuracy may be given, the most specific first; a natural clip in place of a metamer is natural."""
    if entry.missing:
        return ["natural"]
    if isinstance(entry.condition, ConditionKey):
        return [f"{entry.condition.model}/{entry.condition.layer}", entry.condition.layer]
    return [entry.condition]


@dataclass(frozen=True)
class NetworkListener:
    """A network as listener: it gives the possible answer that it ranks highest.

    It passes the headphone check, which is not meant for it.

    Parameters
    ----------
    key : mapping of str to KeyEntry
        Key of the experiment.
    rankings : mapping of str to sequence of str
        Labels of the network by sound, the most likely first; see `rankings_by`.
    """

    key: Mapping[str, KeyEntry]
    rankings: Mapping[str, Sequence[str]]

    def __call__(self, stimulus: str, options: Sequence[str], generator: np.random.Generator) -> tuple[str, float]:
        entry = self.key[stimulus]
        if entry.condition == "headphones":
            return entry.answer, 1.0
        answers = (label for label in self.rankings[stimulus] if label in options)
        return next(answers, None) or options[int(generator.integers(len(options)))], 1.0


def rankings_by(model: "Model", experiment: Experiment) -> dict[str, list[str]]:
    """A model's ranking of its labels for each sound of an experiment, from the very files that listeners hear.

    Parameters
    ----------
    model : Model
    experiment : Experiment

    Returns
    -------
    dict of str to list of str
        Labels by sound, the most likely first.

    Raises
    ------
    AudioMetamerError
        If sounds are compared rather than recognised, or the model has no labels for the task.
    """
    import torch

    task = experiment.design.answers.of
    if experiment.design.compares or task not in model.tasks:
        raise AudioMetamerError(f"{model.name} cannot answer: it knows {', '.join(model.tasks)}, and the task is {task}")
    labels, found = np.array(model.named_labels()[task]), {}
    for name, entry in experiment.key.items():
        if entry.file:
            clip = model.read_clip(experiment.folder / SOUNDS / f"{name}.wav")
            with torch.no_grad():
                logits = model.logits(model(clip.samples[None].to(model.device)))[task][0]
            found[name] = [str(label) for label in labels[logits.argsort(descending=True).cpu().numpy()]]
    return found


@dataclass(frozen=True)
class IdealListener:
    """A listener who knows what an adaptive trial is, from the database of answers.

    It passes the headphone check. Reaction times are log-normal.

    Parameters
    ----------
    experiment : Experiment
        Experiment with an adaptive sequence.
    database : path
        Database of the server.
    probability : function of DecidedTrial
        Probability of the right answer.
    reaction_time_ms : float
        Median reaction time. Default 1500.
    spread : float
        Standard deviation of the reaction time's natural logarithm. Default 0.4.
    """

    experiment: Experiment
    database: Path
    probability: Callable[[DecidedTrial], float]
    reaction_time_ms: float = 1500.0
    spread: float = 0.4

    def __call__(self, stimulus: str, options: Sequence[str], generator: np.random.Generator) -> tuple[str, float]:
        milliseconds = self.reaction_time_ms * math.exp(self.spread * float(generator.standard_normal()))
        if stimulus in self.experiment.key:
            return self.experiment.key[stimulus].answer, milliseconds
        decided = read_decided(self.database, stimulus)
        wrong = [option for option in options if option != decided.answer]
        right = generator.random() < self.probability(decided)
        return decided.answer if right else wrong[int(generator.integers(len(wrong)))], milliseconds
