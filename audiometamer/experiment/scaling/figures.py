"""The figure of a scaling experiment: listeners' scale, those of models, and how well each explains the answers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from audiometamer.drawing import line_style, literal_text, save_figure, tidy
from audiometamer.experiment.scaling.fits import ListenerScale, PooledScale
from audiometamer.experiment.scaling.predicted import PredictedScale
from audiometamer.experiment.scaling.ranking import Ranking
from audiometamer.psychophysics.levels import Values

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@literal_text()
def draw_scaling(
    path: Path,
    places: Values,
    listeners: Mapping[str, ListenerScale],
    pooled: PooledScale,
    predicted: Sequence[PredictedScale],
    ranking: Ranking,
) -> list[Path]:
    """Draw scales against position and, if there are models, the bits per answer of each with the noise ceiling.

    Parameters
    ----------
    path : path
        Path of the PNG; see `audiometamer.drawing.save_figure`.
    places : array [shape=(sounds,)]
        Positions from 0 to 1.
    listeners : mapping of str to ListenerScale
    pooled : PooledScale
    predicted : sequence of PredictedScale
    ranking : Ranking

    Returns
    -------
    list of path
    """
    import matplotlib

    matplotlib.use("agg", force=False)
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        1, 2 if predicted else 1, figsize=(10.5 if predicted else 5.5, 4.6), layout="constrained", squeeze=False
    )
    scale_axes = axes[0, 0]
    drawn = [scale.fitted for scale in listeners.values() if scale.fitted is not None and len(listeners) > 1]
    for k, fitted in enumerate(drawn):
        scale_axes.plot(places, fitted.scale, color="0.85", linewidth=0.8, label=None if k else "each listener")
    scale_axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    values = {scale.name: scale.values for scale in predicted}
    for k, model in enumerate(ranking.models):
        label = f"{model.name}, area score {model.score:.2f}"
        scale_axes.plot(places, values[model.name], label=label, markersize=4, **line_style(k))
    ends = pooled.fitted.intervals
    spread = None if ends is None else np.maximum(np.abs(ends - pooled.fitted.scale), 0)
    scale_axes.errorbar(places, pooled.fitted.scale, spread, color="black", marker="o", markersize=5, capsize=2, linewidth=2,
                        label="all listeners" if len(listeners) > 1 else "the listener", zorder=3)  # fmt: skip
    scale_axes.set(xlabel="position on the path", ylabel="scale", xlim=(-0.02, 1.02))
    scale_axes.legend(fontsize=8, loc="upper left")
    tidy(scale_axes)
    if predicted:
        _draw_bits(axes[0, 1], ranking)
    written = save_figure(figure, path)
    plt.close(figure)
    return written


def _draw_bits(axes: "Axes", ranking: Ranking) -> None:
    """Bits per answer of each model, the best at the top, and the noise ceiling as a band."""
    ceiling = [one.bits for one in ranking.ceiling]
    axes.axvspan(min(ceiling), max(ceiling) + 1e-9, color="0.88", label="noise ceiling")
    axes.axvline(0, color="0.6", linewidth=1)
    for k, model in enumerate(ranking.models):
        style = line_style(k)
        ends = None if model.low is None or model.high is None else [[model.bits - model.low], [model.high - model.bits]]
        axes.errorbar([model.bits], [k], xerr=ends, color=style["color"], marker=style["marker"], capsize=3)
    axes.set_yticks(range(len(ranking.models)), [model.name for model in ranking.models])
    axes.set(xlabel="bits per answer (a coin: 0)", ylim=(len(ranking.models) - 0.4, -0.6))
    axes.legend(fontsize=8, loc="lower left")
    tidy(axes)
    axes.grid(axis="y", visible=False)
