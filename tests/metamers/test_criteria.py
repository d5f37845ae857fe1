"""Similarity, null distributions and verdicts, against scipy, by hand and pair by pair."""

import math
import sys

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tiny_models import make_clip

import audiometamer as am
from audiometamer.metamers.criteria import MetricNull, NullDistribution, judge, published_snr_db, similarity, snr_db

FINITE = hnp.arrays(np.float64, st.integers(3, 30), elements=st.floats(-100, 100).map(lambda x: round(x, 2)))


def test_snr_by_hand():
    t, a = torch.tensor([3.0, 4.0]), torch.tensor([3.0, 3.5])
    assert snr_db(t, a) == pytest.approx(20)  # 25 / 0.25
    assert published_snr_db(t, a) == pytest.approx(10)
    assert snr_db(t, t) == math.inf
    assert snr_db(torch.zeros(2), a) == -math.inf


@given(FINITE, st.integers(0, 1000))
@settings(max_examples=50)
def test_correlations_are_scipys(values, seed):
    other = np.random.default_rng(seed).permutation(values) + np.random.default_rng(seed).integers(0, 3, len(values))
    found = similarity(torch.from_numpy(values), torch.from_numpy(other))
    if np.ptp(values) < 1e-6 or np.ptp(other) < 1e-6:
        assert found["pearson_r2"] == pytest.approx(0, abs=1e-9)
        return
    assert found["pearson_r2"] == pytest.approx(scipy.stats.pearsonr(values, other)[0] ** 2, abs=1e-6)
    assert found["spearman_rho"] == pytest.approx(scipy.stats.spearmanr(values, other)[0], abs=1e-6)


def test_all_zero_counts_as_no_correlation():
    found = similarity(torch.arange(4.0), torch.zeros(4))
    assert (found["pearson_r2"], found["spearman_rho"]) == (0, 0)


def test_shapes_must_agree():
    with pytest.raises(am.AudioMetamerError, match=r"shapes \(2,\) and \(3,\) cannot be compared"):
        similarity(torch.zeros(2), torch.zeros(3))


@pytest.fixture(scope="module")
def sounds():
    return [make_clip("c", seed).samples for seed in range(9)]


@pytest.mark.parametrize("memory", [1e9, 3e3])
def test_the_null_is_that_of_all_pairs_one_by_one(tiny, sounds, memory):
    null = NullDistribution.measure(tiny, iter(sounds), batch_size=4, memory=memory, source="vowels")
    assert (null.pairs, null.sounds, null.source) == (36, 9, "vowels")
    assert list(null.layers) == list(tiny.layers)
    activations = am.record(tiny, torch.stack(sounds), tiny.layers)
    for layer, a in activations.items():
        one_by_one = {"snr_db": [], "pearson_r2": [], "spearman_rho": []}
        for i in range(9):
            for j in range(i):
                forth, back = similarity(a[i], a[j]), similarity(a[j], a[i])
                for metric, values in one_by_one.items():
                    values.append(max(forth[metric], back[metric]))
        for metric, values in one_by_one.items():
            assert null.layers[layer][metric].maximum == pytest.approx(max(values), rel=1e-4, abs=1e-4)
            assert null.layers[layer][metric].quantiles["0.5"] == pytest.approx(np.median(values), rel=1e-3, abs=1e-3)


def test_the_null_is_saved_and_read_back(tiny, sounds, tmp_path):
    null = NullDistribution.measure(tiny, sounds, layers=["final"])
    null.save(tmp_path / "null.json")
    assert NullDistribution.load(tmp_path / "null.json") == null
    assert repr(null) == f"<NullDistribution of {null.pairs} pairs of {null.sounds} sounds at final>"
    (tmp_path / "bad.json").write_text('{"pairs": 3}')
    with pytest.raises(am.AudioMetamerError, match=r"bad.json is not a null distribution: .*sounds"):
        NullDistribution.load(tmp_path / "bad.json")


def test_one_sound_makes_no_pair(tiny, sounds):
    with pytest.raises(am.AudioMetamerError, match="at least 2 different sounds; there are 1"):
        NullDistribution.measure(tiny, sounds[:1])


@pytest.mark.parametrize(("sound", "found"), [(torch.ones(900), r"\(900,\)"), ("a.wav", "str")])
def test_sounds_are_as_the_model_takes_them(tiny, sounds, sound, found):
    with pytest.raises(am.AudioMetamerError, match=rf"sound 1 is {found}; tiny takes tensors of shape \(1000,\)"):
        NullDistribution.measure(tiny, [sounds[0], sound])


