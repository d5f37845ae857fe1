"""Accuracy on clips against the size of an adversarial perturbation."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from audiometamer.errors import AudioMetamerError
from audiometamer.evaluation.collection import Collection, as_taken
from audiometamer.evaluation.judging import HeardClips, Judge
from audiometamer.evaluation.labels import Truths
from audiometamer.evaluation.table import Row
from audiometamer.models.inputs import NATURAL
from audiometamer.statistics.bootstrap import Bootstrap
from audiometamer.training.adversaries import Adversary
from audiometamer.training.corpus import MISSING, Targets, Task
from audiometamer.training.recordings import Samples
from audiometamer.training.testing import answers


def check_attackable(judges: Sequence[Judge], adversaries: Sequence[Adversary]) -> None:
    """Raise if a cochleagram is to be attacked and a model has none."""
    deaf = [judge.model.name for judge in judges if judge.model.front_end is None]
    if deaf and any(adversary.at == "cochleagram" for adversary in adversaries):
        raise AudioMetamerError(f"{deaf[0]} has no front end, so no cochleagram that could be attacked; attack the waveform")


def attacked(
    judge: Judge,
    collection: Collection,
    heard: HeardClips,
    adversaries: Sequence[Adversary],
    *,
    truths: Truths | None,
    bootstrap: Bootstrap,
    progress: Callable[[int], None] | None = None,
) -> Iterator[Row]:
    """Accuracy on a collection's clips under attacks, and without: rows of measure ``accuracy``, by attack, radius and task.

    Each task is attacked by itself, so that networks with several have no easier time. The loss that is raised is against the
    true labels or, if there are none, the model's own labels of the clips: without an attack it is then right by definition.

    Parameters
    ----------
    judge : Judge
    collection : Collection
    heard : HeardClips
        The clips as this judge hears them.
    adversaries : sequence of Adversary
    truths : mapping of (str, str) to str, optional
        True labels by clip and task.
    bootstrap : Bootstrap
    progress : callable, optional
        Called with the number of sounds done since the last call.
    """
    model, naturals = judge.model, collection.naturals
    tasks = {task: Task(tuple(names)) for task, names in judge.classes.items()}
    targets = {name: _targets(judge, name, collection, heard, truths) for name in tasks}

    def examples() -> Iterator[tuple[Samples, Targets]]:
        for i, natural in enumerate(naturals):
            sound = heard.gains[i] * as_taken(model, natural.read(), natural.sample_rate)
            yield sound.numpy(), {task: numbers[i] for task, numbers in targets.items()}

    def row(task: str, kind: str, radius: float, right: NDArray[np.bool_]) -> Iterator[Row]:
        clips = [natural.clip for natural, target in zip(naturals, targets[task], strict=True) if target != MISSING]
        estimate = bootstrap.mean(right.astype(float), clips)
        if estimate is not None:
            yield Row.of(estimate, judge=model.name, layer=NATURAL, attack=kind, radius=radius, task=task, measure="accuracy")

    for kind in dict.fromkeys(_kind(adversary) for adversary in adversaries):
        for name in tasks:
            known = targets[name] != MISSING
            yield from row(name, kind, 0.0, heard.logits[name].argmax(1)[known] == targets[name][known])
    for adversary in adversaries:
        for name, task in tasks.items():
            found = answers(model, examples(), {name: task}, adversary=adversary, batch_size=judge.batch_size)
            for answered in found.values():
                yield from row(name, _kind(adversary), adversary.radius, answered.logits.argmax(1) == answered.targets)
        if progress is not None:
            progress(len(naturals))


def _kind(adversary: Adversary) -> str:
    return f"{adversary.at}:{adversary.norm}"


def _targets(judge: Judge, task: str, collection: Collection, heard: HeardClips, truths: Truths | None) -> "NDArray[np.int64]":
    """The class of each clip; `MISSING` where it is not known."""
    if truths is None:
        return heard.logits[task].argmax(1)
    number = {name: i for i, name in enumerate(judge.classes[task])}
    found = [number.get(truths.get((natural.clip, task), ""), MISSING) for natural in collection.naturals]
    return np.array(found, dtype=np.int64)
