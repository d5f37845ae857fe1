"""Optimisers and schedules of step sizes: each signal of a batch is stepped by its own gradient alone."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from audiometamer.errors import AudioMetamerError

# What an optimiser remembers: tensors whose first dimension is the batch, so that signals can leave it and resume alone.
State = Mapping[str, Tensor]
Schedule = Callable[[int], float]


class Optimizer(Protocol):
    """A rule for taking steps. It holds settings only: all memory is in the state."""

    def init(self, signals: Tensor) -> State:
        """State before the first step, for signals [shape=(batch, ...)]."""
        ...

    def step(self, step: int, signals: Tensor, gradients: Tensor, state: State) -> tuple[Tensor, State]:
        """Signals and state after step number `step`, from 0; gradients [shape=(batch, ...)] are those of each signal's loss."""
        ...


# What the steps of an optimiser differ in: a kind, and numbers; None in place of these if only its `step` knows.
Numbers = tuple[Hashable, tuple[float, ...] | None]


class Numbered(ABC):
    """An `Optimizer` whose steps of one kind differ in numbers only, so that a graph of one of them takes them all."""

    @abstractmethod
    def init(self, signals: Tensor) -> State:
        """See `Optimizer`."""

    @abstractmethod
    def numbers(self, step: int) -> Numbers:
        """The kind of step number `step`, from 0, and the numbers that it depends on."""

    @abstractmethod
    def move(
        self, kind: Hashable, numbers: "Sequence[float | Tensor]", signals: Tensor, gradients: Tensor, state: State
    ) -> tuple[Tensor, State]:
        """Signals and state after a step with these numbers, which may be tensors [shape=()]."""

    def step(self, step: int, signals: Tensor, gradients: Tensor, state: State) -> tuple[Tensor, State]:
        """See `Optimizer`."""
        return move(self, self.numbers(step), signals, gradients, state)


def numbers_of(optimizer: Optimizer, step: int) -> Numbers:
    """What a step of any optimiser depends on; one that is not `Numbered` has a kind for each step."""
    return optimizer.numbers(step) if isinstance(optimizer, Numbered) else (step, None)


def move(
    optimizer: Optimizer,
    step: "tuple[Hashable, Sequence[float | Tensor] | None]",
    signals: Tensor,
    gradients: Tensor,
    state: State,
) -> tuple[Tensor, State]:
    """Signals and state after a step of any optimiser, from what `numbers_of` says."""
    kind, numbers = step
    if isinstance(optimizer, Numbered):
        return optimizer.move(kind, numbers or (), signals, gradients, state)
    assert isinstance(kind, int)
    return optimizer.step(kind, signals, gradients, state)


@dataclass(frozen=True)
class Constant:
    """A constant step size."""

    value: float = 1.0

    def __call__(self, step: int) -> float:  # noqa: ARG002 (a schedule takes the step)
        return self.value


