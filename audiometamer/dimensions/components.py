"""Principal and independent components of a few long rows, from their inner products alone; float64.

A bank of n signals gives n rows of perhaps millions of values. Components lie in the span of the rows, so that the n × n matrix
of inner products suffices: the dual form of principal component analysis.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audiometamer.errors import AudioMetamerError, AudioMetamerWarning

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Components:
    """Components of centred rows x₁ … xₙ, strongest first.

    Parameters
    ----------
    weights : array [shape=(rows, components)]
        Component k's direction is Σᵢ weights[i, k] · xᵢ: its inner product with a centred row is the row's score.
    scores : array [shape=(rows, components)]
        Scores of the rows; mean 0, standard deviation 1.
    explained : array [shape=(components,)]
        Share of the rows' total variance.
    """

    weights: Values
    scores: Values
    explained: Values

    def strongest(self, number: int) -> "Components":
        """The strongest components."""
        return Components(self.weights[:, :number], self.scores[:, :number], self.explained[:number])


def principal_components(products: Values, components: int, *, rounding: float = 0.0) -> Components:
    """Principal components, scaled so that scores have a standard deviation of 1.

    With K the inner products of centred rows and K = U Λ Uᵀ, component j explains λⱼ / Σλ, the scores are √n U, and the weights
    √n U Λ⁻¹ (kernel principal component analysis, Schölkopf, Smola & Müller 1998, with the linear kernel).

    Parameters
    ----------
    products : array [shape=(rows, rows)]
        Inner products of the rows, centred or not.
    components : int
        Maximal number; there are no more than the rank of the centred rows.
    rounding : float
        Relative error of the rows: smaller differences are ignored. Default 0.

    Raises
    ------
    AudioMetamerError
        If all rows are the same.
    """
    centred = products - products.mean(0) - products.mean(1, keepdims=True) + products.mean()
    values, vectors = np.linalg.eigh((centred + centred.T) / 2)
    values, vectors = values[::-1], vectors[:, ::-1]
    # The rounding error of inner products scales with the rows, not with their deviations from the mean.
    least = len(products) * max(np.finfo(np.float64).eps, rounding**2) * float(np.diag(products).max())
    rank = int((values > least).sum())
    if rank == 0:
        raise AudioMetamerError(
            "all signals of the bank are the same at this layer: there is no dimension along which they differ"
        )
    kept = slice(min(rank, components))
    root = len(products) ** 0.5
    found = Components(root * vectors[:, kept] / values[kept], root * vectors[:, kept], values[kept] / np.trace(centred))
    return _signed(found)


def independent_components(principal: Components, *, seed: int) -> Components:
    """Rotate principal components so that their scores are as independent as possible; strongest first.

    Scores of independent components are uncorrelated and of unit variance, so that a component's share of the variance is the sum
    of the principal components' shares, weighted with the squares of its row of the rotation.

    Parameters
    ----------
    principal : Components
    seed : int
        Random seed of the first rotation.
    """
    rotation = fast_ica(principal.scores, seed=seed)
    explained = rotation**2 @ principal.explained
    order = np.argsort(-explained, kind="stable")
    rotation = rotation[order]
    return _signed(Components(principal.weights @ rotation.T, principal.scores @ rotation.T, explained[order]))


def fast_ica(whitened: Values, *, seed: int, tolerance: float = 1e-6, iterations: int = 1000) -> Values:
    """The rotation that makes whitened variables independent: symmetric FastICA with log cosh.

    w⁺ = E[x tanh(wᵀx)] − E[1 − tanh²(wᵀx)] w for all rows w of the rotation at once, which are then made orthonormal together,
    W ← (W Wᵀ)^(−1/2) W (Hyvärinen & Oja 2000, Independent component analysis: algorithms and applications, equations 40 and 45).

    Parameters
    ----------
    whitened : array [shape=(samples, variables)]
        Mean 0, covariance the identity.
    seed : int
        Random seed of the first rotation.
    tolerance : float
        The iteration ends when the cosine of every row with its previous value differs from ±1 by less. Default 1e-6.
    iterations : int
        Maximal number. Default 1000.

    Returns
    -------
    array [shape=(variables, variables)]
        Orthogonal; a row for each independent variable.

    Warns
    -----
    AudioMetamerWarning
        If it did not converge.
    """
    samples, variables = whitened.shape
    rotation = _orthonormal(np.random.default_rng(seed).standard_normal((variables, variables)))
    for _ in range(iterations):
        bent = np.tanh(whitened @ rotation.T)
        following = _orthonormal(bent.T @ whitened / samples - (1 - bent**2).mean(0)[:, None] * rotation)
        change = np.abs(np.abs((following * rotation).sum(1)) - 1).max()
        rotation = following
        if change < tolerance:
            return rotation
    warnings.warn(
        f"FastICA did not settle in {iterations} iterations (a row still turned by {change:.2g}, not below {tolerance:g}): "
        "take fewer components, a larger bank, or another seed",
        AudioMetamerWarning,
        stacklevel=2,
    )
    return rotation


def _orthonormal(rows: Values) -> Values:
    """(W Wᵀ)^(−1/2) W: the orthogonal matrix nearest to W."""
    left, _, right = np.linalg.svd(rows)
    nearest: Values = left @ right
    return nearest


def _signed(found: Components) -> Components:
    """Components with the longer tail of each score on the positive side, so that signs do not depend on chance."""
    sign = np.where((found.scores**3).sum(0) < 0, -1.0, 1.0)
    return Components(found.weights * sign, found.scores * sign, found.explained)
