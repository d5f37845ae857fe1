"""Most discriminative sounds: one sound for each cluster of units, to which that cluster responds more than the others.

Burg et al. 2024, "Most discriminative stimuli for functional cell type clustering", ICLR: expectation–maximisation, which goes
back and forth between the sounds and the clusters. Two sounds may come to share one kind of unit; removal of one mends that.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from audiometamer.errors import AudioMetamerError
from audiometamer.matching.domains import Domain
from audiometamer.models.model import Model
from audiometamer.models.recording import record

Clusters = NDArray[np.intp]
Responses = Callable[[Tensor], Tensor]  # of sounds [shape=(batch, ...)], shape=(batch, units), 0 or above
TEMPERATURE = 1.6  # Burg et al. 2024
_SPLIT_STARTS = 6  # random sounds of which two start the halves of a cluster
_LEAST_GAIN = 1e-6  # of the loss, by which a change must lower it


class Clustering(NamedTuple):
    """Clusters of units and their sounds.

    Parameters
    ----------
    clusters : array of int [shape=(units,)]
        Cluster of each unit, from 0.
    sounds : Tensor [shape=(clusters, ...)]
    losses : array [shape=(clusters,)]
        Minus the objective of each sound; −ln(clusters) at best.
    responses : array [shape=(clusters, units)]
        Response of each unit to each sound.
    iterations : int
        Number of reassignments.
    converged : bool
        Whether the last one changed nothing.
    """

    clusters: Clusters
    sounds: Tensor
    losses: NDArray[np.float64]
    responses: NDArray[np.float64]
    iterations: int
    converged: bool

    @property
    def mean_loss(self) -> float:
        """Mean over clusters."""
        return float(self.losses.mean())

    def cluster_responses(self) -> NDArray[np.float64]:
        """Mean response of the units of each cluster (columns) to each sound (rows)."""
        return np.stack([self.responses[:, self.clusters == k].mean(1) for k in range(len(self.sounds))], axis=1)


@dataclass(frozen=True)
class ClusterSearch:
    """How sounds and clusters are searched.

    Parameters
    ----------
    steps : int
        Gradient steps for the sounds between reassignments. Default 150.
    learning_rate : float
        Step size of gradient ascent, for responses of order 1. Default 1.
    temperature : float
        τ of the objective. Default 1.6.
    iterations : int
        Largest number of reassignments. Default 20.
    split, remove : bool
        Whether clusters are then split in two, and whether they are removed, where that lowers the mean loss. Default False and
        True.
    """

    steps: int = 150
    learning_rate: float = 1.0
    temperature: float = TEMPERATURE
    iterations: int = 20
    split: bool = False
    remove: bool = True

    def __post_init__(self) -> None:
        for name, value in (("steps", self.steps), ("iterations", self.iterations)):
            if value < 1:
                raise AudioMetamerError(f"{name} is {value}; it must be at least 1")
        for name, number in (("learning_rate", self.learning_rate), ("temperature", self.temperature)):
            if not number > 0:
                raise AudioMetamerError(f"{name} is {number:g}; it must be above 0")


def discrimination_objective(means: Tensor, cluster: int | Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """J_c = r̄_c/τ − log Σ_k exp(r̄_k/τ) + ln K (Burg et al. 2024, equation 1): 0 if all K clusters respond alike, ln K at best.

    Parameters
    ----------
    means : Tensor [shape=(..., clusters)]
        Mean response of each cluster.
    cluster : int or Tensor [shape=(...)]
    temperature : float
        τ. Default 1.6.

    Examples
    --------
    >>> float(discrimination_objective(torch.tensor([0.5, 0.5]), 0))
    0.0
    """
    index = torch.as_tensor(cluster, device=means.device).expand(means.shape[:-1]).unsqueeze(-1)
    log_share = torch.log_softmax(means / temperature, -1)
    return log_share.gather(-1, index).squeeze(-1) + float(np.log(means.shape[-1]))


def channel_responses(model: Model, layer: str, *, scale: Tensor | None = None) -> Responses:
    """Responses of the channels of a layer: their rectified activations, averaged over everything else.

    Parameters
    ----------
    model : Model
    layer : str
    scale : Tensor [shape=(channels,)], optional
        Divisor of each channel, such as its mean response to natural sounds, without which loud channels decide. Default: none.
    """
    model.tap(layer)

    def responses(sounds: Tensor) -> Tensor:
        activations = record(model, sounds, layer)
        means = torch.relu(activations).flatten(2).mean(2) if activations.ndim > 2 else torch.relu(activations)
        return means if scale is None else means / scale

    return responses


def initial_clusters(units: int, clusters: int, seed: int) -> Clusters:
    """Units in random order, cut into blocks of equal size."""
    if not 2 <= clusters <= units:
        raise AudioMetamerError(f"{clusters} clusters of {units} units; there must be from 2 to {units}")
    order = list(range(units))
    random.Random(seed).shuffle(order)  # noqa: S311 (the published order)
    found = np.empty(units, dtype=np.intp)
    found[order] = np.arange(units) // -(-units // clusters)
    return found


def discriminative_sounds(
    responses: Responses,
    clusters: ArrayLike,
    shape: Sequence[int],
    domain: Domain,
    *,
    search: ClusterSearch | None = None,
    seed: int = 0,
    starts: Tensor | None = None,
) -> Clustering:
    """Sounds for clusters of units: sounds are optimised, and units go to the sound that drives them most, until none moves.

    Clusters that lose all units are removed.

    Parameters
    ----------
    responses : callable
        Responses of all units to sounds [shape=(batch, ...)], shape=(batch, units), see `channel_responses`.
    clusters : array of int [shape=(units,)]
        Cluster of each unit at the start, see `initial_clusters`.
    shape : sequence of int
        Shape of a sound.
    domain : Domain
        Bounds of the sounds; with a fixed RMS or norm.
    search : ClusterSearch, optional
        Default: `ClusterSearch()`.
    seed : int
        Random seed of the first sounds. Default 0.
    starts : Tensor [shape=(clusters, ...)], optional
        First sounds. Default: noise.

    Returns
    -------
    Clustering

    Raises
    ------
    AudioMetamerError
        If there is one cluster, the number of units differs, or no unit responds.
    """
    search = search or ClusterSearch()
    found = _renumbered(np.asarray(clusters))
    n = int(found.max()) + 1
    if n < 2:
        raise AudioMetamerError("all units are in one cluster; sounds tell two or more apart")
    if starts is None:
        starts = domain.start(shape, seeds=[seed + k for k in range(n)], dtype=torch.float32, device="cpu")
    sounds = domain.project(starts)
    state = _settled(responses, found, sounds, domain, search)
    if search.split:
        state = _improved(state, _splits, responses, domain, search, seed)
    if search.remove:
        state = _improved(state, _removals, responses, domain, search, seed)
    return state


def best_of_seeds(
    responses: Responses,
    units: int,
    clusters: int,
    shape: Sequence[int],
    domain: Domain,
    *,
    seeds: Sequence[int],
    search: ClusterSearch | None = None,
) -> list[Clustering]:
    """Clusterings from several random starts, the lowest mean loss first: local optima are common.

    Parameters
    ----------
    responses, shape, domain, search
        As for `discriminative_sounds`.
    units, clusters : int
        Numbers of units, and of clusters at the start.
    seeds : sequence of int
    """
    runs = [
        discriminative_sounds(responses, initial_clusters(units, clusters, seed), shape, domain, search=search, seed=1000 * seed)
        for seed in seeds
    ]
    return sorted(runs, key=lambda run: run.mean_loss)


def adjusted_rand_index(first: ArrayLike, second: ArrayLike) -> float:
    """Agreement of two partitions of the same units: 1 if they are the same, 0 on average by chance (Hubert & Arabie 1985).

    Examples
    --------
    >>> adjusted_rand_index([0, 0, 1, 1], [5, 5, 3, 3])
    1.0
    """
    a, b = _renumbered(np.asarray(first)), _renumbered(np.asarray(second))
    if a.shape != b.shape or a.ndim != 1:
        raise AudioMetamerError(f"partitions have shapes {a.shape} and {b.shape}; they must be of the same units")
    table = np.zeros((a.max() + 1, b.max() + 1))
    np.add.at(table, (a, b), 1)
    pairs, rows, columns = (float((n * (n - 1) / 2).sum()) for n in (table, table.sum(1), table.sum(0)))
    chance = rows * columns / max(len(a) * (len(a) - 1) / 2, 1)
    most = (rows + columns) / 2
    return 1.0 if most == chance else (pairs - chance) / (most - chance)


def _renumbered(clusters: NDArray[np.generic]) -> Clusters:
    return np.unique(clusters, return_inverse=True)[1].reshape(clusters.shape).astype(np.intp)


def _means(responses: Tensor, clusters: Clusters) -> Tensor:
    """Mean response of each cluster to each sound, shape=(sounds, clusters)."""
    members = torch.nn.functional.one_hot(torch.from_numpy(clusters)).to(responses)
    return responses @ (members / members.sum(0))


def _optimised(
    responses: Responses, clusters: Clusters, sounds: Tensor, domain: Domain, search: ClusterSearch, steps: int
) -> Tensor:
    """Sounds after steps of gradient ascent, each for its own cluster."""
    own = torch.arange(len(sounds), device=sounds.device)
    for _ in range(steps):
        at = sounds.detach().requires_grad_()
        objective = discrimination_objective(_means(responses(at), clusters), own, search.temperature).sum()
        (gradient,) = torch.autograd.grad(objective, at)
        sounds = domain.project(sounds.detach() + search.learning_rate * gradient)
    return sounds.detach()


def _reassigned(responses: Responses, clusters: Clusters, sounds: Tensor) -> tuple[Clusters, Tensor, bool]:
    """Each unit in the cluster whose sound drives it most, without empty clusters; and whether nothing changed."""
    with torch.no_grad():
        driven = responses(sounds)
    if not bool((driven > 0).any()):
        raise AudioMetamerError("no unit responds to any sound; start from another seed, or from louder sounds")
    new = driven.argmax(0).cpu().numpy()
    kept = np.unique(new)
    if len(kept) < 2:
        raise AudioMetamerError("one sound drives all units most: they are not told apart; divide each unit by its mean response")
    return _renumbered(new), sounds[kept], bool((new == clusters).all())


def _measured(
    responses: Responses, clusters: Clusters, sounds: Tensor, search: ClusterSearch
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Loss of each sound, and the response matrix."""
    with torch.no_grad():
        driven = responses(sounds)
        own = torch.arange(len(sounds), device=sounds.device)
        losses = -discrimination_objective(_means(driven, clusters), own, search.temperature)
    return losses.double().cpu().numpy(), driven.double().cpu().numpy()


