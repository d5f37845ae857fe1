"""The training loop: a recipe and data sets go in, a model's folder comes out."""

import hashlib
import io
import math
import os
import pickle
import shutil
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from audiometamer.devices import choose_device, describe, isolated_rng
from audiometamer.errors import AudioMetamerError, AudioMetamerWarning, BrokenError, first_line
from audiometamer.io.files import atomic_write, holds_only_zeros, set_aside
from audiometamer.io.locks import exclusive_folder
from audiometamer.io.names import safe_name
from audiometamer.metamers.criteria import NullDistribution
from audiometamer.models.cards import Card, WeightsCard
from audiometamer.models.model_folder import build_model, save_weights
from audiometamer.training import testing
from audiometamer.training.adversaries import Adversary
from audiometamer.training.copies import without_copies
from audiometamer.training.corpus import Batch, Corpus, Task, TrainingSet
from audiometamer.training.distributed import Processes, is_first_process, processes, share_batch_norm
from audiometamer.training.journal import EventFiles, Row, draw_learning_curve, write_table
from audiometamer.training.mixing import KINDS
from audiometamer.training.recipe import Recipe, read_recipe
from audiometamer.training.recordings import Recording
from audiometamer.training.sources import open_sources
from audiometamer.training.testing import Condition, TestSet

Progress = Callable[[float, str], None]
CHECKPOINT = "checkpoint.pt"
PREVIOUS = "checkpoint-previous.pt"  # the one before, should the latest turn out to be broken
_OWN = ("recipe.toml", "log.csv", "learning_curve.png", "events")  # what a run leaves besides
_SHARE_OF_TRAINING = 0.95  # of the progress that is told; the rest is testing


def train(
    recipe_path: Path,
    data: Sequence[str],
    out: Path,
    *,
    device: str = "auto",
    workers: int = 1,
    progress: Progress | None = None,
    notify: Callable[[str], None] | None = None,
) -> Path:
    """Train a recipe's network; go on where an interrupted run has stopped, if `out` holds its checkpoint.

    After Ctrl-C, or SIGTERM, the step in hand is finished and a checkpoint written; another one stops at once. Started by
    `torchrun`, all processes train one network together.

    Parameters
    ----------
    recipe_path : path
        A TOML file, see `Recipe`.
    data : sequence of str
        Data sets, see `audiometamer.training.sources.open_source`.
    out : path
        Becomes the model's folder: card, weights, recipe, null distribution, log, pictures.
    device : str
        See `audiometamer.devices.choose_device`. Default: the first accelerator that works, or the CPU.
    workers : int
        Processes that make batches meanwhile; 0 makes them in between. Default 1.
    progress : callable, optional
        Told the share that is done, and what is going on.
    notify : callable, optional
        Takes a line for each data set: what was recognised, and what was left out.

    Returns
    -------
    path
        `out`.

    Raises
    ------
    AudioMetamerError
        If the recipe or the data are not as they should be, if a loss is not finite, or if `out` holds something else.
    """
    recipe, out = read_recipe(recipe_path), Path(out)
    if not is_first_process():
        return _train(recipe, data, out, device, workers, _silent, _silent)
    _check_folder(out, recipe_path)
    with exclusive_folder(out):
        if not _holds_anything(out / "recipe.toml"):
            with atomic_write(out / "recipe.toml") as temporary:
                shutil.copy(recipe_path, temporary)
        return _train(recipe, data, out, device, workers, progress or _silent, notify or _silent)


def _train(
    recipe: Recipe, data: Sequence[str], out: Path, device: str, workers: int, tell: Progress, notify: Callable[[str], None]
) -> Path:
    recordings = without_copies(open_sources(data, notify), notify)
    tasks = _tasks(recipe, recordings)
    tell(0.0, f"reading {len(recordings)} recordings")
    corpus = Corpus(recordings, tasks, sample_rate=recipe.sample_rate)
    corpus.check_classes()
    split = _test_split(corpus)
    corpus.tell_unknown_labels(split)
    chosen = choose_device(device)
    with processes(chosen) as group, isolated_rng(chosen):
        run = Run(recipe, corpus, out, chosen, group, tell)
        hours = run.fit(workers)
        if group.is_first:
            _finish(run, split, hours)
        group.wait()
    return out


