"""Make what the plan of a ladder asks for and is not there yet: several workers, also on several machines, share the work."""

import hashlib
import itertools
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache, cached_property, partial
from pathlib import Path

import msgspec
import torch

from audiometamer.devices import choose_device
from audiometamer.dimensions.calibration import calibrate, write_calibration
from audiometamer.dimensions.dimensions import Dimensions
from audiometamer.dimensions.ladder import (
    Ladder,
    ladder_of,
    original_path,
    read_ladder,
    read_moved_stimuli,
    read_moved_stimulus,
    save_moved,
    write_moves,
)
from audiometamer.dimensions.ladder_plan import LadderPlan, PlannedLadder, PlannedMove, open_ladder_plan, planned_ladder
from audiometamer.dimensions.moving import Move, Moved, move
from audiometamer.errors import AudioMetamerError, BrokenError, WritingError, one_line
from audiometamer.io.files import file_lock, make_folder, set_aside, write_json
from audiometamer.jobs.claims import Claims, forget_dead
from audiometamer.jobs.workers import FAULTS, Interruption, Pace, Report, interruptible, run_many, stop_without_parent
from audiometamer.metamers.results import NOT_JSON
from audiometamer.models.model import Model
from audiometamer.signals.audio import Clip
from audiometamer.signals.files import read_signal, write_signal
from audiometamer.signals.whole import is_whole

CALIBRATION = "calibration.tsv"
# Of whoever is making the ladder: who makes what, what went wrong, and a lock.
_MAKING = ".making"
_CLAIMS, _FAILED, _LOCK = f"{_MAKING}/claims", f"{_MAKING}/failed", f"{_MAKING}/lock"
_SAME = 1e-4  # how near a reference is to itself, written as a picture or read by another version of a library


class MoveFailure(msgspec.Struct, frozen=True):
    """Why a signal could not be moved; the next run tries it again."""

    dimension: str
    reference: str
    change: float
    message: str


def run_ladder(
    path: Path, plan: LadderPlan, *, device: str = "auto", workers: int = 1, report: Report | None = None
) -> tuple[Ladder, list[MoveFailure]]:
    """Make what is missing of a ladder, then write its tables; several runs share the work.

    Parameters
    ----------
    path : path
        Of the plan.
    plan : LadderPlan
    device : str
        As `choose_device` takes it. Default "auto".
    workers : int
        Processes. Default 1: this one.
    report : callable, optional
        Told the share of the work that is done, and what is going on.

    Returns
    -------
    Ladder
        All that is in its folder.
    list of NotMoved
        What could not be made of the plan: it stops nothing else.

    Raises
    ------
    AudioMetamerError
        If the plan, its model, dimensions or signals are not as they should be; if the folder cannot be written to (disk full,
        read-only), or holds what was made of other references, dimensions or weights, by another method or other steps; if
        nothing could be made.
    """
    chosen = choose_device(device)
    planned, model, dimensions, clips = planned_ladder(path, plan)
    _prepare(planned, model, dimensions, clips)
    records = [_record(planned, each) for each in planned.moves]
    pace = Pace(len(records), lambda: sum(record.exists() for record in records), report)
    with interruptible() as interruption:
        if workers == 1:
            _work(planned, chosen, interruption, pace.of_worker)
        else:
            run_many(partial(_work, planned), workers, device=device, watch=pace.of_disk)
        if report is not None:
            report(1, "tables")
        _conclude(planned.folder)
    failed = _failures(planned)
    if failed and not any(_is_made(planned, each) for each in planned.moves):
        raise AudioMetamerError(f"nothing could be moved: {failed[0].message}")
    return read_ladder(planned.folder), failed


def _work(planned: PlannedLadder, device: torch.device, _: Interruption, report: Report | None = None) -> None:
    LadderWorker(planned, device, report).work()


def _prepare(planned: PlannedLadder, model: Model, dimensions: dict[str, Dimensions], clips: Sequence[Clip]) -> None:
    """Write the references, and check that what is there already belongs with them."""
    folder, plan = planned.folder, planned.plan
    try:
        make_folder(folder / _MAKING)
    except OSError as error:
        raise AudioMetamerError(f"could not write into {folder}: {error.strerror or error}") from error
    with file_lock(folder / _LOCK):
        for clip in clips:
            at = folder / original_path(model, clip.name)
            if not is_whole(at):
                set_aside(at)
                write_signal(at, clip.samples, model.sample_rate)
            elif (there := read_signal(at)).shape != clip.samples.shape or not there.allclose(clip.samples, rtol=0, atol=_SAME):
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
    """What is written last of a moved signal."""
    return (planned.folder / each.path).with_suffix(".json")


def _is_made(planned: PlannedLadder, each: PlannedMove) -> bool:
    """Whether a moved signal is there and whole; `read_moved_stimuli` has said what is not."""
    record = _record(planned, each)
    try:
        return record.exists() and read_moved_stimulus(record) is not None
    except BrokenError:
        return False


@cache
def _key(path: Path) -> str:
    """What claims and failures of a moved signal are called."""
    return hashlib.sha256(path.as_posix().encode()).hexdigest()[:16]


def _failure(planned: PlannedLadder, each: PlannedMove) -> Path:
    return planned.folder / _FAILED / f"{_key(each.path)}.json"