@dataclass(frozen=True)
class Halving:
    """A step size that is halved every `every` steps (Feather et al. 2023: every 3000 of 24,000)."""

    initial: float = 1.0
    every: int = 3000

    def __call__(self, step: int) -> float:
        return self.initial * 0.5 ** (step // self.every)


@dataclass(frozen=True)
class Cosine:
    """A step size that falls from `initial` to 0 along half a cosine over `steps` steps."""

    initial: float
    steps: int

    def __call__(self, step: int) -> float:
        return self.initial * 0.5 * (1 + math.cos(math.pi * min(step / self.steps, 1.0)))


@dataclass(frozen=True)
class NormalizedDescent(Numbered):
    """x ← x − η(k) · g / (‖g‖₂ + 1e-10), optionally with heavy-ball momentum on the normalised gradient.

    Parameters
    ----------
    schedule : callable
        Number of the step to step size η, the L2 norm of a step without momentum.
    momentum : float
        Factor on the previous step's direction. Default 0 (Feather et al. 2023).
    """

    schedule: Schedule
    momentum: float = 0.0

    def __post_init__(self) -> None:
        _check_schedule(self.schedule)

    def init(self, signals: Tensor) -> State:
        return {"velocity": torch.zeros_like(signals)} if self.momentum else {}

    def numbers(self, step: int) -> Numbers:
        return None, (self.schedule(step),)

    def move(
        self, _kind: Hashable, numbers: Sequence[Any], signals: Tensor, gradients: Tensor, state: State
    ) -> tuple[Tensor, State]:
        direction = gradients / (_norm(gradients) + 1e-10)
        if self.momentum:
            direction = self.momentum * state["velocity"] + direction
            state = {"velocity": direction}
        return signals - numbers[0] * direction, state


@dataclass(frozen=True)
class Adam(Numbered):
    """Adam (Kingma & Ba 2015), elementwise.

    Parameters
    ----------
    schedule : callable
        Number of the step to step size.
    betas : tuple of float
        Decay rates of the first and second moment. Default (0.9, 0.999).
    epsilon : float
        Added to the root of the second moment. Default 1e-8.
    """

    schedule: Schedule
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        _check_schedule(self.schedule)

    def init(self, signals: Tensor) -> State:
        return {"first": torch.zeros_like(signals), "second": torch.zeros_like(signals)}

    def numbers(self, step: int) -> Numbers:
        return None, (self.schedule(step), *(1 - beta ** (step + 1) for beta in self.betas))

    def move(
        self, _kind: Hashable, numbers: Sequence[Any], signals: Tensor, gradients: Tensor, state: State
    ) -> tuple[Tensor, State]:
        (b1, b2), (size, bias1, bias2) = self.betas, numbers
        first = b1 * state["first"] + (1 - b1) * gradients
        second = b2 * state["second"] + (1 - b2) * gradients.square()
        update = (first / bias1) / ((second / bias2).sqrt() + self.epsilon)
        return signals - size * update, {"first": first, "second": second}


@dataclass(frozen=True)
class Phases(Numbered):
    """One optimiser for the first `switch` steps, then another, whose steps count from 0 again."""

    first: Optimizer
    switch: int
    second: Optimizer

    def init(self, signals: Tensor) -> State:
        return {
            f"{phase}.{name}": tensor
            for phase, optimizer in (("first", self.first), ("second", self.second))
            for name, tensor in optimizer.init(signals).items()
        }

    def numbers(self, step: int) -> Numbers:
        phase, optimizer, count = (
            ("first", self.first, step) if step < self.switch else ("second", self.second, step - self.switch)
        )
        kind, numbers = numbers_of(optimizer, count)
        return (phase, kind), numbers

    def move(self, kind: Any, numbers: Sequence[Any], signals: Tensor, gradients: Tensor, state: State) -> tuple[Tensor, State]:
        phase, inner = kind
        own = {name.removeprefix(f"{phase}."): t for name, t in state.items() if name.startswith(f"{phase}.")}
        signals, own_after = move(getattr(self, phase), (inner, numbers), signals, gradients, own)
        return signals, {**state, **{f"{phase}.{name}": tensor for name, tensor in own_after.items()}}


@dataclass(frozen=True)
class Whitened(Numbered):
    """Another optimiser's steps, taken where the signals [shape=(batch, samples)] that it starts from have flat spectra.

    Where a signal is weak in some frequencies and activations are compressive, one size of step cannot suit all of them. So
    signals are divided by the smoothed magnitude spectrum of the starting one, and gradients are multiplied by it.

    Parameters
    ----------
    optimizer : Optimizer
    smoothing : float
        Share of the spectrum over which power is averaged. Default 1/200.
    floor : float
        Least magnitude relative to the largest. Default 1e-4.
    """

    optimizer: Optimizer
    smoothing: float = 0.005
    floor: float = 1e-4

    def init(self, signals: Tensor) -> State:
        power = torch.fft.rfft(signals).abs().square()
        width = max(round(self.smoothing * power.shape[-1]), 1) | 1
        padded = torch.nn.functional.pad(power[:, None], (width // 2, width // 2), mode="replicate")
        magnitude = torch.nn.functional.avg_pool1d(padded, width, 1)[:, 0].sqrt()
        magnitude = magnitude / magnitude.square().mean(1, keepdim=True).sqrt().clamp(min=torch.finfo(signals.dtype).tiny)
        magnitude = magnitude.maximum(self.floor * magnitude.amax(1, keepdim=True).clamp(min=1.0))
        inner = self.optimizer.init(_filtered(signals, 1 / magnitude))
        return {"magnitude": magnitude, **{f"inner.{name}": tensor for name, tensor in inner.items()}}

    def numbers(self, step: int) -> Numbers:
        return numbers_of(self.optimizer, step)

    def move(
        self, kind: Hashable, numbers: Sequence[Any], signals: Tensor, gradients: Tensor, state: State
    ) -> tuple[Tensor, State]:
        magnitude = state["magnitude"]
        inner = {name.removeprefix("inner."): tensor for name, tensor in state.items() if name != "magnitude"}
        white, along = _filtered(signals, 1 / magnitude), _filtered(gradients, magnitude)
        moved, after = move(self.optimizer, (kind, numbers), white, along, inner)
        return _filtered(moved, magnitude), {
            "magnitude": magnitude, **{f"inner.{name}": tensor for name, tensor in after.items()},
        }  # fmt: skip


def _filtered(signals: Tensor, magnitude: Tensor) -> Tensor:
    """Signals after a circular filter without phase, [shape=(batch, samples)]; it is its own adjoint."""
    return torch.fft.irfft(torch.fft.rfft(signals) * magnitude, n=signals.shape[-1])


@dataclass(frozen=True)
class LBFGS(Numbered):
    """Limited-memory BFGS (Nocedal & Wright 2006, algorithm 7.4), for each signal by itself and without a line search.

    Parameters
    ----------
    max_step : float
        Largest L2 norm of a step, and the norm of the first one. Default 1.
    memory : int
        Number of pairs of moves and changes of the gradient that are kept. Default 10.
    """

    max_step: float = 1.0
    memory: int = 10

    def init(self, signals: Tensor) -> State:
        x = signals.flatten(1)
        pairs = x.new_zeros(len(x), self.memory, x.shape[1])
        return {"moves": pairs, "changes": pairs.clone(), "signals": torch.zeros_like(x), "gradients": torch.zeros_like(x)}

    def numbers(self, step: int) -> Numbers:
        return step > 0, ()

    def move(
        self, is_later: Hashable, _numbers: Sequence[Any], signals: Tensor, gradients: Tensor, state: State
    ) -> tuple[Tensor, State]:
        x, g = signals.flatten(1), gradients.flatten(1)
        moves, changes = _with_latest(x, g, state) if is_later else (state["moves"], state["changes"])
        moved = x - _limited_step(g, moves, changes, torch.full_like(x[:, :1], self.max_step))
        return moved.view_as(signals), {"moves": moves, "changes": changes, "signals": x, "gradients": g}


@dataclass(frozen=True)
class CautiousLBFGS(LBFGS):
    """L-BFGS that takes back a step after which a signal's gradient is more than twice as large as before.

    The signal returns to where it was, with what the step has taught about curvature, and steps of half the size; each step that
    is not taken back allows the next a tenth more, up to `max_step`. For losses that fall to zero with their gradients, where
    steps without a line search may leap out of the valley that they follow.

    Parameters
    ----------
    max_step, memory
        As for `LBFGS`.
    """

    def init(self, signals: Tensor) -> State:
        state = super().init(signals)
        return {**state, "radius": torch.full_like(state["signals"][:, :1], self.max_step)}

    def move(
        self, is_later: Hashable, _numbers: Sequence[Any], signals: Tensor, gradients: Tensor, state: State
    ) -> tuple[Tensor, State]:
        x, g = signals.flatten(1), gradients.flatten(1)
        moves, changes = _with_latest(x, g, state) if is_later else (state["moves"], state["changes"])
        sizes = [each.norm(dim=1, keepdim=True) for each in (g, state["gradients"])]
        back = (sizes[0] > 2 * sizes[1]) & bool(is_later)
        x, g = torch.where(back, state["signals"], x), torch.where(back, state["gradients"], g)
        radius = torch.where(back, 0.5 * state["radius"], (1.1 * state["radius"]).clamp(max=self.max_step))
        moved = x - _limited_step(g, moves, changes, radius)
        state = {"moves": moves, "changes": changes, "signals": x, "gradients": g, "radius": radius}
        return moved.view_as(signals), state


def _with_latest(x: Tensor, g: Tensor, state: State) -> tuple[Tensor, Tensor]:
    """Pairs of moves and changes of the gradient, [shape=(batch, memory, n)], with the latest."""
    moves, changes = state["moves"], state["changes"]
    move, change = x - state["signals"], g - state["gradients"]
    # Without positive curvature the approximate Hessian would not stay positive definite: such a pair is skipped.
    curved = (_dot(move, change) > 1e-10 * move.norm(dim=1, keepdim=True) * change.norm(dim=1, keepdim=True))[..., None]
    moves = torch.where(curved, torch.cat([moves[:, 1:], move[:, None]], 1), moves)
    changes = torch.where(curved, torch.cat([changes[:, 1:], change[:, None]], 1), changes)
    return moves, changes


def _limited_step(gradients: Tensor, moves: Tensor, changes: Tensor, radius: Tensor) -> Tensor:
    """The step to subtract, [shape=(batch, n)], no longer than a radius [shape=(batch, 1)], and as long as that at first."""
    direction = _two_loops(gradients, moves, changes)
    norm = direction.norm(dim=1, keepdim=True)
    unscaled = ~moves[:, -1].any(1, keepdim=True)  # no curvature is known yet: the gradient's own length means nothing
    return torch.where(unscaled | (norm > radius), radius / (norm + 1e-10), torch.ones_like(norm)) * direction


def _two_loops(gradients: Tensor, moves: Tensor, changes: Tensor) -> Tensor:
    """Approximate inverse Hessian times gradient, [shape=(batch, n)], from pairs [shape=(batch, memory, n)], oldest first.

    Pairs of zeros, which are not filled yet, change nothing.
    """
    curvatures = (moves * changes).sum(2, keepdim=True)
    inverses = torch.where(curvatures > 0, 1 / curvatures, torch.zeros_like(curvatures)).unbind(1)
    pairs = list(zip(moves.unbind(1), changes.unbind(1), inverses, strict=True))
    direction, weights = gradients, []
    for move, change, inverse in reversed(pairs):
        weights.append(inverse * _dot(move, direction))
        direction = direction - weights[-1] * change
    power = _dot(changes[:, -1], changes[:, -1])
    direction = direction * torch.where(power > 0, curvatures[:, -1] / power, torch.ones_like(power))
    for (move, change, inverse), weight in zip(pairs, reversed(weights), strict=True):
        direction = direction + (weight - inverse * _dot(change, direction)) * move
    return direction


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner products of rows, [shape=(batch, 1)]."""
    return (a * b).sum(1, keepdim=True)


def _norm(x: Tensor) -> Tensor:
    """L2 norm of each signal, shaped to divide the batch."""
    return x.flatten(1).norm(dim=1).view(-1, *[1] * (x.ndim - 1))


def _check_schedule(schedule: object) -> None:
    if not callable(schedule):
        raise AudioMetamerError(
            f"the schedule is {schedule!r}; it must be a function of the number of the step, such as Constant(0.01)"
        )
