"""One training run: a network, its optimiser, its progress and its checkpoints."""

import copy
import hashlib
import io
import math
import pickle
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from audiometamer.errors import AudioMetamerError, AudioMetamerWarning, BrokenError, first_line
from audiometamer.io.callbacks import Progress
from audiometamer.io.files import atomic_write, set_aside
from audiometamer.models.cards import Card, WeightsCard
from audiometamer.models.model_folder import build_model
from audiometamer.training import testing
from audiometamer.training.batches import BatchesByKey, BatchKeys, catch_interrupts, ignore_interrupts, loaded_batches
from audiometamer.training.cochleagram_cache import CochleagramBatch, CochleagramCache
from audiometamer.training.corpus import ClassificationTask, Corpus, corpus_identity
from audiometamer.training.distributed import Processes, share_batch_norm
from audiometamer.training.excerpts import TrainingBatch, TrainingSet
from audiometamer.training.inputs import TrainingInputs
from audiometamer.training.journal import EpochRow, EventFiles, draw_learning_curve, write_table
from audiometamer.training.losses import Mixture, task_loss
from audiometamer.training.mixing import KINDS
from audiometamer.training.recipe import Recipe, settings_of_training, stated
from audiometamer.training.recordings import AudioFile
from audiometamer.training.selection import source_of
from audiometamer.training.starting import draw_weights, start_from, trained_parameters
from audiometamer.training.testing import AccuracyCondition, TestSet

CHECKPOINT = "checkpoint.pt"
PREVIOUS = "checkpoint-previous.pt"  # used if the latest is broken
COCHLEAGRAMS = "cochleagrams"
_TRIMMING = 3.0  # the trimmed fraction grows to its value over the first third of the training
TRAINING_SHARE = 0.95  # fraction of the reported progress; the rest is testing


def existing_checkpoints(out: Path) -> list[Path]:
    """The existing checkpoints of a run, the latest first."""
    return [path for name in (CHECKPOINT, PREVIOUS) if (path := out / name).exists()]


class RunState(NamedTuple):
    """The progress of a run: what it needs, besides network and optimiser, to resume as if it had never stopped."""

    epoch: int = 0
    step: int = 0  # within the epoch
    seconds: float = 0.0
    totals: tuple[tuple[float, ...], ...] = ()  # of the current epoch, by task: loss, correct answers, labelled sounds
    rows: tuple[EpochRow, ...] = ()  # the log, with a row for each complete epoch


