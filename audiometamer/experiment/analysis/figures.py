"""Recognition against layer: listeners and networks, natural clips first."""

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audiometamer.drawing import line_style, literal_text, percent_by_layer, save_figure
from audiometamer.experiment.analysis.beside import Beside, labelled
from audiometamer.experiment.analysis.recognition import RecognitionRow
from audiometamer.models.inputs import NATURAL

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLUMNS = 3
_INCHES = 4.8, 3.6  # smallest size of a panel
_INCHES_PER_LAYER = 0.36
_INCHES_PER_LETTER = 0.056  # of height, for the longest name of a layer
_BESIDE = 2.7  # inches beside a panel for the legend, if it names listeners of other experiments
_TITLE = 40  # characters in a line
_LETTERS_PER_INCH = 13  # of the caption


@literal_text()
def draw_recognition(
    rows: Sequence[RecognitionRow], path: Path, *, chance: float | None = None, beside: Sequence[Beside] = ()
) -> list[Path]:
    """Draw ``recognition.png``, ``.pdf`` and ``.svg``: for each model, its listeners and itself; and all models together.

    Parameters
    ----------
    rows : sequence of RecognitionRow
        In the order in which layers are to be drawn.
    path : path
        File of the PNG; the others are written next to it.
    chance : float, optional
        Chance level, drawn as a line. Default: none.
    beside : sequence of Beside
        Listeners of other experiments, drawn beside those of a model. Default: none.

    Returns
    -------
    list of path
    """
    from matplotlib.figure import Figure

    models = list(dict.fromkeys(row.model for row in rows))
    panels = [{name: _rows_of(rows, model, name) for name in ("human", "network")} for model in models]
    for lines, model in zip(panels, models, strict=True):
        lines |= {label: each.drawn for label, each in labelled(beside) if each.model == model}
    titles = [f"metamers of {model}" for model in models]
    ahead = max(map(len, panels))  # observers and models look different
    if len(models) > 1:
        panels.append({model: _rows_of(rows, model, "human") for model in models})
        titles.append("listeners, all models")
    columns = 2 if len(panels) == 4 else min(len(panels), _COLUMNS)
    n_rows = -(-len(panels) // columns)
    layers = [{row.layer for line in lines.values() for row in line} for lines in panels]
    width = max(_INCHES[0], _INCHES_PER_LAYER * max(map(len, layers)) + 0.8) + _BESIDE * bool(beside)
    height = _INCHES[1] + _INCHES_PER_LETTER * max(len(layer) for names in layers for layer in names)
    figure = Figure(figsize=(width * columns + 0.4, height * n_rows + 0.3), layout="constrained")
    places = list(figure.subplots(n_rows, columns, squeeze=False, sharey=True).flat)
    for k, (axes, lines, title) in enumerate(zip(places, panels, titles, strict=False)):
        _panel(axes, lines, chance, first=0 if k < len(models) else ahead, outside=bool(beside))
        axes.set_title(textwrap.fill(title, _TITLE), fontsize=11)
    for axes in places[len(panels) :]:
        axes.set_axis_off()
    figure.supylabel("recognised (%)", fontsize=10)
    figure.supxlabel(textwrap.fill(_caption(rows), int(_LETTERS_PER_INCH * figure.get_figwidth())), fontsize=9)
    return save_figure(figure, path)


def _caption(rows: Sequence[RecognitionRow]) -> str:
    """Number of one's own listeners, and what the error bars are."""
    counts = sorted({row.listeners for row in rows if row.observer == "human" and row.value is not None})
    n = f"{counts[0]}–{counts[-1]}" if len(counts) > 1 else f"{counts[0]}"
    text = f"Mean of n = {n} listener{'s' * (n != '1')}"
    known = [row.low is not None for row in rows if row.value is not None and row.listeners > 1]
    if any(known):
        text += "; bars: 95 % bootstrap intervals over listeners" + ", none where all are alike" * (not all(known))
    return text


def _rows_of(rows: Sequence[RecognitionRow], model: str, observer: str) -> list[RecognitionRow]:
    return [row for row in rows if (row.model, row.observer) == (model, observer) and row.value is not None]


def _panel(
    axes: "Axes", lines: dict[str, list[RecognitionRow]], chance: float | None, *, first: int, outside: bool
) -> None:  # fmt: skip
    """Draw one line for each name, in styles from number `first`; natural clips are not joined with metamers.

    The names stand inside the axes, or, where they are long, `outside` on the right.
    """
    layers = list(dict.fromkeys(row.layer for rows in lines.values() for row in rows))
    layers.sort(key=lambda layer: layer != NATURAL)
    for k, (name, rows) in enumerate(lines.items()):
        shift = 0.24 * (k - (len(lines) - 1) / 2) / len(lines)
        for part, label in (([r for r in rows if r.layer == NATURAL], None), ([r for r in rows if r.layer != NATURAL], name)):
            if part:
                _line(axes, [layers.index(row.layer) + shift for row in part], part, first + k, label)
    if chance is not None:
        axes.axhline(100 * chance, color="0.4", linestyle=":", linewidth=1.2, label=f"chance ({100 * chance:.3g} %)", zorder=1)
    missing = {(row.model, row.layer): row.missing for rows in lines.values() for row in rows if not row.source}
    absent = {layer: sum(number for (_, at), number in missing.items() if at == layer) for layer in layers}
    ticks = [f"{layer} ({absent[layer]} missing)" if absent[layer] else layer for layer in layers]
    percent_by_layer(axes, ticks)
    handles, labels = axes.get_legend_handles_labels()
    order = sorted(range(len(labels)), key=lambda k: labels[k].startswith("chance"))
    ordered = [handles[k] for k in order], [labels[k] for k in order]
    place: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1, 1)} if outside else {}
    axes.legend(*ordered, fontsize=9, framealpha=0.9, edgecolor="none", **place)


def _line(axes: "Axes", places: Sequence[float], rows: Sequence[RecognitionRow], k: int, label: str | None) -> None:
    """Draw percentages with their intervals, in the style of line number `k`; an unknown interval has no length."""
    value, low, high = (
        100 * np.array([math.nan if number is None else number for number in numbers])
        for numbers in zip(*((row.value, row.low, row.high) for row in rows), strict=True)
    )
    errors = np.nan_to_num(np.maximum([value - low, high - value], 0))
    axes.errorbar(places, value, yerr=errors, label=label, linewidth=1.6, markersize=5, elinewidth=1, capsize=2, **line_style(k))
