"""Move signals along one dimension of a layer, the other coordinates held, at the level of the reference.

Unlike a metamer, which starts from noise, a moved signal starts from the reference itself, so that what is not asked for stays as
it is. What was wished and what was reached are both kept: listeners are measured on the second.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import msgspec
import torch
from torch import Tensor

from audiometamer.dimensions.dimensions import Dimension, Dimensions, check_dimension
from audiometamer.dimensions.physical import Physical, physical_distances
from audiometamer.errors import AudioMetamerError
from audiometamer.matching.domains import Domain, Image
from audiometamer.matching.loop import match
from audiometamer.matching.losses import half_squared_error
from audiometamer.matching.optimizers import Adam, Cosine, NormalizedDescent, Optimizer
from audiometamer.models.folding import faster_copy
from audiometamer.models.model import Model
from audiometamer.models.recording import record
from audiometamer.signals.audio import Clip
from audiometamer.signals.images import STEPS_8_BIT

STEPS = 50  # as published (Kamao et al. 2025)
_RIDGE = 1e-3
_LOST = 5.0  # times as far from the target as the nearest signal so far: steps go on from that one instead
_LARGER, _SMALLER = 3.0, 0.25  # than the steps of the round before, and of one that was lost


@dataclass(frozen=True)
class MovingMethod:
    """How signals are stepped.

    Parameters
    ----------
    name : str
    optimizer : callable
        Number of steps in a round to an optimiser, for steps in units of `rate`.
    rate : callable
        Size of the wished change [shape=(batch,)], in standard deviations, and the distance to it if coordinates were linear
        [shape=(batch,)], in units of the signal, to the unit of steps [shape=(batch,)].
    linear : bool
        Whether errors of coordinates are measured by how far a signal would have to go to mend them if coordinates were linear,
        or by themselves.
    rounds : int
        How often steps begin anew, with what is linear there: three times as large as before where the round before came nearer,
        a quarter where it did not.
    nearest : bool
        Whether of all signals on the way the nearest is kept, or the last.
    description : str
    """

    name: str
    optimizer: Callable[[int], Optimizer]
    rate: Callable[[Tensor, Tensor], Tensor]
    linear: bool
    rounds: int
    nearest: bool
    description: str


METHODS = {
    method.name: method
    for method in (
        MovingMethod(
            "default",
            lambda steps: NormalizedDescent(Cosine(0.05 / steps, steps), momentum=0.9),
            lambda _, distance: distance,
            True,
            3,
            True,
            "three rounds of momentum on the normalised gradient of the distance, were coordinates linear: small steps first, as "
            "most signals need less than this distance, then for what remains three times as large in proportion, or a quarter "
            "where no step came nearer; of all signals on the way the nearest is kept",
        ),
        MovingMethod(
            "adam",
            lambda steps: Adam(Cosine(2e-4, steps)),
            lambda change, _: change,
            False,
            1,
            False,
            "Adam, whose rate grows with the change, as in Kamao et al. (2025): 0.0002 for one standard deviation, falling along "
            "a cosine",
        ),
    )
}


class Move(NamedTuple):
    """What is wished: a signal, a dimension, and how far, in standard deviations of the bank, above 0."""

    clip: Clip
    dimension: Dimension
    change: float


class MovedRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is known of a moved signal.

    Parameters
    ----------
    clip, dimension, model : str
    weights_sha256, dimensions_sha256 : str
    wished, reached : float
        Change of the coordinate towards the dimension's side, in standard deviations of the bank.
    leakage : float
        Root of the sum of squares of the changes of all other coordinates, in the same units.
    before, after : list of float
        All coordinates.
    physical : Physical
    method : str
    steps : int
    errors : list of float
        Distance to the wished coordinates before each round of steps, in standard deviations.
    seconds : float
        Of the batch, divided by its signals.
    signal_sha256, original_sha256 : str
        SHA-256 of the files of the signal and of its reference. Empty until it is saved, and in records of version 0.2 and
        earlier.
    """

    clip: str
    dimension: str
    model: str
    weights_sha256: str
    dimensions_sha256: str
    wished: float
    reached: float
    leakage: float
    before: list[float]
    after: list[float]
    physical: Physical
    method: str
    steps: int
    errors: list[float]
    seconds: float
    signal_sha256: str = ""
    original_sha256: str = ""


