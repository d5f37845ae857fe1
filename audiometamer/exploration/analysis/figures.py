"""The map of sensitivity: how far signals can be moved unnoticed along each dimension, by layer, component and sign."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from audiometamer.drawing import literal_text, save_figure
from audiometamer.exploration.analysis.thresholds import Threshold

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

_BRIGHT = 0.6  # luminance above which black text is more legible than white


class _Measure(NamedTuple):
    """Contents of the panels of a row."""

    label: str
    value: Callable[[Threshold], float | None]
    colours: str
    logarithmic: bool
    number_format: str


_MEASURES = (
    _Measure("threshold (SD)", lambda row: row.threshold, "viridis_r", True, "{:.2g}"),
    _Measure("SNR at threshold (dB)", lambda row: row.snr_db, "viridis", False, "{:.0f}"),
)


@literal_text()
def draw_sensitivity(rows: Sequence[Threshold], path: Path) -> list[Path]:
    """Write `sensitivity_figure` as ``sensitivity.png``, ``.pdf`` and ``.svg``.

    Parameters
    ----------
    rows : sequence of Threshold
        Thresholds; those of single listeners are ignored.
    path : path
        The PNG; the other files are written beside it.

    Returns
    -------
    list of path
    """
    return save_figure(sensitivity_figure(rows), path)


def sensitivity_figure(rows: Sequence[Threshold]) -> "Figure":
    """Thresholds in standard deviations of natural signals, and below them SNRs of cochleagrams.

    Dark colours mean low sensitivity. Layers are rows, components are columns, and each sign has a panel. Thresholds that are not
    measurements are hatched.

    Parameters
    ----------
    rows : sequence of Threshold
        Thresholds; those of single listeners are ignored.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.figure import Figure

    rows = [row for row in rows if not row.listener]
    layers = list(dict.fromkeys(row.layer for row in rows))
    components = sorted({row.component for row in rows})
    signs = [sign for sign in "+-" if any(row.sign == sign for row in rows)]
    size = (0.52 * len(components) * len(signs) + 2.6, 2 * (0.42 * len(layers) + 0.75) + 0.4)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(len(_MEASURES), len(signs), squeeze=False, sharex=True, sharey=True)
    for axes, sign in zip(panels[0], signs, strict=True):
        axes.set_title(f"sign {'+' if sign == '+' else '−'}", fontsize=10)
    for line, measure in zip(panels, _MEASURES, strict=True):
        norm = _norm(rows, measure)
        for axes, sign in zip(line, signs, strict=True):
            own = {(row.layer, row.component): row for row in rows if row.sign == sign}
            image = _panel(axes, [[own.get((layer, k)) for k in components] for layer in layers], measure, norm)
            axes.set_xticks(range(len(components)), [str(k) for k in components])
            axes.set_yticks(range(len(layers)), layers)
            axes.tick_params(length=0, labelsize=8)
            axes.spines[:].set_visible(False)
        _add_colour_bar(figure, list(line), image, measure, known=_known(rows, measure))
    most = sorted({row.listeners for row in rows})
    n = f"{most[0]}–{most[-1]}" if len(most) > 1 else f"{most[0]}"
    flagged = "; hatched: not measured" if any(row.flag for row in rows) else ""
    figure.supxlabel(f"component\nn = {n} listener{'s' * (n != '1')}{flagged}", fontsize=9)
    figure.supylabel("layer", fontsize=9)
    return figure


def _known(rows: Sequence[Threshold], measure: _Measure) -> list[float]:
    """The values of measured thresholds."""
    return [number for row in rows if not row.flag and (number := measure.value(row)) is not None]


def _norm(rows: Sequence[Threshold], measure: _Measure) -> "Normalize":
    """Colours from the lowest to the highest value of measured thresholds."""
    from matplotlib.colors import LogNorm, Normalize

    known = _known(rows, measure) or [1.0]
    least, most = min(known), max(known)
    if least == most:  # a scale needs two values
        most += 1e-6 * (abs(most) or 1.0)
    return LogNorm(least, most) if measure.logarithmic else Normalize(least, most)


def _add_colour_bar(
    figure: "Figure", line: Sequence["Axes"], image: "AxesImage", measure: _Measure, *, known: Sequence[float]
) -> None:
    """The colour bar, or a note that nothing was measured."""
    from matplotlib.ticker import LogLocator, NullLocator

    if not known:
        line[-1].annotate(
            f"{measure.label}:\nnot measured", (1.03, 0.5), xycoords="axes fraction", rotation=90, va="center", fontsize=9
        )
        return
    bar = figure.colorbar(image, ax=list(line), label=measure.label, pad=0.01)
    bar.ax.tick_params(labelsize=8)
    if len(set(known)) == 1:
        bar.set_ticks([known[0]], labels=[f"{known[0]:.3g}"])
        bar.ax.yaxis.set_minor_locator(NullLocator())
        return
    bar.ax.yaxis.set_major_formatter("{x:g}")
    if measure.logarithmic:
        bar.ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        bar.ax.yaxis.set_minor_locator(NullLocator())


def _panel(axes: "Axes", cells: Sequence[Sequence[Threshold | None]], measure: _Measure, norm: "Normalize") -> "AxesImage":
    """A coloured cell with a number for each explored dimension; hatched without a number if it is flagged."""
    numbers = [[math.nan if row is None or row.flag else _number(measure.value(row)) for row in line] for line in cells]
    image = axes.imshow(np.array(numbers), cmap=measure.colours, norm=norm, aspect="auto")
    for y, (line, own) in enumerate(zip(cells, numbers, strict=True)):
        for x, (row, number) in enumerate(zip(line, own, strict=True)):
            if row is not None and row.flag:
                axes.fill_between(
                    [x - 0.5, x + 0.5], y - 0.5, y + 0.5, facecolor="0.92", edgecolor="0.6", hatch="///", linewidth=0
                )
            elif not math.isnan(number):
                red, green, blue, _ = image.cmap(norm(number))
                bright = 0.299 * red + 0.587 * green + 0.114 * blue > _BRIGHT
                axes.text(
                    x, y, measure.number_format.format(number), ha="center", va="center", fontsize=7, color="k" if bright else "w"
                )
    return image


def _number(value: float | None) -> float:
    return math.nan if value is None else value
