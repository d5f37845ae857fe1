"""The accuracy of a model on recordings that it was not trained on: by task, in quiet, in background, under attack."""

import csv
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiometamer.drawing import literal_text
from audiometamer.errors import AudioMetamerError
from audiometamer.io.files import atomic_write
from audiometamer.io.tables import escape_formula
from audiometamer.models.model import Model
from audiometamer.signals.audio import set_level
from audiometamer.training.adversaries import Adversary
from audiometamer.training.corpus import ClassificationTask, Corpus, Targets
from audiometamer.training.excerpts import TrainingBatch, batches_of
from audiometamer.training.losses import each_loss
from audiometamer.training.mixing import KINDS, N_VOICES, Backgrounds, low_pass, mix, word_in_the_middle
from audiometamer.training.recordings import Recording, Samples
from audiometamer.training.scores import Score, TaskAnswers

BAND_LIMIT_HZ = 4000.0


class AccuracyCondition(msgspec.Struct, frozen=True):
    """How test recordings are presented; by default unchanged, which is quiet.

    Parameters
    ----------
    snr : float, optional
        Signal-to-noise ratio in dB, of speech to background. Default: no background.
    band_limit : float, optional
        Cut-off frequency in Hz of a low-pass filter. Default: no filter.
    adversary : Adversary, optional
        Perturbs the input. Default: no perturbation.
    at_most : int, optional
        Number of recordings, drawn at random, that are presented. Default: all.
    """

    snr: float | None = None
    band_limit: float | None = None
    adversary: Adversary | None = None
    at_most: int | None = None

    @property
    def name(self) -> str:
        """For example ``quiet``, ``snr_0_db``, ``low_passed_4_khz``, ``cochleagram_l2_1``."""
        parts = [
            None if self.snr is None else f"snr_{self.snr:g}_db",
            None if self.band_limit is None else f"low_passed_{self.band_limit / 1000:g}_khz",
            None if self.adversary is None else self.adversary.name,
        ]
        return "_".join(part for part in parts if part) or "quiet"


def conditions(
    snrs: Sequence[float], adversaries: Sequence[Adversary], *, attacked: int | None = None
) -> list[AccuracyCondition]:
    """Quiet, low-passed at 4 kHz, each signal-to-noise ratio, each attack in quiet on `attacked` recordings (None: on all)."""
    return [
        AccuracyCondition(),
        AccuracyCondition(band_limit=BAND_LIMIT_HZ),
        *(AccuracyCondition(snr=snr) for snr in snrs),
        *(AccuracyCondition(adversary=adversary, at_most=attacked) for adversary in adversaries),
    ]


class TestSet:
    """Reproducible test excerpts of a split, with the word in the middle.

    Parameters
    ----------
    corpus : Corpus
    split : str
    backgrounds : Backgrounds
    n_samples : int
        Number of samples in an excerpt.
    level : float or None
        RMS that excerpts are set to; None leaves their level.
    seed : int
        Random seed of the backgrounds. Default 0.
    """

    __test__ = False  # pytest would take it for a test

    def __init__(
        self, corpus: Corpus, split: str, backgrounds: Backgrounds, *, n_samples: int, level: float | None, seed: int = 0
    ) -> None:
        self.corpus, self.split, self.backgrounds = corpus, split, backgrounds
        self.n_samples, self.level, self.seed = n_samples, level, seed
        self.recordings, self.waveforms = corpus.recordings[split], corpus.waveforms[split]

    def numbers(self, condition: AccuracyCondition) -> list[int]:
        """Numbers of the recordings that are presented in a condition, in order."""
        n, at_most = len(self.recordings), condition.at_most
        if at_most is None or at_most >= n:
            return list(range(n))
        return sorted(np.random.default_rng([self.seed, n]).permutation(n)[:at_most].tolist())

    def examples(self, condition: AccuracyCondition) -> Iterator[tuple[Samples, Targets]]:
        """Every presented excerpt and its targets in a condition."""
        rate = self.corpus.sample_rate
        for number in self.numbers(condition):
            recording = self.recordings[number]
            sound = word_in_the_middle(self.waveforms[number], self.n_samples, rate)
            background_recording = None
            if condition.snr is not None:
                rng = np.random.default_rng([self.seed, number, round(1000 * condition.snr) % 2**32])
                background_recording, background = self.corpus.draw_background(recording, self.backgrounds, rng, self.n_samples)
                sound = mix(sound, background, condition.snr)
            if condition.band_limit is not None:
                sound = low_pass(sound, condition.band_limit, rate)
            sound = sound if self.level is None else set_level(sound, self.level)
            yield sound, self.corpus.targets(recording, background_recording)


