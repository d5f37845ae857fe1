"""The core against hand-made problems, a direct transcription of the published step, and its own promises."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from only_device import OnlyDevice

import audiometamer as am
from audiometamer.matching import (
    LBFGS,
    Adam,
    Cosine,
    Halving,
    NormalizedDescent,
    Phases,
    gram,
    half_squared_error,
    rectified,
    relative_l2,
    relative_l2_with_roots,
    time_average,
    transformed,
    weighted,
)
from audiometamer.matching.domains import Gaussian, Image, Waveform
from audiometamer.metamers.methods import load_method

EVERYWHERE = Gaussian()


def matrix(rows, columns, seed=0):
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_losses_by_hand():
    a, t = torch.tensor([[3.0, 4.0], [1.0, 1.0]]), torch.tensor([[0.0, 4.0], [1.0, 1.0]])
    assert relative_l2(a, t)[0] == pytest.approx(3 / 4)
    assert relative_l2(a, t)[1] == pytest.approx(0, abs=1e-15)
    assert half_squared_error(a, t).tolist() == [4.5, 0]
    assert transformed(time_average, half_squared_error)(a, t).tolist() == [0.5 * 1.5**2, 0]
    maps = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
    assert gram(maps).tolist() == [[[2.5, 5.5], [5.5, 12.5]]]
    both = weighted({"x": 2.0, "y": 0.5}, half_squared_error)
    assert both({"x": a, "y": a}, {"x": t, "y": t}).tolist() == [2.5 * 4.5, 0]


def test_loss_with_roots_by_hand():
    """Target (4, 0), mean 2; activation (4, 2): relative error 2/4. In units of the mean (2, 0) and (2, 1); root(u) is
    √(u + 0.01) − 0.1, so the roots differ by root(1) in the second place only.
    """

    def root(u):
        return (u + 0.01) ** 0.5 - 0.1

    loss = relative_l2_with_roots(torch.tensor([[4.0, 2.0]]), torch.tensor([[4.0, 0.0]]))
    assert loss.item() == pytest.approx(0.5 + root(1) / root(2))
    assert relative_l2_with_roots(torch.tensor([[4.0, -2.0]]), torch.tensor([[4.0, 0.0]])).item() == pytest.approx(loss.item())
    plain_roots = relative_l2_with_roots(torch.tensor([[4.0, 2.0]]), torch.tensor([[4.0, 0.0]]), offset=0.0)
    assert plain_roots.item() == pytest.approx(0.5 + 0.5**0.5)


def test_rectified_loss_by_hand():
    """Target (4, 0, 0, 0), mean 1, margin 0.5: what ReLUs were given, (−3, 1, −0.2, −2), counts as (−3, 1.5, 0.3, 0)."""
    target = torch.tensor([[4.0, 0.0, 0.0, 0.0]])
    given = torch.tensor([[-3.0, 1.0, -0.2, -2.0]], requires_grad=True)
    loss = rectified(half_squared_error, 0.5)(given, target)
    assert loss.item() == pytest.approx(0.5 * (7**2 + 1.5**2 + 0.3**2))
    (gradient,) = torch.autograd.grad(loss.sum(), given)
    assert gradient[0].tolist() == pytest.approx([-7, 1.5, 0.3, 0])
    loss = rectified(half_squared_error, 0.5, straight_through=True)(given, target)
    assert loss.item() == pytest.approx(0.5 * (4**2 + 1.5**2 + 0.3**2))  # the first counts as 0
    (gradient,) = torch.autograd.grad(loss.sum(), given)
    assert gradient[0].tolist() == pytest.approx([-4, 1.5, 0.3, 0])
    assert rectified(half_squared_error, 0.5)(torch.tensor([[4.0, -0.5, -1.0, -9.0]]), target).item() == 0


def test_a_target_of_zeros_is_approached_without_a_scale():
    """‖a‖ for lack of anything to compare with: finite, with a gradient of length one; the other examples as ever."""
    a = torch.tensor([[3.0, 4.0], [2.0, 0.0]], requires_grad=True)
    target = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    losses = relative_l2(a, target)
    assert losses.tolist() == pytest.approx([5.0, 1.0])
    (gradient,) = torch.autograd.grad(losses.sum(), a)
    torch.testing.assert_close(gradient, torch.tensor([[0.6, 0.8], [1.0, 0.0]]))
    assert relative_l2_with_roots(a, target, offset=0.0).tolist() == pytest.approx([5 + 7**0.5, 1 + 2**0.5 - 1])


def test_losses_tell_one_layer_from_several():
    t = torch.zeros(1, 2)
    with pytest.raises(am.AudioMetamerError, match=r"takes one layer, and the activations are of x; use losses.weighted"):
        relative_l2({"x": t}, {"x": t})
    with pytest.raises(am.AudioMetamerError, match=r"takes activations by layer \(x\)"):
        weighted({"x": 1.0})(t, t)


def test_the_gradient_at_a_perfect_match_is_finite():
    a = torch.ones(1, 3, requires_grad=True)
    (gradient,) = torch.autograd.grad(relative_l2(a, torch.ones(1, 3)).sum(), a)
    assert torch.isfinite(gradient).all()


def test_schedules():
    halving = Halving(1.0, 3000)
    assert [halving(k) for k in (0, 2999, 3000, 23_999)] == [1, 1, 0.5, 0.5**7]
    cosine = Cosine(2.0, 100)
    assert [cosine(0), cosine(50), cosine(100)] == pytest.approx([2, 1, 0])


def test_published_method_follows_the_formulas_step_by_step(tiny, tiny_clip):
    """x ← clamp(x − η·g/(‖g‖ + 1e-10), −1, 1), η = 1 halved seven times, from noise × 1e-7; in float64."""
    model = am.Model(tiny.network.double(), front_end=tiny.front_end, sample_rate=4000, duration=0.25, name="tiny64", check=False)
    try:
        target = am.record(model, tiny_clip.samples[None].double(), "relu1")
        steps = 64
        x = 1e-7 * torch.randn(1000, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
        for k in range(steps):
            x = x.detach().requires_grad_()
            heard = model.front_end(x[None].clamp(-1, 1))
            before = model.network.conv1(model.network.relu0(model.network.conv0(heard)))
            activation = before + (before.clamp(min=0) - before).detach()
            loss = (activation - target).norm() / target.norm()
            (g,) = torch.autograd.grad(loss, x)
            x = torch.clamp(x.detach() - 0.5 ** (k // (steps // 8)) * g / (g.norm() + 1e-10), -1, 1)

        domain = Waveform()
        start = domain.start((1000,), seeds=[5], dtype=torch.float64, device="cpu")
        found = am.match(
            lambda s: am.record(model, s, "relu1", straight_through=True),
            target, start, domain=domain, optimizer=load_method("feather2023").attempts[0].optimizer(steps), steps=steps,
        )  # fmt: skip
        assert float(x.abs().max()) > 0.01
        torch.testing.assert_close(found.signals[0], x, atol=1e-8, rtol=0)
    finally:
        tiny.network.float()


@pytest.mark.parametrize(
    "optimizer",
    [NormalizedDescent(Cosine(0.5, 400)), NormalizedDescent(Cosine(0.2, 400), momentum=0.9), Adam(Cosine(0.2, 400)),
     Phases(NormalizedDescent(Cosine(1.0, 50)), 50, Adam(Cosine(0.1, 350)))],
)  # fmt: skip
def test_every_optimiser_solves_a_linear_problem(optimizer):
    a = matrix(5, 12)
    target = matrix(3, 5, seed=1)
    found = am.match(
        lambda x: x @ a.T, target, torch.zeros(3, 12, dtype=torch.float64), domain=EVERYWHERE, optimizer=optimizer, steps=400
    )
    assert float(relative_l2(found.signals @ a.T, target).max()) < 0.01


def test_momentum_by_hand():
    """g = 1 always: v = 1, 1.5, 1.75 with momentum 0.5, so x = −1, −2.5, −4.25."""
    optimizer = NormalizedDescent(lambda step: 1.0, momentum=0.5)
    x = torch.zeros(1, 1)
    state, path = optimizer.init(x), []
    for step in range(3):
        x, state = optimizer.step(step, x, torch.full((1, 1), 7.0), state)
        path.append(float(x))
    assert path == pytest.approx([-1, -2.5, -4.25])


def test_phases_hand_over():
    phases = Phases(NormalizedDescent(lambda step: 1.0), 2, NormalizedDescent(Cosine(10.0, 2)))
    x = torch.zeros(1, 1)
    state, path = phases.init(x), []
    for step in range(4):
        x, state = phases.step(step, x, torch.ones(1, 1), state)
        path.append(float(x))
    assert path == pytest.approx([-1, -2, -12, -17])


def test_signals_do_not_see_each_other():
    a = matrix(6, 20)
    target, start = matrix(4, 6, seed=2), 1e-3 * matrix(4, 20, seed=3)
    options = {"domain": Waveform(), "optimizer": NormalizedDescent(Cosine(0.5, 60), momentum=0.9), "steps": 60}
    forward = lambda x: torch.tanh(x @ a.T)  # noqa: E731 (one line of mathematics)
    together = am.match(forward, target, start, **options)
    for i in range(4):
        alone = am.match(forward, target[i : i + 1], start[i : i + 1], **options)
        torch.testing.assert_close(alone.signals[0], together.signals[i], atol=1e-5, rtol=0)


def test_a_signal_that_stops_keeps_its_value_and_leaves_the_others_alone():
    a = matrix(4, 10)
    target, start = matrix(3, 4, seed=2), torch.zeros(3, 10, dtype=torch.float64)
    options = {"domain": EVERYWHERE, "optimizer": NormalizedDescent(Cosine(0.5, 100), momentum=0.9), "report_every": 10}
    seen = []

    def stop(steps, losses):
        stopped = torch.zeros(len(losses), dtype=torch.bool)
        if steps[-1] == 30:
            stopped[1] = True
        return stopped

    def callback(step, signals, losses):
        assert signals.shape == start.shape
        seen.append((step, [i for i, loss in enumerate(losses) if loss == loss]))

    found = am.match(lambda x: x @ a.T, target, start, steps=100, stop=stop, callback=callback, **options)
    whole = am.match(lambda x: x @ a.T, target, start, steps=100, **options)
    short = am.match(lambda x: x @ a.T, target, start, steps=30, **options)
    assert found.steps.tolist() == [100, 30, 100]
    torch.testing.assert_close(found.signals[1], short.signals[1])
    torch.testing.assert_close(found.signals[[0, 2]], whole.signals[[0, 2]])
    assert seen[3] == (30, [0, 1, 2])
    assert seen[4] == (40, [0, 2])
    assert found.loss_steps == list(range(0, 100, 10))
    assert torch.isnan(found.losses[1, 4:]).all()
    assert torch.isfinite(found.losses[[0, 2]]).all()


def test_all_signals_may_stop():
    found = am.match(
        lambda x: x, torch.ones(2, 3), torch.zeros(2, 3), domain=EVERYWHERE, optimizer=NormalizedDescent(Cosine(1.0, 50)),
        steps=50, stop=lambda steps, losses: losses < 2, report_every=5,
    )  # fmt: skip
    assert found.steps.tolist() == [0, 0]
    assert found.signals.tolist() == [[0, 0, 0], [0, 0, 0]]


def test_several_layers_at_once():
    a, b = matrix(3, 10), matrix(2, 10, seed=1)
    natural = matrix(2, 10, seed=2)
    forward = lambda x: {"a": x @ a.T, "b": x @ b.T}  # noqa: E731 (one line of mathematics)
    target = forward(natural)
    found = am.match(
        forward, target, torch.zeros(2, 10, dtype=torch.float64), domain=EVERYWHERE,
        optimizer=NormalizedDescent(Cosine(0.3, 400), momentum=0.9), steps=400, loss=weighted({"a": 1.0, "b": 0.5}),
    )  # fmt: skip
    for layer, activation in forward(found.signals).items():
        assert float(relative_l2(activation, target[layer]).max()) < 0.02


def test_the_domain_holds_at_every_step():
    seen = []

    def forward(x):
        seen.append(x.detach())
        return x * 3

    am.match(
        forward,
        torch.full((1, 4), 100.0),
        torch.full((1, 4), 5.0),
        domain=Image(),
        optimizer=NormalizedDescent(Cosine(1.0, 9)),
        steps=9,
    )
    assert all(float(x.min()) >= 0 and float(x.max()) <= 1 for x in seen)


@given(st.integers(0, 2**31), st.integers(0, 2**31))
@settings(max_examples=20)
def test_noise_depends_on_the_seed_only(one, other):
    domain = Waveform()
    alone = domain.start((50,), seeds=[one], dtype=torch.float32, device="cpu")
    together = domain.start((50,), seeds=[other, one], dtype=torch.float32, device="cpu")
    assert torch.equal(alone[0], together[1])
    assert (one == other) == torch.equal(together[0], together[1])


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**16), st.integers(0, 2**16))
@settings(max_examples=20)
def test_seeds_that_differ_beyond_32_bits_give_other_noise(seed, one, other):
    """As later attempts do: torch's generator on a CPU passes over these bits."""
    first, second = Waveform().start((50,), seeds=[seed + k * 2**32 for k in (one, other)], dtype=torch.float32, device="cpu")
    assert (one == other) == torch.equal(first, second)