def _settled(responses: Responses, clusters: Clusters, sounds: Tensor, domain: Domain, search: ClusterSearch) -> Clustering:
    """The loop: sounds are optimised, units reassigned, until no unit moves."""
    iteration, converged = 0, False
    while iteration < search.iterations and not converged:
        sounds = _optimised(responses, clusters, sounds, domain, search, search.steps)
        clusters, sounds, converged = _reassigned(responses, clusters, sounds)
        iteration += 1
    losses, matrix = _measured(responses, clusters, sounds, search)
    return Clustering(clusters, sounds, losses, matrix, iteration, converged)


def _improved(
    state: Clustering, changes: "_Changes", responses: Responses, domain: Domain, search: ClusterSearch, seed: int
) -> Clustering:
    """The clustering after those changes that lower the mean loss, each followed by the loop; the best is taken first."""
    for _ in range(len(state.clusters)):
        trials = [_settled(responses, *change, domain, search) for change in changes(state, responses, domain, search, seed)]
        best = min(trials, key=lambda trial: trial.mean_loss, default=state)
        if best.mean_loss > state.mean_loss - _LEAST_GAIN:
            break
        state = best._replace(iterations=state.iterations + best.iterations)
    return state


def _removals(state: Clustering, *_: object) -> Iterator[tuple[Clusters, Tensor]]:
    """Clusterings without one of the clusters, whose units go to the sounds that drive them next most."""
    n = len(state.sounds)
    for cluster in range(n if n > 2 else 0):
        kept = [k for k in range(n) if k != cluster]
        found = state.responses[kept].argmax(0)
        if len(left := np.unique(found)) > 1:
            yield _renumbered(found), state.sounds[kept][left]