class TrainingRun:
    """One training run: a network, its optimiser and its progress.

    Parameters
    ----------
    recipe : Recipe
    corpus : Corpus
    out : path
    device : torch.device
    group : Processes
    progress : callable
    cache : path, optional
        Folder of cochleagrams that several runs share. Default: ``cochleagrams`` in `out`.
    """

    def __init__(
        self,
        recipe: Recipe,
        corpus: Corpus,
        out: Path,
        device: torch.device,
        group: Processes,
        progress: Progress,
        *,
        cache: Path | None = None,
    ) -> None:
        self.recipe, self.corpus, self.out, self.device, self.group = recipe, corpus, out, device, group
        self.progress = progress
        self.identity = corpus_identity(corpus)
        self.training_set = make_training_set(recipe, corpus, balanced=recipe.balanced)
        if self.training_set.batches_per_epoch < 1:
            raise AudioMetamerError(
                f"batch_size is {recipe.batch_size}, but there are {len(self.training_set)} "
                f"{'recordings in all' if recipe.excerpts is None else 'excerpts in an epoch'}"
            )
        if recipe.batch_size % group.count:
            raise AudioMetamerError(f"batch_size is {recipe.batch_size}; {group.count} processes cannot share it equally")
        torch.manual_seed(recipe.seed)
        self.card = make_card(recipe, corpus.tasks)
        self.model = build_model(self.card).to(device)
        if recipe.initial == "he":
            draw_weights(self.model.network)
        front_end = build_model(make_card(recipe, corpus.tasks, **recipe.training_front_end)).front_end
        assert front_end is not None
        if group.count > 1:
            share_batch_norm(self.model.network)
        if recipe.precision == "bfloat16":  # convolutions in half precision are fastest in this order of memory
            self.model.network.to(memory_format=torch.channels_last)
        cached = CochleagramCache(cache or out / COCHLEAGRAMS, _cache_settings(recipe, corpus)) if recipe.cached_epochs else None
        self.batches = BatchesByKey(self.training_set, (group.rank, group.count), cached)
        self.inputs = TrainingInputs(recipe, corpus.tasks, self.model, front_end.to(device))
        self.trained = trained_parameters(self.model.network, recipe.frozen)
        self.optimizer = recipe.optimizer.built(self.trained)
        self.state = RunState()
        self._broken: list[Path] = []  # checkpoints to set aside once another is written
        self._resume()
        self.random_weights: list[str] = []
        if recipe.start_from is not None and self.state == RunState():  # a resumed run does not need the other model
            self.random_weights = start_from(self.model.network, recipe.start_from, self.card.labels)
        position = torch.tensor(float(self.state.epoch * self.training_set.batches_per_epoch + self.state.step), device=device)
        if float(group.total(position)) != group.count * float(position):
            raise AudioMetamerError(f"the processes find different checkpoints in {out}; they must share this folder")

    def fit(self, workers: int) -> float:
        """Train to the end; return the hours taken, without interruptions."""
        per_epoch = self.training_set.batches_per_epoch
        start, seconds = time.monotonic(), self.state.seconds
        with catch_interrupts() as was_interrupted, EventFiles(self.out / "events") as events:
            if self.state.step == per_epoch:  # interrupted between the last step of an epoch and its end
                self._end_epoch(events)
            loader = DataLoader(
                self.batches,
                sampler=BatchKeys(self.state.epoch, self.state.step, epochs=self.recipe.epochs, per_epoch=per_epoch),
                batch_size=None,
                num_workers=workers,
                worker_init_fn=ignore_interrupts,
            )
            for batch in loaded_batches(loader):
                if isinstance(batch, AudioMetamerError):
                    self._save()
                    raise batch
                self._step(batch)
                self.state = self.state._replace(step=self.state.step + 1, seconds=seconds + time.monotonic() - start)
                if self.state.step == per_epoch:
                    self._end_epoch(events)
                self._report(per_epoch)
                if self._any(was_interrupted()):
                    self._save()
                    raise KeyboardInterrupt
        return self.state.seconds / 3600

    def _step(self, batch: TrainingBatch | CochleagramBatch) -> None:
        """Take one step of the optimiser and add to the totals of the epoch."""
        recipe, epoch, step = self.recipe, self.state.epoch, self.state.step
        entropy = np.random.SeedSequence([recipe.seed, epoch, step, self.group.rank])
        seed = int(entropy.generate_state(1, np.uint64)[0] >> 1)
        torch.manual_seed(seed)  # for dropout: a resumed run draws the same numbers as an uninterrupted one
        per_epoch = self.training_set.batches_per_epoch
        done = epoch * per_epoch + step
        rate = recipe.optimizer.rate(done, per_epoch=per_epoch, epochs=recipe.epochs)
        for parameters in self.optimizer.param_groups:
            parameters["lr"] = rate

        targets = {task: t.to(self.device) for task, t in batch.targets.items()}
        share = done / (per_epoch * recipe.epochs)
        adversary = recipe.adversary and recipe.adversary.after(share)
        generator = torch.Generator(self.device).manual_seed(seed)
        inputs = self.inputs(batch, targets, adversary, generator, keep=self._keep)
        self.model.network.train()
        for parameter in self.trained:
            parameter.requires_grad_(True)
        mixture = Mixture.draw(len(inputs), recipe.mixup, generator=generator) if recipe.mixup else None
        logits = self.inputs.logits(inputs if mixture is None else mixture.of(inputs))
        stats, loss = [], inputs.new_zeros(())
        trimmed = recipe.trimmed * min(_TRIMMING * share, 1.0)
        for name, task in self.corpus.tasks.items():
            settings = recipe.tasks[name]
            part = task_loss(logits[name], targets[name], task, smoothing=settings.smoothing, trimmed=trimmed, mixture=mixture)
            loss = loss + settings.weight * part.total / self.group.total(part.n_sounds).clamp(min=1)
            stats.append(torch.stack([part.total.detach(), part.correct.to(loss.dtype), part.n_sounds.to(loss.dtype)]))
        found = self.group.total(torch.stack(stats)).tolist()
        if not all(math.isfinite(value) for row in found for value in row):
            raise AudioMetamerError(
                f"the loss is not finite in epoch {epoch + 1}, step {step + 1}; lower learning_rate "
                f"(now {recipe.optimizer.learning_rate:g}) and start again in another folder"
            )
        self.optimizer.zero_grad()
        loss.backward()
        self.group.add_gradients(self.trained)
        self.optimizer.step()
        before = self.state.totals or ((0.0, 0.0, 0.0),) * len(found)
        totals = tuple(tuple(a + b for a, b in zip(old, new, strict=True)) for old, new in zip(before, found, strict=True))
        self.state = self.state._replace(totals=totals)

    def _keep(self, batch: CochleagramBatch) -> Tensor:
        """Keep new cochleagrams in the cache, if there is one; return them as they are kept."""
        if self.batches.cache is None:
            return batch.cochleagrams
        return self.batches.cache.save(self.batches.place(self.state.epoch, self.state.step), batch)

    def foretell(self, workers: int) -> float:
        """The hours that the rest of the training takes, from the time of one batch and of one step; the run is as before."""
        per_epoch = self.training_set.batches_per_epoch
        left = (self.recipe.epochs - self.state.epoch) * per_epoch - self.state.step
        if left < 1:
            return 0.0
        start = time.monotonic()
        batch = self.training_set.batch(0, 0, share=self.batches.share)
        preparation, step, made = time.monotonic() - start, self._seconds_of_a_step(batch), left
        steps = left * step
        if (cache := self.batches.cache) is not None:
            made = min(left, max(self.recipe.cached_epochs * per_epoch - cache.n_batches // self.group.count, 0))
            with torch.no_grad():
                cochleagrams = self.inputs.front_end(batch.sounds.to(self.device))
            steps = made * step + (left - made) * self._seconds_of_a_step(CochleagramBatch(cochleagrams, batch.targets))
        if self.device.type == "cpu":  # the same cores prepare the batches
            return (steps + made * preparation / (workers + 1)) / 3600
        return max(steps, made * preparation / max(workers, 1)) / 3600

    def _seconds_of_a_step(self, batch: TrainingBatch | CochleagramBatch) -> float:
        """The time of the second of two steps, which are then undone."""
        network, optimizer = copy.deepcopy((self.model.network.state_dict(), self.optimizer.state_dict()))
        state, cache, self.batches.cache = self.state, self.batches.cache, None
        for _ in range(2):  # the first is slower
            start = time.monotonic()
            self._step(batch)
        self.state, self.batches.cache = state, cache
        self.model.network.load_state_dict(network)
        self.optimizer.load_state_dict(optimizer)
        return time.monotonic() - start

    def _end_epoch(self, events: EventFiles) -> None:
        """Log the epoch; write a checkpoint before and after its validation."""
        if not all(bool(t.isfinite().all()) for t in self.model.network.state_dict().values()):
            raise AudioMetamerError(
                f"the weights are not finite after epoch {self.state.epoch + 1}; lower learning_rate "
                f"(now {self.recipe.optimizer.learning_rate:g}) and start again in another folder"
            )
        self._save()
        row: EpochRow = {"epoch": self.state.epoch + 1, "loss": 0.0}
        for (name, task), (total, correct, count) in zip(self.corpus.tasks.items(), self.state.totals, strict=True):
            row["loss"] += self.recipe.tasks[name].weight * total / max(count, 1)
            row[f"{name}_loss"] = total / max(count, 1)
            if not task.multi:
                row[f"{name}_accuracy"] = correct / max(count, 1)
        row |= self._validation()
        row["learning_rate"] = self.optimizer.param_groups[0]["lr"]
        row["seconds"] = round(self.state.seconds, 1)
        self.state = RunState(self.state.epoch + 1, 0, self.state.seconds, (), (*self.state.rows, row))
        self._save()
        if self.group.is_first:
            events.write(row)

    def _validation(self) -> EpochRow:
        """Accuracies on split ``valid``, in quiet; empty if there is no such split."""
        row: EpochRow = {}
        if self.group.is_first and self.corpus.recordings["valid"]:
            self.model.eval().requires_grad_(False)
            valid = make_test_set(self.recipe, self.corpus, "valid").examples(AccuracyCondition())
            for task, found in testing.collect_answers(self.model, valid, self.corpus.tasks).items():
                row[f"valid_{task}_accuracy"] = found.proportion_correct()
        self.group.wait()
        return row

    def _any(self, flag: bool) -> bool:
        return bool(self.group.total(torch.tensor(float(flag), device=self.device))) if self.group.count > 1 else flag

    def _report(self, per_epoch: int) -> None:
        if not self.group.is_first:
            return
        done = (self.state.epoch + self.state.step / per_epoch) / self.recipe.epochs
        epoch = min(self.state.epoch + 1, self.recipe.epochs)
        latest = ", ".join(f"{key} {value:.3f}" for key, value in (self.state.rows or ({},))[-1].items() if "accuracy" in key)
        self.progress(TRAINING_SHARE * done, f"epoch {epoch} of {self.recipe.epochs}" + (f"; {latest}" if latest else ""))

    def _save(self) -> None:
        if not self.group.is_first:
            return
        content = {
            "network": self.model.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "state": self.state._asdict(),
            "recipe": self._recipe_identity(),
            "recordings": self.identity,
        }
        written = io.BytesIO()  # torch's own writer raises errors of its own
        torch.save(content, written)
        with atomic_write(path := self.out / CHECKPOINT) as temporary:
            temporary.write_bytes(written.getbuffer())
            while self._broken:
                set_aside(self._broken.pop())
            if path.exists():
                path.replace(self.out / PREVIOUS)
        if self.state.rows:
            write_table(self.out / "log.csv", self.state.rows)
            draw_learning_curve(self.out / "learning_curve.png", self.state.rows, title=self.recipe.name)

    def _recipe_identity(self) -> str:
        return _sha256(msgspec.json.encode(settings_of_training(self.recipe), order="deterministic"))

    def _resume(self) -> None:
        """Resume from the latest checkpoint that can be read, if there is one."""
        for path in existing_checkpoints(self.out):
            try:
                return self._load(path)
            except BrokenError as error:
                self._broken.append(path)
                if self.group.is_first:
                    then = "training resumes from the previous one, or starts again if there is none"
                    warnings.warn(f"{error}; {then}", AudioMetamerWarning, stacklevel=2)
        return None

    def _load(self, path: Path) -> None:
        try:
            saved = torch.load(path, map_location=self.device, weights_only=True)
            recipe, recordings, state = saved["recipe"], saved["recordings"], RunState(**saved["state"])
        except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, KeyError, TypeError, ValueError) as error:
            raise BrokenError(f"{path} is not a checkpoint of a training run ({first_line(error)})") from error
        if recipe != self._recipe_identity():
            raise AudioMetamerError(f"{self.out} holds a run of another recipe; name another folder")
        if recordings != self.identity:
            raise AudioMetamerError(f"{self.out} holds a run on other recordings or labels; name another folder")
        self.model.network.load_state_dict(saved["network"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.state = state._replace(totals=tuple(map(tuple, state.totals)), rows=tuple(state.rows))


def make_training_set(recipe: Recipe, corpus: Corpus, *, balanced: str | None) -> TrainingSet:
    """The training excerpts of a recipe; `balanced` is the task whose classes are drawn equally often."""
    return TrainingSet(
        corpus,
        recipe.augmentation,
        corpus.backgrounds(recipe.background.kinds, recipe.background.n_voices),
        n_samples=recipe.n_samples,
        level=recipe.level,
        seed=recipe.seed,
        batch_size=recipe.batch_size,
        balanced=balanced,
        sources=recipe.sources,
        synthetic_share=recipe.synthetic_share,
        excerpts=recipe.excerpts,
        cached_epochs=recipe.cached_epochs,
    )


def make_test_set(recipe: Recipe, corpus: Corpus, split: str) -> TestSet:
    """The test excerpts of a split, with the backgrounds reserved for tests."""
    backgrounds = corpus.backgrounds(KINDS, recipe.background.n_voices, for_tests=True)
    return TestSet(corpus, split, backgrounds, n_samples=recipe.n_samples, level=recipe.level, seed=recipe.seed)


def make_card(recipe: Recipe, tasks: Mapping[str, ClassificationTask], **front_end_options: Any) -> Card:
    """The card of an untrained model, with some options of its front end replaced."""
    front_end = msgspec.structs.replace(recipe.front_end, options=recipe.front_end.options | front_end_options)
    return Card(
        recipe.name,
        recipe.sample_rate,
        recipe.duration,
        recipe.level,
        recipe.network,
        front_end,
        WeightsCard("", ""),
        {name: list(task.labels) for name, task in tasks.items()},
        description=recipe.description,
        data=recipe.data,
        licence=recipe.licence,
        multi_label=[name for name, task in tasks.items() if task.multi],
        limits=recipe.limits,
    )


def _cache_settings(recipe: Recipe, corpus: Corpus) -> list[bytes]:
    """All that cached cochleagrams depend on."""
    settings = (
        recipe.front_end, recipe.training_front_end, recipe.sample_rate, recipe.duration, recipe.level, recipe.seed,
        recipe.batch_size, recipe.excerpts, recipe.balanced, recipe.sources, recipe.synthetic_share, recipe.augmentation,
        recipe.background,
    )  # fmt: skip
    sources = [source_of(r) for r in corpus.recordings["train"]]
    heard = [r for split in ("train", "voices", "noises") for r in corpus.recordings[split]]
    sizes = [
        r.path.stat().st_size if isinstance(r, AudioFile) else r.seconds for r in heard
    ]  # names may be those of other sounds
    return [corpus_identity(corpus).encode(), msgspec.json.encode(stated([*settings, sources, sizes]), order="deterministic")]


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
