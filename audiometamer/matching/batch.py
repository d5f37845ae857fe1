"""The signals of a match: those still being moved, what has stopped, and the losses so far."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

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
    def start(cls, parameters: Tensor, target: Activations, optimizer: Optimizer, steps: int) -> Self:
        """All signals before their first step, of which each takes `steps`."""
        none_yet = parameters.new_empty(len(parameters), 0)
        return cls.resume(MatchState(0, parameters, optimizer.init(parameters), [], none_yet), target, steps)

    @classmethod
    def resume(cls, state: MatchState, target: Activations, steps: int) -> Self:
        """Signals as they were before one of their steps."""
        parameters, losses = state.parameters, state.losses.to(state.parameters.device)
        active = torch.arange(len(parameters), device=parameters.device)
        taken = torch.full_like(active, steps)
        return cls(
            active, parameters, target, state.optimizer_state, parameters, taken, list(state.loss_steps), list(losses.unbind(1))
        )

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

    def remove(self, leaving: Tensor, step: int) -> None:
        """Stop those of the active signals [shape=(active,)] that are marked, before a step."""
        indices, kept = self.active[leaving], ~leaving
        self.stopped = self.stopped.index_copy(0, indices, self.parameters[leaving])
        self.steps[indices] = step
        self.active, self.parameters = self.active[kept], self.parameters[kept]
        self.target = self.target[kept] if isinstance(self.target, Tensor) else {k: t[kept] for k, t in self.target.items()}
        self.optimizer_state = {name: tensor[kept] for name, tensor in self.optimizer_state.items()}

    def all_parameters(self) -> Tensor:
        """Parameters of all signals, [shape=(batch, ...)], where they are or where they stopped."""
        return self.stopped.index_copy(0, self.active, self.parameters)

    def state(self, step: int) -> MatchState:
        """The active signals before a step; a copy."""
        parameters = self.parameters.detach().clone()
        return MatchState(step, parameters, self.optimizer_state, list(self.loss_steps), self.history().cpu())
