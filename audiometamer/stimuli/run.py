"""Make what a plan asks for: batches across the items of one model and layer, by as many workers as there are."""

import itertools
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from msgspec.structs import replace

from audiometamer.devices import choose_device
from audiometamer.errors import AudioMetamerError, AudioMetamerWarning, BrokenError, WritingError
from audiometamer.io.files import file_lock, make_folder
from audiometamer.io.hashes import sha256_of
from audiometamer.jobs.claims import LOCK, Claims
from audiometamer.jobs.workers import FAULTS, Interruption, Pace, Report, interruptible, run_many, stop_without_parent
from audiometamer.metamers.batch_size import fitting_batch_size
from audiometamer.metamers.criteria import NullDistribution, default_null, judge_sha256
from audiometamer.metamers.judging import rejudged
from audiometamer.metamers.layout import signal_kind
from audiometamer.metamers.metamer import Metamer, Progress
from audiometamer.metamers.record_files import BrokenOriginalError, warn_about_broken
from audiometamer.metamers.results import read_item
from audiometamer.metamers.scheduling import resumption
from audiometamer.metamers.settings import Settings, places
from audiometamer.metamers.synthesis import iterate_metamers
from audiometamer.metamers.unfinished import Checkpoints, Unfinished, can_resume, save_unfinished
from audiometamer.models.model import Model
from audiometamer.signals.audio import Clip
from audiometamer.stimuli.items import Expansion, Planned, identity_of
from audiometamer.stimuli.layout import CHECKPOINT, CLAIMS, is_complete, read_failure
from audiometamer.stimuli.plan import open_model, write_resolved
from audiometamer.stimuli.records import judge_item, save_failure, save_item, save_original, write_planned
from audiometamer.stimuli.set import finalize

# Items that a worker claims at once: full batches for a while, and still enough left for the others.
_BATCHES_AT_ONCE = 4
# A retry begins from other noise; no user numbers so many seeds.
RETRY_STRIDE = 1_000_000