def test_a_sound_twice_is_left_out(tiny, sounds):
    """Also one of 16 bits, or of another level set back: what a copy differs by is no difference between sounds."""
    copies = [*sounds, sounds[1], (sounds[2] * 32768).round() / 32768, sounds[0] * 1.0001]
    names = [f"{letter}.wav" for letter in "abcdefghijklmnopqrstuvwxyz"]
    n = len(sounds)
    reported = rf"3 repeated sound\(s\) left out: {names[n]} is b\.wav, {names[n + 1]} is c\.wav, {names[n + 2]} is a\.wav$"
    with pytest.warns(am.AudioMetamerWarning, match=reported):
        null = NullDistribution.measure(tiny, iter(copies), names=names, source="vowels")
    alone = NullDistribution.measure(tiny, iter(sounds), source="vowels; 3 repeated left out")
    assert null == alone
    with pytest.warns(am.AudioMetamerWarning, match="1 is 0"), pytest.raises(am.AudioMetamerError, match="2 different sounds"):
        NullDistribution.measure(tiny, [sounds[0], sounds[0]])


class Constant(torch.nn.Module):
    """A layer that is the same for all sounds, one that is silent, one that tells them apart."""

    def __init__(self):
        super().__init__()
        self.same, self.silent, self.reported = (torch.nn.Identity() for _ in range(3))

    def forward(self, x):
        first = x[:, :4]
        return self.reported(first + self.same(0 * first + 0.3) + self.silent(0 * first))


def test_layers_that_are_the_same_for_all_sounds_can_be_judged_and_read_again(tmp_path):
    model = am.Model(Constant().eval(), signal_shape=(8,))
    null = NullDistribution.measure(model, torch.randn(5, 8, generator=torch.Generator().manual_seed(0)))
    null.save(tmp_path / "null.json")
    assert NullDistribution.load(tmp_path / "null.json") == null
    same, silent = null.layers["same"], null.layers["silent"]
    assert (same["snr_db"].maximum, same["pearson_r2"].maximum, same["spearman_rho"].maximum) == (sys.float_info.max, 0, 0)
    assert silent["snr_db"].maximum == -sys.float_info.max
    equal = {"snr_db": math.inf, "pearson_r2": 0.0, "spearman_rho": 0.0}  # as `similarity` of two constants is
    assert judge(equal, same, {}).beyond_null == {"snr_db": True, "pearson_r2": False, "spearman_rho": False}
    assert not judge(equal | {"snr_db": 300.0}, same, {}).beyond_null["snr_db"]


def test_what_could_not_be_read_again_is_not_written(tmp_path):
    broken = NullDistribution(1, 2, "", {"relu": {"snr_db": MetricNull(math.nan, {})}})
    with pytest.raises(
        am.AudioMetamerError, match=r"null\.json is not written: it could not be read again \(Expected `float`, got `null`"
    ):
        broken.save(tmp_path / "null.json")
    assert list(tmp_path.iterdir()) == []


def test_activations_that_are_not_finite_are_refused(tiny):
    sounds = torch.randn(3, 1000)
    sounds[1, 5] = math.nan
    with pytest.raises(am.AudioMetamerError, match=r"no null distribution at cochleagram, .*: activations are not finite there"):
        NullDistribution.measure(tiny, sounds)


def null_of(snr, r2, rho):
    return {m: MetricNull(v, {}) for m, v in (("snr_db", snr), ("pearson_r2", r2), ("spearman_rho", rho))}


@pytest.mark.parametrize(
    ("measured", "limits", "labels", "passed"),
    [
        ((20, 0.99, 0.95), (10, 0.9, 0.9), ("yes", "yes"), True),
        ((20, 0.99, 0.95), (10, 0.9, 0.9), ("yes", "no"), False),
        ((9, 0.99, 0.95), (10, 0.9, 0.9), ("yes", "yes"), False),
        ((20, 0.89, 0.95), (10, 0.9, 0.9), ("yes", "yes"), False),
        ((20, 0.99, 0.9), (10, 0.9, 0.9), ("yes", "yes"), False),  # as extreme as the null is not beyond it
        ((20, 0.99, 1.0), (10, 0.9, 1.0), ("yes", "yes"), True),  # but at the ceiling there is no beyond
        ((20, 0.99, 0.9999), (10, 0.9, 1.0), ("yes", "yes"), False),
        ((math.inf, 1.0, 1.0), (10, 0.9, 0.9), ("yes", "yes"), True),
    ],
)
def test_verdicts(measured, limits, labels, passed):
    values = dict(zip(("snr_db", "pearson_r2", "spearman_rho"), measured, strict=True))
    verdict = judge(values, null_of(*limits), {"word": labels})
    assert verdict.passed is passed
    assert verdict.margin["pearson_r2"] == pytest.approx(measured[1] - limits[1])


def test_without_a_null_or_labels_there_is_no_pass():
    values = {"snr_db": 20.0, "pearson_r2": 0.99, "spearman_rho": 0.95}
    assert judge(values, None, {"word": ("yes", "yes")}).passed is None
    assert judge(values, None, {"word": ("yes", "no")}).passed is False
    assert judge(values, null_of(10, 0.9, 0.9), {}).passed is True  # a network without labels
    assert judge(values, null_of(1000, 0.9, 0.9), {}).passed is False
    assert judge(values, null_of(30, 0.9, 0.9), {}).passed is False
