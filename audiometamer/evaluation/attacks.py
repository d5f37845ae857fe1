"""Accuracy on clips against the size of an adversarial perturbation."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from audiometamer.errors import AudioMetamerError
from audiometamer.evaluation.collection import Collection, fit_to_model
from audiometamer.evaluation.judging import ClipResponses, Judge
from audiometamer.evaluation.labels import TrueLabels
from audiometamer.evaluation.table import EvaluationRow
from audiometamer.models.inputs import NATURAL
from audiometamer.statistics.bootstrap import Bootstrap
from audiometamer.training.adversaries import Adversary
from audiometamer.training.corpus import MISSING, ClassificationTask, Targets
from audiometamer.training.recordings import Samples
from audiometamer.training.testing import collect_answers


def check_attackable(judges: Sequence[Judge], adversaries: Sequence[Adversary]) -> None:
    """Raise if a cochleagram would be attacked and a model computes none."""
    without_front_end = [judge.model.name for judge in judges if judge.model.front_end is None]
    if without_front_end and any(adversary.at == "cochleagram" for adversary in adversaries):
        raise AudioMetamerError(f"{without_front_end[0]} has no front end, so no cochleagram to attack; attack the waveform")


def accuracy_under_attack(
    judge: Judge,
    collection: Collection,
    responses: ClipResponses,
    adversaries: Sequence[Adversary],
    *,
    truths: TrueLabels | None,
    bootstrap: Bootstrap,
    advance: Callable[[int], None] | None = None,
) -> Iterator[EvaluationRow]:
    """Accuracy on a collection's clips with and without attacks: rows of measure ``accuracy``, by attack, radius and task.

    Each task is attacked separately, so that networks with several tasks gain no advantage. The attack raises the loss for the
    true labels or, if there are none, for the model's own labels of the clips: without an attack it is then right by definition.

    Parameters
    ----------
    judge : Judge
    collection : Collection
    responses : ClipResponses
        This judge's responses to the clips.
    adversaries : sequence of Adversary
    truths : mapping of (str, str) to str, optional
        True labels by clip and task.
    bootstrap : Bootstrap
    advance : callable, optional
        Called with the number of sounds processed since the last call.
    """
    model, naturals = judge.model, collection.naturals
    tasks = {task: ClassificationTask(tuple(names)) for task, names in judge.classes.items()}
    targets = {name: _targets(judge, name, collection, responses, truths) for name in tasks}

    def examples() -> Iterator[tuple[Samples, Targets]]:
        for i, natural in enumerate(naturals):
            sound = responses.gains[i] * fit_to_model(model, natural.read(), natural.sample_rate)
            yield sound.numpy(), {task: numbers[i] for task, numbers in targets.items()}

    def rows(task: str, kind: str, radius: float, correct: NDArray[np.bool_]) -> Iterator[EvaluationRow]:
        clips = [natural.clip for natural, target in zip(naturals, targets[task], strict=True) if target != MISSING]
        estimate = bootstrap.mean(correct.astype(float), clips)
        if estimate is not None:
            yield EvaluationRow.of(
                estimate, judge=model.name, layer=NATURAL, attack=kind, radius=radius, task=task, measure="accuracy"
            )

    for kind in dict.fromkeys(_kind(adversary) for adversary in adversaries):
        for name in tasks:
            known = targets[name] != MISSING
            yield from rows(name, kind, 0.0, responses.logits[name].argmax(1)[known] == targets[name][known])
    for adversary in adversaries:
        for name, task in tasks.items():
            found = collect_answers(model, examples(), {name: task}, adversary=adversary, batch_size=judge.batch_size)
            for answered in found.values():
                yield from rows(name, _kind(adversary), adversary.radius, answered.logits.argmax(1) == answered.targets)
        if advance is not None:
            advance(len(naturals))


def _kind(adversary: Adversary) -> str:
    return f"{adversary.at}:{adversary.norm}"


def _targets(
    judge: Judge, task: str, collection: Collection, responses: ClipResponses, truths: TrueLabels | None
) -> "NDArray[np.int64]":
    """The class of each clip; `MISSING` where it is not known."""
    if truths is None:
        return responses.logits[task].argmax(1)
    numbers = {name: i for i, name in enumerate(judge.classes[task])}
    found = [numbers.get(truths.get((natural.clip, task), ""), MISSING) for natural in collection.naturals]
    return np.array(found, dtype=np.int64)