@dataclass(frozen=True)
class Moved:
    """A moved signal, as it will be written.

    Parameters
    ----------
    samples : Tensor [shape=signal_shape]
        float32, on the CPU.
    clip : Clip
        The reference.
    record : MovedRecord
    """

    samples: Tensor
    clip: Clip
    record: MovedRecord


@dataclass(frozen=True)
class PerturbationDomain:
    """Signals beside references, with the mean and the standard deviation of these: a sound's level, an image's contrast.

    What is stepped is the difference, in a unit of its own for each signal, so that signals which need small and large steps go
    together in one batch. No signal may leave the batch.

    Parameters
    ----------
    references : Tensor [shape=(batch, ...)]
    unit : Tensor [shape=(batch,)]
    """

    references: Tensor
    unit: Tensor

    def start(self, shape: Sequence[int], *, seeds: Sequence[int], dtype: torch.dtype, device: torch.device | str) -> Tensor:
        """No difference at all, [shape=(seeds, *shape)]."""
        return torch.zeros(len(seeds), *shape, dtype=dtype, device=device)

    def project(self, signals: Tensor) -> Tensor:
        return signals

    def signals(self, parameters: Tensor) -> Tensor:
        moved = (self.references + _rows(self.unit, parameters) * parameters).flatten(1)
        references = self.references.flatten(1)
        deviation, mean = torch.std_mean(references, 1, correction=0, keepdim=True)
        own_deviation, own_mean = torch.std_mean(moved, 1, correction=0, keepdim=True)
        return (mean + (moved - own_mean) * (deviation / own_deviation)).view_as(parameters)

    def as_written(self, signals: Tensor) -> Tensor:
        return signals.float()


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
    """Move signals, each along one dimension by a wished change.

    All coordinates that the dimensions of the layer keep are matched: one is to change, the others are to stay. References and
    moved signals are as they will be presented; see `as_presented`.

    Parameters
    ----------
    model : Model
    dimensions : mapping of str to Dimensions
        By layer.
    moves : sequence of Move
        Those at one layer go together in batches, whatever their signals, components and signs.
    method : str
        ``default`` or ``adam``.
    steps : int
        Default 50.
    batch_size : int
        Default 8.
    progress : callable, optional
        Told the number of signals done.
    check : bool
        Whether to make sure that the dimensions are of the model, for which all its weights may have to be read. False: who calls
        has done so. Default True.

    Returns
    -------
    list of Moved
        In the order of the moves.

    Raises
    ------
    AudioMetamerError
        If there is no such method, layer or component; if the dimensions are of another model; if a change is not above 0, or
        the coordinate of a signal does not depend on the signal.
    """
    if method not in METHODS:
        raise AudioMetamerError(f"there is no method {method!r} of moving; there are {', '.join(METHODS)}")
    if steps < 1:
        raise AudioMetamerError(f"steps is {steps}; it must be at least 1")
    for each in moves:
        check_dimension(dimensions, each.dimension)
        if not 0 < each.change < float("inf"):
            raise AudioMetamerError(
                f"the change along {each.dimension} is {each.change}; it must be above 0 (the sign says where)"
            )
    moves = [each._replace(clip=as_presented(model, each.clip)) for each in moves]
    found: dict[int, Moved] = {}
    for layer in dict.fromkeys(each.dimension.layer for each in moves):
        if check:
            dimensions[layer].check(model)
        mover = _Mover(model, faster_copy(model, layer), dimensions[layer], METHODS[method], steps)
        places = [i for i, each in enumerate(moves) if each.dimension.layer == layer]
        for first in range(0, len(places), batch_size):
            batch = places[first : first + batch_size]
            found |= zip(batch, mover([moves[i] for i in batch]), strict=True)
            if progress is not None:
                progress(len(found))
    return [found[i] for i in range(len(moves))]


