"""Principal distortions against generalised eigenvectors, the published steps, and the published result for three models."""

import itertools

import numpy as np
import pytest
import tiny_models
import torch
from reference_distortions import REFERENCE, X, reference_model
from torch import nn

import audiometamer as am
from audiometamer.distortions.principal import principal_distortions, published_steps
from audiometamer.distortions.spaces import Band, spanned


def seen_too(k):
    """A reference network with 0.2 x appended to its outputs, as in the reference's principal distortions."""
    model, _ = reference_model(k)

    class WithInput(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.out = model.network, nn.Identity()

        def forward(self, x):
            return self.out(torch.cat([self.inner(x), 0.2 * x], dim=1))

    return am.Model(WithInput(), signal_shape=(48,), bounds=(-10, 10), check=False, name=f"net{k}")


def products(names):
    fishers = []
    for k in names:
        w1, b1, w2 = (torch.from_numpy(REFERENCE[f"net{k}_{part}"]) for part in ("w1", "b1", "w2"))
        jacobian = w2 @ (torch.sigmoid(w1 @ X + b1)[:, None] * w1)
        fishers.append(jacobian.T @ jacobian + 0.04 * torch.eye(48, dtype=torch.float64))
    return [lambda rows, f=f: rows @ f for f in fishers]


def cosine(a, b):
    return abs(float(a @ b) / float(a.norm() * b.norm()))


@pytest.mark.parametrize(("prefix", "names"), [("two", (0, 1)), ("three", (0, 1, 2))])
def test_three_published_steps(prefix, names):
    starts = [torch.from_numpy(REFERENCE[f"{prefix}_init_{which}"]) for which in "ab"]
    a, b, objectives = published_steps(products(names), *starts, rates=[1e-3] * 3)
    assert a.numpy() == pytest.approx(REFERENCE[f"{prefix}_three_steps_a"], abs=1e-10)
    assert b.numpy() == pytest.approx(REFERENCE[f"{prefix}_three_steps_b"], abs=1e-10)
    assert objectives == pytest.approx(REFERENCE[f"{prefix}_three_steps_objective"], abs=1e-10)


def test_two_models_have_generalised_eigenvectors():
    found = principal_distortions([seen_too(0), seen_too(1)], X, ["out", "out"], ridge=0)
    exact = torch.from_numpy(REFERENCE["two_generalised_vectors"])
    cosines = [[cosine(found.first, v), cosine(found.second, w)] for v, w in itertools.permutations(exact)]
    assert max(min(pair) for pair in cosines) > 0.9999
    assert found.objective == pytest.approx(float(REFERENCE["two_objective_exact"]), rel=1e-9)
    assert found.objective >= float(REFERENCE["two_objective_final"])
    assert (found.exact, found.singular, found.added) == (True, (), (0.0, 0.0))
    assert found.thresholds.shape == (2, 2)


def test_three_models_disagree_at_least_as_much_as_published():
    models = [seen_too(k) for k in range(3)]
    found = principal_distortions(models, X, ["out"] * 3, ridge=0)
    assert found.objective >= float(REFERENCE["three_objective_final"])
    ratios = np.log(found.thresholds[0].numpy()) - np.log(found.thresholds[1].numpy())
    assert 4 * ratios.var() == pytest.approx(found.objective)


def test_singular_models_are_named_and_need_a_ridge_or_a_space():
    models, layers = [reference_model(0)[0], reference_model(1)[0]], ["2", "2"]
    found = principal_distortions(models, X, layers, ridge=1e-3)
    assert found.singular == ("Sequential:2", "Sequential:2")
    assert found.added[0] == pytest.approx(1e-3 * REFERENCE["net0_exact_eigenvalues"][0])
    with pytest.raises(am.AudioMetamerError, match="does not notice some change at all, so the disagreement has no maximum"):
        principal_distortions(models, X, layers, ridge=0)
    space = spanned(torch.eye(48, dtype=torch.float64)[:20])
    inside = principal_distortions(models, X, layers, ridge=0, space=space)
    assert inside.singular == ()
    assert float(inside.first[20:].abs().max()) == 0


def test_sounds_by_whole_matrices_and_by_products(tiny_clip):
    """Few units of 1000 samples: the reduced problem has the maximum; a search by products climbs towards it."""
    model = tiny_models.sound_model().double()
    other = am.Model(
        tiny_models.seeded(tiny_models.TinyNetwork(), 5), front_end=tiny_models.front_end(), sample_rate=tiny_models.SAMPLE_RATE,
        duration=tiny_models.DURATION, name="other",
    ).double()  # fmt: skip
    exact = principal_distortions([model, other], tiny_clip.samples, ["final", "final"])
    searched = principal_distortions([model, other], tiny_clip.samples, ["final", "final"], exact_up_to=2, starts=1, steps=8)
    assert (exact.exact, searched.exact) == (True, False)
    assert exact.singular == ("tiny:final", "other:final")
    assert 0.2 * exact.objective < searched.objective < 1.01 * exact.objective
    assert searched.added == pytest.approx(exact.added, rel=0.05)
    assert float(exact.first.norm()) == pytest.approx(1)


def test_what_cannot_be_compared_is_refused_in_a_line(tiny_clip):
    tiny, (network, layer) = tiny_models.sound_model().double(), reference_model(0)
    cases = [
        ([network], [layer], {}, "there are 1 models and 1 layers; give two or more, a layer for each model"),
        ([network, network], [layer], {}, "there are 2 models and 1 layers"),
        ([network, tiny], [layer, "final"], {}, "Sequential takes None Hz and tiny 4000 Hz; give models of one sample rate"),
        ([network, network], [layer, layer], {"ridge": -1}, "ridge is -1; it must be at least 0"),
        ([network, network], [layer, "9"], {}, "has no layer '9'"),
        ([network, network], [layer, layer], {"space": Band(50, sample_rate=100, low=1, high=9)}, "the space has signals of 50"),
    ]
    for models, layers, options, message in cases:
        with pytest.raises(am.AudioMetamerError, match=message) as caught:
            principal_distortions(models, X, layers, **options)
        assert "\n" not in str(caught.value)
