"""Most discriminative sounds against the published objective and partition, scikit-learn, and two units worked out by hand."""

import math
from pathlib import Path

import numpy as np
import pytest
import tiny_models
import torch
from sklearn.metrics import adjusted_rand_score

import audiometamer as am
from audiometamer.comparison.bounds import BoundedSound
from audiometamer.comparison.discriminative import (
    ClusterSearch,
    adjusted_rand_index,
    best_of_seeds,
    channel_responses,
    discrimination_objective,
    discriminative_sounds,
    initial_clusters,
)

REFERENCE = np.load(Path(__file__).parents[1] / "data" / "telling_apart.npz")
WEIGHTS = torch.from_numpy(REFERENCE["mds_units_w"])
NORM_2 = BoundedSound(deviation=1.0, low=-9, high=9, rms=2 / 40**0.5, fixed_rms=True)


def units(sounds):
    return 2 * torch.relu(sounds @ WEIGHTS.T)


@pytest.mark.parametrize("case", range(3))
def test_the_published_objective(case):
    means, temperature = torch.from_numpy(REFERENCE[f"mds_obj{case}_cluster_means"]), float(REFERENCE[f"mds_obj{case}_tau"])
    found = discrimination_objective(means.expand(len(means), -1), torch.arange(len(means)), temperature)
    assert found.numpy() == pytest.approx(REFERENCE[f"mds_obj{case}_value"], abs=1e-5)


def test_the_best_objective_is_the_logarithm_of_the_number_of_clusters():
    assert float(discrimination_objective(torch.tensor([1e3, 0, 0]), 0)) == pytest.approx(math.log(3))


@pytest.mark.parametrize("seed", [2, 3])
def test_the_published_partition_from_its_start(seed):
    search = ClusterSearch(steps=40)
    found = discriminative_sounds(units, REFERENCE["mds_init_cluster"], (40,), NORM_2, seed=seed, search=search)
    assert adjusted_rand_index(found.clusters, REFERENCE["mds_final_cluster"]) == 1
    assert found.mean_loss <= REFERENCE["mds_final_losses"].mean() + 0.01
    assert found.converged
    responses = found.cluster_responses()
    assert (responses.argmax(1) == np.arange(3)).all()


def test_a_split_finds_the_third_kind():
    kinds = np.repeat([0, 1, 2], 4)
    weights = torch.eye(3)[torch.from_numpy(kinds)]
    sphere = BoundedSound(deviation=1.0, low=-9, high=9, rms=1, fixed_rms=True)
    start = np.minimum(kinds, 1)
    search = ClusterSearch(steps=40, split=True, temperature=0.5)
    found = discriminative_sounds(lambda s: torch.relu(s @ weights.T), start, (3,), sphere, search=search)
    assert adjusted_rand_index(found.clusters, kinds) == 1
    own = found.sounds[found.clusters[[0, 4, 8]]].diagonal()
    assert (own > 1).all()  # of √3: the axis of its kind


def test_channels_of_a_layer_from_several_seeds():
    model = tiny_models.sound_model()
    bounds = BoundedSound(rms=0.1, fixed_rms=True, band=(50, 1900), sample_rate=4000)
    noise = bounds.start((1000,), seeds=[1, 2], dtype=torch.float32, device="cpu")
    scale = channel_responses(model, "relu0")(noise).mean(0).clamp_min(1e-6)
    runs = best_of_seeds(
        channel_responses(model, "relu0", scale=scale), 12, 2, (1000,), bounds, seeds=[0, 1],
        search=ClusterSearch(steps=3, iterations=1, learning_rate=0.01),
    )  # fmt: skip
    assert runs[0].mean_loss <= runs[1].mean_loss
    assert runs[0].sounds.square().mean(-1).sqrt() == pytest.approx(0.1, rel=1e-3)
    assert runs[0].responses.shape == (len(runs[0].sounds), 12)


def test_the_rand_index_is_that_of_scikit_learn():
    generator = np.random.default_rng(0)
    for _ in range(5):
        a, b = generator.integers(0, 4, (2, 30))
        assert adjusted_rand_index(a, b) == pytest.approx(adjusted_rand_score(a, b))
    assert adjusted_rand_index([1, 1], [2, 2]) == 1


def test_blocks_are_equal_and_random():
    found = initial_clusters(10, 3, 0)
    assert np.bincount(found).tolist() == [4, 4, 2]
    assert (found != initial_clusters(10, 3, 1)).any()


def test_what_cannot_be_told_apart():
    with pytest.raises(am.AudioMetamerError, match="1 clusters of 5 units; there must be from 2 to 5"):
        initial_clusters(5, 1, 0)
    with pytest.raises(am.AudioMetamerError, match="all units are in one cluster"):
        discriminative_sounds(units, np.zeros(30, int), (40,), NORM_2)
    with pytest.raises(am.AudioMetamerError, match="no unit responds to any sound"):
        discriminative_sounds(lambda s: 0 * units(s), REFERENCE["mds_init_cluster"], (40,), NORM_2, search=ClusterSearch(steps=1))
    with pytest.raises(am.AudioMetamerError, match="temperature is 0"):
        ClusterSearch(temperature=0)
    with pytest.raises(am.AudioMetamerError, match="steps is 0"):
        ClusterSearch(steps=0)
    with pytest.raises(am.AudioMetamerError, match=r"partitions have shapes \(2,\) and \(1,\)"):
        adjusted_rand_index([0, 1], [0])
