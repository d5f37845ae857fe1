"""Scales that models predict, read from tables, for the sounds of an experiment."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from audiometamer.distortions.scale_files import SCALE, number_column
from audiometamer.errors import AudioMetamerError
from audiometamer.io.tables import TableRow, read_table
from audiometamer.psychophysics.levels import Values

_SAME = 1e-4  # within which positions are the same, of a path from 0 to 1


class PredictedScale(NamedTuple):
    """The scale of a layer of a model.

    Parameters
    ----------
    model, layer : str
    values : array [shape=(sounds,)]
        0 at the first sound and 1 at the last.
    """

    model: str
    layer: str
    values: Values

    @property
    def name(self) -> str:
        """Model and layer."""
        return f"{self.model} {self.layer}"


def read_predicted(paths: Sequence[Path], places: Values) -> list[PredictedScale]:
    """Read the scales of all layers in some tables.

    Parameters
    ----------
    paths : sequence of path
        Tables with the columns ``layer``, ``position``, ``scale`` and perhaps ``model``, or folders with ``scale.tsv``, as
        `audiometamer distortions scale` writes it. Without a column ``model``, it is the name of the folder or of the table.
    places : array [shape=(sounds,)]
        Positions of the experiment's sounds, from 0 to 1.

    Raises
    ------
    AudioMetamerError
        If a table cannot be read, its positions are not those of the sounds, a scale does not rise from its first sound to its
        last, or a layer of a model has two scales.
    """
    found: dict[str, PredictedScale] = {}
    for path in paths:
        table = path / SCALE if path.is_dir() else path
        origin = table.parent.name if table.name == SCALE else table.stem
        groups: dict[tuple[str, str], list[TableRow]] = {}
        for row in read_table(table, required=("layer", "position", "scale")):
            groups.setdefault((row.get("model") or origin, row["layer"]), []).append(row)
        for (model, layer), rows in groups.items():
            scale = PredictedScale(model, layer, _values(rows, places, table, f"{model} {layer}"))
            if scale.name in found:
                raise AudioMetamerError(f"{scale.name} has two scales, one of them in {table}; give one")
            found[scale.name] = scale
    return list(found.values())


def scale_named(table: Path, name: str, places: Values) -> Values:
    """One of the scales of a table, by its layer or by ``MODEL LAYER``."""
    known = read_predicted([table], places)
    chosen = [scale for scale in known if name in (scale.layer, scale.name)]
    if len(chosen) != 1:
        raise AudioMetamerError(f"{table} has {len(chosen)} scales {name!r}; it has {', '.join(scale.name for scale in known)}")
    return chosen[0].values


def _values(rows: Sequence[TableRow], places: Values, table: Path, name: str) -> Values:
    """A scale from 0 to 1, at the positions of the sounds."""
    x, values = (np.array(number_column(rows, column, table)) for column in ("position", "scale"))
    span = x[-1] - x[0]
    if len(x) != len(places) or not span > 0 or not np.allclose((x - x[0]) / span, places, atol=_SAME):
        raise AudioMetamerError(
            f"the positions of {name} in {table} are not those of the experiment's {len(places)} sounds; predict scales for these"
        )
    if not values[-1] > values[0]:
        raise AudioMetamerError(f"the scale of {name} in {table} does not rise from the first sound to the last")
    return np.asarray((values - values[0]) / (values[-1] - values[0]))
