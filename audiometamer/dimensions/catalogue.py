"""A catalogue of dimensions: the same signals at several places along each, to hear and to see, so that one can choose.

Places are changes, from wherever a signal is, or coordinates, the same for all signals. Either way signals are moved by changes,
which is what their records say.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import torch

from audiometamer.dimensions.calibration import Calibrated, calibrate
from audiometamer.dimensions.dimensions import Dimension, Dimensions, check_dimension
from audiometamer.dimensions.ladder import MOVES, write_moved
from audiometamer.dimensions.moving import STEPS, Move, Moved, MovedRecord, as_presented, move
from audiometamer.dimensions.physical import Physical
from audiometamer.drawing import literal_text
from audiometamer.errors import AudioMetamerError
from audiometamer.io.files import atomic_folder, atomic_write
from audiometamer.io.names import safe_name
from audiometamer.io.paths import real_path
from audiometamer.io.tables import read_table
from audiometamer.metamers.figure import draw_signals
from audiometamer.models.model import Model
from audiometamer.signals.audio import Clip

_THERE = 0.01  # standard deviations from a coordinate, and less: nothing is to be moved


def move_to(
    model: Model,
    dimensions: Mapping[str, Dimensions],
    clips: Sequence[Clip],
    along: Sequence[Dimension],
    coordinates: Sequence[float],
    *,
    method: str = "default",
    steps: int = STEPS,
    batch_size: int = 8,
    progress: Callable[[int], None] | None = None,
) -> tuple[list[Moved], list[float]]:
    """Move every signal to every coordinate, along every component.

    A signal whose coordinate is less than 0.01 away is its own moved signal: by a wished change of 0, in no step.

    Parameters
    ----------
    model : Model
    dimensions : mapping of str to Dimensions
        By layer.
    clips : sequence of Clip
    along : sequence of Dimension
        Their components; on which side of a signal a coordinate is, it says itself.
    coordinates : sequence of float
        In standard deviations of the bank, from its mean.
    method : str
        See `move`, as for what follows.
    steps : int
    batch_size : int
    progress : callable, optional

    Returns
    -------
    list of Moved
    list of float
        The coordinate that each was to come to.

    Raises
    ------
    AudioMetamerError
        As `move`.
    """
    for dimension in along:
        check_dimension(dimensions, dimension)
    clips = [as_presented(model, clip) for clip in clips]
    signals = torch.stack([clip.samples.view(model.signal_shape) for clip in clips]).to(dtype=model.dtype, device=model.device)
    now = {
        layer: torch.cat([dimensions[layer].of(model, some) for some in signals.split(batch_size)]).tolist()
        for layer in dict.fromkeys(dimension.layer for dimension in along)
    }
    moves, starts, places = [], [], []
    for (layer, component), k, place in itertools.product(
        dict.fromkeys(dimension[:2] for dimension in along), range(len(clips)), coordinates
    ):
        change = place - now[layer][k][component]
        moves.append(Move(clips[k], Dimension(layer, component, 1 if change > 0 else -1), abs(change)))
        starts.append(now[layer][k])
        places.append(place)
    there = {
        i: _unmoved(model, dimensions, wished, start, method)
        for i, (wished, start) in enumerate(zip(moves, starts, strict=True))
        if wished.change < _THERE
    }
    away = [i for i in range(len(moves)) if i not in there]
    moved = move(
        model, dimensions, [moves[i] for i in away], method=method, steps=steps, batch_size=batch_size,
        progress=None if progress is None else lambda done: progress(done + len(there)),
    )  # fmt: skip
    found = there | dict(zip(away, moved, strict=True))
    return [found[i] for i in range(len(moves))], places


def _unmoved(model: Model, dimensions: Mapping[str, Dimensions], wished: Move, now: list[float], method: str) -> Moved:
    """A reference in the place of a signal that would be moved to where it is."""
    samples, origin = wished.clip.samples.view(model.signal_shape), dimensions[wished.dimension.layer].record
    record = MovedRecord(
        clip=wished.clip.name,
        dimension=str(wished.dimension),
        model=model.name,
        weights_sha256=origin.weights_sha256,
        dimensions_sha256=origin.tensors_sha256,
        wished=0.0,
        reached=0.0,
        leakage=0.0,
        before=now,
        after=now,
        physical=Physical(snr_db=None, modulation=0.0, level_db=0.0, peak=float(samples.abs().max())),
        method=method,
        steps=0,
        errors=[],
        seconds=0.0,
    )
    return Moved(samples, wished.clip, record)


def calibrate_places(moved: Sequence[Moved], coordinates: Sequence[float]) -> list[Calibrated]:
    """What coordinates came to that were wished for: as `calibrate`, of components and coordinates for dimensions and changes."""
    return calibrate(
        msgspec.structs.replace(each.record, dimension="/".join(map(str, _component(each))), wished=place, reached=_after(each))
        for each, place in zip(moved, coordinates, strict=True)
    )


def check_replaced(folder: Path) -> None:
    """Raise if there is anything in a folder that is not of its catalogue, and would be lost with it.

    Raises
    ------
    AudioMetamerError
        If so.
    """
    if Path.cwd().is_relative_to(real_path(folder)):
        raise AudioMetamerError(f"a catalogue takes the place of a whole folder, and you are in {folder}; choose another --out")
    there = sorted(path for path in folder.rglob("*") if path.is_file())
    if not there:
        return
    if not (folder / MOVES).is_file():
        raise AudioMetamerError(f"{folder} is not empty and holds no catalogue; choose another --out")
    known = _files(folder)
    for path in there:
        if path not in known:
            raise AudioMetamerError(
                f"{folder} holds {path.relative_to(folder)}, which is not of a catalogue; choose another --out"
            )


def _files(folder: Path) -> set[Path]:
    """All that a catalogue consists of, by its table."""
    rows = read_table(folder / MOVES, required=("file", "layer", "component"))
    signals = {folder / row["file"] for row in rows}
    pictures = {folder / _picture(row["layer"], row["component"]) for row in rows}
    originals = {path.with_name(f"original{path.suffix}") for path in signals}
    return {folder / MOVES, *pictures, *signals, *originals, *(path.with_suffix(".json") for path in signals)}


def _picture(layer: str, component: int | str) -> str:
    return f"{safe_name(f'{layer}/{component}')}.png"


def write_catalogue(
    model: Model,
    moved: Sequence[Moved],
    out: Path,
    *,
    coordinates: Sequence[float] | None = None,
    overwrite: bool = False,
) -> list[Path]:
    """Write moved signals with their table, and for each component a picture of them; returns the pictures.

    The folder is whole or absent.

    Parameters
    ----------
    model : Model
        Of sounds or images.
    moved : sequence of Moved
        Of several signals, dimensions and changes.
    out : path
    coordinates : sequence of float, optional
        Of each, where it was to come to, as `move_to` returns them. Default: they were moved by changes.
    overwrite : bool
        Whether a catalogue that is there makes room for it, with all its files. Default False.

    Raises
    ------
    AudioMetamerError
        If the folder is not empty and not to be overwritten, or holds more than a catalogue; if signals have the same name and
        differ; if a file cannot be written.
    """
    check_replaced(out)
    pictures = []
    with atomic_folder(out, replace=overwrite) as folder:
        write_moved(model, moved, folder, coordinates=coordinates)
        for layer, component in dict.fromkeys(map(_component, moved)):
            own = [i for i, each in enumerate(moved) if _component(each) == (layer, component)]
            places = None if coordinates is None else [coordinates[i] for i in own]
            name = _picture(layer, component)
            draw_component(model, [moved[i] for i in own], folder / name, coordinates=places)
            pictures.append(out / name)
    return pictures


@literal_text()
def draw_component(model: Model, moved: Sequence[Moved], path: Path, *, coordinates: Sequence[float] | None = None) -> None:
    """Write a PNG: a row for each signal, and along it the signal at its places on one component.

    The reference is in the middle, as no change at all, or at the left of all coordinates.

    Parameters
    ----------
    model : Model
    moved : sequence of Moved
        Of one component, whatever their signs and changes.
    path : path
    coordinates : sequence of float, optional
        As of `write_catalogue`.
    """
    import matplotlib

    matplotlib.use("agg", force=False)
    import matplotlib.pyplot as plt

    layer, component = _component(moved[0])
    clips = list(dict.fromkeys(each.record.clip for each in moved))
    wished = [_change(each) for each in moved] if coordinates is None else list(coordinates)
    columns: list[float | None] = [*sorted({*wished})]
    reference = sum(place < 0 for place in {*wished}) if coordinates is None else 0
    columns.insert(reference, None)
    figure, axes = plt.subplots(
        len(clips), len(columns), figsize=(2.6 * len(columns), 1.9 * len(clips) + 0.5), layout="constrained", squeeze=False
    )
    for clip, row in zip(clips, axes, strict=True):
        own = {place: each for place, each in zip(wished, moved, strict=True) if each.record.clip == clip}
        first = next(iter(own.values()))
        shown = [(row[reference], first.clip.samples)]
        shown += [(row[columns.index(place)], each.samples) for place, each in own.items()]
        draw_signals(model, [signal for _, signal in shown], [axis for axis, _ in shown])
        row[reference].set_title(clip if coordinates is None else f"{clip}, at {_before(first):+z.2f} SD", fontsize=8)
        for place, each in own.items():
            row[columns.index(place)].set_title(_title(place, each, is_coordinate=coordinates is not None), fontsize=8)
        for column, axis in zip(columns, row, strict=True):
            axis.tick_params(labelsize=6)
            axis.set_xlabel("")
            if axis is not row[0]:
                axis.set_ylabel("")
                axis.set_yticks([])
            if column not in (None, *own):
                axis.axis("off")
    figure.suptitle(f"{moved[0].record.model}: {layer}, component {component}", fontsize=10)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=110)
    plt.close(figure)


def _title(place: float, moved: Moved, *, is_coordinate: bool) -> str:
    snr = "∞" if moved.record.physical.snr_db is None else f"{moved.record.physical.snr_db:.0f}"
    if not is_coordinate:
        return f"by {place:+g} SD, reached {_after(moved) - _before(moved):+z.2f}; {snr} dB"
    where = f"at {place:+g} SD" if place else "at 0 SD"
    return f"{where}: the reference" if moved.record.wished == 0 else f"{where}, reached {_after(moved):+z.2f}; {snr} dB"


def _component(moved: Moved) -> tuple[str, int]:
    return Dimension.parse(moved.record.dimension)[:2]


def _change(moved: Moved) -> float:
    """That was wished for along the component itself, to either side."""
    return moved.record.wished * Dimension.parse(moved.record.dimension).sign


def _before(moved: Moved) -> float:
    return moved.record.before[_component(moved)[1]]


def _after(moved: Moved) -> float:
    return moved.record.after[_component(moved)[1]]
