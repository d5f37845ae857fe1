"""Moved signals: what was requested and reached of each, in memory and in a folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import msgspec
from torch import Tensor

from audiometamer.dimensions.dimensions import Dimension
from audiometamer.dimensions.physical import Physical
from audiometamer.signals.audio import Clip
from audiometamer.signals.files import read_signal


class Move(NamedTuple):
    """A requested move: a signal, a dimension, and how far, in standard deviations of the bank, above 0."""

    clip: Clip
    dimension: Dimension
    change: float


class MovedRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The record of a moved signal: the JSON file beside it.

    Parameters
    ----------
    clip, dimension, model : str
    weights_sha256, dimensions_sha256 : str
    requested, reached : float
        Change of the coordinate towards the dimension's side, in standard deviations of the bank. In files, `requested` is
        ``requested``.
    leakage : float
        Root of the sum of squares of the changes of all other coordinates, in the same units.
    before, after : list of float
        All coordinates.
    physical : Physical
    method : str
    steps : int
    errors : list of float
        Distance to the requested coordinates before each round of steps, in standard deviations.
    seconds : float
        Time for the batch, divided by the number of its signals.
    signal_sha256, original_sha256 : str
        SHA-256 of the files of the signal and of its reference. Empty until it is saved, and in records of version 0.2 and
        earlier.
    """

    clip: str
    dimension: str
    model: str
    weights_sha256: str
    dimensions_sha256: str
    requested: float = msgspec.field(name="wished")
    reached: float
    leakage: float
    before: list[float]
    after: list[float]
    physical: Physical
    method: str
    steps: int
    errors: list[float]
    seconds: float
    signal_sha256: str = ""
    original_sha256: str = ""


@dataclass(frozen=True)
class Moved:
    """A moved signal in memory.

    Parameters
    ----------
    samples : Tensor [shape=signal_shape]
        float32, on the CPU.
    clip : Clip
        The reference.
    record : MovedRecord
    coordinate : float, optional
        The coordinate that it was to come to. Default: it was moved by a change.
    """

    samples: Tensor
    clip: Clip
    record: MovedRecord
    coordinate: float | None = None

    @property
    def component(self) -> tuple[str, int]:
        """The layer and the number of the component that it was moved along."""
        return Dimension.parse(self.record.dimension)[:2]

    @property
    def signed_change(self) -> float:
        """The requested change of the coordinate, negative to the negative side."""
        return self.record.requested * Dimension.parse(self.record.dimension).sign

    @property
    def before(self) -> float:
        """The coordinate of the reference."""
        return self.record.before[self.component[1]]

    @property
    def after(self) -> float:
        """The coordinate of the moved signal."""
        return self.record.after[self.component[1]]


class MovedStimulus(NamedTuple):
    """A moved signal in a folder: its record and its file."""

    record: MovedRecord
    path: Path

    @property
    def original(self) -> Path:
        """The file of its reference."""
        return self.path.with_name(f"original{self.path.suffix}")

    def read(self) -> Tensor:
        """The signal, float32; see `audiometamer.signals.files.read_signal`."""
        return read_signal(self.path)
