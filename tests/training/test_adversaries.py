"""Perturbations of a linear loss, whose worst case is known."""

import msgspec
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from audiometamer.training.adversaries import Adversary

GRADIENT = torch.tensor([3.0, -4.0, 0.5])
X = torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]])


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def linear(x):
    return (x * GRADIENT).sum()


def norm(change, name):
    return change.flatten(1).norm(dim=1) if name == "l2" else change.flatten(1).abs().amax(1)


def test_against_a_linear_loss_it_goes_the_whole_radius_along_the_gradient():
    """From any start: in L∞ after as many steps as cross the ball; in L2 every step turns it closer to the gradient."""
    l2 = Adversary("waveform", "l2", 0.5, steps=60).perturbed(X, linear, generator=generator())
    torch.testing.assert_close(l2, X + 0.5 * GRADIENT / (9 + 16 + 0.25) ** 0.5)
    linf = Adversary("waveform", "linf", 0.5, steps=4).perturbed(X, linear, generator=generator())
    torch.testing.assert_close(linf, X + 0.5 * torch.tensor([1.0, -1.0, 1.0]))


def test_each_step_is_the_given_share_of_the_radius():
    """Without projection, as the start lies inside: two adversaries from one start, one step apart, differ by a step."""
    for seed in range(20):
        before, after = (
            Adversary("waveform", "l2", 2.0, steps=steps, step=0.25).perturbed(X, linear, generator=generator(seed))
            for steps in (0, 1)
        )
        inside = norm(before - X, "l2") < 1.5
        torch.testing.assert_close((after - before)[inside], (0.5 * GRADIENT / GRADIENT.norm()).expand(2, 3)[inside])


def test_the_loss_rises():
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1)).requires_grad_(False)
    x = torch.randn(5, 2, 3)

    def loss(x):
        return network(x.flatten(1)).sum()

    for name in ("l2", "linf"):
        control = Adversary("cochleagram", name, 0.3, kind="random_step").perturbed(x, loss, generator=generator())
        attacked = Adversary("cochleagram", name, 0.3).perturbed(x, loss, generator=generator())
        each = network(attacked.flatten(1)) - network(x.flatten(1))
        assert (each > 0).all()
        assert loss(attacked) > loss(control)
        assert not attacked.requires_grad


@settings(max_examples=40, deadline=None)
@given(
    radius=st.floats(1e-3, 1e3), name=st.sampled_from(["l2", "linf"]), steps=st.integers(0, 4), step=st.floats(0.01, 3),
    seed=st.integers(0, 1000),
)  # fmt: skip
def test_the_norm_never_exceeds_the_radius(radius, name, steps, step, seed):
    x = torch.zeros(3, 2, 5)

    def loss(x):
        return (x.flatten(1) @ torch.arange(-4.0, 6.0)).square().sum()

    change = Adversary("waveform", name, radius, steps=steps, step=step).perturbed(x, loss, generator=generator(seed))
    assert (norm(change, name) <= radius * (1 + 1e-5)).all()
    assert change.isfinite().all()


@pytest.mark.parametrize("name", ["l2", "linf"])
def test_a_random_step_has_exactly_the_radius_and_asks_no_loss(name):
    x = torch.zeros(200, 3, 4)
    adversary = Adversary("waveform", name, 0.7, kind="random_step")
    change = adversary.perturbed(x, lambda _: pytest.fail("the loss was asked"), generator=generator())
    torch.testing.assert_close(norm(change, name), torch.full((200,), 0.7))
    if name == "linf":
        torch.testing.assert_close(change.abs(), torch.full(change.shape, 0.7))
    size = 0.7 if name == "linf" else 0.7 / 12**0.5  # of one value, root mean square; 200 draws, so within 5 standard errors
    assert change.mean(0).abs().max() < 5 * size / 200**0.5


def test_a_start_anywhere_within_the_radius():
    x = torch.zeros(500, 10)
    for name in ("l2", "linf"):
        start = Adversary("waveform", name, 2.0, steps=0).perturbed(x, linear, generator=generator())
        lengths = norm(start, name)
        assert lengths.min() < 0.1
        assert 1.9 < lengths.max() <= 2.0


def test_each_sound_is_pushed_by_itself():
    """From the same start, another sound beside it and a loss a thousand times as large change nothing."""
    adversary = Adversary("waveform", "l2", 1.0)
    curvature = torch.tensor([1.0, 2.0, 3.0])

    def loss(x):
        return (x.square() @ curvature).sum()

    pair = adversary.perturbed(X, loss, generator=generator())
    beside = adversary.perturbed(torch.stack([X[0], torch.full((3,), 1e3)]), loss, generator=generator())
    torch.testing.assert_close(beside[0], pair[0], rtol=0, atol=0)


def test_the_generator_decides_everything():
    for kind in ("gradient", "random_step"):
        adversary = Adversary("waveform", "linf", 1.0, kind=kind, steps=1, step=0.1)
        once, again, other = (adversary.perturbed(X, linear, generator=generator(seed)) for seed in (3, 3, 4))
        assert torch.equal(once, again)
        assert not torch.equal(once, other)
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    adversary.perturbed(X, linear, generator=generator())
    assert torch.equal(torch.random.get_rng_state(), before)


def test_where_the_gradient_is_zero_it_stays():
    change = Adversary("waveform", "l2", 1.0, steps=3).perturbed(X, lambda x: (0 * x).sum(), generator=generator()) - X
    start = Adversary("waveform", "l2", 1.0, steps=0).perturbed(X, linear, generator=generator()) - X
    torch.testing.assert_close(change, start)


def test_names_and_wrong_fields():
    assert Adversary("cochleagram", "l2", 0.5).name == "cochleagram_l2_0.5"
    assert Adversary("waveform", "linf", 0.002, kind="random_step").name == "waveform_linf_0.002_random_step"
    for wrong in ({"norm": "l1"}, {"at": "ear"}, {"kind": "evil"}, {"stepsize": 1}):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"at": "waveform", "norm": "l2", "radius": 1.0} | wrong, Adversary)
