"""The map of sensitivity: how far each dimension can be moved unheard, by layer, component and sign."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from audiometamer.exploration.analysis.thresholds import Threshold
from audiometamer.files import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize
    from matplotlib.image import AxesImage

_DARK = 0.55  # of a colour map's range: lighter writing below


def draw_sensitivity(rows: Sequence[Threshold], path: Path) -> None:
    """Draw ``sensitivity.png``: above, thresholds in standard deviations of natural signals; below, their cochleagrams' SNR.

    Dark: a listener notices little. Layers from top to bottom, components from left to right, a panel for each sign. A
    threshold that is no measurement is hatched.

    Parameters
    ----------
    rows : sequence of Threshold
        Of all listeners together; others are left aside.
    path : path
    """
    from matplotlib.colors import LogNorm, Normalize
    from matplotlib.figure import Figure

    rows = [row for row in rows if not row.listener]
    layers = list(dict.fromkeys(row.layer for row in rows))
    components = sorted({row.component for row in rows})
    signs = [sign for sign in "+-" if any(row.sign == sign for row in rows)]
    size = (0.52 * len(components) * len(signs) + 2.6, 2 * (0.42 * len(layers) + 0.75) + 0.4)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(2, len(signs), squeeze=False, sharex=True, sharey=True)
    measures: list[tuple[str, Callable[[Threshold], float | None], str, type[Normalize], str]] = [
        ("threshold (SD)", lambda row: row.threshold, "viridis_r", LogNorm, "{:.2g}"),
        ("SNR at threshold (dB)", lambda row: row.snr_db, "viridis", Normalize, "{:.0f}"),
    ]
    for line, (label, value, colours, scale, written) in zip(panels, measures, strict=True):
        known = [number for row in rows if not row.flag and (number := value(row)) is not None] or [1.0]
        norm = scale(min(known), max(known) * (1 + 1e-6))
        for axes, sign in zip(line, signs, strict=True):
            own = {(row.layer, row.component): row for row in rows if row.sign == sign}
            table = np.array([[_number(own.get((layer, k)), value) for k in components] for layer in layers])
            image = axes.imshow(table, cmap=colours, norm=norm, aspect="auto")
            _write(axes, table, norm, written, light_is_high=colours == "viridis")
            _hatch(axes, [[(own.get((layer, k)) or row_less).flag for k in components] for layer in layers])
            axes.set_xticks(range(len(components)), [str(k) for k in components])
            axes.set_yticks(range(len(layers)), layers)
            axes.tick_params(length=0, labelsize=8)
            axes.spines[:].set_visible(False)
            if line is panels[0]:
                axes.set_title(f"sign {'+' if sign == '+' else '−'}", fontsize=10)
        figure.colorbar(image, ax=list(line), label=label, pad=0.01)
    figure.supxlabel("component", fontsize=10)
    with whole_file(path) as temporary:
        figure.savefig(temporary, dpi=150)
