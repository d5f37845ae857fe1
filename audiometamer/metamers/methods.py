"""Methods of synthesis by name: which steps, how many, and what to do with a signal that does not move."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from audiometamer.errors import AudioMetamerError
from audiometamer.matching.loop import StoppingRule
from audiometamer.matching.losses import Loss, relative_l2, relative_l2_with_roots
from audiometamer.matching.optimizers import Constant, Cosine, Halving, NormalizedDescent, Optimizer, State


@dataclass(frozen=True)
class Phases:
    """One optimiser for the first `switch` steps, another, counting its steps from 0, for the rest."""

    first: Optimizer
    switch: int
    second: Optimizer

    def init(self, signals: Tensor) -> State:
        return {
            f"{phase}.{name}": tensor
            for phase, optimizer in (("first", self.first), ("second", self.second))
            for name, tensor in optimizer.init(signals).items()
        }

    def step(self, step: int, signals: Tensor, gradients: Tensor, state: State) -> tuple[Tensor, State]:
        phase, optimizer, count = (
            ("first", self.first, step) if step < self.switch else ("second", self.second, step - self.switch)
        )
        own = {name.removeprefix(f"{phase}."): t for name, t in state.items() if name.startswith(f"{phase}.")}
        signals, own_after = optimizer.step(count, signals, gradients, own)
        return signals, {**state, **{f"{phase}.{name}": tensor for name, tensor in own_after.items()}}


@dataclass(frozen=True)
class Attempt:
    """One way to synthesise a signal.

    Parameters
    ----------
    name : str
        For the record.
    optimizer : callable
        Number of steps to an optimiser.
    warm_start : bool
        Whether it starts from the best signal so far, and not from noise. Default False.
    steps_factor : int
        Factor on the number of steps. Default 1.
    loss : callable, optional
        What is minimised, if not the method's loss.
    gradient_clip : float
        Factor on the largest derivative of a cochleagram's compression: with less, what is quiet in the target steers less.
        Default 1.
    straight_through : bool
        Whether silent units that should be active count as zero, not by how far they are below it; see `losses.rectified`.
        Default False.
    layer_before : bool
        Whether the layer that the model lists before the wanted one is matched in its place, if there is one and the target is a
        signal's. Default False.
    """

    name: str
    optimizer: Callable[[int], Optimizer]
    warm_start: bool = False
    steps_factor: int = 1
    loss: Loss | None = None
    gradient_clip: float = 1.0
    straight_through: bool = False
    layer_before: bool = False


@dataclass(frozen=True)
class Method:
    """A named procedure.

    Parameters
    ----------
    name : str
    steps : int
        Default number of steps of an attempt, before its steps_factor.
    expected_steps : int
        Mean number of steps that a metamer takes, over its attempts, at the default.
    attempts : tuple of Attempt
        The first is made with every signal; each next one with the signals that have not passed. One that starts from noise draws
        its own; one that goes on leaves out the signals that just got stuck.
    loss : callable
        What is minimised, unless the caller or an attempt says otherwise.
    description : str
    margin : float
        Of silent units at a ReLU, or at a pool of one, as a fraction of the target's mean; see `losses.rectified`. Default 0: the
        ReLU is straight-through, as published.
    version : int
        Raised with every change of the code that gives other samples and does not show in what is above. Default 1.
    """

    name: str
    steps: int
    expected_steps: int
    attempts: tuple[Attempt, ...]
    loss: Loss
    description: str
    margin: float = 0.0
    version: int = 1

    def fingerprint(self) -> str:
        """SHA-256 of everything here that decides the samples; not of descriptions and expectations."""
        attempts = [
            f"{each.optimizer(self.steps)!r} {each.warm_start} {each.steps_factor} {each.gradient_clip!r} {each.straight_through} "
            f"{_told(each.loss)}{' layer before' if each.layer_before else ''}"
            for each in self.attempts
        ]
        numbers = f"{self.steps} {self.margin!r} {self.version}"
        return hashlib.sha256("\n".join([numbers, _told(self.loss), *attempts]).encode()).hexdigest()


def _told(loss: Loss | None) -> str:
    """A loss in words that are the same in every process: its name, with the options that it was given."""
    if isinstance(loss, partial):
        return f"{_told(loss.func)} {sorted(loss.keywords.items())}"
    return str(getattr(loss, "__qualname__", None if loss is None else repr(loss)))


def _published(steps: int) -> Optimizer:
    return NormalizedDescent(Halving(1.0, max(steps // 8, 1)))


def _momentum(size: float) -> Callable[[int], Optimizer]:
    return lambda steps: NormalizedDescent(Cosine(size, steps), momentum=0.9)


def _grown(size: float) -> Callable[[int], Optimizer]:
    """Steps of one size without momentum out of near silence, 30 of them or a quarter of all; then momentum."""

    def optimizer(steps: int) -> Optimizer:
        growth = min(30, steps // 4)
        return Phases(NormalizedDescent(Constant(size)), growth, _momentum(size)(steps - growth))

    return optimizer


def _start(
    name: str,
    size: float,
    *,
    steps_factor: int = 1,
    gradient_clip: float = 1.0,
    straight_through: bool = False,
    layer_before: bool = False,
) -> Attempt:
    return Attempt(
        f"{name}growth, then momentum",
        _grown(size),
        steps_factor=steps_factor,
        gradient_clip=gradient_clip,
        straight_through=straight_through,
        layer_before=layer_before,
    )


def _going_on(*, gradient_clip: float = 1.0, straight_through: bool = False) -> Attempt:
    """With gentle momentum; near the end small activations matter more."""
    loss = partial(relative_l2_with_roots, offset=0.001)
    return Attempt(
        "going on with gentle momentum",
        _momentum(0.1),
        warm_start=True,
        loss=loss,
        gradient_clip=gradient_clip,
        straight_through=straight_through,
    )


# Of the compression's largest derivative. With it deep layers pass more often at once; what it does not help, more often passes
# without it. The same holds of counting silent units by how far they are below zero (docs/optimisers.md). So attempts take turns.
_LESS = 0.4

METHODS = {
    method.name: method
    for method in (
        Method(
            "default",
            200,
            280,  # over twenty recordings at all layers of three networks (docs/optimisers.md)
            (
                _start("", 0.3, gradient_clip=_LESS),
                _going_on(gradient_clip=_LESS),
                _going_on(straight_through=True),
                _start("longer: ", 0.3, steps_factor=2, straight_through=True),
                _going_on(),
                _start("longer and bolder: ", 1.0, steps_factor=2, gradient_clip=_LESS),
                _going_on(gradient_clip=_LESS, straight_through=True),
                _start("longest and gentle: ", 0.05, steps_factor=3, straight_through=True),
                _going_on(),
                _going_on(gradient_clip=_LESS, straight_through=True),
                _start("by the layer before: ", 0.3, gradient_clip=_LESS, layer_before=True),
                _going_on(gradient_clip=_LESS),
                _going_on(straight_through=True),
                _start("by the layer before, longer: ", 0.3, steps_factor=2, layer_before=True),
                _going_on(),
                _going_on(gradient_clip=_LESS, straight_through=True),
            ),
            relative_l2_with_roots,
            "equal steps out of near silence, then momentum on the normalised gradient with a step size falling along a cosine; "
            "what did not pass goes on with smaller steps, and what still does not, or got stuck, begins again from other noise, "
            "with more steps, in the last attempts at the layer before; in some attempts silent units count by how far they are "
            "below zero, in others a ReLU that the layer is, or pools, is straight-through, and in some the cochleagram's "
            "compression has a smaller largest derivative",
            margin=0.01,
            version=2,
        ),
        Method(
            "feather2023",
            24_000,
            24_000,
            (Attempt("published", _published),),
            relative_l2,
            "Feather et al. (2023): normalised gradient steps, size 1 halved seven times; the last signal is kept",
        ),
    )
}


def load_method(name: str) -> Method:
    """A method by name: ``default`` or ``feather2023``."""
    if name not in METHODS:
        raise AudioMetamerError(f"there is no method {name!r}; there are {', '.join(METHODS)}")
    return METHODS[name]


def stuck_after(step: int) -> StoppingRule:
    """Stops, at one step, the signals whose loss has not fallen by a quarter since the start (2.5 dB for `relative_l2`)."""
    initial: Tensor | None = None

    def rule(now: int, losses: Tensor) -> Tensor:
        nonlocal initial
        if initial is None:
            initial = losses
        if now != step:
            return torch.zeros_like(losses, dtype=torch.bool)
        return losses > 0.75 * initial

    return rule