def collect_answers(
    model: Model,
    examples: Iterator[tuple[Samples, Targets]],
    tasks: Mapping[str, ClassificationTask],
    *,
    adversary: Adversary | None = None,
    batch_size: int = 64,
    progress: Callable[[int], None] | None = None,
) -> dict[str, TaskAnswers]:
    """A model's answers by task, for the tasks of which any sound has a label."""
    logits: dict[str, list[Tensor]] = {task: [] for task in tasks}
    targets: dict[str, list[Tensor]] = {task: [] for task in tasks}
    numbers: dict[str, list[Tensor]] = {task: [] for task in tasks}
    generator = torch.Generator(model.device).manual_seed(0)
    done = 0
    for batch in batches_of(examples, batch_size):
        output = model.logits(_output(model, batch, tasks, adversary, generator))
        for name, task in tasks.items():
            known = task.known(batch.targets[name])
            logits[name].append(output[name].cpu()[known])
            targets[name].append(batch.targets[name][known])
            numbers[name].append(done + known.nonzero()[:, 0])
        done += len(batch.sounds)
        if progress is not None:
            progress(done)
    found = {
        name: TaskAnswers(*(torch.cat(parts[name]).numpy() for parts in (logits, targets, numbers)))
        for name in tasks
        if logits[name]
    }
    return {
        name: result for name, result in found.items() if (result.targets.any() if tasks[name].multi else len(result.targets))
    }


def _output(
    model: Model,
    batch: TrainingBatch,
    tasks: Mapping[str, ClassificationTask],
    adversary: Adversary | None,
    generator: torch.Generator,
) -> Any:
    inputs = batch.sounds.to(device=model.device, dtype=model.dtype)
    run: Callable[[Tensor], Any] = model
    if adversary is not None:
        bounds = model.bounds
        if adversary.at == "cochleagram":
            if model.front_end is None:
                raise AudioMetamerError(f"{model.name} has no front end, so no cochleagram to attack")
            with torch.no_grad():
                inputs = model.front_end(inputs.clamp(*model.bounds))
            run, bounds = model.network, (-math.inf, math.inf)
        known_targets = {name: targets.to(model.device) for name, targets in batch.targets.items()}

        def loss(x: Tensor) -> Tensor:
            logits = model.logits(run(x))
            return torch.stack([each_loss(logits[name], known_targets[name], task).sum() for name, task in tasks.items()]).sum()

        inputs = adversary.perturbed(inputs, loss, generator=generator, bounds=bounds)
    with torch.no_grad():
        return run(inputs)