def _failures(planned: PlannedLadder) -> list[MoveFailure]:
    found = []
    for each in planned.moves:
        with suppress(FileNotFoundError, *NOT_JSON):  # of no use is an empty one, after a power cut
            if not _is_made(planned, each):
                found.append(msgspec.json.decode(_failure(planned, each).read_bytes(), type=MoveFailure))
    return found


def _conclude(folder: Path) -> None:
    """Write the tables of all that is there; of several runs that end together the last one writes last."""
    forget_dead(folder / _CLAIMS)
    with file_lock(folder / _LOCK):
        stimuli = read_moved_stimuli(folder)
        write_moves(folder, stimuli)
        write_calibration(folder / CALIBRATION, calibrate(stimulus.record for stimulus in stimuli))


class LadderWorker:
    """One process at work on a ladder.

    Parameters
    ----------
    planned : PlannedLadder
    device : torch.device
    report : callable, optional
        Told the number of signals this worker has made, and what is going on.
    """

    def __init__(self, planned: PlannedLadder, device: torch.device, report: Report | None = None) -> None:
        self.planned, self.device, self.report = planned, device, report
        self.claims = Claims(planned.folder / _CLAIMS)
        self.made = 0
        self._in_vain: set[PlannedMove] = set()
        self._there: set[PlannedMove] = set()

    @cached_property
    def _opened(self) -> tuple[Model, dict[str, Dimensions]]:
        """Checked against each other, once."""
        model, dimensions = open_ladder_plan(self.planned.path, self.planned.plan)
        return model.to(self.device), dimensions

    def work(self) -> int:
        """Make all that nobody else makes; returns how many signals it made."""
        with self.claims.alive():
            while self._turn() or self._wait():
                pass
        return self.made

    def _turn(self) -> bool:
        """Go once through what is missing, in batches of one layer; whether anything was attempted."""
        attempted = False
        for _, of_layer in itertools.groupby(self._missing(), key=lambda each: each.dimension.layer):
            waiting = list(of_layer)
            while waiting:
                batch, waiting = self._claimed(waiting)
                if batch:
                    attempted = True
                    self._make(batch)
        return attempted

    def _missing(self) -> list[PlannedMove]:
        return [each for each in self.planned.moves if self._is_missing(each)]

    def _is_missing(self, each: PlannedMove) -> bool:
        if each in self._in_vain or each in self._there:
            return False
        if _is_made(self.planned, each):
            self._there.add(each)
        return each not in self._there

    def _claimed(self, waiting: list[PlannedMove]) -> tuple[list[PlannedMove], list[PlannedMove]]:
        """A batch that is this worker's now, and those not looked at."""
        batch: list[PlannedMove] = []
        for k, each in enumerate(waiting):
            if len(batch) == self.planned.plan.batch_size:
                return batch, waiting[k:]
            if self._is_missing(each) and self.claims.take(_key(each.path)):
                if self._is_missing(each):
                    batch.append(each)
                else:  # another worker made it just before the claim
                    self.claims.release(_key(each.path))
        return batch, []

    def _wait(self) -> bool:
        """Wait for the other workers; whether there may be something to do afterwards."""
        return self.claims.wait([_key(each.path) for each in self._missing()])

    def _make(self, batch: Sequence[PlannedMove]) -> None:
        """Make signals of one layer together; if that fails, each by itself, and tell of those that fail then."""
        stop_without_parent()
        try:
            moved = self._moved(batch)
        except WritingError:
            raise
        except FAULTS as error:
            if len(batch) == 1:
                self._failed(batch[0], error)
                return
            for each in batch:
                self._make([each])
            return
        for each, found in zip(batch, moved, strict=True):
            if self._write(each, partial(save_moved, self._opened[0], found, self.planned.folder)):
                _failure(self.planned, each).unlink(missing_ok=True)
                self.claims.release(_key(each.path))
                self.made += 1
        if self.report is not None:
            self.report(self.made, f"{batch[-1].dimension} of {batch[-1].reference}")

    def _moved(self, batch: Sequence[PlannedMove]) -> list[Moved]:
        model, dimensions = self._opened
        plan = self.planned.plan
        clips = {name: self._reference(name) for name in dict.fromkeys(each.reference for each in batch)}
        moves = [Move(clips[each.reference], each.dimension, each.change) for each in batch]
        return move(model, dimensions, moves, method=plan.method, steps=plan.steps, batch_size=len(batch), check=False)

    def _reference(self, name: str) -> Clip:
        """As it was written into the ladder's folder: what is moved is what listeners compare with."""
        model = self._opened[0]
        return Clip(name, read_signal(self.planned.folder / original_path(model, name)), model.sample_rate)

    def _failed(self, each: PlannedMove, error: BaseException) -> None:
        self._in_vain.add(each)
        told = MoveFailure(str(each.dimension), each.reference, each.change, one_line(error))
        if self._write(each, partial(write_json, _failure(self.planned, each), told)):
            self.claims.release(_key(each.path))

    def _write(self, each: PlannedMove, write: Callable[[], object]) -> bool:
        """Write of a moved signal if it still is this worker's; whether it is."""
        return self.claims.write(_key(each.path), each.path.as_posix(), write)
