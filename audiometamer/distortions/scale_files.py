"""Perceptual scales as tables, figures and sounds, and the score of predicted ones by a measured one."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from audiometamer.distortions.scales import AreaMatch, PerceptualScale, area_matching_score
from audiometamer.drawing import line_style, literal_text, save_figure, tidy
from audiometamer.errors import AudioMetamerError
from audiometamer.io.tables import TableRow, read_table, write_table
from audiometamer.signals.files import signal_suffix, write_signal

SCALE = "scale.tsv"
COLUMNS = ("model", "layer", "number", "value", "position", "scale", "length", "step", "file")


def write_scales(
    out: Path, path: Sequence[Tensor], values: Sequence[float], scales: Sequence[PerceptualScale], *, sample_rate: int | None
) -> Path:
    """Write the sounds of a path, a figure, and last the table of its scales.

    Parameters
    ----------
    out : path
        Folder: ``path00.wav`` and so on, ``scale.png``, ``scale.tsv``.
    path : sequence of Tensor [shape=signal_shape]
    values : sequence of float
        The path's parameter at each sound.
    scales : sequence of PerceptualScale
        One for each layer.
    sample_rate : int or None
        Hz; without one, signals are written as ``.npy``.

    Returns
    -------
    path
        The table.
    """
    suffix = signal_suffix(sample_rate)
    files = [f"path{k:02}{suffix}" for k in range(len(path))]
    for file, sound in zip(files, path, strict=True):
        write_signal(out / file, sound, sample_rate)
    rows = [
        {
            "model": scale.model, "layer": scale.layer, "number": k, "value": values[k], "position": float(scale.positions[k]),
            "scale": float(scale.values[k]), "length": f"{scale.length:.6g}",
            "step": f"{scale.steps[k - 1]:.6g}" if k else None, "file": files[k],
        }
        for scale in scales
        for k in range(len(path))
    ]  # fmt: skip
    draw_scales(out / "scale.png", scales)
    write_table(out / SCALE, COLUMNS, rows)
    return out / SCALE


@literal_text()
def draw_scales(path: Path, scales: Sequence[PerceptualScale]) -> None:
    """Draw scales against position, with the diagonal."""
    import matplotlib

    matplotlib.use("agg", force=False)
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(5, 4.5), layout="constrained")
    axis.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    for k, scale in enumerate(scales):
        several = len({each.model for each in scales}) > 1
        label = f"{scale.model} {scale.layer}" if several else scale.layer
        axis.plot(scale.positions, scale.values, label=label, markersize=4, **line_style(k))
    axis.set(xlabel="position on the path", ylabel="predicted scale", xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axis.legend(fontsize=8)
    tidy(axis)
    save_figure(figure, path, dpi=110)
    plt.close(figure)


def score_tables(measured: Path, predicted: Path) -> dict[str, AreaMatch]:
    """Scores of the predicted scales of each layer by a measured scale, from tables.

    Parameters
    ----------
    measured : path
        Table with the columns ``position`` and ``scale``; further columns that begin with ``resample`` are resampled scales.
    predicted : path
        Table with the columns ``layer``, ``position``, ``scale`` and perhaps ``model``, as `write_scales` writes it.

    Returns
    -------
    dict of str to AreaMatch
        By layer; by model and layer if there are several models.

    Raises
    ------
    AudioMetamerError
        If a table cannot be read, a cell is no number, or the positions differ.
    """
    rows = read_table(measured, required=("position", "scale"))
    positions, scale = number_column(rows, "position", measured), number_column(rows, "scale", measured)
    names = [name for name in (rows[0] if rows else {}) if name.startswith("resample")]
    resampled = [number_column(rows, name, measured) for name in names] or None
    found: dict[str, list[TableRow]] = {}
    of_layers = read_table(predicted, required=("layer", "position", "scale"))
    several = len({row.get("model") for row in of_layers}) > 1
    for row in of_layers:
        found.setdefault(f"{row['model']} {row['layer']}" if several else row["layer"], []).append(row)
    if not rows or not found:
        raise AudioMetamerError(f"{predicted if rows else measured} has no rows; a score takes a scale of two or more sounds")
    matches = {}
    for layer, of_layer in found.items():
        places = number_column(of_layer, "position", predicted)
        if len(places) != len(positions) or not np.allclose(places, positions, atol=1e-4):
            raise AudioMetamerError(f"the positions of {layer} in {predicted} are not those in {measured}; give the same sounds")
        matches[layer] = area_matching_score(
            scale, number_column(of_layer, "scale", predicted), positions=positions, resampled=resampled
        )
    return matches


def number_column(rows: Sequence[TableRow], name: str, path: Path) -> list[float]:
    """The numbers of a column of a table at `path`; raises an `AudioMetamerError` if a cell is none."""
    numbers = []
    for row in rows:
        try:
            number = float(row[name])
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise AudioMetamerError(f"{path} has {row[name]!r} in the column {name}; it must be a number")
        numbers.append(number)
    return numbers
