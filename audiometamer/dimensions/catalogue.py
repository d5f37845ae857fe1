"""A catalogue of dimensions: the same signals at several places along each, to hear and to see what the dimensions are.

Places are changes from wherever a signal is, or coordinates, the same for all signals. Either way signals are moved by changes,
and their records say so.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from audiometamer.dimensions.catalogue_figure import draw_component
from audiometamer.dimensions.dimensions import Dimension, Dimensions
from audiometamer.dimensions.ladder_files import MOVES, distinct_clips, write_moved
from audiometamer.dimensions.moved import Moved
from audiometamer.dimensions.moving import all_moves, move
from audiometamer.dimensions.moving_methods import STEPS
from audiometamer.dimensions.moving_to import move_to
from audiometamer.errors import AudioMetamerError
from audiometamer.io.files import atomic_folder
from audiometamer.io.names import safe_name
from audiometamer.io.paths import real_path
from audiometamer.io.tables import read_table
from audiometamer.models.model import Model
from audiometamer.signals.audio import Clip


class Catalogue(NamedTuple):
    """The result of `make_catalogue`.

    Parameters
    ----------
    moved : list of Moved
    pictures : list of path
        One for each component.
    """

    moved: list[Moved]
    pictures: list[Path]


def make_catalogue(
    model: Model,
    dimensions: Mapping[str, Dimensions],
    clips: Sequence[Clip],
    along: Sequence[Dimension],
    out: Path,
    *,
    changes: Sequence[float] = (1.0, 2.0),
    coordinates: Sequence[float] | None = None,
    method: str = "default",
    steps: int = STEPS,
    batch_size: int = 8,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Catalogue:
    """Move signals along dimensions and write them with a table and pictures.

    Parameters
    ----------
    model : Model
        Takes sounds or images.
    dimensions : mapping of str to Dimensions
        Dimensions by layer.
    clips : sequence of Clip
    along : sequence of Dimension
    out : path
        The folder; it is whole or absent.
    changes, coordinates : sequence of float
        How far, in standard deviations, to either side; or where to, the same for all signals. Default: by 1 and 2.
    method, steps, batch_size
        See `audiometamer.dimensions.moving.move`.
    overwrite : bool
        Whether a catalogue in `out` is replaced with all its files. Default False.
    progress : callable, optional
        Called with the number of signals done and to do.

    Returns
    -------
    Catalogue

    Raises
    ------
    AudioMetamerError
        As `write_catalogue`, `move` and `move_to`.
    """
    check_replaceable(out)
    clips = distinct_clips(clips)
    total = len(clips) * (len(along) * len(changes) if coordinates is None else len({d[:2] for d in along}) * len(coordinates))

    def report(done: int) -> None:
        if progress is not None:
            progress(done, total)

    options: dict[str, Any] = {"method": method, "steps": steps, "batch_size": batch_size, "progress": report}
    if coordinates is None:
        moved = move(model, dimensions, all_moves(clips, along, changes), **options)
    else:
        moved = move_to(model, dimensions, clips, along, coordinates, **options)
    return Catalogue(moved, write_catalogue(model, moved, out, overwrite=overwrite))


def write_catalogue(model: Model, moved: Sequence[Moved], out: Path, *, overwrite: bool = False) -> list[Path]:
    """Write moved signals with their table, and a picture of each component; returns the pictures.

    Parameters
    ----------
    model : Model
        Takes sounds or images.
    moved : sequence of Moved
        All by changes, or all to coordinates.
    out : path
        The folder; it is whole or absent.
    overwrite : bool
        Whether a catalogue in `out` is replaced with all its files. Default False.

    Raises
    ------
    AudioMetamerError
        If the folder is not empty and not to be overwritten, or holds more than a catalogue; if two different signals have the
        same name; if a file cannot be written.
    """
    check_replaceable(out)
    pictures = []
    with atomic_folder(out, replace=overwrite) as folder:
        write_moved(model, moved, folder)
        for layer, component in dict.fromkeys(each.component for each in moved):
            name = _picture(layer, component)
            draw_component(model, [each for each in moved if each.component == (layer, component)], folder / name)
            pictures.append(out / name)
    return pictures


def check_replaceable(folder: Path) -> None:
    """Raise if a folder holds anything but a catalogue, which would be lost with it.

    Raises
    ------
    AudioMetamerError
        If so.
    """
    if Path.cwd().is_relative_to(real_path(folder)):
        raise AudioMetamerError(f"a catalogue takes the place of a whole folder, and you are in {folder}; choose another --out")
    present = sorted(path for path in folder.rglob("*") if path.is_file())
    if not present:
        return
    if not (folder / MOVES).is_file():
        raise AudioMetamerError(f"{folder} is not empty and holds no catalogue; choose another --out")
    known = _files(folder)
    for path in present:
        if path not in known:
            raise AudioMetamerError(
                f"{folder} holds {path.relative_to(folder)}, which is not of a catalogue; choose another --out"
            )


def _files(folder: Path) -> set[Path]:
    """All files of a catalogue, by its table."""
    rows = read_table(folder / MOVES, required=("file", "layer", "component"))
    signals = {folder / row["file"] for row in rows}
    pictures = {folder / _picture(row["layer"], row["component"]) for row in rows}
    originals = {path.with_name(f"original{path.suffix}") for path in signals}
    return {folder / MOVES, *pictures, *signals, *originals, *(path.with_suffix(".json") for path in signals)}


def _picture(layer: str, component: int | str) -> str:
    return f"{safe_name(f'{layer}/{component}')}.png"
