"""Move signals along one dimension of a layer, the other coordinates held, at the level of the reference.

Unlike a metamer, which starts from noise, a moved signal starts from the reference: all that was not requested stays as it is.
Both the requested and the reached change are kept: analyses of listeners' answers use the reached one.
"""

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from audiometamer.dimensions.dimensions import Dimension, Dimensions, check_dimension
from audiometamer.dimensions.moved import Move, Moved, MovedRecord
from audiometamer.dimensions.moving_methods import STEPS, MovingMethod, find_method
from audiometamer.dimensions.perturbation import PerturbationDomain, linearise, per_signal, times
from audiometamer.dimensions.physical import Physical, physical_distances
from audiometamer.errors import AudioMetamerError
from audiometamer.matching.domains import Domain, Image
from audiometamer.matching.loop import match
from audiometamer.matching.losses import half_squared_error
from audiometamer.models.folding import faster_copy
from audiometamer.models.model import Model
from audiometamer.models.recording import record
from audiometamer.signals.audio import Clip
from audiometamer.signals.images import STEPS_8_BIT

_LOST = 5.0  # times as far from the target as the nearest signal so far: the next round starts from that one instead
_LARGER, _SMALLER = 3.0, 0.25  # step size relative to that of the last round, and to that of a round that was lost


def move(
    model: Model,
    dimensions: Mapping[str, Dimensions],
    moves: Sequence[Move],
    *,
    method: str = "default",
    steps: int = STEPS,
    batch_size: int = 8,
    progress: Callable[[int], None] | None = None,
    check: bool = True,
) -> list[Moved]:
    """Move signals, each along one dimension by a requested change.

    All coordinates of the layer are matched: one changes, the others stay. Signals are as presented; see `as_presented`.

    Parameters
    ----------
    model : Model
    dimensions : mapping of str to Dimensions
        Dimensions by layer.
    moves : sequence of Move
        Moves; those at one layer share batches.
    method : str
        ``default`` or ``adam``; see `audiometamer.dimensions.moving_methods`.
    steps : int
        Default 50.
    batch_size : int
        Default 8.
    progress : callable, optional
        Called with the number of signals done.
    check : bool
        Whether to check that the dimensions belong to the model, which hashes all its weights. Default True.

    Returns
    -------
    list of Moved
        In the order of the moves.

    Raises
    ------
    AudioMetamerError
        If a method, layer or component is unknown, the dimensions belong to another model, or a signal cannot be moved so.
    """
    chosen = find_method(method)
    if steps < 1:
        raise AudioMetamerError(f"steps is {steps}; it must be at least 1")
    _check_moves(dimensions, moves)
    moves = [each._replace(clip=as_presented(model, each.clip)) for each in moves]
    found: dict[int, Moved] = {}
    for layer in dict.fromkeys(each.dimension.layer for each in moves):
        if check:
            dimensions[layer].check(model)
        mover = _LayerMover(model, faster_copy(model, layer), dimensions[layer], chosen, steps)
        indices = [i for i, each in enumerate(moves) if each.dimension.layer == layer]
        for first in range(0, len(indices), batch_size):
            batch = indices[first : first + batch_size]
            found |= zip(batch, mover([moves[i] for i in batch]), strict=True)
            if progress is not None:
                progress(len(found))
    return [found[i] for i in range(len(moves))]


def all_moves(clips: Sequence[Clip], dimensions: Sequence[Dimension], changes: Sequence[float]) -> list[Move]:
    """Every clip moved along every dimension by every change, layer by layer."""
    return [Move(clip, dimension, change) for dimension, clip, change in itertools.product(dimensions, clips, changes)]


def as_presented(model: Model, clip: Clip) -> Clip:
    """A signal as it is presented: an image is rounded to the 8 bits of screens, which changes its coordinates."""
    return replace(clip, samples=_presentation_domain(model).as_written(clip.samples))


def _presentation_domain(model: Model) -> Domain:
    return replace(model.domain, steps=STEPS_8_BIT) if isinstance(model.domain, Image) else model.domain


def _check_moves(dimensions: Mapping[str, Dimensions], moves: Sequence[Move]) -> None:
    for each in moves:
        check_dimension(dimensions, each.dimension)
        if not 0 < each.change < float("inf"):
            raise AudioMetamerError(
                f"the change along {each.dimension} is {each.change}; it must be above 0 (the sign says where)"
            )


class _Problem(NamedTuple):
    """A batch of moves as tensors.

    Parameters
    ----------
    coordinates : callable
        Maps signals to their coordinates; differentiable.
    references : Tensor [shape=(batch, *signal_shape)]
    target : Tensor [shape=(batch, components)]
        The requested coordinates.
    change : Tensor [shape=(batch,)]
        How far they are from those of the references.
    """

    coordinates: Callable[[Tensor], Tensor]
    references: Tensor
    target: Tensor
    change: Tensor


class _Round(NamedTuple):
    """Signals after some steps, and the nearest on the way; errors are distances to the target [shape=(batch,)]."""

    signals: Tensor
    error_before: Tensor
    error_after: Tensor
    nearest: Tensor
    least_error: Tensor


