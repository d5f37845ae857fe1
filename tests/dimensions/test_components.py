"""Components against scikit-learn, and against what is known of them."""

import numpy as np
import pytest
from sklearn.decomposition import PCA, FastICA

from audiometamer.dimensions.components import fast_ica, independent_components, principal_components
from audiometamer.errors import AudioMetamerError, AudioMetamerWarning


def mixed(samples=400, sources=4, width=30, seed=0):
    """Independent sources of skewed distributions, mixed into many values with an offset."""
    rng = np.random.default_rng(seed)
    own = rng.exponential(size=(samples, sources)) ** rng.uniform(1, 1.5, sources)
    return own, own @ rng.standard_normal((sources, width)) + 5


def same_up_to_sign_and_order(found, expected, tolerance):
    cosines = np.abs(found.T @ expected) / len(found)
    assert np.sort(cosines.max(1)) == pytest.approx(np.ones(cosines.shape[0]), abs=tolerance)
    assert sorted(cosines.argmax(1)) == list(range(cosines.shape[0]))


def test_principal_components_are_those_of_the_covariance():
    _, rows = mixed(samples=40, width=200)
    found = principal_components(rows @ rows.T, 3)
    expected = PCA(3).fit(rows)
    assert found.explained == pytest.approx(expected.explained_variance_ratio_)
    scores = expected.transform(rows)
    same_up_to_sign_and_order(found.scores, scores / scores.std(0), 1e-9)
    assert found.scores.mean(0) == pytest.approx(np.zeros(3), abs=1e-9)
    centred = rows - rows.mean(0)
    assert centred @ (centred.T @ found.weights) == pytest.approx(found.scores)
    assert ((found.scores**3).sum(0) > 0).all()


def test_no_more_components_than_the_rank():
    _, rows = mixed(samples=20)
    assert len(principal_components(rows @ rows.T, 100).explained) == 4
    assert principal_components(rows @ rows.T, 100).explained.sum() == pytest.approx(1)
    with pytest.raises(AudioMetamerError, match="are the same at this layer"):
        principal_components(np.ones((5, 5)) * 3.7, 2)
    rounded = 3.7 * np.ones((5, 9)) * (1 + 1e-7 * np.random.default_rng(0).choice([-1, 0, 1], (5, 9)))
    assert principal_components(rounded @ rounded.T, 2).explained.size == 2
    with pytest.raises(AudioMetamerError, match="all signals of the bank are the same"):
        principal_components(rounded @ rounded.T, 2, rounding=1e-6)


def test_independent_components_are_the_sources_and_those_of_scikit_learn():
    sources, rows = mixed(samples=3000)
    principal = principal_components(rows @ rows.T, 4)
    found = independent_components(principal, seed=0)
    same_up_to_sign_and_order(found.scores, (sources - sources.mean(0)) / sources.std(0), 0.02)
    expected = FastICA(4, whiten="unit-variance", fun="logcosh", tol=1e-8, max_iter=1000, random_state=3).fit_transform(rows)
    same_up_to_sign_and_order(found.scores, expected, 1e-5)
    assert found.scores.T @ found.scores / 3000 == pytest.approx(np.eye(4), abs=1e-8)
    # a source's share is that of its own column of the mixture
    assert found.explained.sum() == pytest.approx(1)
    assert (np.diff(found.explained) <= 0).all()
    patterns = found.scores.T @ (rows - rows.mean(0)) / 3000
    assert found.explained == pytest.approx((patterns**2).sum(1) / rows.var(0).sum())
    centred = rows - rows.mean(0)
    assert centred @ (centred.T @ found.weights) == pytest.approx(found.scores)


def test_the_rotation_is_orthogonal_and_of_the_seed():
    whitened = principal_components(mixed()[1] @ mixed()[1].T, 4).scores
    rotation = fast_ica(whitened, seed=1)
    assert rotation @ rotation.T == pytest.approx(np.eye(4), abs=1e-12)
    assert (rotation == fast_ica(whitened, seed=1)).all()
    same_up_to_sign_and_order(whitened @ fast_ica(whitened, seed=2).T, whitened @ rotation.T, 1e-4)
    with pytest.warns(AudioMetamerWarning, match="did not settle in 1 iterations"):
        fast_ica(whitened, seed=1, iterations=1)
