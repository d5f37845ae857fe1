"""Make what a plan asks for: batches across the items of one model and layer, by as many workers as there are."""

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from msgspec.structs import replace
from torch import Tensor

from audiometamer.devices import choose_device
from audiometamer.errors import AudioMetamerError, AudioMetamerWarning, BrokenError
from audiometamer.io.files import make_folder
from audiometamer.io.hashes import sha256_of
from audiometamer.io.locks import file_lock
from audiometamer.jobs.claims import LOCK
from audiometamer.jobs.progress import CompletionCounter, ProgressCallback
from audiometamer.jobs.queue import ClaimedItem, Maker, Queue, run_queue
from audiometamer.jobs.workers import (
    ITEM_ERRORS,
    Interruption,
)
from audiometamer.metamers.batch_size import fitting_batch_size
from audiometamer.metamers.criteria import NullDistribution, default_null, judge_sha256
from audiometamer.metamers.judging import rejudged
from audiometamer.metamers.layout import signal_kind
from audiometamer.metamers.metamer import Metamer, Progress
from audiometamer.metamers.record_files import BrokenOriginalError, warn_about_broken
from audiometamer.metamers.results import Result, read_item
from audiometamer.metamers.scheduling import resumption
from audiometamer.metamers.settings import Settings, places
from audiometamer.metamers.synthesis import iterate_metamers
from audiometamer.metamers.unfinished import Checkpoints, Unfinished, can_resume, save_unfinished
from audiometamer.models.model import Model
from audiometamer.signals.audio import Clip
from audiometamer.stimuli.items import Expansion, PlannedItem, base_identity
from audiometamer.stimuli.layout import CHECKPOINT, CLAIMS, is_complete, read_failure
from audiometamer.stimuli.records import rejudge_item, save_failure, save_item, save_natural, save_original, write_planned
from audiometamer.stimuli.resolved import write_resolved_plan
from audiometamer.stimuli.set import finalize

# A retry begins from other noise; no user's seeds reach that far.
RETRY_STRIDE = 1_000_000


class StimulusNeed(NamedTuple):
    """The remaining work on an item: an attempt with a seed; before it, perhaps a new verdict or its original.

    Parameters
    ----------
    number : int
        Number of the attempt, from 0.
    seed : int
    judge : bool
        Whether its verdict is given again first. Default False.
    restore_original : bool
        Whether its natural clip is written again first. Default False.
    broken : str
        Fault of the item on the disk. Default: empty, none.
    """

    number: int
    seed: int
    judge: bool = False
    restore_original: bool = False
    broken: str = ""


class _Opened(NamedTuple):
    """A model of the plan, on the device of its worker."""

    entry: int
    model: Model
    null: NullDistribution | None


_Jobs = dict[tuple[str, int], tuple[PlannedItem, StimulusNeed, Clip]]  # by clip and seed


