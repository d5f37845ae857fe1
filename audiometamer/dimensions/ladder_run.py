"""Make the missing signals of a ladder's plan: several workers, also on several machines, share the work."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cache, cached_property, partial
from pathlib import Path

import msgspec
import torch

from audiometamer.devices import choose_device
from audiometamer.dimensions.calibration import calibrate, write_calibration
from audiometamer.dimensions.dimensions import Dimensions
from audiometamer.dimensions.ladder import Ladder, ladder_of, read_ladder
from audiometamer.dimensions.ladder_files import (
    original_path,
    read_moved_stimuli,
    read_moved_stimulus,
    save_moved,
    write_moves,
)
from audiometamer.dimensions.ladder_plan import LadderPlan, PlannedLadder, PlannedMove, open_ladder_plan, planned_ladder
from audiometamer.dimensions.moved import Move, Moved
from audiometamer.dimensions.moving import move
from audiometamer.errors import AudioMetamerError, BrokenError, one_line
from audiometamer.io.files import make_folder, set_aside, write_json
from audiometamer.io.locks import file_lock
from audiometamer.io.reading import JSON_ERRORS
from audiometamer.jobs.claims import remove_dead_claims
from audiometamer.jobs.progress import CompletionCounter, ProgressCallback
from audiometamer.jobs.queue import ClaimedItem, Maker, Queue, run_queue
from audiometamer.jobs.workers import Interruption
from audiometamer.models.model import Model
from audiometamer.signals.audio import Clip
from audiometamer.signals.files import read_signal, write_signal
from audiometamer.signals.integrity import is_intact

CALIBRATION = "calibration.tsv"
# Working files: claims of workers, failures, and a lock.
_MAKING = ".making"
_CLAIMS, _FAILED, _LOCK = f"{_MAKING}/claims", f"{_MAKING}/failed", f"{_MAKING}/lock"
_TOLERANCE = 1e-4  # between a reference and itself, as an image file or read by another version of a library


class MoveFailure(msgspec.Struct, frozen=True):
    """Why a signal could not be moved; the next run tries again."""

    dimension: str
    reference: str
    change: float
    message: str


def run_ladder(
    path: Path, plan: LadderPlan, *, device: str = "auto", workers: int = 1, progress: ProgressCallback | None = None
) -> tuple[Ladder, list[MoveFailure]]:
    """Make the missing signals of a ladder, then write its tables; several runs share the work.

    Parameters
    ----------
    path : path
        File of the plan.
    plan : LadderPlan
    device : str
        As `choose_device` takes it. Default "auto".
    workers : int
        Number of processes. Default 1: this one.
    progress : callable, optional
        Called with the share of the work that is done, and a message.

    Returns
    -------
    Ladder
        All moved signals in its folder.
    list of MoveFailure
        Signals of the plan that could not be made.

    Raises
    ------
    AudioMetamerError
        If something is wrong with the plan, its model, dimensions or signals; if the folder cannot be written to (disk full,
        read-only), or holds signals of other references, dimensions, weights, methods or numbers of steps; if nothing could be
        made.
    """
    choose_device(device)  # refused before anything is written
    planned, model, dimensions, clips = planned_ladder(path, plan)
    _prepare(planned, model, dimensions, clips)
    count = CompletionCounter((_record(planned, each) for each in planned.moves), Path.exists)
    run_queue(
        partial(_work, planned), partial(_finalize, planned.folder),
        total=count.total, count_complete=count, device=device, workers=workers, progress=progress,
    )  # fmt: skip
    failed = _failures(planned)
    if failed and not any(_is_made(planned, each) for each in planned.moves):
        raise AudioMetamerError(f"nothing could be moved: {failed[0].message}")
    return read_ladder(planned.folder), failed


def _work(planned: PlannedLadder, device: torch.device, _: Interruption, progress: ProgressCallback | None) -> None:
    Queue(LadderMaker(planned, device), planned.moves, planned.folder / _CLAIMS, progress=progress).work()


def _prepare(planned: PlannedLadder, model: Model, dimensions: dict[str, Dimensions], clips: Sequence[Clip]) -> None:
    """Write the references, and check that signals of earlier runs belong to them."""
    folder, plan = planned.folder, planned.plan
    try:
        make_folder(folder / _MAKING)
    except OSError as error:
        raise AudioMetamerError(f"could not write into {folder}: {error.strerror or error}") from error
    with file_lock(folder / _LOCK):
        for clip in clips:
            at = folder / original_path(model, clip.name)
            if not is_intact(at):
                set_aside(at)
                write_signal(at, clip.samples, model.sample_rate)
            elif (written := read_signal(at)).shape != clip.samples.shape or not written.allclose(
                clip.samples, rtol=0, atol=_TOLERANCE
            ):
                raise AudioMetamerError(f"{at} is not {clip.name} of this plan; choose another output, or rename the recording")
    if not (stimuli := read_moved_stimuli(folder)):
        return
    ladder_of(folder, stimuli).check(dimensions)
    for record, path in stimuli:
        if (record.method, record.steps) != (plan.method, plan.steps):
            raise AudioMetamerError(
                f"{path} was moved by {record.method} in {record.steps} steps, not by {plan.method} in {plan.steps}; "
                "choose another output"
            )


def _record(planned: PlannedLadder, each: PlannedMove) -> Path:
    """The record of a moved signal, which is written last."""
    return (planned.folder / each.path).with_suffix(".json")


def _is_made(planned: PlannedLadder, each: PlannedMove) -> bool:
    """Whether a moved signal is complete; `read_moved_stimuli` has warned of broken ones."""
    record = _record(planned, each)
    try:
        return record.exists() and read_moved_stimulus(record) is not None
    except BrokenError:
        return False


@cache
def _key(path: Path) -> str:
    """The name of the claim and the failure of a moved signal."""
    return hashlib.sha256(path.as_posix().encode()).hexdigest()[:16]


def _failure(planned: PlannedLadder, each: PlannedMove) -> Path:
    return planned.folder / _FAILED / f"{_key(each.path)}.json"


def _failures(planned: PlannedLadder) -> list[MoveFailure]:
    found = []
    for each in planned.moves:
        with suppress(FileNotFoundError, *JSON_ERRORS):  # an empty one, after a power cut, says nothing
            if not _is_made(planned, each):
                found.append(msgspec.json.decode(_failure(planned, each).read_bytes(), type=MoveFailure))
    return found


def _finalize(folder: Path) -> None:
    """Write the tables of all moved signals; if several runs end together, the last one writes last."""
    remove_dead_claims(folder / _CLAIMS)
    with file_lock(folder / _LOCK):
        stimuli = read_moved_stimuli(folder)
        write_moves(folder, stimuli)
        write_calibration(folder / CALIBRATION, calibrate(stimulus.record for stimulus in stimuli))


class LadderMaker(Maker[PlannedMove, bool]):
    """Moves signals along dimensions: batches of one layer.

    Parameters
    ----------
    planned : PlannedLadder
    device : torch.device
    """

    def __init__(self, planned: PlannedLadder, device: torch.device) -> None:
        self.planned, self.device = planned, device

    @cached_property
    def _opened(self) -> tuple[Model, dict[str, Dimensions]]:
        """The model and its dimensions, checked against each other."""
        model, dimensions = open_ladder_plan(self.planned.path, self.planned.plan)
        return model.to(self.device), dimensions

    def key(self, item: PlannedMove) -> str:
        """A hash of its path."""
        return _key(item.path)

    def place(self, item: PlannedMove) -> str:
        """Its path in the ladder."""
        return item.path.as_posix()

    def group(self, item: PlannedMove) -> str:
        """Its layer."""
        return item.dimension.layer

    def need(self, item: PlannedMove) -> bool | None:
        """True if it is missing; None if it is made."""
        return None if _is_made(self.planned, item) else True

    def open(self, item: PlannedMove) -> int:  # noqa: ARG002 (one model moves all)
        """Load the model and its dimensions unless they are loaded; the batch size."""
        _ = self._opened
        return self.planned.plan.batch_size

    def make(
        self, tasks: Sequence[ClaimedItem[PlannedMove, bool]], queue: Queue[PlannedMove, bool]
    ) -> Iterator[tuple[PlannedMove, Callable[[], object]]]:
        """Move signals of one layer together; see `audiometamer.jobs.queue.Maker.make`."""
        items = [task.item for task in tasks]
        for item, moved in zip(items, self._move(items), strict=True):
            yield item, partial(self._save, item, moved)
        queue.report(0, f"{items[-1].dimension} of {items[-1].reference}")

    def save_failure(self, item: PlannedMove, error: BaseException) -> None:
        """Write why a signal could not be moved."""
        failure = MoveFailure(str(item.dimension), item.reference, item.change, one_line(error))
        write_json(_failure(self.planned, item), failure)

    def _move(self, items: Sequence[PlannedMove]) -> list[Moved]:
        model, dimensions = self._opened
        plan = self.planned.plan
        clips = {name: self._reference(name) for name in dict.fromkeys(item.reference for item in items)}
        moves = [Move(clips[item.reference], item.dimension, item.change) for item in items]
        return move(model, dimensions, moves, method=plan.method, steps=plan.steps, batch_size=len(items), check=False)

    def _reference(self, name: str) -> Clip:
        """A reference as it was written into the ladder's folder, which is what listeners compare with."""
        model = self._opened[0]
        return Clip(name, read_signal(self.planned.folder / original_path(model, name)), model.sample_rate)

    def _save(self, item: PlannedMove, moved: Moved) -> None:
        save_moved(self._opened[0], moved, self.planned.folder)
        _failure(self.planned, item).unlink(missing_ok=True)