def _splits(
    state: Clustering, responses: Responses, domain: Domain, search: ClusterSearch, seed: int
) -> Iterator[tuple[Clusters, Tensor]]:
    """Clusterings with one of the clusters in two, by one pass of the loop over its units alone."""
    sounds = state.sounds
    for cluster in range(len(sounds)):
        members = np.flatnonzero(state.clusters == cluster)
        if len(members) < 2:
            continue
        alone = partial(_of_units, responses, members)
        start = _most_even_pair(alone, domain, sounds, seed)
        pair = _optimised(alone, _more_driven(alone, start), start, domain, search, search.steps)
        second = _more_driven(alone, pair) == 1
        if second.any() and not second.all():
            found = state.clusters.copy()
            found[members[second]] = len(sounds)
            yield found, torch.cat([sounds[:cluster], pair[:1], sounds[cluster + 1 :], pair[1:]])


def _most_even_pair(responses: Responses, domain: Domain, like: Tensor, seed: int) -> Tensor:
    """The two of some random sounds that divide the units most evenly by which drives them more, shape=(2, ...)."""
    seeds = range(seed, seed + _SPLIT_STARTS)
    noise = domain.start(like.shape[1:], seeds=seeds, dtype=like.dtype, device=like.device)
    pairs = [noise[[i, j]] for i, j in combinations(range(_SPLIT_STARTS), 2)]
    return min(pairs, key=lambda pair: abs(float(_more_driven(responses, pair).mean()) - 0.5))


def _more_driven(responses: Responses, sounds: Tensor) -> Clusters:
    """The sound that drives each unit most."""
    with torch.no_grad():
        return np.asarray(responses(sounds).argmax(0).cpu().numpy(), dtype=np.intp)


def _of_units(responses: Responses, units: Clusters, sounds: Tensor) -> Tensor:
    return responses(sounds)[:, units]


_Changes = Callable[[Clustering, Responses, Domain, ClusterSearch, int], Iterator[tuple[Clusters, Tensor]]]
