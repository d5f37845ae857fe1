"""The figure of a network against listeners: accuracy by masker and SNR, accuracy by token, and their confusions."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audiometamer.drawing import line_style, literal_text, tidy
from audiometamer.evaluation.confusion_table import CORRELATION, HEARD, QUIET, ConfusionRow, NetworkConfusions
from audiometamer.io.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SHARES = {
    "confusion_share": "wrong answers\nthat are listeners'\nconfusions",
    "agreement": "listeners who\ngave the network's\nanswer",
    "confusion_percentile": "control words\nless probable than\nthe confusion",
}


@literal_text()
def draw_confusions(found: NetworkConfusions, path: Path) -> None:
    """Draw a network against listeners.

    Parameters
    ----------
    found : NetworkConfusions
    path : path
        Path of the PNG.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 5), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    _accuracy(left, found.rows)
    _tokens(middle, found)
    _shares(right, found)
    n = len(found.tokens)
    figure.suptitle(f"{found.network} ({found.task}) against listeners: {n} word{'s' * (n != 1)} in maskers")
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=120)


def _accuracy(axes: "Axes", rows: Sequence[ConfusionRow]) -> None:
    """Accuracy against SNR: a colour for each masker, the network's lines full, the listeners' dashed."""
    conditions = [row for row in rows if row.masker and row.presentation == HEARD]
    for k, masker in enumerate(dict.fromkeys(row.masker for row in conditions)):
        for measure, who in (("network_accuracy", "network"), ("listener_accuracy", "listeners")):
            own = [row for row in conditions if (row.masker, row.measure) == (masker, measure)]
            line = [row for row in own if math.isfinite(row.snr)] or own
            shift = 0.06 * (k + (who == "network") / 2)
            positions = [shift + (row.snr if math.isfinite(row.snr) else 0.0) for row in line]
            style = line_style(k) | {"linestyle": "-" if who == "network" else "--"}
            filled = {} if who == "network" else {"markerfacecolor": "white"}
            _percentages(axes, positions, line, **style, **filled, markersize=5, label=f"{masker}: {who}")
    axes.set(xlabel="signal-to-noise ratio (dB)", ylabel="right (%)", ylim=(-3, 103))
    if conditions:
        _legend_above(axes, columns=3)
    tidy(axes)


def _tokens(axes: "Axes", found: NetworkConfusions) -> None:
    """Each token: the network's probability of the target against the proportion of listeners who heard it."""
    for k, masker in enumerate(dict.fromkeys(token["masker"] for token in found.tokens)):
        own = [token for token in found.tokens if token["masker"] == masker]
        style = line_style(k) | {"linestyle": "none", "alpha": 0.5, "markersize": 4}
        axes.plot([100 * t["listeners_right"] for t in own], [100 * t["p_target"] for t in own], **style, label=masker or None)
    row = found.row(CORRELATION, HEARD)
    if row is not None:
        ceiling = f"; listeners {row.listeners:.2f}" if math.isfinite(row.listeners) else ""
        axes.set_title(f"r = {row.value:.2f} ({row.low:.2f} to {row.high:.2f}){ceiling}", fontsize=10)
    axes.set(xlabel="listeners who heard the target (%)", ylabel="network's probability of the target (%)")
    axes.set(xlim=(-3, 103), ylim=(-3, 103))
    tidy(axes)


def _shares(axes: "Axes", found: NetworkConfusions) -> None:
    """Network, network in quiet, chance and listeners, for each measure that is a proportion."""
    rows = {measure: found.row(measure, HEARD) for measure in _SHARES}
    labelled = next((measure for measure, row in rows.items() if row is not None), None)
    for k, (measure, row) in enumerate(rows.items()):
        if row is None:
            axes.text(k, 50, "no token", ha="center", va="center", fontsize=8, color="0.4")
            continue
        quiet = found.row(measure, QUIET)
        first: dict[str, Any] = {} if measure == labelled else {"label": None}
        band = {"color": "0.8", "label": "chance (95 %)"} | first
        axes.bar(k, 100 * (row.chance_high - row.chance_low), 0.7, 100 * row.chance_low, **band)
        axes.hlines(100 * row.chance, k - 0.35, k + 0.35, color="0.5", linewidth=1)
        _percentages(axes, [k - 0.1], [row], **line_style(0) | {"linestyle": "none", "label": "network"} | first)
        if quiet is not None:
            style = line_style(0) | {"linestyle": "none", "markerfacecolor": "white", "label": "network, in quiet"} | first
            _percentages(axes, [k + 0.1], [quiet], **style)
        style = line_style(1) | {"linestyle": "none", "label": "half of the listeners"} | first
        axes.plot([k], [100 * row.listeners], **style)
    axes.set_xticks(range(len(_SHARES)), _SHARES.values(), fontsize=8)
    axes.set(ylabel="%", ylim=(-3, 103), xlim=(-0.5, len(_SHARES) - 0.5))
    if axes.get_legend_handles_labels()[0]:
        _legend_above(axes, columns=2)
    tidy(axes)


def _legend_above(axes: "Axes", *, columns: int) -> None:
    axes.legend(fontsize=8, frameon=False, ncols=columns, loc="lower center", bbox_to_anchor=(0.5, 1.0))


def _percentages(axes: "Axes", positions: Sequence[float], rows: Sequence[ConfusionRow], **style: Any) -> None:
    """Percentages with their intervals."""
    value, low, high = (100 * np.array([getattr(row, name) for row in rows]) for name in ("value", "low", "high"))
    errors = np.nan_to_num(np.maximum([value - low, high - value], 0))
    axes.errorbar(positions, value, yerr=errors, elinewidth=0.8, **style)