def as_presented(model: Model, clip: Clip) -> Clip:
    """A signal as it will be heard or seen: an image in the 8 bits that screens show, for rounding moves coordinates, too."""
    return replace(clip, samples=_presented(model).as_written(clip.samples))


def _presented(model: Model) -> Domain:
    return replace(model.domain, steps=STEPS_8_BIT) if isinstance(model.domain, Image) else model.domain


class _Round(NamedTuple):
    """Signals after some steps, and of all on the way the nearest; how far coordinates are from the target [shape=(batch,)]."""

    signals: Tensor
    before: Tensor
    after: Tensor
    nearest: Tensor
    least: Tensor


@dataclass(frozen=True)
class _Mover:
    """Moves batches at one layer."""

    model: Model
    twin: Model
    dimensions: Dimensions
    method: MovingMethod
    steps: int

    def __call__(self, moves: Sequence[Move]) -> Iterator[Moved]:
        began = time.monotonic()
        model = self.model
        references = torch.stack([each.clip.samples.view(model.signal_shape) for each in moves])
        references = references.to(dtype=model.dtype, device=model.device)
        change = torch.tensor([each.change for each in moves], dtype=model.dtype, device=model.device)
        sign = torch.tensor([each.dimension.sign for each in moves], device=model.device)
        component = torch.tensor([each.dimension.component for each in moves], device=model.device)
        own = self.dimensions.like(model)
        layer = own.record.layer

        def coordinates(signals: Tensor) -> Tensor:
            return own.coordinates(record(self.twin, signals, layer))

        with torch.no_grad():
            target = coordinates(references).scatter_add(1, component[:, None], (sign * change)[:, None])
        signals, errors = self._rounds(coordinates, references, target, change, moves)
        domain = _presented(model)
        written = domain.as_written(domain.project(signals))
        seconds = (time.monotonic() - began) / len(moves)
        before, after = own.of(model, references), own.of(model, written.to(references))
        distances = physical_distances(model, references, written.to(references))
        for i, each in enumerate(moves):
            told = self._record(each, before[i], after[i], distances[i], [float(e[i]) for e in errors], seconds)
            yield Moved(written[i].cpu(), each.clip, told)

    def _rounds(
        self,
        coordinates: Callable[[Tensor], Tensor],
        references: Tensor,
        target: Tensor,
        change: Tensor,
        moves: Sequence[Move],
    ) -> tuple[Tensor, list[Tensor]]:
        """Signals nearer to the target round by round, and their errors before each; a round without a step is passed over."""
        signals = nearest = references
        size, errors = torch.ones_like(change), []
        least = torch.full_like(change, torch.inf)
        for k in range(self.method.rounds):
            steps = self.steps * (k + 1) // self.method.rounds - self.steps * k // self.method.rounds
            if not steps:
                continue
            found = self._round(coordinates, signals, target, change, steps, size)
            errors.append(found.before)
            if not bool(found.before.isfinite().all()):
                bad = moves[int((~found.before.isfinite()).nonzero()[0])]
                raise AudioMetamerError(f"{bad.clip.name} does not move along {bad.dimension}: its gradient there is zero")
            nearest = torch.where(_rows(found.least < least, nearest), found.nearest, nearest)
            least = torch.minimum(found.least, least)
            lost = found.after > _LOST * least
            signals = torch.where(_rows(lost, nearest), nearest, found.signals)
            size = size * torch.where(lost, _SMALLER, _LARGER)
        return nearest if self.method.nearest else signals, errors

    def _round(
        self,
        coordinates: Callable[[Tensor], Tensor],
        signals: Tensor,
        target: Tensor,
        change: Tensor,
        steps: int,
        size: Tensor,
    ) -> "_Round":
        """Some steps, in sizes relative to the method's own; NaN in the place of errors if signals cannot move."""
        beside = PerturbationDomain(signals, torch.ones_like(change))
        start = torch.zeros_like(signals)
        now, straightened = _linearised(lambda steps: coordinates(beside.signals(steps)), start)
        if not bool(straightened.isfinite().all()):
            lost = straightened.flatten(1).sum(1)
            return _Round(signals, lost, lost, signals, lost)
        distance = _times(straightened, target - now).norm(dim=1)
        scale = straightened if self.method.linear else torch.eye(target.shape[1]).to(straightened).expand_as(straightened)
        before = (target - now).norm(dim=1)
        nearest, least, last = signals, before, before

        def measured(moved: Tensor) -> Tensor:
            nonlocal nearest, least, last
            there = coordinates(moved)
            last = (target - there.detach()).norm(dim=1)
            nearest = torch.where(_rows(last < least, moved), moved.detach(), nearest)
            least = torch.minimum(last, least)
            return _times(scale, there)

        matched = match(
            measured,
            _times(scale, target),
            start,
            domain=PerturbationDomain(signals, size * self.method.rate(change, distance)),
            optimizer=self.method.optimizer(steps),
            steps=steps,
            loss=half_squared_error,
        )
        with torch.no_grad():
            measured(matched.signals)
        return _Round(matched.signals, before, last, nearest, least)

    def _record(
        self,
        wished: Move,
        before: Tensor,
        after: Tensor,
        physical: Physical,
        errors: list[float],
        seconds: float,
    ) -> MovedRecord:
        changes, origin = (after - before).tolist(), self.dimensions.record
        reached = changes.pop(wished.dimension.component) * wished.dimension.sign
        return MovedRecord(
            clip=wished.clip.name,
            dimension=str(wished.dimension),
            model=self.model.name,
            weights_sha256=origin.weights_sha256,
            dimensions_sha256=origin.tensors_sha256,
            wished=wished.change,
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


def _linearised(coordinates: Callable[[Tensor], Tensor], start: Tensor) -> tuple[Tensor, Tensor]:
    """Coordinates [shape=(batch, components)], and what makes changes of them distances [shape=(batch, components, components)].

    With J their Jacobian and J Jᵀ = L Lᵀ, the shortest way to a change Δc, were they linear, has length ‖L⁻¹ Δc‖, since it is
    Jᵀ (J Jᵀ)⁻¹ Δc; the gradient of half its square is that way itself, a Gauss-Newton step. L⁻¹ is not finite where a coordinate
    does not depend on the signal.
    """
    signals = start.clone().requires_grad_()
    found = coordinates(signals)
    rows = [torch.autograd.grad(each.sum(), signals, retain_graph=True)[0].flatten(1) for each in found.unbind(1)]
    jacobian = torch.stack(rows, 1).double()
    products = jacobian @ jacobian.transpose(1, 2)
    size = products.diagonal(dim1=1, dim2=2)
    ridge = torch.diag_embed(_RIDGE * size)  # coordinates that go together almost entirely are not told apart at any price
    lower, failed = torch.linalg.cholesky_ex(products + ridge)
    identity = torch.eye(found.shape[1], dtype=lower.dtype, device=lower.device).expand_as(lower)
    inverse = torch.linalg.solve_triangular(lower, identity, upper=False)
    inverse[(failed > 0) | (size == 0).any(1)] = torch.nan
    return found.detach(), inverse.to(start)


def _times(matrices: Tensor, vectors: Tensor) -> Tensor:
    """Each matrix [shape=(batch, n, n)] times its vector [shape=(batch, n)]."""
    return (matrices @ vectors[..., None])[..., 0]


def _rows(values: Tensor, like: Tensor) -> Tensor:
    """One value for each example, shaped to multiply a batch."""
    return values.view(-1, *[1] * (like.ndim - 1))
