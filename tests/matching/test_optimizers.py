"""L-BFGS against values worked out by hand, and against the exact answer of a quadratic problem."""

import pytest
import torch

import audiometamer as am
from audiometamer.matching import LBFGS, Adam, CautiousLBFGS, NormalizedDescent, half_squared_error
from audiometamer.matching.domains import Gaussian


def path(optimizer, gradient, x, steps):
    state, found = optimizer.init(x), []
    for step in range(steps):
        x, state = optimizer.step(step, x, gradient(x), state)
        found.append(x)
    return found


def test_a_parabola_by_hand():
    """f = 2x², f' = 4x from x = 3: a first step of length 1 to 2, then 4 / 4 of curvature 4: −8/4 = −2 to 0."""
    first, second = path(LBFGS(max_step=5.0, memory=3), lambda x: 4 * x, torch.tensor([[3.0]]), 2)
    assert first.item() == pytest.approx(-2.0)  # a first step of length 5
    assert second.item() == pytest.approx(0.0, abs=1e-6)
    first, second, third = path(LBFGS(max_step=1.5), lambda x: 4 * x, torch.tensor([[3.0]]), 3)
    assert [first.item(), second.item(), third.item()] == pytest.approx([1.5, 0.0, 0.0], abs=1e-6)


def test_signals_of_a_batch_have_curvatures_of_their_own():
    curvature = torch.tensor([[1.0], [100.0]])
    found = path(LBFGS(max_step=10.0), lambda x: curvature * x, torch.tensor([[30.0], [30.0]]), 4)
    assert [x.tolist() for x in found[:1]] == [[[20.0], [20.0]]]
    assert found[-1].flatten().tolist() == pytest.approx([0.0, 0.0], abs=1e-4)


def test_no_step_is_longer_than_allowed_and_negative_curvature_is_skipped():
    """f = −x²/2: the gradient −x leads away from 0; no pair has positive curvature, so every step has the largest length."""
    found = path(LBFGS(max_step=0.5), lambda x: -x, torch.tensor([[1.0, 0.0]]), 3)
    assert [x[0].tolist() for x in found] == [[1.5, 0.0], [2.0, 0.0], [2.5, 0.0]]


def test_a_quadratic_of_many_dimensions_is_solved_in_few_steps():
    """Condition number 100 in 8 dimensions: steepest descent needs hundreds of steps for the same error."""
    scale = torch.logspace(0, 1, 8, dtype=torch.float64)
    target = torch.randn(3, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = am.match(
        lambda x: scale * x, scale * target, torch.zeros(3, 8, dtype=torch.float64), domain=Gaussian(),
        optimizer=LBFGS(max_step=5.0), steps=60, loss=half_squared_error,
    )  # fmt: skip
    torch.testing.assert_close(found.signals, target, atol=1e-5, rtol=0)


@pytest.mark.parametrize("optimizer", [Adam, NormalizedDescent])
def test_a_step_size_is_a_function_of_the_step(optimizer):
    with pytest.raises(
        am.AudioMetamerError, match=r"the schedule is 0\.01; it must be a function of the number of the step, such as"
    ):
        optimizer(0.01)


def test_the_function_comes_first():
    with pytest.raises(am.AudioMetamerError, match="forward is a Tensor; it must be a function of signals"):
        am.match(
            torch.ones(1, 4), torch.square, torch.ones(1, 4), domain=Gaussian(), optimizer=Adam(lambda step: 0.1), steps=2
        )  # fmt: skip


def test_a_step_that_makes_the_gradient_grow_is_taken_back_and_halved():
    """x³ from 1: the first step is too long by far, and those after it are halved until one is not."""
    optimizer, x = CautiousLBFGS(max_step=8.0, memory=3), torch.tensor([[1.0], [0.0]])
    state = optimizer.init(x)
    x, state = optimizer.step(0, x, torch.tensor([[1.0], [1.0]]), state)
    assert x.flatten().tolist() == pytest.approx([-7.0, -8.0])
    x, state = optimizer.step(1, x, torch.tensor([[-343.0], [0.5]]), state)
    assert state["signals"].flatten().tolist() == pytest.approx([1.0, -8.0])
    assert state["radius"].flatten().tolist() == pytest.approx([4.0, 8.0])
    assert float(x[0]) == pytest.approx(1 - 8 / 344)  # along the secant from 1 to -7


def test_without_a_leap_it_is_lbfgs():
    start = torch.tensor([[3.0, -2.0]])
    curvature = torch.tensor([[1.0, 4.0]])
    for cautious, plain in zip(
        path(CautiousLBFGS(max_step=0.5, memory=3), lambda x: curvature * x, start, 6),
        path(LBFGS(max_step=0.5, memory=3), lambda x: curvature * x, start, 6),
        strict=True,
    ):
        torch.testing.assert_close(cautious, plain)
