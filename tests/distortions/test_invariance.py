"""Invariance against matrices whose rank and singular values are known, networks worked out by hand, and closed forms."""

import math

import pytest
import tiny_models
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import audiometamer as am
from audiometamer.distortions.invariance import draw_curves, inactive_units, measure_invariance, write_table
from audiometamer.distortions.jacobian import Jacobian


def model_of(network, inputs):
    return am.Model(network.double().eval().requires_grad_(False), signal_shape=(inputs,), bounds=(-10, 10), check=False)


def linear(matrix):
    layer = nn.Linear(matrix.shape[1], matrix.shape[0], bias=False)
    layer.weight = nn.Parameter(matrix)
    return nn.Sequential(layer)


def with_values(rows, columns, values, seed=0):
    """A matrix of given singular values."""
    generator = torch.Generator().manual_seed(seed)
    left, right = (
        torch.linalg.qr(torch.randn(n, len(values), generator=generator, dtype=torch.float64)).Q for n in (rows, columns)
    )
    return left @ torch.diag(torch.tensor(values, dtype=torch.float64)) @ right.T


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=5), st.integers(5, 9), st.integers(5, 9))
@settings(max_examples=25, deadline=None)
def test_a_linear_map(values, rows, columns):
    values = sorted(values, reverse=True)
    found = measure_invariance(model_of(linear(with_values(rows, columns, values)), columns), torch.ones(columns), "0")
    assert found.exact
    assert found.rank == (len(values), len(values))
    assert found.metamer_dimension == (columns - len(values), columns - len(values))
    assert found.singular_values == pytest.approx(values)
    assert found.log_volume == pytest.approx(sum(math.log(v) for v in values))
    share = [v / sum(values) for v in values]
    assert found.effective_rank == pytest.approx(math.exp(-sum(p * math.log(p) for p in share)))
    assert (found.inactive, found.inactive_share) == ({}, None)


def test_equal_values_have_their_number_as_effective_rank():
    found = measure_invariance(model_of(linear(with_values(6, 8, [3.0] * 4)), 8), torch.ones(8), "0")
    assert found.effective_rank == pytest.approx(4)


def test_the_largest_values_of_a_large_map_are_estimated_from_below():
    values = [2.0 * 0.8**k for k in range(40)]
    model = model_of(linear(with_values(60, 50, values)), 50)
    found = measure_invariance(model, torch.ones(50), "0", exact_up_to=10, probes=12, iterations=2)
    assert not found.exact
    assert found.rank == (12, 50)
    assert found.metamer_dimension == (0, 38)
    assert found.singular_values[:6] == pytest.approx(values[:6], rel=1e-3)
    assert all(low <= high + 1e-12 for low, high in zip(found.singular_values, values, strict=False))
    whole = measure_invariance(model, torch.ones(50), "0")
    assert found.effective_rank < whole.effective_rank
    again = measure_invariance(model, torch.ones(50), "0", exact_up_to=10, probes=12, iterations=2, batch_size=5)
    assert again.singular_values == pytest.approx(found.singular_values, rel=1e-9)


def test_probes_enough_find_the_rank():
    """A subspace of more columns than the rank holds the whole image; rounding beyond it is under the tolerance."""
    model = model_of(linear(with_values(60, 50, [3.0, 2.0, 1.0])), 50)
    found = measure_invariance(model, torch.ones(50), "0", exact_up_to=10, probes=8)
    assert found.rank == (3, 50)
    assert found.singular_values == pytest.approx([3, 2, 1])


