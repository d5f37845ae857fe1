"""Coarse filters first: when which filters count, what the loss sees of them, and who is matched so."""

import itertools

import pytest
import torch
from tiny_models import DURATION, SAMPLE_RATE, make_clip, seeded
from torch import Tensor, nn

import audiometamer as am
from audiometamer.metamers.coarse_to_fine import coarse_to_fine, is_coarse_to_fine, published_stages
from audiometamer.metamers.metamer import settings_of
from audiometamer.networks.spectemp import SpectrotemporalFilters


def published_counting(rounds=8, length=3000, every=400, cutoffs=7):
    """The stage of each step by a counter that is raised before its use, set to 0 at each round, and off in the last."""
    stages, stage = [], 0
    for number in range(rounds):
        count = 0
        for _ in range(length):
            if number < rounds - 1:
                count += 1
                stage = min(count // every, cutoffs - 1)
            stages.append(stage)
    return stages


def unrolled(steps):
    firsts = [*published_stages(steps), (steps, None)]
    return [number for (first, number), (end, _) in itertools.pairwise(firsts) for _ in range(first, end)]


def test_stages_are_those_of_the_published_counter():
    assert unrolled(24_000) == published_counting()
    assert unrolled(2400) == published_counting(length=300, every=40)


@pytest.mark.parametrize("steps", [1, 3, 8, 20, 200])
def test_any_number_of_steps_begins_somewhere_and_ends_with_all(steps):
    firsts = [first for first, _ in published_stages(steps)]
    assert firsts[0] == 0
    assert firsts == sorted(set(firsts))
    assert list(published_stages(steps))[-1][1] == 6


def test_filters_of_spectemp_join_by_rate_or_scale():
    """First the 9 of scale 0 and the 7 of rate 0, which share one; then those of 0.5 Hz or 0.0625 cycles/ERB, of both signs."""
    filters = SpectrotemporalFilters((20, 30))
    assert len(filters.within(0, 0)) == 9 + 7 - 1
    more = set(filters.within(0.5, 0.0625)) - set(filters.within(0, 0))
    assert more == {k for k, (_, s, t) in enumerate(filters.rates) if (s == 1 and t > 0) or (t == 1 and s > 0)}
    assert len(more) == 2 * (8 + 6 - 1)
    assert filters.within(16, 2) == list(range(111))


class TwoFilters(nn.Module):
    """One filter that is coarse, one that is not."""

    sample_rate, duration, layers = SAMPLE_RATE, DURATION, ("both", "out")

    def __init__(self) -> None:
        super().__init__()
        self.both, self.out = nn.Conv1d(1, 2, 5), nn.Linear(2, 3)

    def coarse_to_fine(self, layer: str) -> list[list[int]]:
        return [[0], [0, 1]] if layer == "both" else []

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.both(x[:, None]).square().mean(-1))


@pytest.fixture(scope="module")
def model():
    return am.Model(seeded(TwoFilters()), sample_rate=SAMPLE_RATE, duration=DURATION, level=None, name="two")


def test_the_loss_sees_what_has_joined(model):
    def loss(a, t):
        return (a["both"] - t["both"]).flatten(1).sum(1)

    staged = coarse_to_fine(model, "both", loss, 8)
    a, t = {"both": torch.tensor([[[1.0, 1.0], [5.0, 5.0]]])}, {"both": torch.zeros(1, 2, 2)}
    assert staged.at(0)(a, t).item() == 12.0  # rounds of one step: 15 halves are beyond the last stage
    longer = coarse_to_fine(model, "both", loss, 800)
    assert [longer.at(k)(a, t).item() for k in (0, 12, 13, 99, 100, 113, 700, 799)] == [2, 2, 12, 12, 2, 12, 12, 12]
    assert coarse_to_fine(model, "out", loss, 800) is loss


def test_the_published_method_uses_it_where_the_network_says_so(model):
    clip = make_clip("vowel", 0)

    def recorded(layer, **options):
        return settings_of(model, clip, layer, 0, **({"method": "feather2023", "steps": None} | options)).loss

    assert (is_coarse_to_fine(model, "both"), is_coarse_to_fine(model, "out")) == (True, False)
    assert recorded("both") == "relative_l2 coarse-to-fine"
    assert recorded("out") == "relative_l2"
    assert recorded("both", method="default") == "relative_l2_with_roots"
    assert recorded("both", loss=am.matching.half_squared_error) == "half_squared_error"
    options = {"layers": "both", "method": "feather2023", "steps": 64}
    (staged,), (whole,) = (am.synthesize(model, clip, loss=loss, **options) for loss in (None, am.matching.relative_l2))
    assert (staged.evidence.settings.loss, whole.evidence.settings.loss) == ("relative_l2 coarse-to-fine", "relative_l2")
    assert not torch.equal(staged.samples, whole.samples)
