"""The training loop: a recipe and data sets go in, a model's folder comes out."""

import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path

from audiometamer.devices import choose_device, isolated_rng
from audiometamer.errors import AudioMetamerError, AudioMetamerWarning
from audiometamer.io.callbacks import Notify, Progress, silent
from audiometamer.io.files import atomic_write, holds_only_zeros
from audiometamer.io.locks import exclusive_folder
from audiometamer.training.corpus import ClassificationTask, Corpus
from audiometamer.training.distributed import is_first_process, processes
from audiometamer.training.finishing import finish
from audiometamer.training.recipe import Recipe, read_recipe
from audiometamer.training.recordings import Recording
from audiometamer.training.run import COCHLEAGRAMS, TrainingRun, existing_checkpoints
from audiometamer.training.scores import group_columns
from audiometamer.training.selection import check_natural
from audiometamer.training.sources import open_selected

_OWN = ("recipe.toml", "log.csv", "learning_curve.png", "events", COCHLEAGRAMS)  # a run's files besides checkpoints and the model
_LISTED = 5  # tensors


def train(
    recipe_path: Path,
    data: Sequence[str],
    out: Path,
    *,
    device: str = "auto",
    workers: int = 1,
    cache: Path | None = None,
    progress: Progress | None = None,
    notify: Notify | None = None,
) -> Path:
    """Train a recipe's network, or resume an interrupted run whose checkpoint is in `out`.

    After Ctrl-C or SIGTERM the current step is finished and a checkpoint written; a second signal stops immediately. Started by
    `torchrun`, all processes train one network together.

    Parameters
    ----------
    recipe_path : path
        TOML file; see `Recipe`.
    data : sequence of str
        Data sets; see `audiometamer.training.sources.open_source`.
    out : path
        Folder of the model: card, weights, recipe, null distribution, log, figures.
    device : str
        Name of the device; see `audiometamer.devices.choose_device`. Default: the first accelerator that works, or the CPU.
    workers : int
        Number of processes that prepare batches; with 0 the training process prepares them itself. Default 1.
    cache : path, optional
        Folder for the cochleagrams of a recipe with ``cached_epochs``, which runs of several recipes can share. Default: a folder
        in `out`, deleted at the end.
    progress : callable, optional
        Called with the fraction done and a description of the current work.
    notify : callable, optional
        Called with a line for each data set that states what was recognised and what was left out, and with one that states how
        many hours the training will take.

    Returns
    -------
    path
        `out`.

    Raises
    ------
    AudioMetamerError
        If the recipe or the data are invalid, a loss is not finite, or `out` holds something else.
    """
    recipe, out = read_recipe(recipe_path), Path(out)
    if cache is not None and not recipe.cached_epochs:
        warnings.warn(f"{recipe_path} has no cached_epochs, so {cache} is not used", AudioMetamerWarning, stacklevel=2)
    if not is_first_process():
        return _train(recipe, data, out, device, workers, cache, silent, silent)
    _check_folder(out, recipe_path)
    with exclusive_folder(out):
        if not _holds_anything(out / "recipe.toml"):
            with atomic_write(out / "recipe.toml") as temporary:
                shutil.copy(recipe_path, temporary)
        return _train(recipe, data, out, device, workers, cache, progress or silent, notify or silent)


def _train(
    recipe: Recipe,
    data: Sequence[str],
    out: Path,
    device: str,
    workers: int,
    cache: Path | None,
    progress: Progress,
    notify: Notify,
) -> Path:
    recordings = open_selected(recipe, data, notify)
    tasks = _tasks(recipe, recordings)
    progress(0.0, f"reading {len(recordings)} recordings")
    corpus = Corpus(recordings, tasks, sample_rate=recipe.sample_rate)
    corpus.check_classes()
    check_natural(corpus.recordings["train"], recipe.sources)
    split = _test_split(corpus)
    corpus.warn_of_unknown_labels(split)
    group_columns(corpus.recordings[split], recipe.groups)  # a mistake is reported before the training, not after it
    chosen = choose_device(device)
    with processes(chosen) as group, isolated_rng(chosen):
        run = TrainingRun(recipe, corpus, out, chosen, group, progress, cache=cache)
        if own := run.random_weights:
            names = ", ".join(own[:_LISTED]) + (", …" if len(own) > _LISTED else "")
            notify(f"note: {len(own)} tensors begin with random weights, because {recipe.start_from} has none that fit: {names}")
        progress(0.0, "measuring the speed")
        if hours := run.foretell(workers):
            notify(f"about {_duration(hours)} of training: {len(run.training_set)} excerpts, {recipe.epochs} epochs")
        hours = run.fit(workers)
        if group.is_first:
            finish(run, split, hours)
            shutil.rmtree(out / COCHLEAGRAMS, ignore_errors=True)
        group.wait()
    return out


def _duration(hours: float) -> str:
    minutes = max(round(60 * hours), 1)
    return f"{hours:.1f} hours" if minutes >= 60 else f"{minutes} minute{'s' * (minutes > 1)}"


def _check_folder(out: Path, recipe_path: Path) -> None:
    if _holds_anything(out / "model.toml"):
        raise AudioMetamerError(f"{out} already holds a trained model; name another folder")
    if out.is_dir() and not existing_checkpoints(out):
        ours = out / "recipe.toml"
        if _holds_anything(ours) and ours.read_bytes() != recipe_path.read_bytes():
            raise AudioMetamerError(f"{ours} is another recipe than {recipe_path}; name another folder")
        own = _OWN if ours.exists() else ()
        others = [path for path in out.iterdir() if path.name[0] != "." and path.name not in own]
        if others:
            raise AudioMetamerError(f"{out} holds other files ({others[0].name}) and no checkpoint; name another folder")


def _holds_anything(path: Path) -> bool:
    return path.exists() and not holds_only_zeros(path)


def _tasks(recipe: Recipe, recordings: Sequence[Recording]) -> dict[str, ClassificationTask]:
    """The recipe's tasks; labels not listed there are those of split ``train`` (with backgrounds if multi-label), sorted."""
    tasks = {}
    for name, task in recipe.tasks.items():
        labels = task.labels
        if labels is None:
            splits = ("train", "background") if task.multi else ("train",)
            sounds = [sound for r in recordings if r.split in splits for sound in (r, r.background) if sound is not None]
            labels = sorted({label for sound in sounds for label in sound.labels.get(name, ())})
        if len(labels) < (1 if task.multi else 2):
            known_tasks = ", ".join(sorted({task for recording in recordings for task in recording.labels})) or "none"
            raise AudioMetamerError(
                f"task {name} has {len(labels)} classes in split 'train'; the data have labels of task {known_tasks}"
                f"{', without what [sources] of the recipe leaves out' if recipe.sources else ''}"
            )
        tasks[name] = ClassificationTask(tuple(labels), task.multi)
    return tasks


def _test_split(corpus: Corpus) -> str:
    for split in ("test", "valid"):
        if corpus.recordings[split]:
            return split
    raise AudioMetamerError(f"no recording of split 'test' or 'valid' has a label of task {', '.join(corpus.tasks)}")
