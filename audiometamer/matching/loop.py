"""Move signals until their activations match a target: the loop that everything else is an argument of."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from audiometamer.errors import AudioMetamerError
from audiometamer.matching.batch import Batch, MatchState, first_state
from audiometamer.matching.descent import Descent, Forward, Penalty, call, for_each
from audiometamer.matching.domains import Domain
from audiometamer.matching.inference import normal_tensor, with_gradients
from audiometamer.matching.losses import Activations, Loss, relative_l2
from audiometamer.matching.optimizers import Optimizer
from audiometamer.matching.stages import Stages
from audiometamer.matching.stopping import StoppingRule

if TYPE_CHECKING:
    from audiometamer.matching.captured import Graphs

# Step number, all signals of the batch [shape=(batch, ...)] and their losses [shape=(batch,)], NaN for those that have stopped.
Callback = Callable[[int, Tensor, Tensor], object]
# Activations of the active signals before a step [shape=(active, ...)].
Observe = Callable[[Activations], object]
# Indices of the active signals and a function that returns their state; called before every step.
Save = Callable[[Tensor, Callable[[], MatchState]], None]


class StopSynthesis(Exception):  # noqa: N818 (a request, as StopIteration is)
    """Raised by a callback to end a match or a synthesis; what has been reached is returned."""


@dataclass
class Match:
    """Result of `match`.

    Parameters
    ----------
    signals : Tensor [shape=(batch, ...)]
        After their last step.
    steps : Tensor [shape=(batch,)]
        Number of steps that each signal took.
    loss_steps : list of int
        Steps before which the losses were reported.
    losses : Tensor [shape=(batch, reports)]
        On the CPU; NaN after a signal has stopped.
    interrupted : bool
        Whether the callback raised `StopSynthesis`.
    """

    signals: Tensor
    steps: Tensor
    loss_steps: list[int]
    losses: Tensor
    interrupted: bool = False


@with_gradients
def match(
    forward: Forward | Stages[Forward],
    target: Activations,
    start: Tensor,
    *,
    domain: Domain,
    optimizer: Optimizer,
    steps: int,
    loss: Loss | Stages[Loss] = relative_l2,
    penalty: Penalty | None = None,
    stop: StoppingRule | None = None,
    callback: Callback | None = None,
    observe: Observe | None = None,
    report_every: int = 25,
    resume_from: MatchState | None = None,
    save: Save | None = None,
    captured: "bool | Graphs" = False,
) -> Match:
    """Move each signal of a batch until its activations match its target.

    Signals do not influence each other: each has its own gradient norm and its own stop, and leaves the batch when it stops.
    Between reports nothing is copied from the device and nothing waits for it.

    Parameters
    ----------
    forward : callable
        Signals [shape=(batch, ...)] to activations, in eval mode: the activations of one signal must not depend on the others. Or
        `Stages` of them.
    target : Tensor [shape=(batch, ...)] or mapping of str to Tensor
        Wanted activations of each signal.
    start : Tensor [shape=(batch, ...)]
    domain : Domain
        Bounds of the signals, and the map from the parameters that are stepped to signals.
    optimizer : Optimizer
    steps : int
        Largest number of steps of a signal.
    loss : callable
        Activations and target to Tensor [shape=(batch,)], or `Stages` of them. Default `relative_l2`.
    penalty : callable, optional
        Signals to Tensor [shape=(batch,)], added to the loss. Default: none.
    stop : callable, optional
        Which signals stop before their last step, such as `Plateau(100)` or `Below(0.1)`; asked at every report. Default: none.
    callback : callable, optional
        Called with ``(step, signals, losses)`` at every report: all signals of the batch, and a loss for each, NaN for those that
        have stopped. May raise `StopSynthesis`.
    observe : callable, optional
        Called at every report, before the callback and the rule, with the activations of the signals that are still moved.
    report_every : int
        Number of steps between reports. Default 25.
    resume_from : MatchState, optional
        State to resume from, of all signals of `start`. Default: the first step.
    save : callable, optional
        Called before every step; may keep the state, or end the match by an exception.
    captured : bool or Graphs
        Whether a step is one graph, of a shape that stays as signals stop; on an NVIDIA GPU one launch. Then nothing of Python
        runs in a step but at the first of its kind; an optimiser that is not `Numbered` stays outside. `Graphs` keep the graphs
        for further matches that differ in tensors only. Default False.

    Returns
    -------
    Match

    Raises
    ------
    AudioMetamerError
        If the optimiser is not an `Optimizer`; if the loss is not a real, finite number for each signal; if no gradient reaches
        the signals; or if the passes cannot be captured, since a shape or a branch depends on values.
    """
    if not callable(forward):
        raise AudioMetamerError(
            f"forward is a {type(forward).__name__}; it must be a function of signals that returns activations"
        )
    check_optimizer(optimizer)
    _check_lengths(start, target)
    descent = Descent(forward, loss, domain, optimizer, penalty)
    if resume_from is None:
        resume_from = first_state(domain.project(normal_tensor(start.detach())), optimizer)
    mover = descent if captured is False else _captured(descent, captured)
    batch = mover.begin(resume_from, target, steps)
    interrupted = False

    for step in range(resume_from.step, steps):
        if save is not None:
            save(batch.active, partial(batch.state, step))
        reports = step % report_every == 0
        losses, activations, before = mover.take(step, batch, keep=reports)
        if not reports:
            continue
        losses = batch.of_active(losses)
        _check_finite(losses, step)
        batch.report(step, losses)
        if observe is not None:
            observe(for_each(batch.of_active, activations))
        interrupted = callback is not None and _interrupts(callback, step, batch, domain.signals, before)
        stopped = torch.full_like(batch.active, interrupted, dtype=torch.bool)
        if stop is not None and not interrupted:
            stopped = _stopped(stop, batch)
        if stopped.any():
            batch.remove(stopped, before, step)
        if len(batch.active) == 0:
            break

    losses = torch.stack(batch.losses, 1).cpu() if batch.losses else torch.empty(len(start), 0)
    return Match(domain.signals(batch.all_parameters()), batch.steps, batch.loss_steps, losses, interrupted)


def _captured(descent: Descent, captured: "bool | Graphs") -> "Graphs":
    from audiometamer.matching.captured import Graphs  # torch's tracer is slow to import

    graphs = captured if isinstance(captured, Graphs) else Graphs()
    return graphs.of(descent)


def _check_finite(losses: Tensor, step: int) -> None:
    if not torch.isfinite(losses).all():
        raise AudioMetamerError(f"the loss is not finite after {step} steps: {losses.tolist()}")


def _interrupts(callback: Callback, step: int, batch: Batch, signals_of: Callable[[Tensor], Tensor], before: Tensor) -> bool:
    """Show the signals before a step, and their losses, to a callback; whether it ends the match."""
    with torch.no_grad():
        signals = signals_of(batch.all_parameters(before))
    try:
        callback(step, signals, batch.losses[-1].clone())
    except StopSynthesis:
        return True
    return False


def _stopped(rule: StoppingRule, batch: Batch) -> Tensor:
    """Which of the active signals a rule stops, [shape=(active,)]."""
    history = batch.history()
    stopped = call("stopping rule", rule, tuple(batch.loss_steps), history)
    if isinstance(stopped, Tensor) and stopped.shape == history.shape:
        stopped = stopped[:, -1]
    if not isinstance(stopped, Tensor) or stopped.dtype != torch.bool or stopped.shape != batch.active.shape:
        found = f"{stopped.dtype} of shape {tuple(stopped.shape)}" if isinstance(stopped, Tensor) else type(stopped).__name__
        raise AudioMetamerError(f"the stopping rule returns {found}; it must return torch.bool of shape ({len(batch.active)},)")
    return stopped


def check_optimizer(optimizer: object) -> None:
    """Raise unless an object is an `Optimizer`; those of `torch.optim` are not."""
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
