"""Make what a plan of sounds that tell models apart asks for, by as many workers as there are."""

import platform
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from msgspec.structs import replace
from numpy.typing import NDArray

from audiometamer.comparison.presented import write_16_bits
from audiometamer.devices import choose_device
from audiometamer.errors import AudioMetamerError, AudioMetamerWarning, BrokenError, one_line
from audiometamer.io.files import make_folder, set_aside, write_json
from audiometamer.io.hashes import file_sha256
from audiometamer.io.locks import file_lock
from audiometamer.io.names import safe_name
from audiometamer.io.tables import write_table
from audiometamer.jobs.claims import LOCK
from audiometamer.jobs.progress import CompletionCounter, ProgressCallback
from audiometamer.jobs.queue import ClaimedItem, Maker, Queue, run_queue
from audiometamer.jobs.workers import Interruption
from audiometamer.metamers.layout import ITEMS, PLANNED, RECORD
from audiometamer.metamers.results import PlannedRow
from audiometamer.stimuli.comparison_records import ORIGINAL, ComparisonRecord, read_comparison, write_record
from audiometamer.stimuli.comparisons.items import ComparisonExpansion, ComparisonItem, OpenedModels, PlanOfComparisons
from audiometamer.stimuli.comparisons.making import make_sounds
from audiometamer.stimuli.comparisons.plan import settings_of
from audiometamer.stimuli.comparisons.scoring import scored, write_as_heard
from audiometamer.stimuli.layout import CLAIMS, COMPARISONS, ERROR, Failure, is_complete, read_failure
from audiometamer.stimuli.resolved import write_resolved_plan
from audiometamer.stimuli.set import finalize
from audiometamer.stimuli.verify import listed_sum
from audiometamer.version import __version__


class ComparisonMaker(Maker[ComparisonItem, str]):
    """Makes the items of a plan, one at a time; what an item needs is said by what is wrong with it, or nothing.

    Parameters
    ----------
    expansion : ComparisonExpansion
    device : torch.device
    """

    def __init__(self, expansion: ComparisonExpansion, device: torch.device) -> None:
        self.expansion, self.device = expansion, device
        self._old_failures = {item.key: read_failure(expansion.folder / item.folder) for item in expansion.items}
        self._opened: tuple[bool, OpenedModels] | None = None

    def key(self, item: ComparisonItem) -> str:
        """The item's key."""
        return item.key

    def place(self, item: ComparisonItem) -> str:
        """The item's folder."""
        return item.folder

    def group(self, item: ComparisonItem) -> bool:
        """Whether the models compute in float64."""
        return item.in_float64

    def need(self, item: ComparisonItem) -> str | None:
        """Empty if an item is to be made, or what is broken; None if it is done, or failed in this run."""
        at = self.expansion.folder / item.folder
        if read_failure(at) != self._old_failures[item.key]:
            return None
        try:
            return "" if read_comparison(at, whole=True) is None else None
        except BrokenError as error:
            return str(error)

    def open(self, item: ComparisonItem) -> int:
        """Load the models unless they are loaded; one item is made at a time."""
        if self._opened is None or self._opened[0] != item.in_float64:
            self._opened = None  # its memory is needed
            opened = OpenedModels.of(self.expansion.plan)
            self._opened = item.in_float64, opened.to(self.device, torch.float64 if item.in_float64 else torch.float32)
        return 1

    def make(
        self, tasks: Sequence[ClaimedItem[ComparisonItem, str]], queue: Queue[ComparisonItem, str]
    ) -> Iterator[tuple[ComparisonItem, Callable[[], object]]]:
        """Make an item; see `audiometamer.jobs.queue.Maker.make`."""
        assert self._opened is not None
        ((item, broken),) = tasks
        if broken:
            warnings.warn(f"{broken}; the item is made again", AudioMetamerWarning, stacklevel=2)
        queue.report(0, f"{item.kind} {item.clip or ' / '.join(item.words)}: {', '.join(item.of)}")
        made = make_comparison(self.expansion.plan, item, self._opened[1])
        yield item, partial(save_comparison, self.expansion.folder, item, made)

    def save_failure(self, item: ComparisonItem, error: BaseException) -> None:
        """Write why an item could not be made."""
        write_json(self.expansion.folder / item.folder / ERROR, Failure(one_line(error), type(error).__name__, _now()))


class MadeComparison(NamedTuple):
    """The sounds of an item and its record, in which the hashes of the files are still missing."""

    samples: dict[str, NDArray[np.int16]]  # by file; first the clip, if there is one
    record: ComparisonRecord