@dataclass
class Worker:
    """One process at work on a plan.

    Parameters
    ----------
    expansion : Expansion
    device : torch.device
    attempts : int
        Of an item that fails its verdict, at most. Default 1.
    report : callable, optional
        Told the number of items this worker has made, with the share of those in the making, and what is going on.
    workers : int
        With how many in all it shares the items. Default 1.
    interruption : Interruption
        Lets a signal wait until what is unfinished is kept.
    claims : Claims
    """

    expansion: Expansion
    device: torch.device
    attempts: int = 1
    report: Report | None = None
    workers: int = 1
    interruption: Interruption = field(default_factory=Interruption)
    claims: Claims = field(init=False)
    made: int = 0

    def __post_init__(self) -> None:
        self.claims = Claims(self.expansion.folder / CLAIMS)
        folder = self.expansion.folder
        self._in_vain: set[str] = set()
        self._done: set[str] = set()
        self._broken: dict[str, str] = {}  # what was found, by key, of the items that this worker mended
        self._old_failures = {item.key: read_failure(folder / item.folder) for item in self.expansion.items}

    def work(self) -> int:
        """Make all that nobody else makes; returns the number of items made."""
        with self.claims.alive():
            while self._turn() or self._wait():
                pass
        warn_about_broken(list(self._broken.values()), "it counted as not made, and was made again")
        return self.made

    def _turn(self) -> bool:
        """Go once through the items; whether anything was attempted."""
        attempted = False
        for entry, of_model in itertools.groupby(self.expansion.items, key=lambda item: item.entry):
            items = [item for item in of_model if self._next_attempt(item) is not None]
            if items:
                attempted |= self._make_of_model(entry, items)
        return attempted

    def _wait(self) -> bool:
        """Wait for the other workers; whether there may be something to do afterwards."""
        return self.claims.wait([item.key for item in self.expansion.items if self._next_attempt(item) is not None])

    def _next_attempt(self, item: Planned) -> "_Attempt | None":
        """What an item wants; None if it is done with, or failed in this run."""
        at, seed = self.expansion.folder / item.folder, item.identity.settings.seed
        if item.key in self._in_vain or item.key in self._done or read_failure(at) != self._old_failures[item.key]:
            return None
        try:
            found = read_item(self.expansion.folder, at, whole=True)
        except BrokenOriginalError as error:
            return _Attempt(0, seed, restore_original=True, broken=str(error))
        except BrokenError as error:
            return _Attempt(0, seed, broken=str(error))
        except AudioMetamerError:  # another version's, or not to be read: `status` names it
            self._done.add(item.key)
            return None
        if found is None:
            return _Attempt(0, seed)
        number = len(found.seeds)
        if item.is_to_be_judged(found):
            return _Attempt(number, seed, judge=True)
        own = found.evidence.settings.seed
        if found.passed is False and can_resume(at / CHECKPOINT, seed=own, attempts=len(found.evidence.tries)):  # by a new judge
            return _Attempt(number, own)
        if found.passed is False and number < self.attempts:
            return _Attempt(number, seed + number * RETRY_STRIDE)
        self._done.add(item.key)
        return None

    def _make_of_model(self, entry: int, items: Sequence[Planned]) -> bool:
        """Items of one model; whether any was attempted."""
        plan, attempted = self.expansion.plan, False
        opened: tuple[Model, NullDistribution | None] | None = None
        for layer, of_layer in itertools.groupby(items, key=lambda item: item.identity.settings.layer):
            waiting = list(of_layer)
            size = plan.batch_size
            while waiting:
                chunk, waiting = self._claimed(waiting, 1)
                if not chunk:
                    break
                attempted = True
                try:
                    if opened is None:
                        opened = self._opened(entry, chunk[0][0])
                    size = size or fitting_batch_size(opened[0], places(layer))
                except FAULTS as error:
                    more, _ = self._claimed(waiting, len(waiting))
                    waiting = []
                    for item, _ in (*chunk, *more):
                        self._failed(item, error)
                    continue
                share = -(-(len(waiting) + len(chunk)) // self.workers)
                more, waiting = self._claimed(waiting, min(_BATCHES_AT_ONCE * size, share) - len(chunk))
                self._make(opened, [*chunk, *more], size)
        return attempted

    def _opened(self, entry: int, item: Planned) -> tuple[Model, NullDistribution | None]:
        """The model of some items, as it was when the plan was expanded."""
        path, plan = self.expansion.path, self.expansion.plan
        model, null = open_model(path, plan.models[entry], place=f"models[{entry}]")
        null = null or default_null(model)
        now, then = identity_of(model, item.identity.settings.layer, plan), item.identity
        for what, found, expected in (
            ("weights", now.settings.weights_sha256, then.settings.weights_sha256),
            ("structure", now.structure_sha256, then.structure_sha256),
            ("null distribution or labels", judge_sha256(model, null), item.judge_sha256),
        ):
            if found != expected:
                raise AudioMetamerError(f"{model.name} has other {what} than when the run began; start the run again")
        return model.to(self.device), null

    def _claimed(self, waiting: Sequence[Planned], count: int) -> tuple["list[tuple[Planned, _Attempt]]", list[Planned]]:
        """Up to so many items with their next attempt, now this worker's; and those not looked at."""
        found: list[tuple[Planned, _Attempt]] = []
        for k, item in enumerate(waiting):
            if len(found) >= count:
                return found, list(waiting[k:])
            if self._next_attempt(item) is None or not self.claims.take(item.key):
                continue
            attempt = self._next_attempt(item)  # another worker may have made it just before the claim
            if attempt is None:
                self.claims.release(item.key)
            else:
                found.append((item, attempt))
        return found, []

    def _make(
        self, opened: tuple[Model, NullDistribution | None], chunk: "Sequence[tuple[Planned, _Attempt]]", size: int
    ) -> None:
        """Make items of one layer together; if that fails, each half of them by itself, down to the one that is to blame."""
        stop_without_parent()
        jobs: _Jobs = {}
        later: list[tuple[Planned, _Attempt]] = []
        for item, wanted in chunk:
            try:
                attempt = self._begun(opened, item, wanted)
                if attempt is None:
                    self.claims.release(item.key)
                else:
                    clip = self._clip(opened[0], item)
                    if jobs.setdefault((clip.name, attempt.seed), (item, attempt, clip))[0] is not item:
                        later.append((item, attempt))  # a plan may number seeds as retries are: the same signal for two items
            except FAULTS as error:
                self._failed(item, error)
        found = self._metamers(opened, jobs, size)
        try:
            for metamer in found:
                settings = metamer.evidence.settings
                item, attempt, _ = jobs.pop((settings.clip, settings.seed))
                if self._write(item, partial(save_item, self.expansion.folder, item, metamer, attempt=attempt.number)):
                    self.claims.release(item.key)
                    self.made += 1
        except _Fault as fault:
            rest = [(item, attempt) for item, attempt, _ in jobs.values()]
            if len(rest) == 1:
                self._failed(rest[0][0], fault.error)
            else:
                half = len(rest) // 2
                for part in (rest[:half], rest[half:]):
                    self._make(opened, part, size)
        if later:
            self._make(opened, later, size)

    def _begun(
        self, opened: tuple[Model, NullDistribution | None], item: Planned, wanted: "_Attempt | None"
    ) -> "_Attempt | None":
        """Do what an item wants besides a synthesis; the attempt that remains, or None."""
        if wanted is not None and wanted.broken:
            self._broken[item.key] = wanted.broken
        if wanted is not None and wanted.restore_original:
            model = opened[0]
            save_original(self.expansion.folder, item, self._clip(model, item), signal_kind(model.domain))
            wanted = self._next_attempt(item)
            if wanted is not None and wanted.restore_original:  # the record names another file
                return wanted._replace(restore_original=False)
        return self._judged(opened, item) if wanted is not None and wanted.judge else wanted

    def _judged(self, opened: tuple[Model, NullDistribution | None], item: Planned) -> "_Attempt | None":
        """Judge an item anew; its next attempt, or None. If one of its attempts is broken, it is made again."""
        model, null = opened

        def resume(metamer: Metamer) -> Unfinished | None:
            return resumption(model, metamer, replace(item.identity.settings, seed=metamer.evidence.settings.seed))

        try:
            write = judge_item(self.expansion.folder, item, lambda metamer: rejudged(model, metamer, null), resume)
        except BrokenError as error:
            self._broken[item.key] = str(error)
            return _Attempt(0, item.identity.settings.seed)
        return self._next_attempt(item) if self._write(item, write) else None

    def _metamers(self, opened: tuple[Model, NullDistribution | None], jobs: "_Jobs", size: int) -> Iterator[Metamer]:
        model, null = opened
        plan = self.expansion.plan
        wanted = [(clip, item.identity.settings.layer, seed) for (_, seed), (item, _, clip) in jobs.items()]

        def progress(p: Progress) -> None:
            if self.report is not None:
                snr = "" if math.isinf(p.snr_db) else f", SNR {p.snr_db:.1f} dB"
                share = p.signals * min(p.step / p.steps, 1)
                self.report(self.made + share, f"{model.name} {p.layer}: step {p.step}/{p.steps} of {p.signals}{snr}")

        def checkpoint(settings: Settings) -> Path:
            return self.expansion.folder / jobs[settings.clip, settings.seed][0].folder / CHECKPOINT

        def save(path: Path, unfinished: Unfinished) -> None:
            settings = unfinished.settings
            self._write(jobs[settings.clip, settings.seed][0], partial(save_unfinished, path, unfinished))

        try:
            with self.interruption.deferred():
                yield from iterate_metamers(
                    model, wanted, method=plan.method, steps=plan.steps, null=null, batch_size=size, progress=progress,
                    checkpoints=Checkpoints(checkpoint, stop=lambda: self.interruption.asked, save=save),
                )  # fmt: skip
        except WritingError:  # of a checkpoint
            raise
        except FAULTS as error:
            raise _Fault(error) from error

    def _clip(self, model: Model, item: Planned) -> Clip:
        """An item's clip, as it was when the plan was expanded."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AudioMetamerWarning)  # told when the plan was expanded, and in the evidence
            clip = item.source.read(model, self.expansion.plan.level)
        if sha256_of(clip.samples) != item.identity.settings.clip_sha256:
            raise AudioMetamerError(f"{item.source.path} has changed since the run began; start the run again")
        return clip

    def _failed(self, item: Planned, error: BaseException) -> None:
        self._in_vain.add(item.key)
        if self._write(item, partial(save_failure, self.expansion.folder, item, error)):
            self.claims.release(item.key)

    def _write(self, item: Planned, write: Callable[[], object]) -> bool:
        """Write of an item if it still is this worker's; whether it is."""
        return self.claims.write(item.key, item.folder, write)


class _Attempt(NamedTuple):
    """What an item wants: a verdict by a new judge, its original, or an attempt by its number and seed; `broken` says why."""

    number: int
    seed: int
    judge: bool = False
    restore_original: bool = False
    broken: str = ""


_Jobs = dict[tuple[str, int], tuple[Planned, _Attempt, Clip]]  # by clip and seed


class _Fault(Exception):  # noqa: N818 (it only carries one)
    """What went wrong while metamers were made, as against while they were written."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error))
        self.error = error


def prepare(expansion: Expansion) -> Path:
    """Make the set's folder, with the resolved plan and the list of its items; returns where the table of its clips lies."""
    folder = expansion.folder
    try:
        make_folder(folder)
    except OSError as error:
        raise AudioMetamerError(f"could not write into {folder}: {error.strerror or error}") from error
    with file_lock(folder / LOCK):
        clips = write_resolved(expansion.path, expansion.plan, expansion.sources, expansion.layers, folder)
        write_planned(folder, expansion.items)
    return clips


def run(expansion: Expansion, *, device: str = "auto", workers: int = 1, attempts: int = 1, report: Report | None = None) -> None:
    """Make what is missing of a set, then write what it says of itself; several runs, also on several machines, share the work.

    An item's target, start and number of steps do not depend on who makes it, or with whom in a batch. Rounding does, and the
    steps amplify it: after hundreds of them two results of one item can be different signals that match equally well.

    Parameters
    ----------
    expansion : Expansion
    device : str
        As `choose_device` takes it; the accelerators of that kind are dealt out to the workers in turn. Default "auto".
    workers : int
        Processes. Default 1: this one.
    attempts : int
        Of an item that fails its verdict, with other seeds, at most; all are kept. Default 1.
    report : callable, optional
        Told the share of this run's work that is done, and what is going on.

    Raises
    ------
    AudioMetamerError
        If the folder cannot be written to (disk full, read-only), or workers are killed again and again. What cannot be made
        of a single item is written beside it, and stops nothing.
    """
    chosen = choose_device(device)
    clips = prepare(expansion)
    folders = [expansion.folder / item.folder for item in expansion.items]
    pace = Pace(len(folders), lambda: sum(map(is_complete, folders)), report)
    with interruptible() as interruption:
        if workers == 1:
            _work(expansion, attempts, 1, chosen, interruption, pace.of_worker)
        else:
            run_many(partial(_work, expansion, attempts, workers), workers, device=device, watch=pace.of_disk)
        if report is not None:
            report(1, "index and manifest")
        finalize(expansion.folder, clips=clips)


def _work(
    expansion: Expansion,
    attempts: int,
    workers: int,
    device: torch.device,
    interruption: Interruption,
    report: Report | None = None,
) -> None:
    Worker(expansion, device, attempts, report, workers, interruption).work()
