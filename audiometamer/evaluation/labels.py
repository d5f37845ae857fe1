"""The classes of judging models, and the true labels of clips."""

import warnings
from collections.abc import Mapping, Sequence, Set
from pathlib import Path

from audiometamer.errors import AudioMetamerError, AudioMetamerWarning
from audiometamer.evaluation.statistics_judging import has_statistics
from audiometamer.io.tables import read_table
from audiometamer.models.model import Model
from audiometamer.signals.clip_names import recording_of, row_clip_name

TrueLabels = Mapping[tuple[str, str], str]  # by clip and task
_NOT_TASKS = {"path", "clip", "split", "source", "seconds", "sample_rate", "name", "start", "duration", ""}


def classes_of(model: Model) -> dict[str, list[str]]:
    """The classes of a model's single-label tasks; none of a model of statistics, which names nothing.

    Raises
    ------
    AudioMetamerError
        If another model has no labels.
    """
    labels = model.labels if isinstance(model.labels, Mapping) else {model.tasks[0]: model.labels}
    several = model.card.multi_label if model.card is not None else ()
    classes = {task: list(names) for task, names in labels.items() if names is not None and task not in several}
    if not classes and not has_statistics(model):
        raise AudioMetamerError(
            f"{model.name} has no labels, so it cannot name what it recognises: it needs labels=… (one for each class)"
        )
    return classes


def chance_of(models: Sequence[Model]) -> dict[str, float]:
    """The proportion correct by guessing, by task, for tasks in which all models have the same number of classes."""
    numbers: dict[str, set[int]] = {}
    for model in models:
        for task, names in classes_of(model).items():
            numbers.setdefault(task, set()).add(len(names))
    return {task: 1 / found.pop() for task, found in numbers.items() if len(found) == 1}


def read_labels(path: Path, clips: Sequence[str]) -> dict[tuple[str, str], str]:
    """Read the true labels of clips.

    Parameters
    ----------
    path : path
        A CSV file with a column ``path`` or ``clip`` (a clip's name is that of its file, without folder and ending) and one for
        each task; cells are empty where a label is not known. With a ``start`` (and perhaps a ``duration``) beside ``path``, a
        row is for that excerpt alone; without, for all excerpts of the recording.
    clips : sequence of str
        Clips that must be in the file; it may name others as well.

    Returns
    -------
    dict of (str, str) to str
        Labels by clip and task.

    Raises
    ------
    AudioMetamerError
        If the file cannot be read, lacks the columns or a clip, or gives a clip two labels of one task.
    """
    rows = read_table(path)
    columns = list(rows[0])
    key = next((name for name in ("clip", "path") if name in columns), None)
    tasks = [name for name in columns if name not in _NOT_TASKS]
    if key is None or not tasks:
        raise AudioMetamerError(
            f"{path} has the columns {', '.join(columns)}; it needs path or clip, and one for each task, such as word"
        )
    truths: dict[tuple[str, str], str] = {}
    named = set()
    for row in rows:
        part = row if row.get("start") else row | {"duration": ""}  # which may be the duration of the whole file
        clip = row_clip_name(part) if key == "path" else row[key]
        named.add(clip)
        for task in tasks:
            label = row[task].strip()
            if label and truths.setdefault((clip, task), label) != label:
                raise AudioMetamerError(
                    f"{path}, line {row.line}: the {task} of {clip!r} is {label!r}, but {truths[clip, task]!r} before"
                )
    rows_of = {clip: found for clip in clips if (found := _row_of(clip, named)) is not None}
    if missing := [clip for clip in clips if clip not in rows_of]:
        raise AudioMetamerError(f"{path} has no row for {len(missing)} of the clips (first: {missing[0]!r})")
    return truths | {(clip, task): truths[row, task] for clip, row in rows_of.items() for task in tasks if (row, task) in truths}


def _row_of(clip: str, named: Set[str]) -> str | None:
    """The row of a clip: its own, or that of its recording; for a clip named after its file, that of the only excerpt."""
    for name in (clip, recording_of(clip)):
        if name in named:
            return name
    excerpts = [name for name in named if recording_of(name) == clip]
    return excerpts[0] if len(excerpts) == 1 else None


def check_labels(path: Path, truths: TrueLabels, clips: Sequence[str], judges: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
    """Raise if a judging model knows none of the labels of any clip; warn of labels outside its classes.

    Parameters
    ----------
    path : path
        The file of the labels, for messages.
    truths : mapping of (str, str) to str
    clips : sequence of str
    judges : mapping of str to mapping of str to sequence of str
        Model to task to classes.
    """
    for name, classes in judges.items():
        asked = {(clip, task): truths[clip, task] for task in classes for clip in clips if (clip, task) in truths}
        unknown = [label for (_, task), label in asked.items() if label not in classes[task]]
        if len(unknown) == len(asked):
            own = "; ".join(f"{task} ({', '.join(labels[:4])}, …)" for task, labels in classes.items())
            raise AudioMetamerError(f"{path} has no label of a clip that {name} could give; its classes: {own}")
        if unknown:
            warnings.warn(
                f"{len(unknown)} of {len(asked)} labels are not among the classes of {name} and are left out of its accuracy: "
                f"{', '.join(sorted(set(unknown))[:5])}{', …' if len(set(unknown)) > 5 else ''}",
                AudioMetamerWarning,
                stacklevel=2,
            )
