"""Tests of models that are trained already: into tables and figures, or into their cards."""

from collections.abc import Sequence
from pathlib import Path

from audiometamer.devices import choose_device
from audiometamer.io.callbacks import Progress, silent
from audiometamer.io.names import safe_name
from audiometamer.models.cards import read_card, write_card
from audiometamer.models.model import Model
from audiometamer.models.model_folder import load_folder
from audiometamer.training import testing
from audiometamer.training.corpus import ClassificationTask, Corpus
from audiometamer.training.finishing import tested
from audiometamer.training.recipe import read_recipe
from audiometamer.training.recordings import Recording
from audiometamer.training.run import make_test_set
from audiometamer.training.scores import MANY, Scores, TaskAnswers, group_columns, write_by_class, write_scores
from audiometamer.training.sources import open_selected
from audiometamer.training.testing import AccuracyCondition, TestSet

SCORES, BY_GROUP = "accuracy.tsv", "accuracy-by-group.tsv"


def measure_splits(
    model: Model,
    recordings: Sequence[Recording],
    splits: Sequence[str],
    conditions: Sequence[AccuracyCondition],
    out: Path,
    *,
    groups: Sequence[str] = (),
    seed: int = 0,
    batch_size: int = 64,
    progress: Progress = silent,
) -> tuple[Scores, Scores]:
    """Measure a model on splits of recordings, and write tables and figures.

    Parameters
    ----------
    model : Model
    recordings : sequence of Recording
    splits : sequence of str
    conditions : sequence of AccuracyCondition
        Classes, groups and confusions are those of the first.
    out : path
        Folder of ``accuracy.tsv``, ``accuracy-by-group.tsv`` and, for each task and split, the confusions and, if there are many
        classes, the counts of each.
    groups : sequence of str
        Columns of the data sets' tables to group recordings by, besides ``source``. Default: none.
    seed : int
        Random seed of the backgrounds. Default 0.
    batch_size : int
        Default 64.
    progress : callable, optional
        Called with the fraction done and a description of the current work.

    Returns
    -------
    scores : dict of tuple of str to Score
        By task, split and condition.
    by_group : dict of tuple of str to Score
        By task, split, column and value.
    """
    splits = list(dict.fromkeys(splits))
    columns = group_columns([r for r in recordings if r.split in splits], groups)
    scores, by_group = Scores(), Scores()
    for k, split in enumerate(splits):

        def advance(done: float, message: str, k: int = k, split: str = split) -> None:
            progress((k + done) / len(splits), f"{split}: {message}")

        advance(0.0, f"reading {len(recordings)} recordings")
        tests = testing.prepare_test_set(model, recordings, split=split, seed=seed)
        found, answers = testing.measure(model, tests, conditions, batch_size=batch_size, progress=advance)
        scores |= {(task, split, name): score for task, named in found.items() for name, score in named.items()}
        for task, own in answers.items():
            by_group |= {(task, split, *group): score for group, score in own.by_group(tests.recordings, columns).items()}
            if not tests.corpus.tasks[task].multi:
                _write_answers(out, model.name, task, own, tests)
    write_scores(out / SCORES, scores, columns=("task", "split", "condition"))
    if by_group:
        write_scores(out / BY_GROUP, by_group, columns=("task", "split", "column", "value"))
    return scores, by_group


def _write_answers(out: Path, model: str, task: str, answers: TaskAnswers, tests: TestSet) -> None:
    labels, stem = tests.corpus.tasks[task].labels, f"{safe_name(task)}-{tests.split}"
    confusion = answers.confusion()
    testing.write_confusion(out / f"confusion-{stem}.tsv", confusion, labels)
    testing.draw_confusion(out / f"confusion-{stem}.png", confusion, labels, title=f"{model}, {task}: {tests.split}, in quiet")
    if len(labels) > MANY:
        write_by_class(out / f"accuracy-{stem}.tsv", answers.by_class(labels, tests.recordings))


def retest(folder: Path, data: Sequence[str], *, device: str = "auto", progress: Progress = silent) -> None:
    """Test a trained model again, as its recipe says, and rewrite what its card says of tests.

    Parameters
    ----------
    folder : path
        A model's folder with its ``recipe.toml``.
    data : sequence of str
        Data sets; see `audiometamer.training.sources.open_source`. The split that was tested on before is tested on again.
    device : str
        Name of the device; see `audiometamer.devices.choose_device`. Default: the first accelerator that works, or the CPU.
    progress : callable, optional
        Called with the fraction done and a description of the current work.
    """
    model, recipe = load_folder(folder).to(choose_device(device)), read_recipe(folder / "recipe.toml")
    card = read_card(folder)
    split = card.training.get("tested_on", "test")
    recordings = open_selected(recipe, data)
    tasks = {task: ClassificationTask(tuple(labels), task in card.multi_label) for task, labels in card.labels.items()}
    corpus = Corpus(recordings, tasks, sample_rate=card.sample_rate, splits=(split, "background"))
    tests = make_test_set(recipe, corpus, split)
    write_card(folder, tested(card, model, tests, recipe, folder, progress=progress))
