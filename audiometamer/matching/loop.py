"""The generic core: move signals until their activations match a target. Knows no audio and no files."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from audiometamer.errors import AudioMetamerError, one_line
from audiometamer.matching.domains import Domain
from audiometamer.matching.inference import normal_tensor, with_gradients
from audiometamer.matching.losses import Activations, Loss, relative_l2
from audiometamer.matching.optimizers import Optimizer, State

Forward = Callable[[Tensor], Activations]
# Signals to a number for each, [shape=(batch,)], that is added to its loss.
Penalty = Callable[[Tensor], Tensor]
# Step number and the active signals' losses to which of them should stop; asked at reports only.
StoppingRule = Callable[[int, Tensor], Tensor]
# Step number, indices of the active signals and their losses; called at reports.
Report = Callable[[int, Tensor, Tensor], None]
# Indices of the active signals and a function that gives their state; called before every step.
Save = Callable[[Tensor, Callable[[], "MatchState"]], None]


@dataclass
class MatchState:
    """Signals on their way, before one of their steps: all that `match` needs to go on as if it had never stopped.

    Parameters
    ----------
    step : int
        The next one; the same for all of them.
    parameters : Tensor [shape=(batch, ...)]
        What is stepped.
    optimizer_state : mapping of str to Tensor [shape=(batch, ...)]
    loss_steps : list of int
    losses : Tensor [shape=(batch, reports)]
        As in `Match`, so far.
    """

    step: int
    parameters: Tensor
    optimizer_state: State
    loss_steps: list[int]
    losses: Tensor


@dataclass
class Match:
    """What `match` returns.

    Parameters
    ----------
    signals : Tensor [shape=(batch, ...)]
        After their last step.
    steps : Tensor [shape=(batch,)]
        Steps that each signal took.
    loss_steps : list of int
        Steps before which the losses were reported.
    losses : Tensor [shape=(batch, reports)]
        On the CPU; NaN after a signal has stopped.
    """

    signals: Tensor
    steps: Tensor
    loss_steps: list[int]
    losses: Tensor


@with_gradients
def match(
    forward: Forward,
    target: Activations,
    start: Tensor,
    *,
    domain: Domain,
    optimizer: Optimizer,
    steps: int,
    loss: Loss = relative_l2,
    penalty: Penalty | None = None,
    stop: StoppingRule | None = None,
    report: Report | None = None,
    report_every: int = 25,
    resume_from: MatchState | None = None,
    save: Save | None = None,
) -> Match:
    """Move each signal of a batch until its activations match its target.

    Signals do not see each other: each has its own gradient norm and its own stop, and leaves the batch when it stops. Between
    reports nothing is copied from the device and nothing waits for it.

    Parameters
    ----------
    forward : callable
        Signals [shape=(batch, ...)] to activations, in eval mode: an example's activations must not depend on the others.
    target : Tensor [shape=(batch, ...)] or mapping of str to Tensor
        What the activations should be, one for each signal.
    start : Tensor [shape=(batch, ...)]
    domain : Domain
        Where the signals must stay, and how they come from what is stepped.
    optimizer : Optimizer
    steps : int
        Most steps that a signal takes.
    loss : callable
        Activations and target to Tensor [shape=(batch,)]. Default `relative_l2`.
    penalty : callable, optional
        Signals to Tensor [shape=(batch,)], added to the loss. Default: none.
    stop : callable, optional
        Which signals stop before their last step. Default: none.
    report : callable, optional
        Told the losses every `report_every` steps.
    report_every : int
        Default 25.
    resume_from : MatchState, optional
        Where to go on, for all signals of `start`. Default: at the first step.
    save : callable, optional
        Called before every step; may keep the state, or end the match by an exception.

    Returns
    -------
    Match

    Raises
    ------
    AudioMetamerError
        If the optimiser is none of these; if the loss is no real number for each signal, or not finite; or if the gradient does
        not reach the signals.
    """
    check_optimizer(optimizer)
    _check_lengths(start, target)
    if resume_from is None:
        parameters = domain.project(normal_tensor(start.detach()))
        resume_from = MatchState(0, parameters, optimizer.init(parameters), [], parameters.new_empty(len(parameters), 0))
    parameters, state = resume_from.parameters, resume_from.optimizer_state
    active = torch.arange(len(parameters), device=parameters.device)
    result, taken = parameters.clone(), torch.full_like(active, steps)
    loss_steps, curves = list(resume_from.loss_steps), list(resume_from.losses.to(parameters.device).unbind(1))
    if stop is not None:
        for step, losses in zip(loss_steps, curves, strict=True):
            stop(step, losses)

    for step in range(resume_from.step, steps):
        if save is not None:
            save(active, partial(_state, step, active, parameters, state, loss_steps, curves))
        losses, gradients = losses_and_gradients(forward, target, parameters, domain=domain, loss=loss, penalty=penalty)
        if step % report_every == 0:
            if not torch.isfinite(losses).all():
                raise AudioMetamerError(f"the loss is not finite after {step} steps: {losses.tolist()}")
            curve = torch.full((len(result),), float("nan"), dtype=losses.dtype, device=losses.device)
            curve[active] = losses
            loss_steps.append(step)
            curves.append(curve)
            if report is not None:
                report(step, active, losses)
            if stop is not None and (stopped := stop(step, losses)).any():
                result[active[stopped]], taken[active[stopped]] = parameters[stopped], step
                kept = ~stopped
                active, parameters, gradients = active[kept], parameters[kept], gradients[kept]
                target, state = _select(target, kept), {name: tensor[kept] for name, tensor in state.items()}
                if len(active) == 0:
                    break
        parameters, state = optimizer.step(step, parameters, gradients, state)
        parameters = domain.project(parameters)

    result[active] = parameters
    return Match(
        domain.signals(result), taken, loss_steps, torch.stack(curves, 1).cpu() if curves else torch.empty(len(result), 0)
    )


def _state(
    step: int, active: Tensor, parameters: Tensor, state: State, loss_steps: list[int], curves: list[Tensor]
) -> MatchState:
    losses = torch.stack([curve[active] for curve in curves], 1) if curves else parameters.new_empty(len(active), 0)
    return MatchState(step, parameters.detach().clone(), state, list(loss_steps), losses.cpu())


def losses_and_gradients(
    forward: Forward, target: Activations, parameters: Tensor, *, domain: Domain, loss: Loss, penalty: Penalty | None = None
) -> tuple[Tensor, Tensor]:
    """The loss of each signal [shape=(batch,)], and its gradient at what is stepped [shape=(batch, ...)]; see `match`."""
    parameters = parameters.detach().requires_grad_()
    signals = domain.signals(parameters)
    losses = per_signal(_called("loss", loss, forward(signals), target), "loss", parameters)
    if penalty is not None:
        losses = losses + per_signal(_called("penalty", penalty, signals), "penalty", parameters)
    if not losses.requires_grad:
        raise AudioMetamerError("the activations do not depend on the signal by differentiable steps: no gradient reaches it")
    (gradients,) = torch.autograd.grad(losses.sum(), parameters, allow_unused=True)
    if gradients is None:
        raise AudioMetamerError("the loss is not computed from the signal: no gradient reaches it")
    return losses.detach(), gradients


def _called(what: str, function: Callable[..., Any], *args: Any) -> Any:
    """What a loss or a penalty returns; what it raises becomes one line."""
    try:
        return function(*args)
    except (torch.OutOfMemoryError, AudioMetamerError):
        raise
    except (RuntimeError, TypeError, ValueError, LookupError, AttributeError, AssertionError, ArithmeticError) as error:
        raise AudioMetamerError(f"the {what} fails: {type(error).__name__}: {one_line(error)}") from error


def per_signal(values: Tensor, what: str, signals: Tensor) -> Tensor:
    """What a loss or a penalty returned, if that is a real number for each signal of a batch."""
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


def check_optimizer(optimizer: object) -> None:
    """Raise unless something is an `Optimizer`; those of `torch.optim` are not."""
    if isinstance(optimizer, type) or not all(callable(getattr(optimizer, name, None)) for name in ("init", "step")):
        name = getattr(optimizer, "__name__", type(optimizer).__name__)
        raise AudioMetamerError(
            f"the optimiser is {name}, without init(signals) and step(step, signals, gradients, state); give one of "
            "audiometamer.matching, such as Adam(Halving(0.01))"
        )


def _check_lengths(start: Tensor, target: Activations) -> None:
    for tensor in [target] if isinstance(target, Tensor) else target.values():
        if start.ndim == 0 or tensor.ndim == 0 or len(tensor) != len(start):
            raise AudioMetamerError(
                f"the start has shape {tuple(start.shape)} and the target {tuple(tensor.shape)}; their first dimension must be "
                "the same number of signals"
            )


def _select(activations: Activations, kept: Tensor) -> Activations:
    if isinstance(activations, Tensor):
        return activations[kept]
    return {layer: tensor[kept] for layer, tensor in activations.items()}


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