@dataclass(frozen=True)
class _LayerMover:
    """Moves batches at one layer."""

    model: Model
    truncated: Model
    dimensions: Dimensions
    method: MovingMethod
    steps: int

    def __call__(self, moves: Sequence[Move]) -> Iterator[Moved]:
        began = time.monotonic()
        model, own = self.model, self.dimensions.to_model(self.model)
        problem = self._problem(own, moves)
        signals, errors = self._rounds(problem, moves)
        domain = _presentation_domain(model)
        written = domain.as_written(domain.project(signals))
        seconds = (time.monotonic() - began) / len(moves)
        presented = written.to(problem.references)
        before, after = own.coordinates_of(model, problem.references), own.coordinates_of(model, presented)
        distances = physical_distances(model, problem.references, presented)
        for i, each in enumerate(moves):
            record = self._record(each, before[i], after[i], distances[i], [float(e[i]) for e in errors], seconds)
            yield Moved(written[i].cpu(), each.clip, record)

    def _problem(self, own: Dimensions, moves: Sequence[Move]) -> _Problem:
        model, layer = self.model, own.record.layer
        references = torch.stack([each.clip.samples.view(model.signal_shape) for each in moves])
        references = references.to(dtype=model.dtype, device=model.device)
        change = torch.tensor([each.change for each in moves], dtype=model.dtype, device=model.device)
        sign = torch.tensor([each.dimension.sign for each in moves], device=model.device)
        component = torch.tensor([each.dimension.component for each in moves], device=model.device)

        def coordinates(signals: Tensor) -> Tensor:
            return own.coordinates(record(self.truncated, signals, layer))

        with torch.no_grad():
            target = coordinates(references).scatter_add(1, component[:, None], (sign * change)[:, None])
        return _Problem(coordinates, references, target, change)

    def _rounds(self, problem: _Problem, moves: Sequence[Move]) -> tuple[Tensor, list[Tensor]]:
        """Signals nearer to the target round by round, and their errors before each; a round without a step is skipped."""
        signals = nearest = problem.references
        size, errors = torch.ones_like(problem.change), []
        least = torch.full_like(problem.change, torch.inf)
        for k in range(self.method.rounds):
            steps = self.steps * (k + 1) // self.method.rounds - self.steps * k // self.method.rounds
            if not steps:
                continue
            found = self._round(problem, signals, steps, size)
            errors.append(found.error_before)
            if not bool(found.error_before.isfinite().all()):
                bad = moves[int((~found.error_before.isfinite()).nonzero()[0])]
                raise AudioMetamerError(f"{bad.clip.name} does not move along {bad.dimension}: its gradient there is zero")
            nearest = torch.where(per_signal(found.least_error < least, nearest), found.nearest, nearest)
            least = torch.minimum(found.least_error, least)
            lost = found.error_after > _LOST * least
            signals = torch.where(per_signal(lost, nearest), nearest, found.signals)
            size = size * torch.where(lost, _SMALLER, _LARGER)
        return nearest if self.method.nearest else signals, errors

    def _round(self, problem: _Problem, signals: Tensor, steps: int, size: Tensor) -> _Round:
        """Some steps, in sizes relative to the method's own; errors are NaN if signals cannot move."""
        target = problem.target
        domain = PerturbationDomain(signals, torch.ones_like(problem.change))
        start = torch.zeros_like(signals)
        now, to_distance = linearise(lambda parameters: problem.coordinates(domain.signals(parameters)), start)
        if not bool(to_distance.isfinite().all()):
            error = to_distance.flatten(1).sum(1)
            return _Round(signals, error, error, signals, error)
        distance = times(to_distance, target - now).norm(dim=1)
        scale = to_distance if self.method.linear else torch.eye(target.shape[1]).to(to_distance).expand_as(to_distance)
        before = (target - now).norm(dim=1)
        nearest, least, last = signals, before, before

        def scaled_coordinates(moved: Tensor) -> Tensor:
            nonlocal nearest, least, last
            found = problem.coordinates(moved)
            last = (target - found.detach()).norm(dim=1)
            nearest = torch.where(per_signal(last < least, moved), moved.detach(), nearest)
            least = torch.minimum(last, least)
            return times(scale, found)

        matched = match(
            scaled_coordinates,
            times(scale, target),
            start,
            domain=PerturbationDomain(signals, size * self.method.rate(problem.change, distance)),
            optimizer=self.method.optimizer(steps),
            steps=steps,
            loss=half_squared_error,
        )
        with torch.no_grad():
            scaled_coordinates(matched.signals)
        return _Round(matched.signals, before, last, nearest, least)

    def _record(
        self, requested: Move, before: Tensor, after: Tensor, physical: Physical, errors: list[float], seconds: float
    ) -> MovedRecord:
        changes, origin = (after - before).tolist(), self.dimensions.record
        reached = changes.pop(requested.dimension.component) * requested.dimension.sign
        return MovedRecord(
            clip=requested.clip.name,
            dimension=str(requested.dimension),
            model=self.model.name,
            weights_sha256=origin.weights_sha256,
            dimensions_sha256=origin.tensors_sha256,
            requested=requested.change,
            reached=reached,
            leakage=sum(x**2 for x in changes) ** 0.5,
            before=before.tolist(),
            after=after.tolist(),
            physical=physical,
            method=self.method.name,
            steps=self.steps,
            errors=errors,
            seconds=seconds,
        )