def measure(
    model: Model,
    tests: TestSet,
    conditions: Sequence[AccuracyCondition],
    *,
    batch_size: int = 64,
    progress: Callable[[float, str], None] | None = None,
) -> tuple[dict[str, dict[str, Score]], dict[str, TaskAnswers]]:
    """Measure a model in several conditions: scores in all, the answers themselves in the first.

    Parameters
    ----------
    model : Model
    tests : TestSet
    conditions : sequence of AccuracyCondition
    batch_size : int
        Default 64.
    progress : callable, optional
        Called with the fraction done and a description of the current work.

    Returns
    -------
    scores : dict of str to dict of str to Score
    answers : dict of str to TaskAnswers
    """
    tasks = tests.corpus.tasks
    scores: dict[str, dict[str, Score]] = {}
    first: dict[str, TaskAnswers] = {}
    for k, condition in enumerate(conditions):
        count = len(tests.numbers(condition))

        def advance(done: int, k: int = k, condition: AccuracyCondition = condition, count: int = count) -> None:
            if progress is not None:
                progress((k + done / count) / len(conditions), f"testing: {condition.name.replace('_', ' ')}")

        found = collect_answers(
            model, tests.examples(condition), tasks, adversary=condition.adversary, batch_size=batch_size, progress=advance
        )
        for task, answered in found.items():
            scores.setdefault(task, {})[condition.name] = answered.score()
        if k == 0:
            first = found
    return scores, first


def prepare_test_set(model: Model, recordings: Sequence[Recording], *, split: str, seed: int = 0) -> TestSet:
    """Prepare the test excerpts of a model.

    Parameters
    ----------
    model : Model
        A model with labels.
    recordings : sequence of Recording
        Recordings of any split; those of split ``background`` are the backgrounds.
    split : str
        Split to test on.
    seed : int
        Random seed of the backgrounds. Default 0.

    Raises
    ------
    AudioMetamerError
        If the model has no labels, or no recording of the split has a label of one of its tasks.
    """
    if model.labels is None or model.sample_rate is None:
        raise AudioMetamerError(f"{model.name} has no labels or no sample rate; both are needed to test it")
    if model.channels != 1:
        raise AudioMetamerError(f"{model.name} takes sounds of {model.channels} channels; test recordings are mixed down to one")
    labels = model.labels if isinstance(model.labels, Mapping) else {model.tasks[0]: model.labels}
    multi = model.card.multi_label if model.card is not None else ()
    tasks = {task: ClassificationTask(tuple(names), task in multi) for task, names in labels.items()}
    corpus = Corpus(recordings, tasks, sample_rate=model.sample_rate, splits=(split, "background"))
    if not corpus.recordings.get(split):
        raise AudioMetamerError(f"no recording of split {split!r} has a label of task {', '.join(tasks)}")
    corpus.warn_of_unknown_labels(split)
    backgrounds = corpus.backgrounds(KINDS, N_VOICES, for_tests=True)
    return TestSet(corpus, split, backgrounds, n_samples=model.signal_shape[-1], level=model.level, seed=seed)


def write_confusion(path: Path, confusion: NDArray[np.int64], labels: Sequence[str]) -> None:
    """Write counts as a tab-separated table: a row for each true label, a column for each answer."""
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(["label", *map(escape_formula, labels)])
        writer.writerows([escape_formula(label), *row] for label, row in zip(labels, confusion.tolist(), strict=True))


@literal_text()
def draw_confusion(path: Path, confusion: NDArray[np.int64], labels: Sequence[str], *, title: str) -> None:
    """Draw a confusion matrix: the proportion of each true label's sounds, with counts where there is room."""
    from matplotlib.figure import Figure

    n = len(labels)
    size = min(max(3.0 + 0.32 * n, 4.0), 40.0)
    figure = Figure(figsize=(size + 0.6, size), layout="constrained")
    axes = figure.subplots()
    share = confusion / np.maximum(confusion.sum(1, keepdims=True), 1)
    image = axes.imshow(share, vmin=0, vmax=1, cmap="Blues")
    figure.colorbar(image, ax=axes, label="proportion of the label's sounds", shrink=0.8)
    if n <= 100:
        axes.set_xticks(range(n), labels, rotation=90, fontsize=8)
        axes.set_yticks(range(n), labels, fontsize=8)
    axes.set(xlabel="answer", ylabel="label", title=title)
    if n <= 40:
        for row, column in zip(*np.nonzero(confusion), strict=True):
            color = "white" if share[row, column] > 0.5 else "black"
            axes.text(column, row, str(confusion[row, column]), ha="center", va="center", fontsize=7, color=color)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=120)