def _silent(*_: object) -> None:
    """Tell nobody."""


def _check_folder(out: Path, recipe_path: Path) -> None:
    if _holds_anything(out / "model.toml"):
        raise AudioMetamerError(f"{out} holds a trained model already; name another folder")
    if out.is_dir() and not _checkpoints(out):
        ours = out / "recipe.toml"
        if _holds_anything(ours) and ours.read_bytes() != recipe_path.read_bytes():
            raise AudioMetamerError(f"{ours} is another recipe than {recipe_path}; name another folder")
        own = _OWN if ours.exists() else ()
        others = [path for path in out.iterdir() if path.name[0] != "." and path.name not in own]
        if others:
            raise AudioMetamerError(f"{out} holds other files ({others[0].name}) and no checkpoint; name another folder")


def _holds_anything(path: Path) -> bool:
    return path.exists() and not holds_only_zeros(path)


def _checkpoints(out: Path) -> list[Path]:
    """The checkpoints of a run that are there, the latest first."""
    return [path for name in (CHECKPOINT, PREVIOUS) if (path := out / name).exists()]


def _tasks(recipe: Recipe, recordings: Sequence[Recording]) -> dict[str, Task]:
    """The recipe's tasks; labels that it does not list are those of split ``train`` (and of backgrounds, if several), sorted."""
    tasks = {}
    for name, task in recipe.tasks.items():
        labels = task.labels
        if labels is None:
            splits = ("train", "background") if task.multi else ("train",)
            sounds = [sound for r in recordings if r.split in splits for sound in (r, r.background) if sound is not None]
            labels = sorted({label for sound in sounds for label in sound.labels.get(name, ())})
        if len(labels) < (1 if task.multi else 2):
            there = ", ".join(sorted({task for recording in recordings for task in recording.labels})) or "none"
            raise AudioMetamerError(
                f"task {name} has {len(labels)} classes in split 'train'; the data have labels of task {there}"
            )
        tasks[name] = Task(tuple(labels), task.multi)
    return tasks


def _test_split(corpus: Corpus) -> str:
    for split in ("test", "valid"):
        if corpus.recordings[split]:
            return split
    raise AudioMetamerError(f"no recording of split 'test' or 'valid' has a label of task {', '.join(corpus.tasks)}")


class State(NamedTuple):
    """Where a run is: what it needs, besides network and optimiser, to go on as if it had never stopped."""

    epoch: int = 0
    step: int = 0  # of the epoch
    seconds: float = 0.0
    totals: tuple[tuple[float, ...], ...] = ()  # of the epoch in hand; by task: loss, right answers, labelled sounds
    rows: tuple[Row, ...] = ()  # of the log, one for each whole epoch


