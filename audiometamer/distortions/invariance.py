"""Local invariance: which directions of change a layer responds to, from products with its Jacobian.

At a signal x the layer is, to first order, its Jacobian J [shape=(units, inputs)]. The layer is invariant to the null space of J:
the metamers of x lie there, and their dimension is inputs − rank J (Xu et al. 2025, Model metamers reveal invariances in graph
neural networks, there for features of nodes). A unit that its ReLU silences adds nothing to the rank.
"""

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import torch
from torch import Tensor, nn

from audiometamer.distortions.jacobian import Jacobian, fitting
from audiometamer.drawing import literal_text
from audiometamer.errors import AudioMetamerError
from audiometamer.io.files import atomic_write, write_text
from audiometamer.io.tables import table_text
from audiometamer.models.model import Model
from audiometamer.models.recording import record

TABLE_COLUMNS = (
    "sound", "layer", "inputs", "units", "exact", "rank_low", "rank_high", "metamer_dimension_low", "metamer_dimension_high",
    "effective_rank", "log_volume", "tolerance", "inactive", "singular_values",
)  # fmt: skip


class Invariance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The local invariance of a layer at one signal.

    Parameters
    ----------
    layer : str
    inputs, units : int
        Numbers of values in the signal and in the layer.
    exact : bool
        Whether all singular values of the Jacobian were computed; otherwise the largest were estimated.
    rank : tuple of int
        Bounds of the numerical rank: the number of singular values found and, if not exact, the number of nonzero rows or
        columns of the Jacobian.
    singular_values : list of float
        Singular values above the tolerance, in descending order; estimates are lower bounds.
    effective_rank : float
        exp(−Σ pᵢ ln pᵢ), pᵢ = σᵢ / Σσ (Roy & Vetterli 2007), of these values. Further, smaller values could only raise it.
    log_volume : float
        Σ ln σᵢ of these values: the logarithm of the factor on volumes in the directions that the layer responds to. Comparable
        only between equal numbers of values.
    tolerance : float
        Singular values up to this count as zero.
    inactive : dict of str to float
        Fraction of units at zero in every `torch.nn.ReLU` up to the layer, the last one closest to it.
    """

    layer: str
    inputs: int
    units: int
    exact: bool
    rank: tuple[int, int]
    singular_values: list[float]
    effective_rank: float
    log_volume: float
    tolerance: float
    inactive: dict[str, float]

    @property
    def metamer_dimension(self) -> tuple[int, int]:
        """Bounds of inputs − rank, the number of independent directions to which the layer is invariant. Equal if exact."""
        return self.inputs - self.rank[1], self.inputs - self.rank[0]

    @property
    def inactive_share(self) -> float | None:
        """Fraction of inactive units of the last ReLU up to the layer; None if there is none."""
        return list(self.inactive.values())[-1] if self.inactive else None


def measure_invariance(
    model: Model,
    signal: Tensor,
    layer: str,
    *,
    exact_up_to: int = 512,
    probes: int = 32,
    iterations: int = 2,
    tolerance: float | None = None,
    batch_size: int = 8,
    seed: int = 0,
) -> Invariance:
    """Measure the invariance of a layer of a model at a signal.

    The Jacobian is only multiplied by vectors, from the right by forward-mode and from the left by reverse-mode differentiation.
    If few of its rows or columns are nonzero, it is multiplied by all unit vectors on that side, and the result is exact.
    Otherwise subspace iteration on a random block finds the largest singular values (Halko, Martinsson & Tropp 2011, algorithms
    4.4 and 5.1). A cochleagram's compression has its true derivative here, not the limited one used in synthesis.

    Parameters
    ----------
    model : Model
        Model in float64, for a meaningful rank: see `tolerance`.
    signal : Tensor [shape=signal_shape]
        Signal; moved to the model's dtype and device.
    layer : str
    exact_up_to : int
        Maximum number of nonzero rows or columns for an exact result. Default 512.
    probes : int
        Columns of the random block. Default 32.
    iterations : int
        Subspace iterations; more make small singular values more accurate. Default 2.
    tolerance : float, optional
        Threshold as a fraction of the largest singular value. Default: max(units, inputs) times the dtype's machine epsilon, as
        is usual for numerical ranks (`numpy.linalg.matrix_rank`).
    batch_size : int
        Vectors in one pass. Default 8.
    seed : int
        Random seed of the vectors. Default 0.

    Returns
    -------
    Invariance

    Raises
    ------
    AudioMetamerError
        If the signal does not fit the model, a number is out of its range, or something in the model has no forward-mode
        derivative.
    """
    for name, value, least in (("exact_up_to", exact_up_to, 0), ("probes", probes, 1), ("iterations", iterations, 0)):
        if value < least:
            raise AudioMetamerError(f"{name} is {value}; it must be at least {least}")
    jacobian = Jacobian(model, signal, layer, batch_size=batch_size)
    draw = _Normal(seed, jacobian.at)
    # Only a row or column of zeros has a product of zero with a normal vector.
    rows = jacobian.times(draw(1, jacobian.inputs))[0].nonzero()[:, 0]
    columns = jacobian.transposed_times(draw(1, jacobian.units))[0].nonzero()[:, 0]
    bound = min(len(rows), len(columns))
    if exact := bound <= exact_up_to:
        values = _all_values(jacobian, rows, columns)
    else:
        values = _leading_values(jacobian, draw, min(probes, bound), iterations)
    if tolerance is None:
        tolerance = max(jacobian.units, jacobian.inputs) * torch.finfo(jacobian.at.dtype).eps
    floor = tolerance * float(values[:1].sum())
    values = values[values > floor]
    return Invariance(
        layer=layer,
        inputs=jacobian.inputs,
        units=jacobian.units,
        exact=exact,
        rank=(len(values), len(values) if exact else bound),
        singular_values=values.tolist(),
        effective_rank=effective_rank(values.tolist()),
        log_volume=float(values.log().sum()),
        tolerance=floor,
        inactive=inactive_units(model, signal, layer),
    )


def effective_rank(singular_values: Sequence[float]) -> float:
    """Effective rank exp(−Σ pᵢ ln pᵢ), pᵢ = σᵢ / Σσ, of values above 0 (Roy & Vetterli 2007); 0 if there are none."""
    total = math.fsum(singular_values)
    return math.exp(-math.fsum(v / total * math.log(v / total) for v in singular_values)) if singular_values else 0.0


def inactive_units(model: Model, signal: Tensor, layer: str) -> dict[str, float]:
    """Fraction of units at zero in every `torch.nn.ReLU` of the network up to a layer, in order.

    Parameters
    ----------
    model : Model
    signal : Tensor [shape=signal_shape]
    layer : str

    Returns
    -------
    dict of str to float
        Fractions by the module's name, or by ``module@k`` if it is called several times.
    """
    tap, calls = model.tap(layer), model.calls()
    end = next(i for i, call in enumerate(calls, 1) if (call.path, call.call) == (tap.path, tap.call or 0))
    relus = [c for c in calls[:end] if c.path.startswith("network.") and isinstance(model.get_submodule(c.path), nn.ReLU)]
    several = {call.path for call in calls if call.call}
    names = [call.path.removeprefix("network.") + (f"@{call.call}" if call.path in several else "") for call in relus]
    if not names:
        return {}
    with torch.no_grad():
        activations = record(model, fitting(model, signal)[None], names)
    return {name: float((activation == 0).double().mean()) for name, activation in activations.items()}


def write_table(path: str | os.PathLike[str], measured: Mapping[str, Sequence[Invariance]]) -> None:
    """Write measurements by sound as a tab-separated table with a row for each sound and layer."""
    rows = []
    for sound, layers in measured.items():
        for found in layers:
            share = found.inactive_share
            cells = (
                sound, found.layer, found.inputs, found.units, "yes" if found.exact else "no", *found.rank,
                *found.metamer_dimension, f"{found.effective_rank:.6g}", f"{found.log_volume:.6g}", f"{found.tolerance:.3g}",
                "" if share is None else f"{share:.6f}", " ".join(f"{value:.6g}" for value in found.singular_values),
            )  # fmt: skip
            rows.append(dict(zip(TABLE_COLUMNS, cells, strict=True)))
    write_text(Path(path), table_text(TABLE_COLUMNS, rows))


@literal_text()
def draw_curves(path: str | os.PathLike[str], measured: Mapping[str, Sequence[Invariance]]) -> None:
    """Draw a figure (PNG): each measure by layer, a curve for each sound.

    The metamer dimension is a line where it is exact, and a band between its bounds elsewhere. The effective rank is computed
    from the same number of largest singular values at every layer, if not all were found at some.

    Parameters
    ----------
    path : path
    measured : mapping of str to sequence of Invariance
        Measurements by sound, of the same layers for each.
    """
    import matplotlib

    matplotlib.use("agg", force=False)
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 2, figsize=(10, 6.5), layout="constrained", sharex=True)
    n_values = min((len(f.singular_values) for layers in measured.values() for f in layers if not f.exact), default=None)
    for sound, layers in measured.items():
        names = [found.layer for found in layers]
        low, high = ([found.metamer_dimension[i] / found.inputs for found in layers] for i in (0, 1))
        exact = [a if a == b else math.nan for a, b in zip(low, high, strict=True)]
        (line,) = axes[0, 0].plot(names, exact, "o-", label=sound)
        axes[0, 0].fill_between(names, low, high, color=line.get_color(), alpha=0.15)
        axes[0, 1].plot(names, [effective_rank(found.singular_values[:n_values]) for found in layers], "o-", label=sound)
        axes[1, 0].plot(names, [max(found.singular_values, default=math.nan) for found in layers], "o-", label=sound)
        shares = [math.nan if found.inactive_share is None else found.inactive_share for found in layers]
        axes[1, 1].plot(names, shares, "o-", label=sound)
    titles = (
        "metamer dimension, fraction of the input's (band: bounds)",
        "effective rank" if n_values is None else f"effective rank of the {n_values} largest singular values",
        "largest singular value", "fraction of inactive units, last ReLU",
    )  # fmt: skip
    for axis, title in zip(axes.flat, titles, strict=True):
        axis.set_title(title, fontsize=9)
        axis.tick_params(axis="x", rotation=45)
    axes[0, 1].set_ylim(bottom=0)
    axes[1, 0].set_yscale("log")
    axes[1, 0].yaxis.set_major_formatter("{x:g}")
    axes[0, 0].set_ylim(-0.02, 1.02)
    axes[1, 1].set_ylim(-0.02, 1.02)
    axes[0, 0].legend(fontsize=8)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=110)
    plt.close(figure)


def _all_values(jacobian: Jacobian, rows: Tensor, columns: Tensor) -> Tensor:
    """All singular values, from products with the unit vectors of the nonzero rows or columns."""
    by_row = len(rows) <= len(columns)
    kept, length = (rows, jacobian.units) if by_row else (columns, jacobian.inputs)
    if not len(kept):
        return jacobian.at.new_zeros(0).double()
    vectors = jacobian.at.new_zeros(len(kept), length)
    vectors[torch.arange(len(kept), device=kept.device), kept] = 1
    products = jacobian.transposed_times(vectors) if by_row else jacobian.times(vectors)
    return torch.linalg.svdvals(products.double())


def _leading_values(jacobian: Jacobian, draw: "_Normal", number: int, iterations: int) -> Tensor:
    """Estimates of the largest singular values: those of J on a subspace, each at most J's own of the same rank."""
    directions = _orthonormal(jacobian.transposed_times(draw(number, jacobian.units)))
    for _ in range(iterations):
        directions = _orthonormal(jacobian.transposed_times(_orthonormal(jacobian.times(directions))))
    return torch.linalg.svdvals(jacobian.times(directions).double())


def _orthonormal(rows: Tensor) -> Tensor:
    """Orthonormal rows with the same span."""
    return torch.linalg.qr(rows.T).Q.T.contiguous()


class _Normal:
    """Standard normal rows, drawn on the CPU in float64: the same on every device and in every dtype."""

    def __init__(self, seed: int, like: Tensor) -> None:
        self.generator, self.like = torch.Generator().manual_seed(seed), like

    def __call__(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.generator, dtype=torch.float64).to(self.like)
