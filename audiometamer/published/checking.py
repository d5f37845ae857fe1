"""Check a model before it is used: try it, test it on labelled recordings, compare natural sounds, time a few steps."""

import math
import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import msgspec
import torch

from audiometamer.errors import AudioMetamerError, AudioMetamerWarning
from audiometamer.io.callbacks import Progress, silent
from audiometamer.metamers.benchmark import machine
from audiometamer.metamers.criteria import NullDistribution, snr_db
from audiometamer.metamers.evidence import versions
from audiometamer.metamers.methods import METHODS, Method
from audiometamer.metamers.null_sounds import null_of_sounds
from audiometamer.metamers.synthesis import synthesize
from audiometamer.metamers.verdicts import PAIRS
from audiometamer.models.checking import check_model
from audiometamer.models.excerpts import find_excerpts, read_excerpts
from audiometamer.models.model import Model
from audiometamer.models.recording import record
from audiometamer.signals.audio import Clip
from audiometamer.training.recordings import Recording
from audiometamer.training.scores import Score
from audiometamer.training.testing import AccuracyCondition, measure, prepare_test_set

_METHOD = METHODS["default"]


class Accuracy(msgspec.Struct, frozen=True):
    """The accuracy of a model in quiet, in one task and split.

    Parameters
    ----------
    task, split : str
    score : Score
    chance : float
        Percentage correct by guessing among the classes; None for a task whose sounds have several labels.
    """

    task: str
    split: str
    score: Score
    chance: float | None