class StimulusMaker(Maker[PlannedItem, StimulusNeed]):
    """Makes the items of a plan: batches across the clips and seeds of one model and layer.

    Parameters
    ----------
    expansion : Expansion
    device : torch.device
    attempts : int
        Maximum number of attempts at an item that fails its verdict. Default 1.
    interruption : Interruption, optional
        Lets a signal wait until checkpoints are written.
    """

    batches_per_claim = 4  # full batches for a while, and still enough left for the others

    def __init__(
        self, expansion: Expansion, device: torch.device, *, attempts: int = 1, interruption: Interruption | None = None
    ) -> None:
        self.expansion, self.device, self.attempts = expansion, device, attempts
        self.interruption = interruption or Interruption()
        self.broken: dict[str, str] = {}  # what was wrong, by key, with the items that were made again
        self._old_failures = {item.key: read_failure(expansion.folder / item.folder) for item in expansion.items}
        self._opened: _Opened | None = None
        self._batch_size = 0

    def key(self, item: PlannedItem) -> str:
        """The item's key."""
        return item.key

    def place(self, item: PlannedItem) -> str:
        """The item's folder."""
        return item.folder

    def group(self, item: PlannedItem) -> tuple[int, str]:
        """Model and layer."""
        return item.entry, item.identity.settings.layer

    def need(self, item: PlannedItem) -> StimulusNeed | None:
        """The next attempt at an item; None if it is done, or failed in this run."""
        at, seed = self.expansion.folder / item.folder, item.identity.settings.seed
        if read_failure(at) != self._old_failures[item.key]:
            return None
        try:
            found = read_item(self.expansion.folder, at, whole=True)
        except BrokenOriginalError as error:
            return StimulusNeed(0, seed, restore_original=True, broken=str(error))
        except BrokenError as error:
            return StimulusNeed(0, seed, broken=str(error))
        except AudioMetamerError:  # another version's, or unreadable: `status` names it
            return None
        return StimulusNeed(0, seed) if found is None else self._next_attempt(item, found)

    def _next_attempt(self, item: PlannedItem, found: Result) -> StimulusNeed | None:
        """The next attempt at an item that is complete."""
        number, seed, own = len(found.seeds), item.identity.settings.seed, found.evidence.settings.seed
        if item.needs_judging(found):
            return StimulusNeed(number, seed, judge=True)
        if found.passed is not False:
            return None
        checkpoint = self.expansion.folder / item.folder / CHECKPOINT
        if can_resume(checkpoint, seed=own, attempts=len(found.evidence.tries)):  # it failed by a new judge
            return StimulusNeed(number, own)
        return StimulusNeed(number, seed + number * RETRY_STRIDE) if number < self.attempts else None

    def open(self, item: PlannedItem) -> int:
        """Load the model of an item unless it is loaded; the batch size at its layer."""
        if self._opened is None or self._opened.entry != item.entry:
            self._opened = None  # its memory is needed
            self._opened = self._open(item)
        size = self.expansion.plan.content.batch_size
        self._batch_size = size or fitting_batch_size(self._opened.model, places(item.identity.settings.layer))
        return self._batch_size

    def _open(self, item: PlannedItem) -> _Opened:
        """The model of an item, as it was when the plan was expanded."""
        plan = self.expansion.plan
        model, null = plan.open_model(item.entry)
        null = null or default_null(model)
        now, then = base_identity(model, item.identity.settings.layer, plan), item.identity
        for what, found, expected in (
            ("weights", now.settings.weights_sha256, then.settings.weights_sha256),
            ("structure", now.structure_sha256, then.structure_sha256),
            ("null distribution or labels", judge_sha256(model, null), item.judge_sha256),
        ):
            if found != expected:
                raise AudioMetamerError(f"{model.name} has other {what} than when the run began; start the run again")
        return _Opened(item.entry, model.to(self.device), null)

    def make(
        self, tasks: Sequence[ClaimedItem[PlannedItem, StimulusNeed]], queue: Queue[PlannedItem, StimulusNeed]
    ) -> Iterator[tuple[PlannedItem, Callable[[], object]]]:
        """Make items of one model and layer; see `audiometamer.jobs.queue.Maker.make`."""
        assert self._opened is not None
        jobs: _Jobs = {}
        starts: dict[int, Tensor] = {}  # by the `id` of their clips
        for task in tasks:
            try:
                attempt = self._begin(self._opened, task, queue)
                if attempt is None:
                    queue.release(task.item)
                else:  # a plan may number seeds as retries are: of two items with the same signal, one is left for later
                    clip, start = self._read(self._opened.model, task.item)
                    starts |= {} if start is None else {id(clip): start}
                    jobs.setdefault((clip.name, attempt.seed), (task.item, attempt, clip))
            except ITEM_ERRORS as error:
                queue.fail(task.item, error)
        for metamer in self._metamers(self._opened, jobs, starts, queue):
            settings = metamer.evidence.settings
            item, attempt, _ = jobs[settings.clip, settings.seed]
            yield item, partial(save_item, self.expansion.folder, item, metamer, attempt=attempt.number)

    def save_failure(self, item: PlannedItem, error: BaseException) -> None:
        """Write why an item could not be made."""
        save_failure(self.expansion.folder, item, error)

    def _begin(
        self, opened: _Opened, task: ClaimedItem[PlannedItem, StimulusNeed], queue: Queue[PlannedItem, StimulusNeed]
    ) -> StimulusNeed | None:
        """Do what an item needs besides a synthesis; the attempt that remains, or None."""
        item, needed = task
        if needed.broken:
            self.broken[item.key] = needed.broken
        if needed.restore_original:
            save_original(self.expansion.folder, self._read(opened.model, item)[0], signal_kind(opened.model.domain))
            left = self.need(item)
            if left is None or left.restore_original:  # if still to be mended, the record names another file
                return left and left._replace(restore_original=False)
            needed = left
        return self._judge(opened, item, queue) if needed.judge else needed

    def _judge(self, opened: _Opened, item: PlannedItem, queue: Queue[PlannedItem, StimulusNeed]) -> StimulusNeed | None:
        """Judge an item again; its next attempt, or None. If one of its attempts is broken, it is made from scratch."""
        model, null = opened.model, opened.null

        def resume(metamer: Metamer) -> Unfinished | None:
            return resumption(model, metamer, replace(item.identity.settings, seed=metamer.evidence.settings.seed))

        try:
            write = rejudge_item(self.expansion.folder, item, lambda metamer: rejudged(model, metamer, null), resume)
        except BrokenError as error:
            self.broken[item.key] = str(error)
            return StimulusNeed(0, item.identity.settings.seed)
        return self.need(item) if queue.write(item, write) else None

    def _metamers(
        self, opened: _Opened, jobs: _Jobs, starts: Mapping[int, Tensor], queue: Queue[PlannedItem, StimulusNeed]
    ) -> Iterator[Metamer]:
        plan, model = self.expansion.plan.content, opened.model
        wanted = [(clip, item.identity.settings.layer, seed) for (_, seed), (item, _, clip) in jobs.items()]

        def progress(p: Progress) -> None:
            snr = "" if math.isinf(p.snr_db) else f", SNR {p.snr_db:.1f} dB"
            share = p.signals * min(p.step / p.steps, 1)
            queue.report(share, f"{model.name} {p.layer}: step {p.step}/{p.steps} of {p.signals}{snr}")

        def checkpoint(settings: Settings) -> Path:
            return self.expansion.folder / jobs[settings.clip, settings.seed][0].folder / CHECKPOINT

        def save(path: Path, unfinished: Unfinished) -> None:
            settings = unfinished.settings
            queue.write(jobs[settings.clip, settings.seed][0], partial(save_unfinished, path, unfinished))

        with self.interruption.deferred():
            yield from iterate_metamers(
                model, wanted, method=plan.method, steps=plan.steps, exact=plan.exact, null=opened.null,
                initial=starts, stop=self.expansion.plan.stop,
                batch_size=self._batch_size, captured=plan.captured, progress=progress,
                checkpoints=Checkpoints(checkpoint, stop=lambda: self.interruption.asked, save=save),
            )  # fmt: skip

    def _read(self, model: Model, item: PlannedItem) -> tuple[Clip, Tensor | None]:
        """An item's clip and what it starts from, as they were when the plan was expanded."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AudioMetamerWarning)  # issued when the plan was expanded, and in the evidence
            clip, initial = item.source.read(model, self.expansion.plan.content.level), item.source.read_initial(model)
        settings = item.identity.settings
        for path, samples, before in (
            (item.source.path, clip.samples, settings.clip_sha256), (item.source.initial, initial, settings.initial),
        ):  # fmt: skip
            if samples is not None and sha256_of(samples) != before:
                raise AudioMetamerError(f"{path} has changed since the run began; start the run again")
        return clip, initial


def prepare(expansion: Expansion) -> Path:
    """Make the set's folder, with the resolved plan and the list of its items; returns the table of its clips."""
    folder = expansion.folder
    try:
        make_folder(folder)
    except OSError as error:
        raise AudioMetamerError(f"could not write into {folder}: {error.strerror or error}") from error
    with file_lock(folder / LOCK):
        clips = write_resolved_plan(expansion.plan, expansion.sources, expansion.layers)
        write_planned(folder, expansion.items)
        save_natural(folder, expansion.natural)
    assert clips is not None  # a plan of metamers has clips
    return clips


