"""Below which probability a label is doubtful, as test clips show: those labelled correctly, and those of other classes."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from audiometamer.metamers.hearing import probabilities
from audiometamer.models.cards import DoubtCard
from audiometamer.models.model import Model
from audiometamer.training.corpus import ClassificationTask, Corpus
from audiometamer.training.scores import Score, TaskAnswers
from audiometamer.training.testing import AccuracyCondition, TestSet, collect_answers

PERCENTILE = 5


def measure_doubt(
    model: Model, tests: TestSet, answers: Mapping[str, TaskAnswers], *, batch_size: int = 64
) -> dict[str, DoubtCard]:
    """By single-label task: the probability below which a label is doubtful, and how many clips of other classes are below it.

    The limit is the 5th percentile of the probability of the label over the test clips labelled correctly: of the clips that the
    model knows, one in twenty is doubted wrongly. The maximum softmax probability is the baseline of Hendrycks & Gimpel (2017)
    for telling such clips from others.

    Parameters
    ----------
    model : Model
    tests : TestSet
    answers : mapping of str to TaskAnswers
        Answers to the excerpts of `tests` in quiet.
    batch_size : int
        Default 64.
    """
    found = {}
    for task, own in answers.items():
        if tests.corpus.tasks[task].multi or not own.among_first(1).any():
            continue
        below = round(float(np.percentile(_probabilities(model, task, own.of(own.among_first(1))), PERCENTILE)), 4)
        found[task] = DoubtCard(below)
        others = _answers_to_others(model, tests, task, batch_size)
        if others is not None:
            score = Score.of(int((_probabilities(model, task, others) < below).sum()), len(others.logits))
            found[task] = DoubtCard(below, score.clips, score.percent, score.interval_95)
    return found


def _probabilities(model: Model, task: str, answers: TaskAnswers) -> NDArray[np.float64]:
    return np.array(probabilities(model, {task: torch.from_numpy(answers.logits)})[task])


def _answers_to_others(model: Model, tests: TestSet, task: str, batch_size: int) -> TaskAnswers | None:
    """The answers to the recordings of the split that have a label of the task which is none of its classes."""
    known, corpus = set(tests.corpus.tasks[task].labels), tests.corpus
    others = [
        r for r in corpus.all_recordings if r.split == tests.split and (own := r.labels.get(task)) and known.isdisjoint(own)
    ]
    if not others:
        return None
    tasks = {task: ClassificationTask(tuple(sorted({label for r in others for label in r.labels[task]})))}
    unknown = Corpus(others, tasks, sample_rate=corpus.sample_rate, splits=(tests.split,))
    examples = TestSet(unknown, tests.split, tests.backgrounds, n_samples=tests.n_samples, level=tests.level)
    return collect_answers(model, examples.examples(AccuracyCondition()), tasks, batch_size=batch_size)[task]
