"""Eigendistortions: the small changes of a sound that a layer notices most and least.

A layer with white Gaussian noise of variance 1 on each unit has the Fisher matrix F = JᵀJ, and notices a change along ε from a
size of (εᵀFε)^(−1/2) on: it notices the top eigenvector most, the bottom one least (Berardino, Laparra, Ballé & Simoncelli 2017).
Where a layer has fewer units than the sound has samples, the bottom eigenvalue is exactly 0, and any vector of the null space
will do; a second criterion then chooses one, and the result says which.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh, lobpcg, lsmr
from torch import Tensor

from audiometamer.distortions.jacobian import Jacobian, Restricted
from audiometamer.distortions.spaces import Space
from audiometamer.errors import AudioMetamerError
from audiometamer.models.model import Model

Vectors = NDArray[np.float64]
_SECOND = 1e-6  # tolerance of the second criterion, which only chooses among directions that are all right


@dataclass(frozen=True)
class Eigendistortions:
    """The changes of a signal that a layer notices most and least.

    Parameters
    ----------
    layer : str
    space : str
        The space of changes, in words.
    top, bottom : Tensor [shape=(n, *signal_shape)]
        Changes ε = B z of size ‖z‖ = 1, the most and the least noticeable first.
    top_eigenvalues, bottom_eigenvalues : tuple of float
        Their λ = ‖J ε‖².
    top_residuals, bottom_residuals : tuple of float
        ‖F z − λ z‖ / λ_max.
    exact : bool
        Whether all eigenvalues were computed.
    through : str
        ``"JJᵀ"`` if the products were of units (fewer than coefficients), or ``"JᵀJ"``.
    null_dimension : tuple of int
        Bounds of the dimension of the null space within the space of changes; equal if exact.
    criterion : str
        How the bottom ones were chosen in the null space; empty if there is none.
    """

    layer: str
    space: str
    top: Tensor
    bottom: Tensor
    top_eigenvalues: tuple[float, ...]
    bottom_eigenvalues: tuple[float, ...]
    top_residuals: tuple[float, ...]
    bottom_residuals: tuple[float, ...]
    exact: bool
    through: str
    null_dimension: tuple[int, int]
    criterion: str


def eigendistortions(
    model: Model,
    signal: Tensor,
    layer: str,
    *,
    n: int = 1,
    space: Space | None = None,
    criterion: str | None = None,
    exact_up_to: int = 512,
    iterations: int = 500,
    tolerance: float = 1e-12,
    batch_size: int = 8,
    seed: int = 0,
) -> Eigendistortions:
    """Find the changes of a signal that a layer notices most and least.

    If few units are active, or the space has few coefficients, J is computed whole and its singular values are exact. Otherwise
    the top is found by Lanczos iteration (`scipy.sparse.linalg.eigsh`) of JJᵀ or JᵀJ, whichever is smaller, and the bottom by
    LOBPCG of JᵀJ, or in the null space if there are fewer active units than coefficients. The residuals say how far either has
    converged.

    Parameters
    ----------
    model : Model
        Model in float64, for meaningful small eigenvalues.
    signal : Tensor [shape=signal_shape]
    layer : str
    n : int
        Changes at each end. Default 1.
    space : Space, optional
        Allowed changes. Default: all, of equal RMS.
    criterion : str, optional
        Layer that notices the changes in the null space most: a second criterion, needed where the first is 0 for all of them.
        It takes an exact null space. Default: the front end's output; for a model without one, or where the null space is not
        exact, the null directions nearest to Gaussian noise.
    exact_up_to : int
        Maximum number of active units or coefficients for an exact result. Default 512.
    iterations : int
        Most iterations of the other methods. Default 500.
    tolerance : float
        Relative accuracy at which they stop. Default 1e-12.
    batch_size : int
        Vectors in one pass. Default 8.
    seed : int
        Random seed of the starting vectors. Default 0.

    Returns
    -------
    Eigendistortions

    Raises
    ------
    AudioMetamerError
        If n does not fit the space, the layer notices no change, or something in the model has no forward-mode derivative.
    """
    derivative = Restricted(Jacobian(model, signal, layer, batch_size=batch_size), space)
    if not 1 <= n <= derivative.size:
        raise AudioMetamerError(f"n is {n}; the space has {derivative.size} dimensions, so give 1 to {derivative.size}")
    search = _Search(derivative, n, iterations, tolerance, seed)
    if not len(search.active):
        raise AudioMetamerError(f"no unit of layer {layer!r} responds to any of the {space.description if space else 'changes'}")
    exact = min(len(search.active), derivative.size) <= exact_up_to
    if criterion is not None and not exact:
        raise AudioMetamerError(
            f"a criterion takes an exact null space; layer {layer!r} has {len(search.active)} active units, so raise exact_up_to "
            f"(now {exact_up_to}) or choose a space of fewer than {derivative.size} dimensions"
        )
    found = _exact(search, model, criterion) if exact else _iterated(search)
    (top, bottom), (low, high), words = found
    top_values, top_residuals = _checked(derivative, top, None)
    bottom_values, bottom_residuals = _checked(derivative, bottom, top_values[0])
    return Eigendistortions(
        layer=layer,
        space=derivative.space.description,
        top=search.signals(top),
        bottom=search.signals(bottom),
        top_eigenvalues=top_values,
        bottom_eigenvalues=bottom_values,
        top_residuals=top_residuals,
        bottom_residuals=bottom_residuals,
        exact=exact,
        through="JJᵀ" if len(search.active) < derivative.size else "JᵀJ",
        null_dimension=(low, high),
        criterion=words,
    )


_Found = tuple[tuple[Vectors, Vectors], tuple[int, int], str]  # (top, bottom), bounds of the null dimension, criterion


class _Search:
    """What the methods share: a derivative, its active units, and the settings."""

    def __init__(self, derivative: Restricted, n: int, iterations: int, tolerance: float, seed: int) -> None:
        self.derivative, self.n, self.iterations, self.tolerance = derivative, n, iterations, tolerance
        self.active = derivative.active(torch.Generator().manual_seed(seed))
        self.random = np.random.default_rng(seed)

    def tensor(self, rows: Vectors) -> Tensor:
        return torch.from_numpy(np.array(rows, order="C")).to(self.derivative.jacobian.at)

    def signals(self, coefficients: Vectors) -> Tensor:
        signals = self.derivative.space.signals(self.tensor(coefficients))
        return signals.view(-1, *self.derivative.jacobian.at.shape).cpu()

    def operator(self, size: int, product: Callable[[Tensor], Tensor]) -> LinearOperator:
        """A symmetric operator of numpy's columns, from a product of torch's rows."""

        def columns(x: Vectors) -> Vectors:
            return _numpy(product(self.tensor(x.reshape(size, -1).T))).T.reshape(x.shape)

        return LinearOperator((size, size), matvec=columns, matmat=columns, dtype=np.float64)

    def largest(self, size: int, product: Callable[[Tensor], Tensor], *, tolerance: float | None = None) -> Vectors:
        """Top eigenvectors [shape=(n, size)] of a symmetric product, the largest first."""
        tolerance = self.tolerance if tolerance is None else tolerance
        if size <= self.n + 1:  # too small for Lanczos
            matrix = _numpy(product(self.tensor(np.eye(size))))
            return np.linalg.eigh(matrix)[1][:, ::-1][:, : self.n].T
        start, operator = self.random.standard_normal(size), self.operator(size, product)
        try:
            _, vectors = eigsh(operator, k=self.n, which="LA", v0=start, tol=tolerance, maxiter=self.iterations)
        except ArpackNoConvergence as error:
            raise AudioMetamerError(
                f"{len(error.eigenvalues)} of {self.n} largest eigenvalues converged in {self.iterations} iterations; give more"
            ) from error
        return vectors[:, ::-1].T

    def smallest(self, size: int, product: Callable[[Tensor], Tensor], scale: float) -> Vectors:
        """Approximate bottom eigenvectors [shape=(n, size)], the smallest first, to a tolerance in units of `scale`."""
        start = np.linalg.qr(self.random.standard_normal((size, self.n)))[0]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=UserWarning, module="audiometamer|scipy")  # we report the residuals
            _, vectors = lobpcg(
                self.operator(size, product), start, largest=False, tol=self.tolerance * scale, maxiter=self.iterations
            )
        return np.asarray(vectors.T)


def _exact(search: _Search, model: Model, criterion: str | None) -> _Found:
    """From the singular vectors of J B, whole."""
    derivative, n = search.derivative, search.n
    by_row = len(search.active) <= derivative.size
    products = _numpy(derivative.rows(search.active) if by_row else derivative.matrix())
    _, values, directions = np.linalg.svd(products, full_matrices=not by_row)
    floor = max(products.shape) * float(torch.finfo(derivative.jacobian.at.dtype).eps) * values[0]
    rank = int(np.sum(values > floor))
    null = derivative.size - rank
    if n > rank:
        raise AudioMetamerError(f"n is {n}; the layer responds to {rank} independent changes, so give at most {rank}")
    if not null:
        return (directions[:n], directions[::-1][:n]), (0, 0), ""
    if n > null:  # the null space whole, then the smallest eigenvalues above it
        rest = np.linalg.svd(products, full_matrices=True)[2][rank:]
        return (directions[:n], np.concatenate([rest, directions[:rank][::-1]])[:n]), (null, null), "the whole null space"
    bottom, words = _chosen(search, directions[:rank], model, criterion)
    return (directions[:n], bottom), (null, null), words


def _chosen(search: _Search, seen: Vectors, model: Model, criterion: str | None) -> tuple[Vectors, str]:
    """Directions orthogonal to the rows of `seen` that another layer notices most, or that are nearest to noise."""
    derivative = search.derivative
    layer = derivative.jacobian.layer
    if criterion is None and model.front_end is not None and model.layers[0] != layer:
        criterion = model.layers[0]
    size = derivative.size

    def unseen(rows: Vectors) -> Vectors:
        return rows - (rows @ seen.T) @ seen

    if criterion is None:
        rows = unseen(unseen(search.random.standard_normal((search.n, size))))
        return np.linalg.qr(rows.T)[0].T, "nearest to Gaussian noise"
    other = Restricted(
        Jacobian(model, derivative.jacobian.at, criterion, batch_size=derivative.jacobian.batch_size), derivative.space
    )

    def product(rows: Tensor) -> Tensor:
        return search.tensor(unseen(_numpy(other.fisher(search.tensor(unseen(_numpy(rows)))))))

    rows = unseen(search.largest(size, product, tolerance=max(search.tolerance, _SECOND)))
    return np.linalg.qr(rows.T)[0].T, f"most noticeable at {criterion}"


def _iterated(search: _Search) -> _Found:
    """By Lanczos iteration and LOBPCG, or an iterated projection on the null space."""
    derivative, n, active = search.derivative, search.n, search.active
    size = derivative.size

    def spread(rows: Tensor) -> Tensor:
        whole = rows.new_zeros(len(rows), derivative.units)
        whole[:, active] = rows
        return whole

    if len(active) >= size:
        top = search.largest(size, derivative.fisher)
        bottom = search.smallest(size, derivative.fisher, float(derivative.times(search.tensor(top[:1])).square().sum()))
        return (top, bottom), (0, size - n), ""
    units = search.largest(len(active), lambda rows: derivative.times(derivative.transposed_times(spread(rows)))[:, active])
    top = np.linalg.qr(_numpy(derivative.transposed_times(spread(search.tensor(units)))).T)[0].T
    forth = LinearOperator(
        (len(active), size),
        matvec=lambda z: _numpy(derivative.times(search.tensor(z.reshape(1, -1)))[0, active]),
        rmatvec=lambda u: _numpy(derivative.transposed_times(spread(search.tensor(u.reshape(1, -1))))[0]),
        dtype=np.float64,
    )  # fmt: skip
    noise = search.random.standard_normal((n, size))
    limits = {"atol": search.tolerance, "btol": search.tolerance, "conlim": 0.0, "maxiter": search.iterations}
    rows = np.stack([row - lsmr(forth, forth.matvec(row), **limits)[0] for row in noise])
    bottom = np.linalg.qr(rows.T)[0].T
    return (top, bottom), (size - len(active), size - n), "nearest to Gaussian noise, by an iterated projection"


def _checked(derivative: Restricted, rows: Vectors, largest: float | None) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Eigenvalues ‖J B z‖² of unit rows z, and their residuals relative to the largest (default: the first)."""
    z = torch.from_numpy(np.array(rows, order="C")).to(derivative.jacobian.at)
    responses = derivative.times(z)
    values = responses.square().sum(1)
    errors = (derivative.transposed_times(responses) - values[:, None] * z).norm(dim=1)
    scale = float(values[0]) if largest is None else largest
    return tuple(values.tolist()), tuple((errors / scale).tolist())


def _numpy(tensor: Tensor) -> Vectors:
    return np.asarray(tensor.detach().double().cpu().numpy())
