"""The sounds of a path in a folder: their files and positions."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.scaling.design import SoundPath
from audiometamer.io.tables import read_table
from audiometamer.listening.design import INTERVALS

MOST_SOUNDS = 20  # 4,845 quadruples
_EQUAL = 1e-3  # s, within which sounds are equally long


class PathSounds(NamedTuple):
    """The sounds of a path.

    Parameters
    ----------
    files : list of str
        Relative to the folder.
    positions : list of float
        Rising.
    """

    files: list[str]
    positions: list[float]

    @property
    def places(self) -> NDArray[np.float64]:
        """Positions scaled to 0 to 1, shape=(sounds,)."""
        x = np.asarray(self.positions, float)
        return (x - x[0]) / (x[-1] - x[0])


def read_path(folder: Path, path: SoundPath, kind: str) -> PathSounds:
    """The sounds of a path in a folder, as a design names them.

    Parameters
    ----------
    folder : path
    path : SoundPath
    kind : {"triads", "quadruples"}

    Raises
    ------
    AudioMetamerError
        If there are too few sounds for a trial or more than 20, one is missing, their durations differ, or the positions do not
        fit them.
    """
    known = _positions_by_file(folder)
    files = path.sounds or list(known) or sorted(each.name for each in folder.glob("*.wav"))
    if not INTERVALS[kind] <= len(files) <= MOST_SOUNDS:
        raise AudioMetamerError(f"{folder} has {len(files)} sounds of a path; {kind} take {INTERVALS[kind]} to {MOST_SOUNDS}")
    seconds = [_duration(folder / file) for file in files]
    for file, duration in zip(files, seconds, strict=True):
        if abs(duration - seconds[0]) > _EQUAL:
            raise AudioMetamerError(
                f"{folder / file} lasts {duration:g} s and {files[0]} {seconds[0]:g} s; sounds of a path must be equally long"
            )
    positions = path.positions or [known.get(file, np.nan) for file in files]
    if path.positions is None and np.isnan(positions).any():
        positions = list(map(float, range(len(files))))
    if len(positions) != len(files):
        raise AudioMetamerError(f"{len(positions)} positions for {len(files)} sounds in {folder}; give one for each")
    if not (np.diff(positions) > 0).all():
        raise AudioMetamerError(f"the positions of {', '.join(files)} do not rise; order path.sounds, or give path.positions")
    return PathSounds(files, [float(x) for x in positions])


def _positions_by_file(folder: Path) -> dict[str, float]:
    """Positions of the sounds of ``scale.tsv``, in order; empty if the folder has none."""
    from audiometamer.distortions.scale_files import SCALE  # late: an experiment is served without torch

    table = folder / SCALE
    if not table.is_file():
        return {}
    found: dict[str, float] = {}
    for row in read_table(table, required=("file", "position")):
        try:
            found.setdefault(row["file"], float(row["position"]))
        except ValueError as error:
            raise AudioMetamerError(f"{table}, line {row.line}: position is {row['position']!r}; it must be a number") from error
    return found


def _duration(path: Path) -> float:
    from audiometamer.signals.audio import file_duration  # late, likewise

    if not path.is_file():
        raise AudioMetamerError(f"{path} does not exist; it is a sound of the path")
    return file_duration(path)
