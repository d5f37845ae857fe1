"""The signals of a match: those still being moved, what has stopped, and the losses so far."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import torch
from torch import Tensor

from audiometamer.matching.losses import Activations
from audiometamer.matching.optimizers import Optimizer, State


@dataclass
class MatchState:
    """Signals before one of their steps: all that `match` needs to resume as if it had never stopped.

    Parameters
    ----------
    step : int
        Number of the next step; the same for all signals.
    parameters : Tensor [shape=(batch, ...)]
        Parameters that the optimiser steps.
    optimizer_state : mapping of str to Tensor [shape=(batch, ...)]
    loss_steps : list of int
    losses : Tensor [shape=(batch, reports)]
        Losses so far, as in `Match`.
    """

    step: int
    parameters: Tensor
    optimizer_state: State
    loss_steps: list[int]
    losses: Tensor


def stack_states(states: Sequence[MatchState], device: torch.device) -> MatchState:
    """Signals that have taken equally many steps, as one batch."""
    first = states[0]
    return MatchState(
        first.step,
        torch.cat([state.parameters for state in states]).to(device),
        {name: torch.cat([state.optimizer_state[name] for state in states]).to(device) for name in first.optimizer_state},
        first.loss_steps,
        torch.cat([state.losses for state in states]),
    )


def select_state(batch: MatchState, row: int) -> MatchState:
    """One signal of a batch, as a batch of one."""
    memory = {name: tensor[row : row + 1] for name, tensor in batch.optimizer_state.items()}
    return MatchState(batch.step, batch.parameters[row : row + 1], memory, batch.loss_steps, batch.losses[row : row + 1])


@dataclass
class Batch:
    """Signals while they are matched.

    Parameters
    ----------
    active : Tensor [shape=(active,)]
        Indices of the signals that are still moved; the next three hold these only.
    parameters : Tensor [shape=(active, ...)]
    target : Tensor [shape=(active, ...)] or mapping of str to Tensor
    optimizer_state : mapping of str to Tensor [shape=(active, ...)]
    stopped : Tensor [shape=(batch, ...)]
        Parameters of the signals that have stopped; other rows mean nothing.
    steps : Tensor [shape=(batch,)]
        Number of steps that each signal takes.
    loss_steps : list of int
        Steps before which losses were reported.
    losses : list of Tensor [shape=(batch,)]
        One for each report; NaN for a signal that had stopped.
    """

    active: Tensor
    parameters: Tensor
    target: Activations
    optimizer_state: State
    stopped: Tensor
    steps: Tensor
    loss_steps: list[int]
    losses: list[Tensor]

    @classmethod
    def resume(cls, state: MatchState, target: Activations, steps: int, **others: Any) -> Self:
        """Signals as they were before one of their steps; each takes `steps`."""
        parameters, losses = state.parameters, state.losses.to(state.parameters.device)
        active = torch.arange(len(parameters), device=parameters.device)
        taken = torch.full_like(active, steps)
        return cls(
            active, parameters, target, state.optimizer_state, parameters, taken, list(state.loss_steps),
            list(losses.unbind(1)), **others,
        )  # fmt: skip

    def report(self, step: int, losses: Tensor) -> None:
        """Add the losses [shape=(active,)] before a step."""
        row = torch.full((len(self.steps),), float("nan"), dtype=losses.dtype, device=losses.device)
        row[self.active] = losses
        self.loss_steps.append(step)
        self.losses.append(row)

    def history(self) -> Tensor:
        """Losses of the active signals so far, [shape=(active, reports)]."""
        if not self.losses:
            return self.parameters.new_empty(len(self.active), 0)
        return torch.stack([row[self.active] for row in self.losses], 1)

    def of_active(self, values: Tensor) -> Tensor:
        """Those of the values [shape=(rows, ...)] from a step that belong to active signals, [shape=(active, ...)]."""
        return values

    def remove(self, leaving: Tensor, before: Tensor, step: int) -> None:
        """Stop those of the active signals [shape=(active,)] that are marked, where they were before a step that was taken."""
        indices, kept = self.active[leaving], ~leaving
        self.stopped = self.stopped.index_copy(0, indices, before[leaving])
        self.steps[indices] = step
        self.active, self.parameters = self.active[kept], self.parameters[kept]
        self.target = self.target[kept] if isinstance(self.target, Tensor) else {k: t[kept] for k, t in self.target.items()}
        self.optimizer_state = {name: tensor[kept] for name, tensor in self.optimizer_state.items()}

    def all_parameters(self, moving: Tensor | None = None) -> Tensor:
        """Parameters of all signals, [shape=(batch, ...)]: of active ones `moving`, by default where they are now."""
        return self.stopped.index_copy(0, self.active, self.parameters if moving is None else moving)

    def state(self, step: int) -> MatchState:
        """The active signals before a step; a copy."""
        parameters = self.of_active(self.parameters).detach().clone()
        memory = {name: self.of_active(tensor) for name, tensor in self.optimizer_state.items()}
        return MatchState(step, parameters, memory, list(self.loss_steps), self.history().cpu())


def first_state(parameters: Tensor, optimizer: Optimizer) -> MatchState:
    """Signals before their first step."""
    return MatchState(0, parameters, optimizer.init(parameters), [], parameters.new_empty(len(parameters), 0))


@dataclass
class FixedBatch(Batch):
    """Signals in the rows of tensors that stay where they are: what has stopped keeps its row, which no longer moves.

    Parameters
    ----------
    moving : Tensor [shape=(rows,)]
        Whether each row is moved; the first rows are the signals, more of them are never moved.
    """

    moving: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.bool))

    def of_active(self, values: Tensor) -> Tensor:
        return values.index_select(0, self.active)

    def remove(self, leaving: Tensor, before: Tensor, step: int) -> None:
        indices = self.active[leaving]
        self.parameters.index_copy_(0, indices, before[indices])
        self.moving[indices] = False
        self.steps[indices] = step
        self.active = self.active[~leaving]

    def all_parameters(self, moving: Tensor | None = None) -> Tensor:
        return (self.parameters if moving is None else moving)[: len(self.steps)].clone()