class Run:
    """One training run: a network, its optimiser, and where it is.

    Parameters
    ----------
    recipe : Recipe
    corpus : Corpus
    out : path
    device : torch.device
    group : Processes
    progress : callable
    """

    def __init__(
        self,
        recipe: Recipe,
        corpus: Corpus,
        out: Path,
        device: torch.device,
        group: Processes,
        progress: Progress,
    ) -> None:
        self.recipe, self.corpus, self.out, self.device, self.group = recipe, corpus, out, device, group
        self.progress = progress
        self.identity = _identity(corpus)
        self.training_set = _training_set(recipe, corpus, balanced=recipe.balanced)
        if self.training_set.batches_per_epoch < 1:
            raise AudioMetamerError(
                f"batch_size is {recipe.batch_size}, but there are {len(self.training_set)} recordings in all"
            )
        if recipe.batch_size % group.count:
            raise AudioMetamerError(f"batch_size is {recipe.batch_size}; {group.count} processes cannot share it equally")
        torch.manual_seed(recipe.seed)
        self.card = _card(recipe, corpus.tasks)
        self.model = build_model(self.card).to(device)
        self.front_end = build_model(_card(recipe, corpus.tasks, **recipe.training_front_end)).front_end
        assert self.front_end is not None
        self.front_end.to(device)
        if group.count > 1:
            share_batch_norm(self.model.network)
        settings = recipe.optimizer
        parameters = self.model.network.parameters()
        self.optimizer: torch.optim.Optimizer
        if settings.name == "SGD":
            self.optimizer = torch.optim.SGD(
                parameters, settings.learning_rate, momentum=settings.momentum, weight_decay=settings.weight_decay
            )
        else:
            self.optimizer = torch.optim.AdamW(parameters, settings.learning_rate, weight_decay=settings.weight_decay)
        self.state = State()
        self._broken: list[Path] = []  # checkpoints, which are set aside once there is another
        self._resume()
        place = torch.tensor(float(self.state.epoch * self.training_set.batches_per_epoch + self.state.step), device=device)
        if float(group.total(place)) != group.count * float(place):
            raise AudioMetamerError(f"not all processes find the same checkpoint in {out}; it must be a folder that they share")

    def fit(self, workers: int) -> float:
        """Train to the end; returns the hours it took, interruptions left out."""
        per_epoch = self.training_set.batches_per_epoch
        began, seconds = time.monotonic(), self.state.seconds
        with _interruptions() as was_interrupted, EventFiles(self.out / "events") as events:
            if self.state.step == per_epoch:  # interrupted between the last step of an epoch and its end
                self._end_epoch(events)
            loader = DataLoader(
                _Batches(self.training_set, (self.group.rank, self.group.count)),
                sampler=_Keys(self.state.epoch, self.state.step, epochs=self.recipe.epochs, per_epoch=per_epoch),
                batch_size=None,
                num_workers=workers,
                worker_init_fn=_leave_interrupts_to_the_parent,
            )
            for batch in _made(loader):
                if isinstance(batch, AudioMetamerError):
                    self._save()
                    raise batch
                self._step(batch)
                self.state = self.state._replace(step=self.state.step + 1, seconds=seconds + time.monotonic() - began)
                if self.state.step == per_epoch:
                    self._end_epoch(events)
                self._tell(per_epoch)
                if self._any(was_interrupted()):
                    self._save()
                    raise KeyboardInterrupt
        return self.state.seconds / 3600

    def _step(self, batch: Batch) -> None:
        """One step of the optimiser; adds to the totals of the epoch."""
        recipe, epoch, step = self.recipe, self.state.epoch, self.state.step
        entropy = np.random.SeedSequence([recipe.seed, epoch, step, self.group.rank])
        seed = int(entropy.generate_state(1, np.uint64)[0] >> 1)
        torch.manual_seed(seed)  # for dropout: a resumed run draws what an unbroken one would
        per_epoch = self.training_set.batches_per_epoch
        done = epoch * per_epoch + step
        rate = recipe.optimizer.rate(done, per_epoch=per_epoch, epochs=recipe.epochs)
        for parameters in self.optimizer.param_groups:
            parameters["lr"] = rate

        targets = {task: t.to(self.device) for task, t in batch.targets.items()}
        adversary = recipe.adversary and recipe.adversary.after(done / (per_epoch * recipe.epochs))
        generator = torch.Generator(self.device).manual_seed(seed)
        heard = self._heard(batch.sounds.to(self.device), targets, adversary, generator)
        self.model.network.train().requires_grad_(True)
        logits = self.model.logits(self.model.network(heard))
        stats, loss = [], heard.new_zeros(())
        for name, task in self.corpus.tasks.items():
            total, count = testing.sum_of_losses(logits[name], targets[name], task)
            everywhere = self.group.total(count)
            loss = loss + recipe.tasks[name].weight * total / everywhere.clamp(min=1)
            right = total.new_zeros(()) if task.multi else (logits[name].argmax(1) == targets[name]).sum()
            stats.append(torch.stack([total.detach(), right.to(total.dtype), count.to(total.dtype)]))
        found = self.group.total(torch.stack(stats)).tolist()
        if not all(math.isfinite(value) for row in found for value in row):
            raise AudioMetamerError(
                f"the loss is not finite in epoch {epoch + 1}, step {step + 1}; lower learning_rate "
                f"(now {recipe.optimizer.learning_rate:g}) and begin in another folder"
            )
        self.optimizer.zero_grad()
        loss.backward()
        self.group.add_gradients(self.model.network.parameters())
        self.optimizer.step()
        before = self.state.totals or ((0.0, 0.0, 0.0),) * len(found)
        totals = tuple(tuple(a + b for a, b in zip(old, new, strict=True)) for old, new in zip(before, found, strict=True))
        self.state = self.state._replace(totals=totals)

    def _heard(
        self, sounds: Tensor, targets: Mapping[str, Tensor], adversary: Adversary | None, generator: torch.Generator
    ) -> Tensor:
        """What the network is trained on: cochleagrams [shape=(batch, filters, frames)], perturbed by the adversary."""
        network, front_end = self.model.network, self.front_end
        assert front_end is not None

        def loss(cochleagrams: Tensor) -> Tensor:
            logits = self.model.logits(network(cochleagrams))
            each = [
                self.recipe.tasks[name].weight * testing.sum_of_losses(logits[name], targets[name], task)[0]
                for name, task in self.corpus.tasks.items()
            ]
            return torch.stack(each).sum()

        network.eval().requires_grad_(False)
        sounds = sounds.clamp(*self.model.bounds)
        if adversary is not None and adversary.at == "waveform":
            sounds = adversary.perturbed(sounds, lambda x: loss(front_end(x)), generator=generator).clamp(*self.model.bounds)
        with torch.no_grad():
            heard: Tensor = front_end(sounds)
        if adversary is not None and adversary.at == "cochleagram":
            heard = adversary.perturbed(heard, loss, generator=generator)
        return heard

    def _end_epoch(self, events: EventFiles) -> None:
        """Log the epoch, and write a checkpoint before its validation and after it."""
        if not all(bool(t.isfinite().all()) for t in self.model.network.state_dict().values()):
            raise AudioMetamerError(
                f"the weights are not finite after epoch {self.state.epoch + 1}; lower learning_rate "
                f"(now {self.recipe.optimizer.learning_rate:g}) and begin in another folder"
            )
        self._save()
        row: Row = {"epoch": self.state.epoch + 1, "loss": 0.0}
        for (name, task), (total, right, count) in zip(self.corpus.tasks.items(), self.state.totals, strict=True):
            row["loss"] += self.recipe.tasks[name].weight * total / max(count, 1)
            row[f"{name}_loss"] = total / max(count, 1)
            if not task.multi:
                row[f"{name}_accuracy"] = right / max(count, 1)
        row |= self._validation()
        row["learning_rate"] = self.optimizer.param_groups[0]["lr"]
        row["seconds"] = round(self.state.seconds, 1)
        self.state = State(self.state.epoch + 1, 0, self.state.seconds, (), (*self.state.rows, row))
        self._save()
        if self.group.is_first:
            events.write(row)

    def _validation(self) -> Row:
        """Accuracies on split ``valid``, in quiet; nothing if there is none."""
        row: Row = {}
        if self.group.is_first and self.corpus.recordings["valid"]:
            self.model.eval().requires_grad_(False)
            valid = _test_set(self.recipe, self.corpus, "valid").examples(Condition())
            for task, found in testing.answers(self.model, valid, self.corpus.tasks).items():
                row[f"valid_{task}_accuracy"] = found.share()
        self.group.wait()
        return row

    def _any(self, flag: bool) -> bool:
        return bool(self.group.total(torch.tensor(float(flag), device=self.device))) if self.group.count > 1 else flag

    def _tell(self, per_epoch: int) -> None:
        if not self.group.is_first:
            return
        done = (self.state.epoch + self.state.step / per_epoch) / self.recipe.epochs
        epoch = min(self.state.epoch + 1, self.recipe.epochs)
        latest = ", ".join(f"{key} {value:.3f}" for key, value in (self.state.rows or ({},))[-1].items() if "accuracy" in key)
        self.progress(_SHARE_OF_TRAINING * done, f"epoch {epoch} of {self.recipe.epochs}" + (f"; {latest}" if latest else ""))

    def _save(self) -> None:
        if not self.group.is_first:
            return
        content = {
            "network": self.model.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "state": self.state._asdict(),
            "recipe": _sha256(msgspec.json.encode(self.recipe)),
            "recordings": self.identity,
        }
        written = io.BytesIO()  # torch's own writer has errors of its own
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

    def _resume(self) -> None:
        """Take up the latest checkpoint that can be read; without one, begin."""
        for path in _checkpoints(self.out):
            try:
                return self._load(path)
            except BrokenError as error:
                self._broken.append(path)
                if self.group.is_first:
                    then = "training resumes from the one before, if there is one, or begins anew"
                    warnings.warn(f"{error}; {then}", AudioMetamerWarning, stacklevel=2)
        return None

    def _load(self, path: Path) -> None:
        try:
            saved = torch.load(path, map_location=self.device, weights_only=True)
            recipe, recordings, state = saved["recipe"], saved["recordings"], State(**saved["state"])
        except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, KeyError, TypeError, ValueError) as error:
            raise BrokenError(f"{path} is not a checkpoint of a training run ({first_line(error)})") from error
        if recipe != _sha256(msgspec.json.encode(self.recipe)):
            raise AudioMetamerError(f"{self.out} holds a run of another recipe; name another folder")
        if recordings != self.identity:
            raise AudioMetamerError(f"{self.out} holds a run on other recordings or labels; name another folder")
        self.model.network.load_state_dict(saved["network"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.state = state._replace(totals=tuple(map(tuple, state.totals)), rows=tuple(state.rows))


class _Keys(Sampler[tuple[int, int]]):
    """(epoch, step) of every batch from a place on."""

    def __init__(self, epoch: int, step: int, *, epochs: int, per_epoch: int) -> None:
        self.first, self.stop, self.per_epoch = epoch * per_epoch + step, epochs * per_epoch, per_epoch

    def __len__(self) -> int:
        return self.stop - self.first

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return (divmod(k, self.per_epoch) for k in range(self.first, self.stop))


class _Batches(Dataset[Any]):
    """Batches by (epoch, step); what is wrong with a clip comes out as a value, so that it is told in one line."""

    def __init__(self, training_set: TrainingSet, share: tuple[int, int]) -> None:
        self.training_set, self.share = training_set, share

    def __getitem__(self, key: tuple[int, int]) -> Batch | AudioMetamerError:
        try:
            return self.training_set.batch(*key, share=self.share)
        except AudioMetamerError as error:
            return error


def _made(loader: "DataLoader[Any]") -> Iterator[Any]:
    """What a loader gives; a worker's death is told in one line."""
    try:
        yield from loader
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise AudioMetamerError(
            "a process that makes batches was killed, for lack of memory perhaps; try fewer --workers"
        ) from error


def _leave_interrupts_to_the_parent(_: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # by which the parent ends its workers


@contextmanager
def _interruptions() -> Iterator[Callable[[], bool]]:
    """Tells whether Ctrl-C was pressed, or a scheduler's time is up; the second signal acts as usual. Main thread only."""
    usual = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    caught = {number: handler for number, handler in usual.items() if handler is not signal.SIG_IGN}
    if threading.current_thread() is not threading.main_thread():
        caught = {}
    interrupted = False

    def put_back() -> None:
        for number, handler in caught.items():
            signal.signal(number, handler)

    def note(*_: Any) -> None:
        nonlocal interrupted
        interrupted = True
        put_back()

    for number in caught:
        signal.signal(number, note)
    try:
        yield lambda: interrupted
    finally:
        put_back()


def _training_set(recipe: Recipe, corpus: Corpus, *, balanced: str | None) -> TrainingSet:
    return TrainingSet(
        corpus,
        recipe.augmentation,
        corpus.backgrounds(recipe.background.kinds, recipe.background.n_voices),
        n_samples=recipe.n_samples,
        level=recipe.level,
        seed=recipe.seed,
        batch_size=recipe.batch_size,
        balanced=balanced,
    )


def _test_set(recipe: Recipe, corpus: Corpus, split: str) -> TestSet:
    backgrounds = corpus.backgrounds(KINDS, recipe.background.n_voices, for_tests=True)
    return TestSet(corpus, split, backgrounds, n_samples=recipe.n_samples, level=recipe.level, seed=recipe.seed)


def _finish(run: Run, split: str, hours: float) -> None:
    """Test the network, and write the folder of the model; its card comes last."""
    recipe, corpus, out, model = run.recipe, run.corpus, run.out, run.model
    model.eval().requires_grad_(False)
    wanted = testing.conditions(recipe.test_snrs, recipe.test_adversaries)
    share = 1 - _SHARE_OF_TRAINING
    scores, confusions = testing.measure(
        model,
        _test_set(recipe, corpus, split),
        wanted,
        progress=lambda done, message: run.progress(_SHARE_OF_TRAINING + share / 2 * done, message),
    )
    for task, confusion in confusions.items():
        title = f"{recipe.name}, {task}: {split}, in quiet"
        testing.draw_confusion(out / f"confusion-{safe_name(task)}.png", confusion, corpus.tasks[task].labels, title=title)

    run.progress(1 - share / 2, "null distribution")
    different = _training_set(recipe, corpus, balanced=None)  # every recording once
    n_sounds = min(math.ceil((1 + math.sqrt(1 + 8 * recipe.null_pairs)) / 2), len(different))
    null = NullDistribution.measure(
        model,
        (torch.from_numpy(different.excerpt(recipe.epochs, k)[0]) for k in range(n_sounds)),
        source=f"{n_sounds} excerpts of the training recordings with background, as augmented in training",
        names=(different.recordings[k].name for k in different.order(recipe.epochs)),
    )
    null.save(out / "null.json")
    card = msgspec.structs.replace(
        run.card,
        weights=WeightsCard("weights.safetensors", save_weights(model.network, out / "weights.safetensors")),
        accuracy=msgspec.to_builtins(scores),
        training={
            "seed": recipe.seed,
            "epochs": recipe.epochs,
            "hours": round(hours, 3),
            "machine": f"{run.group.count} × {describe(run.device)}" if run.group.count > 1 else describe(run.device),
            "clips": len(run.training_set),
            "tested_on": split,
        },
    )
    with atomic_write(out / "model.toml") as temporary:
        temporary.write_bytes(msgspec.toml.encode(card))
    for checkpoint in _checkpoints(out):
        checkpoint.unlink()
    run.progress(1.0, "done")


def _card(recipe: Recipe, tasks: Mapping[str, Task], **front_end_options: Any) -> Card:
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
        recipe.description,
        recipe.data,
        recipe.licence,
        multi_label=[name for name, task in tasks.items() if task.multi],
        limits=recipe.limits,
    )


def _identity(corpus: Corpus) -> str:
    """SHA-256 of the tasks, and of the names and labels of all recordings, in order; folders may move."""
    digest = hashlib.sha256(repr(corpus.tasks).encode())
    for split, found in corpus.recordings.items():
        for recording in found:
            digest.update(repr((split, Path(recording.name).name, dict(recording.labels))).encode())
    return digest.hexdigest()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def default_workers() -> int:
    """One process for making batches on each core but one, at least one."""
    return max((os.cpu_count() or 1) - 1, 1)
