"""The picture beside a clip's metamers: what they sound like to the ear, and how well they match."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from audiometamer.cochleagram import Cochleagram
from audiometamer.errors import AudioMetamerError
from audiometamer.files import whole_file
from audiometamer.metamers.files import verdict_word
from audiometamer.metamers.synthesis import Metamer
from audiometamer.models import Model, record

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MAX_POINTS = 3000
_COLOURS = {"passed": "#2f7d32", "failed": "#b3261e", "no verdict": "#555555"}


def draw_figure(model: Model, metamers: Sequence[Metamer], path: Path) -> None:
    """Write a PNG: the cochleagrams of a clip and of its metamers one under the other, and activation against activation.

    Parameters
    ----------
    model : Model
        Of sounds.
    metamers : sequence of Metamer
        Of one clip.
    path : path
    """
    import matplotlib

    matplotlib.use("agg", force=False)
    import matplotlib.pyplot as plt

    if not metamers:
        raise AudioMetamerError(f"{path}: a figure needs at least one metamer")
    clip = metamers[0].clip
    ear = model.front_end if isinstance(model.front_end, Cochleagram) else Cochleagram.for_rate(clip.sample_rate)
    rows = len(metamers) + 1
    figure, axes = plt.subplots(
        rows, 2, figsize=(10, 1.75 * rows + 0.6), width_ratios=(3.4, 1), layout="constrained", squeeze=False
    )
    sounds = [clip.samples, *(m.samples.flatten() for m in metamers)]
    with torch.no_grad():
        cochleagrams = [ear(s.to(dtype=model.dtype, device=model.device)) for s in sounds]
    top = float(cochleagrams[0].max())
    labels = metamers[0].evidence.verdict.labels.values()
    titles = [f"original: {clip.name}" + "".join(f' (model hears "{natural}")' for natural, _ in labels)]
    titles += [_title(m) for m in metamers]
    for row, (cochleagram, title) in enumerate(zip(cochleagrams, titles, strict=True)):
        axis = ear.plot(cochleagram, axes[row, 0], vmin=0, vmax=top)
        colour = "black" if row == 0 else _COLOURS[verdict_word(metamers[row - 1].passed)]
        axis.set_title(title, loc="left", fontsize=9, color=colour)
        if row < rows - 1:
            axis.set_xlabel("")
    axes[0, 1].axis("off")
    axes[0, 1].text(
        0, 0.5, "Each row below: the cochleagram of a metamer\nof the original at one layer of the model and,\n"
        "here, each unit of that layer: its activation\nby the metamer against that by the original.\n"
        "On the line: the layer cannot tell them apart.",
        fontsize=8, va="center", transform=axes[0, 1].transAxes,
    )  # fmt: skip
    for row, metamer in enumerate(metamers, start=1):
        _scatter(axes[row, 1], model, metamer)
        if row == rows - 1:
            axes[row, 1].set_xlabel("original", fontsize=8)
    with whole_file(path) as temporary:
        figure.savefig(temporary, dpi=110)
    plt.close(figure)


def _title(metamer: Metamer) -> str:
    evidence = metamer.evidence
    measured, word = evidence.similarity[evidence.settings.layer], verdict_word(metamer.passed)
    snr = measured["snr_db"]
    heard = "".join(f', model hears "{label}"' for _, label in evidence.verdict.labels.values())
    return (
        f"{evidence.settings.layer}: {word} (SNR {'∞' if snr is None else f'{snr:.1f}'} dB, "
        f"ρ {measured['spearman_rho']:.3f}, R² {measured['pearson_r2']:.3f}{heard})"
    )


def _scatter(axis: "Axes", model: Model, metamer: Metamer) -> None:
    layer = metamer.evidence.settings.layer
    pair = torch.stack([metamer.clip.samples, metamer.samples.flatten()]).view(2, *model.signal_shape)
    with torch.no_grad():
        natural, synthetic = record(model, pair.to(dtype=model.dtype, device=model.device), layer)[layer].flatten(1).cpu().numpy()
    step = max(len(natural) // _MAX_POINTS, 1)
    low, high = min(natural.min(), synthetic.min()), max(natural.max(), synthetic.max())
    axis.plot([low, high], [low, high], color="0.6", linewidth=0.8)
    axis.plot(
        natural[::step], synthetic[::step], ".", markersize=2, color=_COLOURS[verdict_word(metamer.passed)], rasterized=True
    )
    axis.set_ylabel("metamer", fontsize=8)
    axis.tick_params(labelsize=7)
    axis.locator_params(nbins=4)
