"""Pictures of a catalogue: signals moved along one component, a row for each reference."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from audiometamer.dimensions.moved import Moved
from audiometamer.drawing import literal_text
from audiometamer.io.files import atomic_write
from audiometamer.metamers.figure import draw_signals
from audiometamer.models.model import Model

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@literal_text()
def draw_component(model: Model, moved: Sequence[Moved], path: Path) -> None:
    """Write `component_figure` as a PNG."""
    with atomic_write(path) as temporary:
        component_figure(model, moved).savefig(temporary, dpi=110)


def component_figure(model: Model, moved: Sequence[Moved]) -> "Figure":
    """A row for each signal, with columns for its changes or coordinates along one component.

    The reference is in the middle, as no change at all, or to the left of all coordinates.

    Parameters
    ----------
    model : Model
    moved : sequence of Moved
        Signals moved along one component: all by changes, of any sign and size, or all to coordinates.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.figure import Figure

    layer, component = moved[0].component
    clips = list(dict.fromkeys(each.record.clip for each in moved))
    positions = sorted({_position(each) for each in moved})
    reference = 0 if _is_by_coordinate(moved[0]) else sum(position < 0 for position in positions)
    columns: list[float | None] = [*positions[:reference], None, *positions[reference:]]
    figure = Figure(figsize=(2.6 * len(columns), 1.9 * len(clips) + 0.5), layout="constrained")
    axes = figure.subplots(len(clips), len(columns), squeeze=False)
    for clip, row in zip(clips, axes, strict=True):
        own = {_position(each): each for each in moved if each.record.clip == clip}
        first = next(iter(own.values()))
        shown = [(row[reference], first.clip.samples)]
        shown += [(row[columns.index(position)], each.samples) for position, each in own.items()]
        draw_signals(model, [signal for _, signal in shown], [axis for axis, _ in shown])
        row[reference].set_title(f"{clip}, at {first.before:+z.2f} SD" if _is_by_coordinate(first) else clip, fontsize=8)
        for position, each in own.items():
            row[columns.index(position)].set_title(_title(each), fontsize=8)
        for column, axis in zip(columns, row, strict=True):
            axis.tick_params(labelsize=6)
            axis.set_xlabel("")
            if axis is not row[0]:
                axis.set_ylabel("")
                axis.set_yticks([])
            if column not in (None, *own):
                axis.axis("off")
    figure.suptitle(f"{moved[0].record.model}: {layer}, component {component}", fontsize=10)
    return figure


def _is_by_coordinate(moved: Moved) -> bool:
    return moved.coordinate is not None


def _position(moved: Moved) -> float:
    """The requested coordinate, or the requested change with its sign."""
    return moved.signed_change if moved.coordinate is None else moved.coordinate


def _title(moved: Moved) -> str:
    physical, place = moved.record.physical, moved.coordinate
    snr = "∞" if physical.snr_db is None else f"{physical.snr_db:.0f}"
    if place is None:
        return f"by {moved.signed_change:+g} SD, reached {moved.after - moved.before:+z.2f}; {snr} dB"
    where = f"at {place:+g} SD" if place else "at 0 SD"
    return f"{where}: the reference" if moved.record.requested == 0 else f"{where}, reached {moved.after:+z.2f}; {snr} dB"
