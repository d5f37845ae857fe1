"""A catalogue of dimensions: the same signals at several places along each, to hear and to see, so that one can choose."""

from collections.abc import Sequence
from pathlib import Path

from audiometamer.exploration.dimensions import Dimension
from audiometamer.exploration.ladder import write_moved
from audiometamer.exploration.moving import Moved
from audiometamer.files import whole_file
from audiometamer.metamers.figure import draw_signals
from audiometamer.metamers.files import safe_name
from audiometamer.models import Model


def write_catalogue(model: Model, moved: Sequence[Moved], out: Path) -> list[Path]:
    """Write moved signals with their table, and for each component a picture of them; returns the pictures.

    Parameters
    ----------
    model : Model
        Of sounds or images.
    moved : sequence of Moved
        Of several signals, dimensions and changes.
    out : path
    """
    write_moved(model, moved, out)
    components = dict.fromkeys(Dimension.parse(each.record.dimension)[:2] for each in moved)
    pictures = []
    for layer, component in components:
        own = [each for each in moved if Dimension.parse(each.record.dimension)[:2] == (layer, component)]
        pictures.append(out / f"{safe_name(f'{layer}/{component}')}.png")
        draw_component(model, own, pictures[-1])
    return pictures


def draw_component(model: Model, moved: Sequence[Moved], path: Path) -> None:
    """Write a PNG: a row for each signal, and along it the signal at its places on one component, the reference in the middle.

    Parameters
    ----------
    model : Model
    moved : sequence of Moved
        Of one component, whatever their signs and changes.
    path : path
    """
    import matplotlib

    matplotlib.use("agg", force=False)
    import matplotlib.pyplot as plt

    layer, component, _ = Dimension.parse(moved[0].record.dimension)
    clips = list(dict.fromkeys(each.record.clip for each in moved))
    places = sorted({0.0, *map(_place, moved)})
    figure, axes = plt.subplots(
        len(clips), len(places), figsize=(2.6 * len(places), 1.9 * len(clips) + 0.5), layout="constrained", squeeze=False
    )
    for clip, row in zip(clips, axes, strict=True):
        own = {_place(each): each for each in moved if each.record.clip == clip}
        middle = places.index(0.0)
        shown = [(row[middle], next(iter(own.values())).clip.samples)]
        shown += [(row[places.index(place)], each.samples) for place, each in own.items()]
        draw_signals(model, [signal for _, signal in shown], [axis for axis, _ in shown])
        row[middle].set_title(clip, fontsize=8)
        for place, each in own.items():
            record = each.record
            snr = "∞" if record.physical.snr_db is None else f"{record.physical.snr_db:.0f}"
            row[places.index(place)].set_title(f"{place:+g} SD, reached {_signed(each):+.2f}; {snr} dB", fontsize=8)
        for place, axis in zip(places, row, strict=True):
            axis.tick_params(labelsize=6)
            axis.set_xlabel("")
            if axis is not row[0]:
                axis.set_ylabel("")
                axis.set_yticks([])
            if place not in (0.0, *own):
                axis.axis("off")
    figure.suptitle(f"{moved[0].record.model}: {layer}, component {component}", fontsize=10)
    with whole_file(path) as temporary:
        figure.savefig(temporary, dpi=110)
    plt.close(figure)


def _place(moved: Moved) -> float:
    """The wished change along the component itself, to either side."""
    return moved.record.wished * Dimension.parse(moved.record.dimension).sign


def _signed(moved: Moved) -> float:
    return moved.record.reached * Dimension.parse(moved.record.dimension).sign
