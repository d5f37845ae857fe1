"""Move signals by steps that need no gradient: a procedure that is repeated, in place of an optimiser and a loss."""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from audiometamer.errors import AudioMetamerError
from audiometamer.matching.batch import MatchState
from audiometamer.matching.descent import per_signal
from audiometamer.matching.domains import Domain
from audiometamer.matching.loop import Callback, Match, Save, StopSynthesis


class Iteration(Protocol):
    """A procedure that brings signals nearer to the targets that it was made with."""

    def advance(self, step: int, signals: Tensor) -> Tensor:
        """Signals [shape=(batch, ...)] after step number `step`, from 0."""
        ...

    def losses(self, signals: Tensor) -> Tensor:
        """How far each signal is from its target, [shape=(batch,)]."""
        ...


@torch.no_grad()
def iterate(
    iteration: Iteration,
    start: Tensor,
    *,
    domain: Domain,
    steps: int,
    callback: Callback | None = None,
    resume_from: MatchState | None = None,
    save: Save | None = None,
) -> Match:
    """Repeat a procedure.

    Parameters
    ----------
    iteration : Iteration
    start : Tensor [shape=(batch, ...)]
    domain : Domain
        Bounds of the signals.
    steps : int
    callback, resume_from, save
        As of `match`. The callback is called at every step, and so are losses recorded; and once more after the last step.

    Returns
    -------
    Match

    Raises
    ------
    AudioMetamerError
        If a loss is not a finite number for each signal.

    Examples
    --------
    >>> from audiometamer.matching.domains import Gaussian
    >>> class Halve:
    ...     def advance(self, step, signals):
    ...         return signals / 2
    ...     def losses(self, signals):
    ...         return signals.abs().sum(1)
    >>> found = iterate(Halve(), torch.tensor([[8.0]]), domain=Gaussian(), steps=3)
    >>> found.signals.item(), found.losses.tolist()
    (1.0, [[8.0, 4.0, 2.0, 1.0]])
    """
    state = resume_from or MatchState(0, domain.project(start), {}, [], start.new_empty(len(start), 0))
    signals, reported = state.parameters, [*state.losses.to(start.device).unbind(1)]
    loss_steps, everyone = list(state.loss_steps), torch.arange(len(start), device=start.device)
    taken, interrupted = state.step, False
    while True:
        if save is not None and taken < steps:
            before = MatchState(taken, signals.clone(), {}, list(loss_steps), _table(reported, start))
            save(everyone, _giving(before))
        reported.append(_finite(per_signal(iteration.losses(signals), "loss", signals), taken))
        loss_steps.append(taken)
        interrupted = callback is not None and _interrupts(callback, taken, signals, reported[-1])
        if interrupted or taken == steps:
            break
        signals, taken = domain.project(iteration.advance(taken, signals)), taken + 1
    return Match(domain.signals(signals), torch.full_like(everyone, taken), loss_steps, _table(reported, start), interrupted)


def _giving(state: MatchState) -> Callable[[], MatchState]:
    return lambda: state


def _table(losses: list[Tensor], start: Tensor) -> Tensor:
    return torch.stack(losses, 1).cpu() if losses else start.new_empty(len(start), 0).cpu()


def _finite(losses: Tensor, step: int) -> Tensor:
    if not torch.isfinite(losses).all():
        raise AudioMetamerError(f"the loss is not finite after {step} steps: {losses.tolist()}")
    return losses


def _interrupts(callback: Callback, step: int, signals: Tensor, losses: Tensor) -> bool:
    try:
        callback(step, signals, losses)
    except StopSynthesis:
        return True
    return False
