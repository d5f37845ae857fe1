"""The figure of a clip's metamers: their cochleagrams, or images, and how well their activations match."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from audiometamer.cochleagram import Cochleagram
from audiometamer.drawing import names_as_they_are
from audiometamer.errors import AudioMetamerError
from audiometamer.io.files import atomic_write
from audiometamer.metamers.metamer import Metamer
from audiometamer.metamers.settings import places
from audiometamer.metamers.verdicts import verdict_word
from audiometamer.models.model import Model, record
from audiometamer.signals.audio import Clip

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MAX_POINTS = 3000
_LEGEND = (
    "Each row below: a metamer of the original\nat one layer of the model and, here,\n"
    "the activation of each unit of that layer:\nmetamer against original.\n"
    "On the line: the layer cannot tell them apart."
)
_COLOURS = {"passed": "#2f7d32", "failed": "#b3261e", "no verdict": "#555555"}


@names_as_they_are()
def draw_figure(model: Model, metamers: Sequence[Metamer], path: Path) -> None:
    """Draw a clip and its metamers below each other, sounds as cochleagrams, and scatter plots of their activations.

    Parameters
    ----------
    model : Model
        The model that made them; it takes sounds or images.
    metamers : sequence of Metamer
        Metamers of one clip, or of one given target.
    path : path
        The PNG file to write.

    Raises
    ------
    AudioMetamerError
        If there are no metamers, or the file cannot be written.
    """
    import matplotlib

    matplotlib.use("agg", force=False)
    import matplotlib.pyplot as plt

    if not metamers:
        raise AudioMetamerError(f"{path}: a figure needs at least one metamer")
    clip = metamers[0].clip
    labels = metamers[0].evidence.verdict.labels.values()
    signals, titles, colours = [m.samples for m in metamers], [_title(m) for m in metamers], [_colour(m) for m in metamers]
    if isinstance(clip, Clip):
        signals.insert(0, clip.samples)
        titles.insert(0, f"original: {clip.name}" + "".join(f' (the model: "{natural}")' for natural, _ in labels))
        colours.insert(0, "black")
    rows = len(signals)
    figure, axes = plt.subplots(
        rows, 2, figsize=(10, 1.75 * rows + 0.6), width_ratios=(3.4, 1), layout="constrained", squeeze=False
    )
    draw_signals(model, signals, axes[:, 0])
    for axis, title, colour in zip(axes[:, 0], titles, colours, strict=True):
        axis.set_title(title, loc="left", fontsize=9, color=colour)
    if isinstance(clip, Clip):
        axes[0, 1].axis("off")
        axes[0, 1].text(0, 0.5, _LEGEND, fontsize=8, va="center", transform=axes[0, 1].transAxes)
    for axis, metamer in zip(axes[-len(metamers) :, 1], metamers, strict=True):
        _scatter(axis, model, metamer)
    axes[-1, 1].set_xlabel("original", fontsize=8)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=110)
    plt.close(figure)


def can_draw(model: Model) -> bool:
    """Whether the signals of a model can be drawn: sounds and images can."""
    return model.sample_rate is not None or (len(model.signal_shape) == 3 and model.signal_shape[0] in (1, 3))


def draw_signals(model: Model, signals: Sequence[Tensor], axes: "Iterable[Axes]") -> None:
    """Draw each signal on its axis: as a cochleagram, on the colour scale of the first, or as an image.

    The two channels of a binaural sound are drawn one above the other.

    Parameters
    ----------
    model : Model
    signals : sequence of Tensor [shape=signal_shape]
    axes : iterable of Axes
        One for each signal.
    """
    if model.sample_rate is None:
        for signal, axis in zip(signals, axes, strict=True):
            axis.imshow(signal.permute(1, 2, 0).numpy(), vmin=0, vmax=1, cmap="gray", interpolation="nearest")
            axis.set_anchor("W")
            axis.axis("off")
        return
    ear = display_cochleagram(model)
    with torch.no_grad():
        cochleagrams = [ear(s.reshape(model.channels, -1).to(dtype=model.dtype, device=model.device)) for s in signals]
    for k, (channels, axis) in enumerate(zip(cochleagrams, axes, strict=True), start=1):
        for cochleagram, place in zip(channels, _places(axis, len(channels)), strict=True):
            ear.plot(cochleagram, place, vmin=0, vmax=float(cochleagrams[0].max()))
            if k < len(cochleagrams) or place is not axis:
                place.set_xlabel("")
        if k == len(cochleagrams):
            axis.set_xlabel("time (s)")


def _places(axis: "Axes", channels: int) -> "list[Axes]":
    """The axes for the channels of a sound within an axis: the left channel in the upper half."""
    if channels == 1:
        return [axis]
    axis.spines[:].set_visible(False)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_ylabel("frequency (Hz)", labelpad=24)
    axis.xaxis.labelpad = 14
    left, right = (axis.inset_axes((0, bottom, 1, 0.46)) for bottom in (0.54, 0))
    left.tick_params(labelbottom=False)
    for place, name in ((left, "left"), (right, "right")):
        place.tick_params(labelsize=6)
        place.yaxis.label.set_visible(False)
        place.text(0.995, 0.9, name, fontsize=8, color="white", ha="right", va="top", transform=place.transAxes)
    return [left, right]


def display_cochleagram(model: Model) -> Cochleagram:
    """The cochleagram by which sounds of a model are displayed: its own, or one for its sample rate."""
    if isinstance(model.front_end, Cochleagram):
        return model.front_end
    if model.sample_rate is None:
        raise AudioMetamerError(f"{model.name} takes no sounds: it has no sample rate")
    return Cochleagram.for_rate(model.sample_rate)


def _colour(metamer: Metamer) -> str:
    return _COLOURS[verdict_word(metamer.passed)]


def _title(metamer: Metamer) -> str:
    evidence = metamer.evidence
    measured, word = evidence.similarity[evidence.settings.layer], verdict_word(metamer.passed)
    snr = measured["snr_db"]
    heard = "".join(f', the model: "{label}"' for _, label in evidence.verdict.labels.values())
    return (
        f"{evidence.settings.layer}: {word} (SNR {'∞' if snr is None else f'{snr:.1f}'} dB, "
        f"ρ {measured['spearman_rho']:.3f}, R² {measured['pearson_r2']:.3f}{heard})"
    )


def _scatter(axis: "Axes", model: Model, metamer: Metamer) -> None:
    natural, synthetic = (torch.cat([a.flatten() for a in side.values()]).cpu().numpy() for side in _activations(model, metamer))
    step = max(len(natural) // _MAX_POINTS, 1)
    low, high = min(natural.min(), synthetic.min()), max(natural.max(), synthetic.max())
    axis.plot([low, high], [low, high], color="0.6", linewidth=0.8)
    axis.plot(natural[::step], synthetic[::step], ".", markersize=2, color=_colour(metamer), rasterized=True)
    axis.set_ylabel("metamer", fontsize=8)
    axis.tick_params(labelsize=7)
    axis.locator_params(nbins=4)


def _activations(model: Model, metamer: Metamer) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The target activations and those of the metamer, at each of its layers."""
    names, clip = places(metamer.evidence.settings.layer), metamer.clip
    signals = [clip.samples, metamer.samples] if isinstance(clip, Clip) else [metamer.samples]
    batch = torch.stack([s.to(dtype=model.dtype, device=model.device).view(model.signal_shape) for s in signals])
    with torch.no_grad():
        found = record(model, batch, names)
    synthetic = {place: a[-1] for place, a in found.items()}
    if isinstance(clip, Clip):
        return {place: a[0] for place, a in found.items()}, synthetic
    return {place: clip.at(place).to(synthetic[place]) for place in names}, synthetic
