"""A procedure that is repeated, and taken up again."""

import pytest
import torch

from audiometamer.errors import AudioMetamerError
from audiometamer.matching.batch import MatchState
from audiometamer.matching.domains import Gaussian
from audiometamer.matching.iteration import iterate


class Halve:
    """Halves signals; the loss is their magnitude."""

    def advance(self, step: int, signals: torch.Tensor) -> torch.Tensor:
        return signals / 2 + step * 0

    def losses(self, signals: torch.Tensor) -> torch.Tensor:
        return signals.abs().sum(1)


START = torch.tensor([[8.0], [40.0]])


def test_steps_losses_and_bounds():
    found = iterate(Halve(), START, domain=Gaussian(high=16.0), steps=2)
    assert found.signals.tolist() == [[2.0], [4.0]]
    assert found.losses.tolist() == [[8.0, 4.0, 2.0], [16.0, 8.0, 4.0]]
    assert (found.loss_steps, found.steps.tolist(), found.interrupted) == ([0, 1, 2], [2, 2], False)


def test_a_resumed_procedure_ends_where_it_would_have():
    kept: list[MatchState] = []
    whole = iterate(Halve(), START, domain=Gaussian(), steps=4, save=lambda _active, state: kept.append(state()))
    assert [state.step for state in kept] == [0, 1, 2, 3]
    again = iterate(Halve(), START, domain=Gaussian(), steps=4, resume_from=kept[2])
    torch.testing.assert_close(again.signals, whole.signals)
    torch.testing.assert_close(again.losses, whole.losses)
    assert again.loss_steps == whole.loss_steps


def test_a_loss_that_is_no_number_ends_it():
    class Broken(Halve):
        def losses(self, signals: torch.Tensor) -> torch.Tensor:
            return signals.sum(1) / 0

    with pytest.raises(AudioMetamerError, match="the loss is not finite after 0 steps"):
        iterate(Broken(), START, domain=Gaussian(), steps=1)