class Steps(msgspec.Struct, frozen=True):
    """The first steps of a synthesis at one layer.

    Parameters
    ----------
    layer : str
    steps : int
        Number of steps.
    seconds : float
        Of one step of one signal, on average.
    before_db, after_db : float or None
        SNR at the layer, in dB, of the noise that it starts from and of what it became; None if it is not finite. It need not
        rise in so few steps.
    """

    layer: str
    steps: int
    seconds: float
    before_db: float | None
    after_db: float | None


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What a check found; ``check.json``.

    Parameters
    ----------
    model : str
    weights_sha256 : str
    parameters : int
        Number of weights.
    layers : list of str
        Those that were tried.
    classes : dict of str to int
        Number of classes by task.
    accuracy : list of Accuracy
        Empty without labelled recordings.
    null_pairs : int
        Number of pairs of natural sounds that were compared; 0 without sounds.
    largest_r2 : dict of str to float
        The largest squared correlation of such a pair, by layer.
    steps : list of Steps
        By layer; those where no step could be taken are missing.
    problems : list of str
        What is not as it should be, in a line each.
    machine : str
        The processor or accelerator.
    versions : dict of str to str
    """

    model: str
    weights_sha256: str
    parameters: int
    layers: list[str]
    classes: dict[str, int]
    accuracy: list[Accuracy]
    null_pairs: int
    largest_r2: dict[str, float]
    steps: list[Steps]
    problems: list[str]
    machine: str
    versions: dict[str, str]


def check(
    model: Model,
    *,
    layers: Sequence[str] | None = None,
    recordings: Sequence[Recording] = (),
    splits: Sequence[str] = ("test",),
    sounds: Sequence[str | os.PathLike[str]] = (),
    pairs: int = PAIRS,
    steps: int = 10,
    seed: int = 0,
    batch_size: int = 8,
    memory: float = 1e9,
    progress: Progress = silent,
) -> tuple[Checked, NullDistribution | None]:
    """Try a model on noise, and then on whatever recordings there are.

    Parameters
    ----------
    model : Model
    layers : sequence of str, optional
        Layers to compare sounds and to take steps at. Default: all that the model lists.
    recordings : sequence of Recording
        Labelled recordings, as of `audiometamer.training.sources.open_sources`, to test the accuracy in quiet on. Default: none.
    splits : sequence of str
        Which of them: of a model that was not trained on them, any. Default: test.
    sounds : sequence of path
        Natural sounds for the null distribution: files, folders or tables. Default: none.
    pairs : int
        See `null_of_sounds`. Default 1,000,000.
    steps : int
        Number of steps at each layer, of the default method, towards the first of the sounds, or without any, towards noise.
        Default 10.
    seed : int
        Random seed of the selection of sounds, and of the noise that the steps start from. Default 0.
    batch_size : int
        Number of sounds processed together. Default 8.
    memory : float
        Largest number of bytes for the activations of the null distribution. Default 1e9.
    progress : callable, optional
        Called with the fraction done and a description of the current work.

    Returns
    -------
    Checked
    NullDistribution or None
        None without sounds.

    Raises
    ------
    AudioMetamerError
        If the model's metamers would be meaningless (see `Model`), a layer is unknown, or recordings cannot be read or have no
        label of its tasks. What is wrong at a single layer, or an accuracy at chance, is a problem that is returned.

    Examples
    --------
    >>> import audiometamer as am
    >>> from audiometamer.published import check
    >>> found, null = check(am.load_model("cochcnn-digits"), layers=["relu0"], steps=2)
    >>> found.classes, [s.layer for s in found.steps], found.problems, null
    ({'word': 16}, ['relu0'], [], None)
    """
    wanted = list(dict.fromkeys(map(model.canonical, layers or model.layers)))
    for layer in wanted:
        model.tap(layer)  # raises if there is none
    check_model(model, labels=model.labels, domain=model.domain)
    accuracy = [] if not recordings else _accuracy(model, recordings, splits, batch_size, _part(progress, 0.0, 0.4))
    null = None
    if files := [Path(sound) for sound in sounds]:
        null = null_of_sounds(
            model, files, layers=layers and wanted, pairs=pairs, seed=seed, batch_size=batch_size, memory=memory,
            progress=_part(progress, 0.4, 0.8),
        )  # fmt: skip
    taken, problems = _all_steps(model, _target(model, files), wanted, steps, seed, null, _part(progress, 0.8, 1.0))
    found = Checked(
        model=model.name,
        weights_sha256=model.weights_sha256(),
        parameters=sum(parameter.numel() for parameter in model.network.parameters()),
        layers=wanted,
        classes={task: len(names) for task, names in model.named_labels().items()},
        accuracy=accuracy,
        null_pairs=0 if null is None else null.pairs,
        largest_r2={} if null is None else {layer: own["pearson_r2"].maximum for layer, own in null.layers.items()},
        steps=taken,
        problems=[*_at_chance(accuracy), *problems],
        machine=machine(model.device),
        versions=versions(),
    )
    return found, null


def _part(progress: Progress, start: float, end: float) -> Progress:
    return lambda done, message: progress(start + (end - start) * done, message)


def _accuracy(
    model: Model, recordings: Sequence[Recording], splits: Sequence[str], batch_size: int, progress: Progress
) -> list[Accuracy]:
    found = []
    for split in dict.fromkeys(splits):
        tests = prepare_test_set(model, recordings, split=split)
        scores, _ = measure(model, tests, [AccuracyCondition()], batch_size=batch_size, progress=progress)
        for task, by_condition in scores.items():
            known = tests.corpus.tasks[task]
            chance = None if known.multi else 100 / len(known.labels)
            found += [Accuracy(task, split, score, chance) for score in by_condition.values()]
    return found


def _at_chance(accuracy: Sequence[Accuracy]) -> list[str]:
    """What a wrong order of the labels looks like."""
    return [
        f"{a.task} ({a.split}): {a.score.correct} of {a.score.clips} correct is at chance level, as happens when the labels are "
        "in the wrong order: does the label file belong to this network?"
        for a in accuracy
        if a.chance is not None and a.score.interval_95[0] <= a.chance
    ]


def _target(model: Model, sounds: Sequence[Path]) -> Clip:
    """The first of the sounds; without any, noise, at which a network that knows only sounds is no slower."""
    if sounds:
        return next(read_excerpts(model, find_excerpts(model, sounds)[:1]))
    noise = torch.randn(model.signal_shape, generator=torch.Generator().manual_seed(0))
    low, high = model.bounds
    return Clip("noise", (low + high) / 2 + (high - low) / 20 * noise, model.sample_rate)


def _all_steps(
    model: Model,
    clip: Clip,
    layers: Sequence[str],
    steps: int,
    seed: int,
    null: NullDistribution | None,
    progress: Progress,
) -> tuple[list[Steps], list[str]]:
    """Steps at each layer, and why there are none."""
    taken, problems = [], []
    for k, layer in enumerate(layers):
        progress(k / len(layers), f"{steps} steps at {layer}")
        try:
            taken.append(_steps(model, clip, layer, steps, seed, null))
        except AudioMetamerError as error:
            problems.append(f"no step can be taken at {layer}: {error}")
    progress(1.0, "done")
    return taken, problems


def _steps(model: Model, clip: Clip, layer: str, steps: int, seed: int, null: NullDistribution | None) -> Steps:
    """The first attempt of the default method, as `synthesize` makes it."""
    method = Method("first steps", steps, _METHOD.attempts[:1], loss=_METHOD.loss, margin=_METHOD.margin)
    start = model.domain.start(model.signal_shape, seeds=[seed], dtype=model.dtype, device=model.device)
    with torch.no_grad():
        both = torch.cat([clip.samples.to(start)[None], model.domain.signals(start)])
        target, before = record(model, both, layer)
    with warnings.catch_warnings(action="ignore", category=AudioMetamerWarning):
        (metamer,) = synthesize(model, clip, layer, method=method, steps=steps, seed=seed, null=null)
    before_db, after_db = snr_db(target, before), metamer.evidence.similarity[layer]["snr_db"]
    return Steps(layer, steps, metamer.evidence.seconds / steps, before_db if math.isfinite(before_db) else None, after_db)