def make_comparison(plan: PlanOfComparisons, item: ComparisonItem, opened: OpenedModels) -> MadeComparison:
    """Make and score the sounds of an item.

    Raises
    ------
    AudioMetamerError
        If they cannot be made, or would clip in 16 bits.
    """
    start, task = time.perf_counter(), opened.task(plan, item)
    made = make_sounds(task)
    original, written = write_as_heard(task, made, opened.sample_rate)
    files = [f"{safe_name(one.name)}.wav" for one in made]
    samples = dict(zip(files, (sound.samples for sound in written), strict=True))
    names = [model.name for model in opened.models] if task.words else [each.name for each in opened.representations]
    record = ComparisonRecord(
        key=item.key, kind=item.kind, clip=item.clip, clip_sha256=item.clip_sha256, words=[*item.words], of=[*item.of],
        representations=names, seed=item.seed, settings=settings_of(task.comparison), weights=opened.weights,
        original_sha256="",
        sounds=[
            scored(task, opened, one, sound, original, file) for one, sound, file in zip(made, written, files, strict=True)
        ],
        sample_rate=task.rate, duration=written[0].samples.shape[-1] / task.rate,
        seconds=round(time.perf_counter() - start, 3), made=_now(), host=platform.node(), audiometamer=__version__,
    )  # fmt: skip
    return MadeComparison(({} if original is None else {ORIGINAL: original.samples}) | samples, record)


def save_comparison(folder: Path, item: ComparisonItem, made: MadeComparison) -> None:
    """Write the sounds of an item, and last its record; what was broken there is set aside."""
    at, record = folder / item.folder, made.record
    replaces = [file_sha256(at / RECORD)] if (at / RECORD).exists() else []
    replaces += [sha256 for sha256 in listed_sum(at / RECORD) if sha256 not in replaces]
    if (at / RECORD).exists():
        for file in (*made.samples, RECORD):
            set_aside(at / file)
    for file, samples in made.samples.items():
        write_16_bits(at / file, samples, record.sample_rate)
    sums = {file: file_sha256(at / file) for file in made.samples}
    sounds = [replace(sound, sha256=sums[sound.file]) for sound in record.sounds]
    write_record(at, replace(record, sounds=sounds, original_sha256=sums.get(ORIGINAL, ""), replaces=replaces))
    (at / ERROR).unlink(missing_ok=True)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def prepare_comparisons(expansion: ComparisonExpansion) -> Path | None:
    """Write what a set holds from the start: the plan as understood, and the list of its items; the table of its clips, if any.

    Raises
    ------
    AudioMetamerError
        If the folder holds metamers, or cannot be written to.
    """
    folder = expansion.folder
    if (folder / ITEMS).is_dir():
        raise AudioMetamerError(f"{folder} holds metamers; give the plan another output")
    make_folder(folder / COMPARISONS)
    with file_lock(folder / LOCK):
        clips = write_resolved_plan(expansion.plan, expansion.sources, expansion.layers)
        rows = (
            PlannedRow(item.key, item.clip or "|".join(item.words), "|".join(item.of), item.kind, item.seed, item.folder)
            for item in expansion.items
        )
        write_table(folder / PLANNED, PlannedRow._fields, (row._asdict() for row in rows))
    return clips


def run_comparisons(
    expansion: ComparisonExpansion, *, device: str = "auto", workers: int = 1, progress: ProgressCallback | None = None
) -> None:
    """Make what is missing of a set, then write its tables and manifest; several runs, also on several machines, share the work.

    Parameters
    ----------
    expansion : ComparisonExpansion
    device : str
        As `choose_device` takes it. Default "auto".
    workers : int
        Number of processes. Default 1: this one.
    progress : callable, optional
        Called with the share of this run's work that is done, and a message.

    Raises
    ------
    AudioMetamerError
        If the folder cannot be written to, or holds metamers. An item that cannot be made stops nothing: the reason is written
        beside it.
    """
    choose_device(device)  # refused before anything is written
    clips = prepare_comparisons(expansion)
    count = CompletionCounter((expansion.folder / item.folder for item in expansion.items), is_complete)
    run_queue(
        partial(_work, expansion, workers), partial(finalize, expansion.folder, clips=clips), total=count.total,
        count_complete=count, device=device, workers=workers, progress=progress,
    )  # fmt: skip


def _work(
    expansion: ComparisonExpansion, workers: int, device: torch.device, _: Interruption, progress: ProgressCallback | None
) -> None:
    queue = Queue(
        ComparisonMaker(expansion, device), expansion.items, expansion.folder / CLAIMS, workers=workers, progress=progress
    )
    queue.work()
