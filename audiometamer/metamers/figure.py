"""The figure of a clip's metamers: their cochleagrams, and how well their activations match."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from audiometamer.cochleagram import Cochleagram
from audiometamer.drawing import literal_text
from audiometamer.errors import AudioMetamerError
from audiometamer.io.files import atomic_write
from audiometamer.metamers.captions import caption, original_caption, verdict_colour
from audiometamer.metamers.metamer import Metamer
from audiometamer.metamers.settings import places
from audiometamer.models.model import Model
from audiometamer.models.recording import record
from audiometamer.signals.audio import Clip

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MAX_POINTS = 3000
_LEGEND = (
    "Each row below: a metamer of the original\nat one layer of the model and, here,\n"
    "the activation of each unit of that layer:\nmetamer against original.\n"
    "On the line: the layer cannot tell them apart."
)


@literal_text()
def plot_metamers(metamers: Metamer | Sequence[Metamer], model: Model | None = None) -> "Figure":
    """Plot a clip and its metamers one below the other: sounds as cochleagrams, images as they are.

    Parameters
    ----------
    metamers : Metamer or sequence of Metamer
        Metamers of one clip, or of one given target.
    model : Model, optional
        Adds, beside each metamer, its activations at the matched layer against those of the original, and shows sounds by the
        model's own cochleagram. Default: signals alone, by the published cochleagram.

    Returns
    -------
    matplotlib Figure
        Notebooks show it; `figure.savefig` writes it.

    Raises
    ------
    AudioMetamerError
        If there are none, or they are of several clips.
    """
    from matplotlib.figure import Figure

    metamers = [metamers] if isinstance(metamers, Metamer) else metamers
    if not metamers:
        raise AudioMetamerError("a figure needs at least one metamer")
    clip, sample_rate = metamers[0].clip, metamers[0].evidence.sample_rate
    if other := next((m.clip.name for m in metamers if m.clip.name != clip.name), None):
        raise AudioMetamerError(f"metamers of {clip.name!r} and of {other!r}; a figure shows those of one clip")
    signals = [m.samples for m in metamers]
    titles = [caption(m.evidence) for m in metamers]
    colours = [verdict_colour(m.passed) for m in metamers]
    if isinstance(clip, Clip):
        signals.insert(0, clip.samples)
        titles.insert(0, original_caption(clip.name, metamers[0].evidence))
        colours.insert(0, "black")
    rows, columns = len(signals), 1 if model is None else 2
    figure = Figure(figsize=(10 if columns == 2 else 7.7, 1.75 * rows + 0.6), layout="constrained")
    axes = figure.subplots(rows, columns, width_ratios=(3.4, 1)[:columns], squeeze=False)
    if model is not None:
        draw_signals(model, signals, axes[:, 0])
    elif sample_rate is None:
        _draw_images(signals, axes[:, 0])
    else:
        _draw_cochleagrams(Cochleagram.for_rate(sample_rate), signals, axes[:, 0])
    for axis, title, colour in zip(axes[:, 0], titles, colours, strict=True):
        axis.set_title(title, loc="left", fontsize=9, color=colour)
    if model is not None:
        _draw_activations(model, metamers, [*axes[:, 1]])
    return figure


@literal_text()
def draw_figure(model: Model, metamers: Sequence[Metamer], path: Path) -> None:
    """Write `plot_metamers` as a PNG.

    Parameters
    ----------
    model : Model
        The model that made them; it takes sounds or images.
    metamers : sequence of Metamer
        Metamers of one clip, or of one given target.
    path : path

    Raises
    ------
    AudioMetamerError
        As `plot_metamers`; or if the file cannot be written.
    """
    figure = plot_metamers(metamers, model)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=110)


def can_draw(model: Model) -> bool:
    """Whether the signals of a model can be drawn: sounds and images can."""
    return model.sample_rate is not None or (len(model.signal_shape) == 3 and model.signal_shape[0] in (1, 3))


def draw_signals(model: Model, signals: Sequence[Tensor], axes: "Iterable[Axes]") -> None:
    """Draw each signal on its axes: a cochleagram, with the colour scale of the first one, or an image.

    The two channels of a binaural sound are drawn one above the other.

    Parameters
    ----------
    model : Model
    signals : sequence of Tensor [shape=signal_shape]
    axes : iterable of Axes
        One for each signal.
    """
    if model.sample_rate is None:
        _draw_images(signals, axes)
    else:
        _draw_cochleagrams(display_cochleagram(model), [s.to(dtype=model.dtype, device=model.device) for s in signals], axes)


def _draw_images(signals: Sequence[Tensor], axes: "Iterable[Axes]") -> None:
    for signal, axis in zip(signals, axes, strict=True):
        axis.imshow(signal.permute(1, 2, 0).numpy(), vmin=0, vmax=1, cmap="gray", interpolation="nearest")
        axis.set_anchor("W")
        axis.axis("off")


def _draw_cochleagrams(ear: Cochleagram, signals: Sequence[Tensor], axes: "Iterable[Axes]") -> None:
    with torch.no_grad():
        cochleagrams = [ear(signal.reshape(-1, signal.shape[-1])) for signal in signals]
    for k, (channels, axis) in enumerate(zip(cochleagrams, axes, strict=True), start=1):
        for cochleagram, place in zip(channels, _places(axis, len(channels)), strict=True):
            ear.plot(cochleagram, place, vmin=0, vmax=float(cochleagrams[0].max()))
            if k < len(cochleagrams) or place is not axis:
                place.set_xlabel("")
        if k == len(cochleagrams):
            axis.set_xlabel("time (s)")


def _draw_activations(model: Model, metamers: Sequence[Metamer], axes: "Sequence[Axes]") -> None:
    """Scatter plots in the last axes, one for each metamer; what they show in the first, beside the original."""
    if len(axes) > len(metamers):
        axes[0].axis("off")
        axes[0].text(0, 0.5, _LEGEND, fontsize=8, va="center", transform=axes[0].transAxes)
    for axis, metamer in zip(axes[-len(metamers) :], metamers, strict=True):
        _scatter(axis, model, metamer)
    axes[-1].set_xlabel("original", fontsize=8)


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
    """The cochleagram that shows sounds of a model: its own front end, or one for its sample rate."""
    if isinstance(model.front_end, Cochleagram):
        return model.front_end
    if model.sample_rate is None:
        raise AudioMetamerError(f"{model.name} takes no sounds: it has no sample rate")
    return Cochleagram.for_rate(model.sample_rate)


def _scatter(axis: "Axes", model: Model, metamer: Metamer) -> None:
    natural, synthetic = (torch.cat([a.flatten() for a in side.values()]).cpu().numpy() for side in _activations(model, metamer))
    step = max(len(natural) // _MAX_POINTS, 1)
    low, high = min(natural.min(), synthetic.min()), max(natural.max(), synthetic.max())
    axis.plot([low, high], [low, high], color="0.6", linewidth=0.8)
    axis.plot(natural[::step], synthetic[::step], ".", markersize=2, color=verdict_colour(metamer.passed), rasterized=True)
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
