"""Principal distortions: the two changes of a sound about which several models disagree most.

For N models with Fisher matrices F_n, the sensitivity of model n to a unit change ε is d_n(ε) = √(εᵀF_nε). Principal distortions
a and b maximise the variance over models of ln d_n(a) − ln d_n(b) (Feather et al. 2025, ICLR). For two models they are the top
and bottom generalised eigenvectors of their Fisher matrices.

The objective here, as in the published code, is that variance of ln d², hence 4 times the variance of ln d.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.linalg
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiometamer.distortions.amplitude import at_level
from audiometamer.distortions.directions import Slope, climbed
from audiometamer.distortions.jacobian import Jacobian, Restricted, check_same_signals
from audiometamer.distortions.spaces import Space
from audiometamer.errors import AudioMetamerError
from audiometamer.io.tables import write_table
from audiometamer.models.model import Model
from audiometamer.signals.files import signal_suffix, write_signal

Product = Callable[[Tensor], Tensor]  # F z for rows z [shape=(k, size)]


@dataclass(frozen=True)
class PrincipalDistortions:
    """The two changes of a signal about which models disagree most.

    Parameters
    ----------
    layers : tuple of str
        ``model:layer`` of each.
    space : str
        The space of changes, in words.
    first, second : Tensor [shape=signal_shape]
        The changes a and b, of size 1; exchanged they are the same answer.
    objective : float
        4 Var_n[ln d_n(a) − ln d_n(b)].
    thresholds : Tensor [shape=(2, models)]
        1 / d_n of either change.
    singular : tuple of str
        Those of `layers` that are singular in the space: some change is not noticed at all.
    added : tuple of float
        Multiple of the identity added to each Fisher matrix.
    exact : bool
        Whether the changes are generalised eigenvectors (two models), not the best of several searches.
    """

    layers: tuple[str, ...]
    space: str
    first: Tensor
    second: Tensor
    objective: float
    thresholds: Tensor
    singular: tuple[str, ...]
    added: tuple[float, ...]
    exact: bool


def principal_distortions(
    models: Sequence[Model],
    signal: Tensor,
    layers: Sequence[str],
    *,
    space: Space | None = None,
    ridge: float = 1e-3,
    exact_up_to: int = 1024,
    starts: int = 4,
    steps: int = 500,
    batch_size: int = 8,
    seed: int = 0,
) -> PrincipalDistortions:
    """Find the two changes of a signal about which models disagree most.

    If one model does not notice some change at all, the objective has no maximum. Then a multiple of the identity is added to
    every Fisher matrix, which is a noise at the input of every model, or the space of changes is restricted.

    Fisher matrices are computed whole in the span of the gradients of all active units and one further direction, which stands
    for all others: no model notices those. If that has more than `exact_up_to` dimensions, as the space itself has, products with
    the matrices are used instead, and the result is the best of several searches.

    Parameters
    ----------
    models : sequence of Model
        Two or more models of the same sample rate and duration, in float64. The same model may come several times.
    signal : Tensor [shape=signal_shape]
    layers : sequence of str
        Layer of each model.
    space : Space, optional
        Allowed changes. Default: all, of equal RMS.
    ridge : float
        What is added, as a fraction of the largest eigenvalue of each Fisher matrix; 0 if all models are to notice every change
        by themselves. Default 1e-3.
    exact_up_to : int
        Maximum number of dimensions in which Fisher matrices are computed whole. Default 1024.
    starts : int
        Random starts for more than two models. Default 4.
    steps : int
        Most iterations from each. Default 500.
    batch_size : int
        Vectors in one pass. Default 8.
    seed : int
        Random seed of the starts. Default 0.

    Returns
    -------
    PrincipalDistortions

    Raises
    ------
    AudioMetamerError
        If models differ in sample rate or signal shape, there are fewer than two, or one is singular and `ridge` is 0.
    """
    _check(models, layers, ridge)
    parts = [
        Restricted(Jacobian(model, signal, layer, batch_size=batch_size), space)
        for model, layer in zip(models, layers, strict=True)
    ]
    names = tuple(f"{model.name}:{layer}" for model, layer in zip(models, layers, strict=True))
    active = [part.active(torch.Generator().manual_seed(seed)) for part in parts]
    for name, units in zip(names, active, strict=True):
        if not len(units):
            raise AudioMetamerError(f"no unit of {name} responds to any of the changes")
    basis = _basis(parts, active, exact_up_to, seed)
    fishers = [_Fisher(part, len(units), basis, ridge) for part, units in zip(parts, active, strict=True)]
    singular = tuple(name for name, fisher in zip(names, fishers, strict=True) if fisher.singular)
    if singular and not ridge:
        raise AudioMetamerError(
            f"{', '.join(singular)} does not notice some change at all, so the disagreement has no maximum; give ridge > 0, or a "
            f"space of fewer than {parts[0].size} dimensions that it notices whole"
        )
    rows = _extremes(fishers, starts, steps, seed)
    z = rows if basis is None else rows @ basis
    signals = parts[0].space.signals(z.to(parts[0].jacobian.at)).view(2, *parts[0].jacobian.at.shape).cpu()
    quadratic = torch.stack([(fisher(rows) * rows).sum(1) for fisher in fishers], dim=1)
    return PrincipalDistortions(
        layers=names,
        space=parts[0].space.description,
        first=signals[0],
        second=signals[1],
        objective=_slope(fishers)(rows)[0],
        thresholds=quadratic.rsqrt().cpu(),
        singular=singular,
        added=tuple(fisher.added for fisher in fishers),
        exact=len(models) == 2 and basis is not None,
    )


def published_steps(
    products: Sequence[Product], first: Tensor, second: Tensor, *, rates: Sequence[float]
) -> tuple[Tensor, Tensor, list[float]]:
    """Steps of the published procedure (Feather et al. 2025; the code of the repository principal-distortions).

    Δa = Σ_n (r_n − r̄)(u_n − ū), with r_n = ln aᵀF_na − ln bᵀF_nb and u_n = F_na / aᵀF_na; Δb likewise, with the other sign. Both
    are clipped to ±1, and divided by their lengths before clipping if these are above 1 on average. a and b then move by the rate
    times Δ and are scaled to 1.

    Parameters
    ----------
    products : sequence of callable
        Products with the Fisher matrices: F_n z for rows z [shape=(k, size)].
    first, second : Tensor [shape=(size,)]
        The changes to start from, of any size.
    rates : sequence of float
        Learning rate of each step; published: 1e-3, 1000 times.

    Returns
    -------
    first, second : Tensor [shape=(size,)]
        Unit vectors.
    objectives : list of float
        The objective after each step.
    """
    slope, objectives = _slope(products), []
    rows = torch.stack([first / first.norm(), second / second.norm()])
    for rate in rates:
        changes = slope(rows)[1] * len(products) / 4
        lengths = changes.norm(dim=1, keepdim=True)
        changes = changes.clamp(-1, 1) / (lengths if lengths.mean() > 1 else 1)
        rows = rows + rate * changes
        rows = rows / rows.norm(dim=1, keepdim=True)
        objectives.append(slope(rows)[0])
    return rows[0], rows[1], objectives


def write_principal(
    out: Path, signal: Tensor, found: PrincipalDistortions, *, level: float = -20.0, sample_rate: int | None
) -> Path:
    """Write a sound with either of its principal distortions, and last a table with a row for each model.

    Parameters
    ----------
    out : path
        Folder: ``original.wav``, ``first.wav``, ``second.wav``, ``principal.tsv``.
    signal : Tensor [shape=signal_shape]
    found : PrincipalDistortions
    level : float
        RMS of the distortions in dB re that of the sound. Default −20.
    sample_rate : int or None
        Hz; without one, signals are written as ``.npy``.

    Returns
    -------
    path
        The table.
    """
    suffix = signal_suffix(sample_rate)
    signal = signal.detach().cpu()
    write_signal(out / f"original{suffix}", signal, sample_rate)
    for name, change in (("first", found.first), ("second", found.second)):
        write_signal(out / f"{name}{suffix}", signal + at_level(change.to(signal), signal, level), sample_rate)
    rows = [
        {
            "model": name, "threshold_first": f"{first:.6g}", "threshold_second": f"{second:.6g}", "added": f"{added:.6g}",
            "singular": "yes" if name in found.singular else "no", "objective": f"{found.objective:.6g}",
            "exact": "yes" if found.exact else "no", "space": found.space, "level": level,
        }
        for name, (first, second), added in zip(found.layers, found.thresholds.T.tolist(), found.added, strict=True)
    ]  # fmt: skip
    write_table(out / "principal.tsv", tuple(rows[0]), rows)
    return out / "principal.tsv"


def _slope(products: Sequence[Product]) -> Slope:
    """The objective at changes a and b [shape=(2, size)], and its gradient."""

    def slope(rows: Tensor) -> tuple[float, Tensor]:
        images = torch.stack([product(rows) for product in products])
        quadratic = (images * rows).sum(-1)
        ratios = quadratic[:, 0].log() - quadratic[:, 1].log()
        centred = ratios - ratios.mean()
        directions = images / quadratic[..., None]
        weights = torch.stack([centred, -centred], dim=1)[..., None]
        return float(centred.square().mean()), 4 * (weights * (directions - directions.mean(0))).mean(0)

    return slope


class _Fisher:
    """A Fisher matrix of a layer plus a multiple of the identity: whole in a basis, or as products.

    Parameters
    ----------
    part : Restricted
    active : int
        Number of its active units.
    basis : Tensor [shape=(d, size)] or None
    ridge : float
        Multiple of the identity, relative to the largest eigenvalue.
    """

    def __init__(self, part: Restricted, active: int, basis: Tensor | None, ridge: float) -> None:
        self.part, self.matrix = part, None
        if basis is None:
            self.singular = active < part.size
            largest = _power(part)
        else:
            responses = part.times(basis.to(part.jacobian.at)).double()
            matrix = responses @ responses.T
            values = torch.linalg.eigvalsh(matrix)
            largest = float(values[-1])
            tolerance = max(responses.shape) * torch.finfo(part.jacobian.at.dtype).eps
            self.singular = bool(values[0] <= tolerance * largest) or active < part.size
            self.matrix = matrix
        self.added = ridge * largest
        self.size = part.size if self.matrix is None else len(self.matrix)

    def __call__(self, rows: Tensor) -> Tensor:
        image = self.part.fisher(rows.to(self.part.jacobian.at)).to(rows) if self.matrix is None else rows @ self.matrix
        return image + self.added * rows

    def whole(self) -> NDArray[np.float64]:
        """The matrix."""
        return np.asarray(self(torch.eye(self.size, dtype=torch.float64)).cpu().numpy())


def _power(part: Restricted, steps: int = 20) -> float:
    """The largest eigenvalue to a few percent, from below, by power iteration."""
    z = torch.randn(1, part.size, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(part.jacobian.at)
    for _ in range(steps):
        z = part.fisher(z / z.norm())
    return float(z.norm())


def _check(models: Sequence[Model], layers: Sequence[str], ridge: float) -> None:
    if len(models) < 2 or len(models) != len(layers):
        raise AudioMetamerError(
            f"there are {len(models)} models and {len(layers)} layers; give two or more, a layer for each model"
        )
    if not 0 <= ridge < 1:
        raise AudioMetamerError(f"ridge is {ridge}; it must be at least 0 and less than 1")
    check_same_signals(models)


def _basis(parts: Sequence[Restricted], active: Sequence[Tensor], most: int, seed: int) -> Tensor | None:
    """Orthonormal rows: all coefficients, or the span of the active units' gradients and one more; None if there are too many."""
    size, gradients = parts[0].size, sum(map(len, active))
    if size <= gradients + 1:
        return torch.eye(size, dtype=torch.float64) if size <= most else None
    if gradients + 1 > most:
        return None
    rows = [part.rows(units).double().cpu() for part, units in zip(parts, active, strict=True)]
    scaled = [each / torch.linalg.matrix_norm(each, 2) for each in rows]  # models differ in their units
    noise = torch.randn(1, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.linalg.qr(torch.cat([*scaled, noise]).T).Q.T.contiguous()


def _extremes(fishers: Sequence[_Fisher], starts: int, steps: int, seed: int) -> Tensor:
    """The changes [shape=(2, size)] of largest objective: in closed form for two whole matrices, or the best of climbs."""
    if fishers[0].matrix is not None:
        whole = [fisher.whole() for fisher in fishers]
        pairs = [_generalised(f, g) for i, f in enumerate(whole) for g in whole[i + 1 :]]
        if len(fishers) == 2:
            return pairs[0]
    else:
        pairs = []
    generator = torch.Generator().manual_seed(seed)
    random = [torch.randn(2, fishers[0].size, generator=generator, dtype=torch.float64) for _ in range(max(starts, not pairs))]
    slope = _slope(fishers)
    found = [climbed(slope, start, steps=steps) for start in [*pairs, *random]]
    return max(found, key=lambda rows: slope(rows)[0])


def _generalised(first: NDArray[np.float64], second: NDArray[np.float64]) -> Tensor:
    """Top and bottom generalised eigenvectors of two positive definite matrices, as unit rows."""
    _, vectors = scipy.linalg.eigh(first, second)
    rows = torch.from_numpy(vectors[:, [-1, 0]].T.copy())
    return rows / rows.norm(dim=1, keepdim=True)
