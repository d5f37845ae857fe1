"""Figures of an evaluation, as in the papers."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from audiometamer.drawing import line_style, literal_text, percent_by_layer, tidy
from audiometamer.evaluation.measures import RECOGNITION
from audiometamer.evaluation.table import OTHERS, EvaluationRow
from audiometamer.io.files import atomic_write
from audiometamer.io.names import safe_name
from audiometamer.metamers.criteria import METRICS
from audiometamer.models.inputs import NATURAL

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_T = TypeVar("_T")

_AXES = {
    "accuracy": "labelled right (%)",
    "label_agreement": "labelled as the clip (%)",
}
_METRIC_NAMES = {"snr_db": "SNR (dB)", "spearman_rho": "ρ", "pearson_r2": "R²"}


@literal_text()
def draw_figures(rows: Sequence[EvaluationRow], out: Path, *, chance: dict[str, float] | None = None) -> list[Path]:
    """Draw the figures that a table has rows for: recognition by layer, matched by measured layers, accuracy under attack.

    Parameters
    ----------
    rows : sequence of EvaluationRow
        As `evaluate` returns them.
    out : path
        Folder for ``recognition.png`` (``recognition_TASK.png`` if there are several tasks), ``layers_MODEL.png`` of each
        generating model, ``layers_MODEL_by_JUDGE.png`` of each judge of statistics, and ``attacks.png``.
    chance : dict of str to float, optional
        Proportion correct by chance, by task; drawn as a line.

    Returns
    -------
    list of path
    """
    paths = []
    recognised = [row for row in rows if row.measure in RECOGNITION and row.judge != OTHERS and not row.attack]
    under_attack = [row for row in rows if row.attack]
    judges = _distinct(row.judge for row in [*recognised, *under_attack])  # each judge has the same colour in every figure
    tasks = _distinct(row.task for row in recognised)
    for task in tasks:
        paths.append(out / ("recognition.png" if len(tasks) == 1 else f"recognition_{safe_name(task)}.png"))
        _draw_recognition([row for row in recognised if row.task == task], paths[-1], task, judges, (chance or {}).get(task))
    for generator in _distinct(row.generator for row in rows):
        similar = [row for row in rows if row.generator == generator and row.measure in METRICS]
        for judge in _distinct(row.judge for row in similar):
            name = generator if judge == generator else f"{generator}_by_{judge}"
            paths.append(out / f"layers_{safe_name(name)}.png")
            _draw_layers([row for row in similar if row.judge == judge], paths[-1], generator, judge)
    if under_attack:
        paths.append(out / "attacks.png")
        _draw_attacks(under_attack, paths[-1], judges)
    return paths


def _draw_recognition(rows: Sequence[EvaluationRow], path: Path, task: str, judges: Sequence[str], chance: float | None) -> None:
    """A panel for each generating model, a line for each judge, thick for the generating model itself."""
    measure = next(name for name in RECOGNITION if any(row.measure == name for row in rows))
    rows = [row for row in rows if row.measure == measure]
    generators = _distinct(row.generator for row in rows)
    figure, panels = _panels(len(generators), columns=min(len(generators), 3), width=4.6, height=3.5)
    for axes, generator in zip(panels, generators, strict=False):
        _recognition_panel(axes, [row for row in rows if row.generator == generator], generator, judges)
        if chance is not None:
            axes.axhline(100 * chance, color="0.4", linestyle=":", linewidth=1)
            axes.text(axes.get_xlim()[0], 100 * chance + 1, " chance", ha="left", va="bottom", fontsize=8, color="0.3")
    figure.supylabel(f"{task}: {_AXES[measure]}", fontsize=11)
    _finish(figure, panels, path, n_used=len(generators), order=judges, title="recognised by (thick: the network that made them)")


def _recognition_panel(axes: "Axes", rows: Sequence[EvaluationRow], generator: str, judges: Sequence[str]) -> None:
    layers = sorted(_distinct(row.layer for row in rows), key=lambda layer: layer != NATURAL)
    for k, judge in enumerate(judges):
        shift = 0.3 * (k - (len(judges) - 1) / 2) / len(judges)
        style = {"linewidth": 2.6, "markersize": 6.0} if judge == generator else {"linewidth": 1.2, "markersize": 4.5}
        clips = [row for row in rows if row.judge == judge and row.layer == NATURAL]
        metamers = [row for row in rows if row.judge == judge and row.layer != NATURAL]
        for line, label in ((clips, None), (metamers, judge)):
            if line:
                _line(axes, [layers.index(row.layer) + shift for row in line], line, k, label=label, **style)
    axes.set_title(f"metamers of {generator}")
    percent_by_layer(axes, layers)


def _draw_layers(rows: Sequence[EvaluationRow], path: Path, generator: str, judge: str) -> None:
    """A matrix for each measure of similarity: matched layers in rows, measured layers in columns."""
    matched, measured = _distinct(row.layer for row in rows), _distinct(row.measured_layer for row in rows)
    metrics = {metric: name for metric, name in _METRIC_NAMES.items() if any(row.measure == metric for row in rows)}
    height = 0.36 * len(matched) + 1.4 + 0.055 * max(map(len, measured))
    width = len(metrics) * (0.46 * len(measured) + 0.9) + 1.2
    figure = _figure((width if judge == generator else max(width, 5.0), height))
    panels = figure.subplots(1, len(metrics), squeeze=False, sharey=True)[0]
    panels[0].set_ylabel("matched layer")
    for axes, (metric, name) in zip(panels, metrics.items(), strict=True):
        values = np.full((len(matched), len(measured)), math.nan)
        for row in rows:
            if row.measure == metric:
                values[matched.index(row.layer), measured.index(row.measured_layer)] = row.value
        top = max(np.nanmax(values, initial=1.0), 1.0) if metric == "snr_db" else 1.0
        image = axes.imshow(values, cmap="cividis", vmin=0, vmax=top, aspect="auto")
        figure.colorbar(image, ax=axes, aspect=30, pad=0.02)
        for i, j in zip(*np.nonzero(np.isfinite(values)), strict=True):
            text = f"{values[i, j]:.0f}" if metric == "snr_db" else f"{values[i, j]:.2f}"
            axes.text(j, i, text, ha="center", va="center", fontsize=8, color="white" if values[i, j] < top / 2 else "black")
        axes.set_xticks(range(len(measured)), measured, rotation=45, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(matched)), matched)
        axes.set(title=name, xlabel="measured layer")
    by = "" if judge == generator else f" by {judge}"
    figure.suptitle(f"metamers of {generator}: similarity to the clip{by}, mean over sounds")
    _save(figure, path)


def _draw_attacks(rows: Sequence[EvaluationRow], path: Path, judges: Sequence[str]) -> None:
    """A panel for each task and kind of attack: accuracy against the largest norm of the perturbation."""
    tasks, attacks = _distinct(row.task for row in rows), _distinct(row.attack for row in rows)
    kinds = [(task, attack) for task in tasks for attack in attacks]
    figure, panels = _panels(len(kinds), columns=len(attacks), width=4.6, height=3.5)
    for axes, (task, attack) in zip(panels, kinds, strict=False):
        for k, judge in enumerate(judges):
            line = [row for row in rows if (row.task, row.attack, row.judge) == (task, attack, judge)]
            line.sort(key=lambda row: row.radius or 0.0)
            if line:
                _line(axes, [row.radius or 0.0 for row in line], line, k, label=judge, linewidth=1.5, markersize=5)
        where, norm = attack.split(":")
        size = {"l2": "L2", "linf": "L∞"}[norm]
        axes.set(title=f"{task}: attack on the {where}", xlabel=f"maximum {size} norm", ylim=(-3, 103))
        axes.locator_params(axis="x", nbins=5)
        tidy(axes)
    figure.supylabel("clips labelled right (%)", fontsize=11)
    _finish(figure, panels, path, n_used=len(kinds), order=judges, title="network")


def _line(axes: "Axes", positions: Sequence[float], rows: Sequence[EvaluationRow], k: int, **style: Any) -> None:
    """Draw percentages with their intervals, in the style of line number `k`."""
    values = 100 * np.array([row.value for row in rows])
    below = np.maximum(values - 100 * np.array([row.low for row in rows]), 0)
    above = np.maximum(100 * np.array([row.high for row in rows]) - values, 0)
    axes.errorbar(positions, values, yerr=(below, above), elinewidth=0.8, **line_style(k), **style)


def _figure(size: tuple[float, float]) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=size, layout="constrained")


def _panels(n_panels: int, *, columns: int, width: float, height: float) -> "tuple[Figure, list[Axes]]":
    """A figure with panels in rows of `columns`."""
    rows = -(-n_panels // columns)
    figure = _figure((width * columns + 0.6, height * rows + 1.0))
    return figure, list(figure.subplots(rows, columns, squeeze=False).flat)


def _finish(figure: "Figure", panels: Sequence["Axes"], path: Path, *, n_used: int, order: Sequence[str], title: str) -> None:
    """Hide unused panels, put the legend below, save."""
    for axes in panels[n_used:]:
        axes.set_axis_off()
    by_label = {label: line for axes in panels[:n_used] for line, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    by_label = {label: by_label[label] for label in order if label in by_label}
    columns = min(len(by_label), 4 if len(panels) > 1 else 2)
    figure.legend(by_label.values(), by_label.keys(), loc="outside lower center", ncols=columns, title=title, frameon=False)
    _save(figure, path)


def _save(figure: "Figure", path: Path) -> None:
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=120)


def _distinct(values: Iterable[_T]) -> list[_T]:
    """The distinct values that are not empty, in order."""
    return [value for value in dict.fromkeys(values) if value != ""]
