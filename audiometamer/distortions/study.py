"""Eigendistortions of a sound with their curves and finite versions, as WAV files, tables and a figure."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from audiometamer.distortions.amplitude import (
    LEVELS,
    AmplitudeCurve,
    FiniteDistortions,
    amplitude_curve,
    at_level,
    finite_distortions,
)
from audiometamer.distortions.eigen import Eigendistortions, eigendistortions
from audiometamer.distortions.spaces import Space
from audiometamer.drawing import line_style, literal_text, save_figure, tidy
from audiometamer.io.names import safe_name
from audiometamer.io.tables import write_table
from audiometamer.models.model import Model
from audiometamer.signals.files import signal_suffix, write_signal

COLUMNS = (
    "sound", "layer", "end", "number", "eigenvalue", "residual", "exact", "null_low", "null_high", "space", "criterion",
    "linear_from", "linear_to", "level", "distance", "peak", "file",
)  # fmt: skip
CURVE_COLUMNS = ("sound", "layer", "end", "number", "level", "distance", "predicted")
FINITE = "finite"  # the number of the distortions found at the level itself


@dataclass(frozen=True)
class Study:
    """Eigendistortions of one layer at one sound, with their curves, and the finite ones.

    Parameters
    ----------
    sound : str
    signal : Tensor [shape=signal_shape]
    eigen : Eigendistortions
    curves : dict of str to list of AmplitudeCurve
        For ``most`` and ``least``, those of the top and bottom distortions in order.
    finite : FiniteDistortions or None
    level : float
        RMS of the distortions in the files, in dB re that of the sound.
    """

    sound: str
    signal: Tensor
    eigen: Eigendistortions
    curves: dict[str, list[AmplitudeCurve]]
    finite: FiniteDistortions | None
    level: float


def study(
    model: Model,
    sound: str,
    signal: Tensor,
    layer: str,
    *,
    n: int = 1,
    space: Space | None = None,
    criterion: str | None = None,
    level: float = -20.0,
    steps: int = 50,
    exact_up_to: int = 512,
    iterations: int = 500,
    batch_size: int = 8,
    seed: int = 0,
) -> Study:
    """Find a layer's eigendistortions at a sound, their curves, and the extreme distortions at one level.

    Parameters
    ----------
    model : Model
        Model in float64.
    sound : str
        Name of the sound.
    signal : Tensor [shape=signal_shape]
    layer : str
    level : float
        RMS of the finite distortions, and of those in the files, in dB re that of the sound. Default −20.
    steps : int
        Most iterations of the searches at that level, which start from the first eigendistortions; 0 for none. Default 50.
    n, space, criterion, exact_up_to, iterations, batch_size, seed
        Options of `eigendistortions`.
    """
    found = eigendistortions(
        model, signal, layer, n=n, space=space, criterion=criterion, exact_up_to=exact_up_to, iterations=iterations,
        batch_size=batch_size, seed=seed,
    )  # fmt: skip
    levels = sorted({level, *LEVELS})
    curves = {
        end: [amplitude_curve(model, signal, layer, each, levels=levels, batch_size=batch_size) for each in distortions]
        for end, distortions in (("most", found.top), ("least", found.bottom))
    }
    start = found.top[0], found.bottom[0]
    finite = finite_distortions(model, signal, layer, level=level, start=start, space=space, steps=steps) if steps else None
    return Study(sound, signal.detach().cpu(), found, curves, finite, level)


def write_studies(out: Path, studies: Sequence[Study], *, sample_rate: int | None) -> list[Path]:
    """Write the sounds with their distortions, the curves, a figure, and last the table of all.

    Parameters
    ----------
    out : path
        Folder: ``<sound>/<layer>/most0.wav`` and so on, ``curves.tsv``, ``curves.png``, ``eigendistortions.tsv``.
    studies : sequence of Study
    sample_rate : int or None
        Hz; without one, signals are written as ``.npy``.

    Returns
    -------
    list of path
        The table, and the figure.
    """
    suffix = signal_suffix(sample_rate)
    rows, curve_rows = [], []
    for study in studies:
        folder = Path(safe_name(study.sound), safe_name(study.eigen.layer))
        for end, number, signal, row in _distorted(study):
            file = folder / f"{end}{'_' if number == FINITE else ''}{number}{suffix}"
            write_signal(out / file, signal, sample_rate)
            common = {"sound": study.sound, "layer": study.eigen.layer, "end": end, "number": number}
            rows.append(common | row | {"level": study.level, "peak": float(signal.abs().max()), "file": file.as_posix()})
        for end, curves in study.curves.items():
            for number, curve in enumerate(curves):
                points = zip(curve.levels, curve.distances, curve.predicted, strict=True)
                curve_rows += [
                    {"sound": study.sound, "layer": curve.layer, "end": end, "number": number, "level": level,
                     "distance": f"{distance:.6g}", "predicted": f"{predicted:.6g}"}
                    for level, distance, predicted in points
                ]  # fmt: skip
    write_table(out / "curves.tsv", CURVE_COLUMNS, curve_rows)
    draw_studies(out / "curves.png", studies)
    table = out / "eigendistortions.tsv"
    write_table(table, COLUMNS, rows)
    return [table, out / "curves.png"]


def _distorted(study: Study) -> list[tuple[str, int | str, Tensor, dict[str, object]]]:
    """The end, the number, the sound with the distortion, and cells of the table, for each distortion."""
    found = study.eigen
    ends = (
        ("most", found.top, found.top_eigenvalues, found.top_residuals),
        ("least", found.bottom, found.bottom_eigenvalues, found.bottom_residuals),
    )
    made: list[tuple[str, int | str, Tensor, dict[str, object]]] = []
    for end, distortions, values, residuals in ends:
        for number, distortion in enumerate(distortions):
            curve = study.curves[end][number]
            low, high = curve.linear_range or (None, None)
            row: dict[str, object] = {
                "eigenvalue": f"{values[number]:.6g}", "residual": f"{residuals[number]:.2g}",
                "exact": "yes" if found.exact else "no", "null_low": found.null_dimension[0],
                "null_high": found.null_dimension[1], "space": found.space,
                "criterion": found.criterion if end == "least" else "", "linear_from": low, "linear_to": high,
                "distance": f"{curve.distances[curve.levels.index(study.level)]:.6g}",
            }  # fmt: skip
            made.append((end, number, study.signal + at_level(distortion.to(study.signal), study.signal, study.level), row))
    if study.finite is not None:
        for end, distortion, distance in (
            ("most", study.finite.most, study.finite.most_distance),
            ("least", study.finite.least, study.finite.least_distance),
        ):
            finite: dict[str, object] = {"space": found.space, "distance": f"{distance:.6g}"}
            made.append((end, FINITE, study.signal + distortion.to(study.signal), finite))
    return made


@literal_text()
def draw_studies(path: Path, studies: Sequence[Study]) -> None:
    """Draw distance against level: a panel for each study, with dotted predictions, and crosses for finite distortions."""
    import matplotlib

    matplotlib.use("agg", force=False)
    import matplotlib.pyplot as plt

    columns = min(3, len(studies))
    rows = -(-len(studies) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(4.5 * columns, 3.5 * rows), layout="constrained", squeeze=False)
    for study, axis in zip(studies, axes.flat, strict=False):
        for k, (end, curves) in enumerate(study.curves.items()):
            style = line_style(k)
            for curve in curves[:1]:
                axis.semilogy(curve.levels, curve.distances, label=f"{end} noticeable", markersize=3, **style)
                if max(curve.predicted) > 1e-9 * max(curve.distances):
                    axis.semilogy(curve.levels, curve.predicted, ":", color=style["color"])
        if study.finite is not None:
            for k, distance in enumerate((study.finite.most_distance, study.finite.least_distance)):
                axis.plot(study.level, distance, "x", color=line_style(k)["color"], markersize=9)
        axis.set(title=f"{study.sound}, {study.eigen.layer}", xlabel="distortion (dB re sound)", ylabel="change of the layer")
        tidy(axis)
    for axis in axes.flat[len(studies) :]:
        axis.set_axis_off()
    axes[0, 0].legend(fontsize=8)
    save_figure(figure, path, dpi=110)
    plt.close(figure)
