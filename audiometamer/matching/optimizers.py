"""Steps on a batch of signals, each signal with a gradient norm of its own: no signal's path depends on another's."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

# What an optimiser remembers: tensors whose first dimension is the batch, so that signals can leave and be carried on alone.
State = Mapping[str, Tensor]
Schedule = Callable[[int], float]


class Optimizer(Protocol):
    """One rule for stepping; holds settings only, all memory is in the state."""

    def init(self, signals: Tensor) -> State:
        """The state before the first step."""
        ...

    def step(self, step: int, signals: Tensor, gradients: Tensor, state: State) -> tuple[Tensor, State]:
        """Signals and state after step number `step` (from 0)."""
        ...


@dataclass(frozen=True)
class Constant:
    """The same step size throughout."""

    value: float = 1.0

    def __call__(self, step: int) -> float:  # noqa: ARG002 (a schedule takes the step)
        return self.value


@dataclass(frozen=True)
class Halving:
    """A step size that halves every `every` steps: 1, 1/2, 1/4, …  (Feather et al. 2023: every 3000 of 24,000)."""

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
class NormalizedDescent:
    """x ← x − η(k) · g / (‖g‖₂ + 1e-10), optionally with heavy-ball momentum on the normalised gradient.

    Parameters
    ----------
    schedule : callable
        Step number to step size η; the L2 norm of a step without momentum.
    momentum : float
        Factor on the previous step's direction. Default 0 (Feather et al. 2023).
    """

    schedule: Schedule
    momentum: float = 0.0

    def init(self, signals: Tensor) -> State:
        return {"velocity": torch.zeros_like(signals)} if self.momentum else {}

    def step(self, step: int, signals: Tensor, gradients: Tensor, state: State) -> tuple[Tensor, State]:
        direction = gradients / (_norm(gradients) + 1e-10)
        if self.momentum:
            direction = self.momentum * state["velocity"] + direction
            state = {"velocity": direction}
        return signals - self.schedule(step) * direction, state


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma & Ba 2015), elementwise.

    Parameters
    ----------
    schedule : callable
        Step number to step size.
    betas : tuple of float
        Decay of the first and second moment. Default (0.9, 0.999).
    epsilon : float
        Added to the root of the second moment. Default 1e-8.
    """

    schedule: Schedule
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8

    def init(self, signals: Tensor) -> State:
        return {"first": torch.zeros_like(signals), "second": torch.zeros_like(signals)}

    def step(self, step: int, signals: Tensor, gradients: Tensor, state: State) -> tuple[Tensor, State]:
        b1, b2 = self.betas
        first = b1 * state["first"] + (1 - b1) * gradients
        second = b2 * state["second"] + (1 - b2) * gradients.square()
        update = (first / (1 - b1 ** (step + 1))) / ((second / (1 - b2 ** (step + 1))).sqrt() + self.epsilon)
        return signals - self.schedule(step) * update, {"first": first, "second": second}


def _norm(x: Tensor) -> Tensor:
    """L2 norm of each example, shaped to divide the batch."""
    return x.flatten(1).norm(dim=1).view(-1, *[1] * (x.ndim - 1))