def test_a_two_layer_network_by_hand():
    """x = (1, 2, 3); hidden (x₀ − x₁, x₁, x₂ − 4, x₀ + x₂) = (−1, 2, −1, 4): the second and fourth are active. The output adds
    and subtracts them: rows (1, 1, 1) and (1, −1, 1) of rank 2; with the fourth silenced by its bias, one row (0, 1, 0) twice.
    """
    hidden = nn.Linear(3, 4)
    hidden.weight = nn.Parameter(torch.tensor([[1.0, -1.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 1.0]]))
    hidden.bias = nn.Parameter(torch.tensor([0.0, 0.0, -4.0, 0.0]))
    out = nn.Linear(4, 2, bias=False)
    out.weight = nn.Parameter(torch.tensor([[5.0, 1.0, 5.0, 1.0], [5.0, -1.0, 5.0, 1.0]]))
    model = model_of(nn.Sequential(hidden, nn.ReLU(), out), 3)
    x = torch.tensor([1.0, 2.0, 3.0])
    before, relu, after = (measure_invariance(model, x, layer) for layer in "012")
    assert [m.rank[0] for m in (before, relu, after)] == [3, 2, 2]
    assert [m.metamer_dimension[0] for m in (before, relu, after)] == [0, 1, 1]
    assert relu.inactive == after.inactive == {"1": 0.5}
    assert before.inactive == {}
    # Rows (0, 1, 0) and (1, 0, 1) are orthogonal, of lengths 1 and √2; the output adds and subtracts: √2 times both.
    assert relu.singular_values == pytest.approx([2**0.5, 1])
    assert after.singular_values == pytest.approx([2, 2**0.5])
    assert after.log_volume == pytest.approx(1.5 * math.log(2))

    hidden.bias.data[3] = -5.0
    after = measure_invariance(model, x, "2")
    assert after.rank == (1, 1)
    assert after.inactive_share == 0.75
    assert after.singular_values == pytest.approx([2**0.5])


def test_a_silent_layer_sees_nothing():
    hidden = nn.Linear(3, 2)
    hidden.bias = nn.Parameter(torch.full((2,), -100.0))
    found = measure_invariance(model_of(nn.Sequential(hidden, nn.ReLU()), 3), torch.ones(3), "1")
    assert found.rank == (0, 0)
    assert found.metamer_dimension == (3, 3)
    assert (found.singular_values, found.effective_rank, found.log_volume) == ([], 0.0, 0.0)
    assert found.inactive_share == 1


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_active_units_bound_the_rank_and_elu_lifts_the_bound(seed):
    """Xu et al. (2025): the rank at a ReLU is at most the number of active units; an ELU has none that are inactive."""
    torch.manual_seed(seed)
    weights = nn.Linear(12, 8)
    x = torch.randn(12)
    relu, elu = (model_of(nn.Sequential(weights, f), 12) for f in (nn.ReLU(), nn.ELU()))
    at_relu, at_elu = measure_invariance(relu, x, "1"), measure_invariance(elu, x, "1")
    active = round(8 * (1 - at_relu.inactive_share))
    assert at_relu.rank == (active, active)  # rows of a random matrix are independent
    assert at_elu.rank == (8, 8)
    assert at_elu.metamer_dimension <= at_relu.metamer_dimension


@pytest.mark.parametrize(("pool", "seen"), [(nn.AvgPool1d(4), 6), (nn.AvgPool1d(24), 1), (nn.MaxPool1d(3), 8)])
def test_pooling_leaves_a_direction_for_each_window(pool, seen):
    """Non-overlapping windows: 24 inputs, one direction each. Averages of n have the singular value 1/√n, maxima 1."""
    model = model_of(nn.Sequential(nn.Unflatten(0, (-1, 1)), nn.Flatten(1, 2), nn.Unflatten(1, (1, 24)), pool), 24)
    found = measure_invariance(model, torch.arange(24.0) / 10, "3")
    assert found.metamer_dimension == (24 - seen, 24 - seen)
    value = 1.0 if isinstance(pool, nn.MaxPool1d) else (seen / 24) ** 0.5
    assert found.singular_values == pytest.approx([value] * seen)


def test_only_the_products_are_needed_and_they_are_adjoint(tiny, tiny_clip):
    """<J v, u> = <v, Jᵀ u> at every layer, front end included, and J v is the difference quotient."""
    model = tiny_models.sound_model().double()
    generator = torch.Generator().manual_seed(0)
    signal = tiny_clip.samples.double()
    for layer in model.layers:
        jacobian = Jacobian(model, signal, layer, batch_size=2)
        v, u = (torch.randn(3, n, generator=generator, dtype=torch.float64) for n in (jacobian.inputs, jacobian.units))
        forth, back = jacobian.times(v), jacobian.transposed_times(u)
        assert (forth * u).sum(1).tolist() == pytest.approx((v * back).sum(1).tolist(), rel=1e-9)
        step = 1e-7 * v[:1]
        pair = am.record(model, torch.cat([signal + step, signal - step]), layer).flatten(1)
        torch.testing.assert_close((pair[0] - pair[1]) / 2e-7, forth[0], rtol=1e-4, atol=1e-4 * float(forth.abs().max()))