def test_starts_have_the_published_moments():
    sound = Waveform().start((100_000,), seeds=[0], dtype=torch.float64, device="cpu")
    assert float(sound.std()) == pytest.approx(1e-7, rel=0.02)
    image = Image().start((3, 200, 200), seeds=[0], dtype=torch.float64, device="cpu")
    assert float(image.mean()) == pytest.approx(0.5, abs=1e-3)
    assert float(image.std()) == pytest.approx(0.05, rel=0.02)


def test_what_cannot_be_matched_is_one_line():
    options = {"domain": EVERYWHERE, "optimizer": NormalizedDescent(Cosine(1.0, 5)), "steps": 5}
    with pytest.raises(am.AudioMetamerError, match="no gradient reaches it"):
        am.match(lambda x: x.detach(), torch.ones(1, 2), torch.zeros(1, 2), **options)
    with pytest.raises(am.AudioMetamerError, match="the loss is not finite after 0 steps"):
        am.match(lambda x: x / 0, torch.ones(1, 2), torch.ones(1, 2), **options)


def test_a_step_of_the_loop_makes_no_tensor_elsewhere_and_does_not_wait():
    a = torch.empty(5, 12, device="meta")
    optimizers = [
        NormalizedDescent(Cosine(1.0, 5), momentum=0.9),
        Adam(Cosine(1.0, 5)),
        LBFGS(memory=2),
        load_method("default").attempts[0].optimizer(5),
    ]
    for optimizer in optimizers:
        x = torch.empty(3, 12, device="meta", requires_grad=True)
        state = optimizer.init(x.detach())
        with OnlyDevice("meta"):
            losses = rectified(relative_l2_with_roots, 0.01)(x @ a.T, torch.empty(3, 5, device="meta"))
            (gradient,) = torch.autograd.grad(losses.sum(), x)
            for step in range(5):
                signals, state = optimizer.step(step, x.detach(), gradient, state)
                signals = Waveform().project(signals)
        assert signals.device.type == "meta"
