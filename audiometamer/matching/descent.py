"""One step of a match: losses and gradients of a batch, and where these move its signals."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from audiometamer.errors import AudioMetamerError, one_line
from audiometamer.matching.batch import Batch, MatchState
from audiometamer.matching.domains import Domain
from audiometamer.matching.losses import Activations, Loss
from audiometamer.matching.optimizers import Optimizer, State, move
from audiometamer.matching.stages import Stages, at

Forward = Callable[[Tensor], Activations]
# Signals to a number for each, [shape=(batch,)], that is added to its loss.
Penalty = Callable[[Tensor], Tensor]


class Values(NamedTuple):
    """Signals before a step: losses [shape=(batch,)], gradients and activations [shape=(batch, ...)]."""

    losses: Tensor
    gradients: Tensor
    activations: Activations


class Taken(NamedTuple):
    """What is known of a step that has been taken: losses and activations before it, and the parameters then."""

    losses: Tensor
    activations: Activations
    before: Tensor


@dataclass(frozen=True)
class Descent:
    """What is minimised, and how; see `match`."""

    forward: Forward | Stages[Forward]
    loss: Loss | Stages[Loss]
    domain: Domain
    optimizer: Optimizer
    penalty: Penalty | None = None

    def begin(self, state: MatchState, target: Activations, steps: int) -> Batch:
        """Signals before one of their steps."""
        return Batch.resume(state, target, steps)

    def take(self, step: int, batch: Batch, *, keep: bool) -> Taken:  # noqa: ARG002 (earlier parameters stay anyhow)
        """Take a step; `keep` says whether the parameters before it are needed."""
        before = batch.parameters
        values = self.values(step, before, batch.target)
        batch.parameters, batch.optimizer_state = self.moved(step, before, values.gradients, batch.optimizer_state)
        return Taken(values.losses, values.activations, before)

    def values(self, step: int, parameters: Tensor, target: Activations) -> Values:
        """Losses, gradients and activations before a step."""
        forward, loss = at(self.forward, step), at(self.loss, step)
        return values_at(forward, parameters, target, domain=self.domain, loss=loss, penalty=self.penalty)

    def moved(
        self, step: "int | tuple[Any, Sequence[Any]]", parameters: Tensor, gradients: Tensor, state: State
    ) -> tuple[Tensor, State]:
        """Parameters and state after a step, given by its number, or by its kind and numbers."""
        if isinstance(step, int):
            moved, state = self.optimizer.step(step, parameters, gradients, state)
        else:
            moved, state = move(self.optimizer, step, parameters, gradients, state)
        return self.domain.project(moved), state


def values_at(
    forward: Forward, parameters: Tensor, target: Activations, *, domain: Domain, loss: Loss, penalty: Penalty | None = None
) -> Values:
    """Loss of each signal, and its gradient with respect to the parameters [shape=(batch, ...)]; see `match`."""
    parameters = parameters.detach().requires_grad_()
    signals = domain.signals(parameters)
    activations = forward(signals)
    losses = per_signal(call("loss", loss, activations, target), "loss", parameters)
    if penalty is not None:
        losses = losses + per_signal(call("penalty", penalty, signals), "penalty", parameters)
    if not losses.requires_grad:
        raise AudioMetamerError("the activations do not depend on the signal by differentiable steps: no gradient reaches it")
    (gradients,) = torch.autograd.grad(losses.sum(), parameters, allow_unused=True)
    if gradients is None:
        raise AudioMetamerError("the loss is not computed from the signal: no gradient reaches it")
    return Values(losses.detach(), gradients, for_each(Tensor.detach, activations))


def for_each(function: Callable[[Tensor], Tensor], activations: Activations) -> Activations:
    """Apply a function to each tensor of some activations."""
    if isinstance(activations, Tensor):
        return function(activations)
    return {name: function(tensor) for name, tensor in activations.items()}


def call(what: str, function: Callable[..., Any], *args: Any) -> Any:
    """Call a function of the user's; what it raises becomes one line."""
    try:
        return function(*args)
    except (torch.OutOfMemoryError, AudioMetamerError):
        raise
    except (RuntimeError, TypeError, ValueError, LookupError, AttributeError, AssertionError, ArithmeticError) as error:
        raise AudioMetamerError(f"the {what} fails: {type(error).__name__}: {one_line(error)}") from error


def per_signal(values: Tensor, what: str, signals: Tensor) -> Tensor:
    """Return the values of a loss or a penalty; raise unless they are a real number for each signal of a batch."""
    if not isinstance(values, Tensor):
        raise AudioMetamerError(f"the {what} returns a {type(values).__name__}; it must return a Tensor [shape=(batch,)]")
    if values.shape != signals.shape[:1]:
        raise AudioMetamerError(
            f"the {what} has shape {tuple(values.shape)} for {len(signals)} signal(s); it must be ({len(signals)},), a number "
            "for each: sum over all dimensions but the first"
        )
    if not values.is_floating_point():
        raise AudioMetamerError(f"the {what} is {values.dtype}; it must be real and floating, such as {signals.dtype}")
    return values