def test_exact_and_estimated_agree_on_a_model_of_sounds(tiny_clip):
    model = tiny_models.sound_model().double()
    exact = measure_invariance(model, tiny_clip.samples, "relu1")
    estimate = measure_invariance(model, tiny_clip.samples, "relu1", exact_up_to=3, probes=10, iterations=6)
    assert exact.exact
    assert not estimate.exact
    assert estimate.singular_values[:5] == pytest.approx(exact.singular_values[:5], rel=1e-3)
    assert estimate.rank[0] <= exact.rank[0] <= estimate.rank[1]
    assert measure_invariance(model, tiny_clip.samples, "final").rank == (3, 3)
    assert list(exact.inactive) == ["relu0", "relu1"]


def test_inactive_units_count_every_call():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.relu, self.last = nn.ReLU(inplace=True), nn.Identity()

        def forward(self, x):
            return self.last(self.relu(self.relu(x + 0) - 1.5))

    found = inactive_units(model_of(Twice(), 4), torch.tensor([-1.0, 1.0, 2.0, 3.0]), "last")
    assert found == {"relu@0": 0.25, "relu@1": 0.5}


def test_attention_has_its_products():
    network = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    model = am.Model(tiny_models.seeded(network).double(), signal_shape=(5, 8), check=False)
    signal, v, u = torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    jacobian = Jacobian(model, signal, "norm2")
    forth, back = jacobian.times(v.view(1, 40)), jacobian.transposed_times(u.view(1, 40))
    assert float((forth * u.view(1, 40)).sum()) == pytest.approx(float((v.view(1, 40) * back).sum()), rel=1e-9)
    rank = measure_invariance(model, signal, "norm2").rank[0]
    assert rank <= 30  # layer normalisation takes two directions of each position's eight


class _OneWay(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return 2 * x

    @staticmethod
    def backward(ctx, gradient):
        return 2 * gradient


class OneWay(nn.Module):
    def __init__(self):
        super().__init__()
        self.out = nn.Identity()

    def forward(self, x):
        return self.out(_OneWay.apply(x))


class Detached(nn.Module):
    def __init__(self):
        super().__init__()
        self.out = nn.Identity()

    def forward(self, x):
        return self.out(x.detach())


@pytest.mark.parametrize(
    ("network", "signal", "options", "message"),
    [
        (OneWay(), torch.ones(4), {}, r"OneWay has a part without a forward-mode derivative \(jvp\): "),
        (Detached(), torch.ones(4), {}, r"layer 'out' does not depend on the signal by differentiable steps"),
        (OneWay(), torch.ones(5), {}, r"the signal has shape \(5,\); OneWay takes \(4,\)"),
        (OneWay(), torch.ones(4), {"probes": 0}, r"probes is 0; it must be at least 1"),
        (OneWay(), torch.ones(4), {"exact_up_to": -1}, r"exact_up_to is -1; it must be at least 0"),
        (OneWay(), torch.ones(4), {"iterations": -1}, r"iterations is -1; it must be at least 0"),
        (OneWay(), torch.ones(4), {"batch_size": 0}, r"batch_size is 0; it must be at least 1"),
    ],
)
def test_what_cannot_be_measured_is_reported_in_a_line(network, signal, options, message):
    with pytest.raises(am.AudioMetamerError, match=message) as caught:
        measure_invariance(model_of(network, 4), signal, "out", **options)
    assert "\n" not in str(caught.value)


def test_table_and_picture(tmp_path):
    relu = model_of(nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2)), 6)
    measured = {
        name: [measure_invariance(relu, torch.full((6,), value), layer) for layer in "012"]
        for name, value in (("clip", 1.0), ("metamer", -1.0))
    }
    write_table(tmp_path / "invariance.tsv", measured)
    lines = (tmp_path / "invariance.tsv").read_text().splitlines()
    assert len(lines) == 7
    header, first = (line.split("\t") for line in lines[:2])
    row = dict(zip(header, first, strict=True))
    assert (row["sound"], row["layer"], row["inputs"], row["units"], row["exact"]) == ("clip", "0", "6", "5", "yes")
    assert row["rank_low"] == row["rank_high"] == "5"
    assert row["metamer_dimension_low"] == "1"
    assert row["inactive"] == ""
    assert len(row["singular_values"].split()) == 5
    draw_curves(tmp_path / "invariance.png", measured)
    assert (tmp_path / "invariance.png").read_bytes().startswith(b"\x89PNG")