def run(
    expansion: Expansion, *, device: str = "auto", workers: int = 1, attempts: int = 1, progress: ProgressCallback | None = None
) -> None:
    """Make what is missing of a set, then write its tables and manifest; several runs, also on several machines, share the work.

    An item's target, start and number of steps do not depend on who makes it, or with whom in a batch. Rounding does, and the
    steps amplify it: after hundreds of them two results of one item can be different signals that match equally well.

    Parameters
    ----------
    expansion : Expansion
    device : str
        As `choose_device` takes it; the accelerators of that kind are dealt out to the workers in turn. Default "auto".
    workers : int
        Number of processes. Default 1: this one.
    attempts : int
        Maximum number of attempts, each with another seed, at an item that fails its verdict; all are kept. Default 1.
    progress : callable, optional
        Called with the share of this run's work that is done, and a message.

    Raises
    ------
    AudioMetamerError
        If the folder cannot be written to (disk full, read-only), or workers are killed again and again. An item that cannot be
        made stops nothing: the reason is written beside it.
    """
    choose_device(device)  # refused before anything is written
    clips = prepare(expansion)
    count = CompletionCounter((expansion.folder / item.folder for item in expansion.items), is_complete)
    run_queue(
        partial(_work, expansion, attempts, workers), partial(finalize, expansion.folder, clips=clips),
        total=count.total, count_complete=count, device=device, workers=workers, progress=progress,
    )  # fmt: skip


def _work(
    expansion: Expansion,
    attempts: int,
    workers: int,
    device: torch.device,
    interruption: Interruption,
    progress: ProgressCallback | None,
) -> None:
    maker = StimulusMaker(expansion, device, attempts=attempts, interruption=interruption)
    Queue(maker, expansion.items, expansion.folder / CLAIMS, workers=workers, progress=progress).work()
    warn_about_broken(list(maker.broken.values()), "it counted as not made, and was made again")
