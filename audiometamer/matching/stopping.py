"""Stopping rules: which signals of a batch stop before their last step, from their losses so far."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from audiometamer.io.integers import as_integer

# The steps before which losses were reported, and the active signals' losses then, [shape=(active, reports)], to which of the
# signals stop now, [shape=(active,)]. A rule without memory, such as ``losses < 0.01``, may return a column for each report; the
# last one counts.
StoppingRule = Callable[[Sequence[int], Tensor], Tensor]


@dataclass(frozen=True)
class AnyOf:
    """Stop a signal as soon as one of several rules does.

    Parameters
    ----------
    rules : tuple of callable
        A record names the first of them that has stopped a signal.
    """

    rules: tuple[StoppingRule, ...]

    def __call__(self, steps: Sequence[int], losses: Tensor) -> Tensor:
        return torch.stack([_last(rule(steps, losses), losses) for rule in self.rules]).any(0)


def any_of(*rules: StoppingRule | None) -> StoppingRule | None:
    """The rules that are not None, together; None if there is none."""
    given = tuple(rule for rule in rules if rule is not None)
    return AnyOf(given) if len(given) > 1 else next(iter(given), None)


def outcome_of(rule: StoppingRule | None, steps: Sequence[int], losses: Tensor) -> str:
    """The word for why a rule has stopped a signal with these losses [shape=(reports,)], the last of them when it stopped."""
    if isinstance(rule, AnyOf):
        *others, last = rule.rules
        rule = next((each for each in others if bool(_last(each(steps, losses[None]), losses[None]))), last)
    return str(getattr(rule, "outcome", "stopped"))


def _last(stopped: Tensor, losses: Tensor) -> Tensor:
    """Which signals stop at the last report, of a rule that may say so for each report."""
    return stopped[:, -1] if stopped.shape == losses.shape else stopped


@dataclass(frozen=True)
class Plateau:
    """Stop a signal whose loss no longer falls: its least loss over the last `patience` steps is hardly below that before.

    Parameters
    ----------
    patience : int
        Number of steps.
    min_decrease : float
        Fraction by which the least loss must have fallen. Default 0.01.
    """

    patience: int
    min_decrease: float = 0.01
    outcome: ClassVar[str] = "plateau"

    def __post_init__(self) -> None:
        as_integer(self.patience, "the patience of a plateau", least=1)

    def __call__(self, steps: Sequence[int], losses: Tensor) -> Tensor:
        earlier = sum(step <= steps[-1] - self.patience for step in steps)
        if not earlier:
            return torch.zeros_like(losses[:, 0], dtype=torch.bool)
        return losses[:, earlier:].amin(1) > (1 - self.min_decrease) * losses[:, :earlier].amin(1)


@dataclass(frozen=True)
class Below:
    """Stop a signal whose loss is at most a value.

    Parameters
    ----------
    value : float
    """

    value: float
    outcome: ClassVar[str] = "matched"

    def __call__(self, steps: Sequence[int], losses: Tensor) -> Tensor:  # noqa: ARG002 (a rule takes the steps)
        return losses[:, -1] <= self.value


@dataclass(frozen=True)
class Stuck:
    """Stop, at one report, the signals whose loss has hardly fallen since the first.

    Parameters
    ----------
    after : int
        The rule applies once, at the first report after at least this many steps.
    min_decrease : float
        Fraction by which the loss must have fallen. Default 0.25, which is 2.5 dB for `relative_l2`.
    """

    after: int
    min_decrease: float = 0.25
    outcome: ClassVar[str] = "stuck"

    def __call__(self, steps: Sequence[int], losses: Tensor) -> Tensor:
        if steps[-1] < self.after or any(step >= self.after for step in steps[:-1]):
            return torch.zeros_like(losses[:, 0], dtype=torch.bool)
        return losses[:, -1] > (1 - self.min_decrease) * losses[:, 0]
