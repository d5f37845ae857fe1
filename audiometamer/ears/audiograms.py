"""Audiograms: hearing losses by frequency, of one ear or both, from a file or by the name of a standard shape."""

import itertools
import math
import os
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from audiometamer.errors import AudioMetamerError, AudioMetamerWarning
from audiometamer.io.tables import TableRow, read_table
from audiometamer.io.toml_files import read_toml

_STANDARD_HZ = (250, 375, 500, 750, 1000, 1500, 2000, 3000, 4000, 6000)

# Bisgaard, Vlaming & Dahlquist (2010), Trends in Amplification 14(2), 113-120, table 3: dB HL at the frequencies above.
STANDARD: dict[str, tuple[float, ...]] = {
    "N1": (10, 10, 10, 10, 10, 10, 15, 20, 30, 40),
    "N2": (20, 20, 20, 22.5, 25, 30, 35, 40, 45, 50),
    "N3": (35, 35, 35, 35, 40, 45, 50, 55, 60, 65),
    "N4": (55, 55, 55, 55, 55, 60, 65, 70, 75, 80),
    "N5": (65, 67.5, 70, 72.5, 75, 80, 80, 80, 80, 80),
    "N6": (75, 77.5, 80, 82.5, 85, 90, 90, 95, 100, 100),
    "N7": (90, 92.5, 95, 100, 105, 105, 105, 105, 105, 105),
    "S1": (10, 10, 10, 10, 10, 10, 15, 30, 55, 70),
    "S2": (20, 20, 20, 22.5, 25, 35, 55, 75, 95, 95),
    "S3": (30, 30, 35, 47.5, 60, 70, 75, 80, 80, 85),
}

_SIDES = ("left", "right")
_NUMBER = r"-?\d{1,6}(?:\.\d{1,6})?"
_WRITTEN_OUT = re.compile(rf"{_NUMBER}={_NUMBER}(?:,{_NUMBER}={_NUMBER})*")
_LOWEST, _HIGHEST = -20.0, 130.0  # dB HL, of audiometers with room to spare
_SUSPICIOUS_DROP = 25.0  # dB below both neighbours: no audiogram does that


@dataclass(frozen=True)
class Audiogram:
    """Hearing loss of one ear.

    Parameters
    ----------
    frequencies : sequence of float
        In Hz, rising.
    losses : sequence of float
        Hearing loss at each, in dB HL; 0 is normal hearing.
    name : str
        Name for messages and records. Default "audiogram".

    Raises
    ------
    AudioMetamerError
        If there are none, their numbers differ, frequencies do not rise or are not in Hz, or a loss is not within −20 to 130 dB.

    Warns
    -----
    AudioMetamerWarning
        If a loss is at least 25 dB below its neighbours, as when 5 is typed for 50.

    Examples
    --------
    >>> from audiometamer.ears import Audiogram
    >>> Audiogram([500, 1000, 4000], [10, 20, 60]).at(2500)
    40.0
    """

    frequencies: Sequence[float]
    losses: Sequence[float]
    name: str = "audiogram"

    def __post_init__(self) -> None:
        frequencies, losses = tuple(map(float, self.frequencies)), tuple(map(float, self.losses))
        object.__setattr__(self, "frequencies", frequencies)
        object.__setattr__(self, "losses", losses)
        if len(frequencies) != len(losses) or not losses:
            raise AudioMetamerError(
                f"{self.name}: {len(frequencies)} frequencies and {len(losses)} losses; give as many of one as of the other"
            )
        if not all(math.isfinite(f) and 20 <= f <= 24_000 for f in frequencies):
            wrong = next(f for f in frequencies if not (math.isfinite(f) and 20 <= f <= 24_000))
            kilohertz = "; in kHz, perhaps? Give Hz" if 0 < wrong < 20 else ""
            raise AudioMetamerError(f"{self.name}: frequency {wrong:g} Hz; it must be within 20 to 24000 Hz{kilohertz}")
        if any(high <= low for low, high in itertools.pairwise(frequencies)):
            raise AudioMetamerError(f"{self.name}: frequencies {', '.join(f'{f:g}' for f in frequencies)} do not rise")
        for frequency, loss in zip(frequencies, losses, strict=True):
            if not _LOWEST <= loss <= _HIGHEST:
                raise AudioMetamerError(
                    f"{self.name}: loss {loss:g} dB HL at {frequency:g} Hz; it must be within {_LOWEST:g} to {_HIGHEST:g} dB HL"
                )
        for notice in self._doubts():
            warnings.warn(notice, AudioMetamerWarning, stacklevel=3)

    def _doubts(self) -> list[str]:
        """What looks like a slip of the pen: a loss far below both neighbours, or at an end far below the nearest two."""
        notices = []
        for i, (frequency, loss) in enumerate(zip(self.frequencies, self.losses, strict=True)):
            around = [*self.losses[max(i - 1, 0) : i], *self.losses[i + 1 : i + 2]]
            if len(around) == 1:  # an end: a loss may fall steeply there, but seldom to a tenth
                far = around[0] - loss >= _SUSPICIOUS_DROP and 0 < loss <= 10 and abs(10 * loss - around[0]) <= 15
            else:
                far = len(around) == 2 and min(around) - loss >= _SUSPICIOUS_DROP
            if far:
                beside = " and ".join(f"{neighbour:g}" for neighbour in around)
                meant = f"; is {10 * loss:g} meant?" if 0 < 10 * loss <= _HIGHEST and loss <= 12 else "; is that right?"
                notices.append(f"{self.name}: a loss of {loss:g} dB HL at {frequency:g} Hz is beside {beside} dB HL{meant}")
        return notices

    def at(self, frequency: float) -> float:
        """Loss in dB HL at a frequency in Hz: linear in Hz between those measured, flat beyond them, as in MSBG."""
        return float(np.interp(frequency, self.frequencies, self.losses))

    @property
    def high_frequency_loss(self) -> float:
        """Mean of the losses measured from 2 to 8 kHz in dB HL, by which MSBG chooses its degree; 0 if there are none."""
        high = [loss for f, loss in zip(self.frequencies, self.losses, strict=True) if 2000 <= f <= 8000]
        return sum(high) / len(high) if high else 0.0


def flat(loss: float) -> Audiogram:
    """The same loss in dB HL at every frequency; 0 is normal hearing."""
    return Audiogram((250, 8000), (loss, loss), name=f"flat {loss:g} dB")


def standard(name: str) -> Audiogram:
    """A standard audiogram: N1 to N7 (flat and moderately sloping) or S1 to S3 (steeply sloping); or ``normal``, 0 dB throughout.

    Bisgaard, Vlaming & Dahlquist (2010), table 3.

    Raises
    ------
    AudioMetamerError
        If there is none of that name.
    """
    if name.lower() == "normal":
        return flat(0.0)
    if name.upper() not in STANDARD:
        raise AudioMetamerError(f"there is no standard audiogram {name!r}; there are normal, {', '.join(STANDARD)}")
    return Audiogram(_STANDARD_HZ, STANDARD[name.upper()], name=name.upper())


class _AudiogramFile(msgspec.Struct, forbid_unknown_fields=True):
    """An audiogram in TOML: frequencies in Hz, and losses in dB HL of both ears (`loss`), or of each."""

    frequencies: list[float]
    loss: list[float] | None = None
    left: list[float] | None = None
    right: list[float] | None = None


def read_audiogram(path: str | os.PathLike[str]) -> dict[str, Audiogram]:
    """The audiograms of both ears from a file.

    Parameters
    ----------
    path : path
        TOML with `frequencies` in Hz and `loss` in dB HL, or `left` and `right`; or a CSV or TSV file with columns `frequency`
        and `loss`, or `left` and `right`.

    Returns
    -------
    dict of str to Audiogram
        ``left`` and ``right``, one of them alone if the file has only that, or the same for both.

    Raises
    ------
    AudioMetamerError
        If the file cannot be read, or holds no audiogram.
    """
    path = Path(path)
    if path.suffix.lower() not in (".toml", ".csv", ".tsv"):
        raise AudioMetamerError(f"{path}: an audiogram is a .toml, .csv or .tsv file")
    content = read_toml(path, _AudiogramFile) if path.suffix.lower() == ".toml" else _from_table(path)
    columns = {"left": content.left, "right": content.right} if content.loss is None else dict.fromkeys(_SIDES, content.loss)
    if content.loss is not None and (content.left is not None or content.right is not None):
        raise AudioMetamerError(f"{path}: give loss for both ears, or left and right, not both")
    audiograms: dict[tuple[float, ...], Audiogram] = {}
    ears = {}
    for side, losses in columns.items():
        if losses is not None:  # the same losses are one audiogram, which warns once
            name = f"{path}" if content.loss is not None else f"{path}, {side}"
            if (key := tuple(losses)) not in audiograms:
                audiograms[key] = Audiogram(content.frequencies, losses, name=name)
            ears[side] = audiograms[key]
    if not ears:
        raise AudioMetamerError(f"{path}: there are no losses; give loss for both ears, or left and right, in dB HL")
    return ears


def _from_table(path: Path) -> _AudiogramFile:
    rows = read_table(path, required=["frequency"])
    known = [name for name in ("loss", *_SIDES) if rows and name in rows[0]]
    columns = {name: [_number(path, row, name) for row in rows] for name in known}
    return _AudiogramFile([_number(path, row, "frequency") for row in rows], **columns)


def _number(path: Path, row: TableRow, column: str) -> float:
    try:
        return float(row[column])
    except ValueError as error:
        raise AudioMetamerError(f"{path}, line {row.line}: {column} is {row[column]!r}; it must be a number") from error


def find_audiogram(name: str) -> dict[str, Audiogram]:
    """The audiograms of both ears by name.

    Parameters
    ----------
    name : str
        A standard shape, ``flat40``, ``250=10,1000=20,4000=60`` (dB HL at frequencies in Hz), or the path of a file.

    Returns
    -------
    dict of str to Audiogram
        ``left`` and ``right``; see `read_audiogram`.
    """
    if name.lower() == "normal" or name.upper() in STANDARD:
        return dict.fromkeys(_SIDES, standard(name))
    if name.lower().startswith("flat") and name[4:].isdecimal():
        return dict.fromkeys(_SIDES, flat(float(name[4:])))
    if Path(name).suffix.lower() in (".toml", ".csv", ".tsv"):
        return read_audiogram(name)
    if _WRITTEN_OUT.fullmatch(name):
        pairs = [pair.split("=") for pair in name.split(",")]
        written = Audiogram([float(f) for f, _ in pairs], [float(loss) for _, loss in pairs], name=name)
        return dict.fromkeys(_SIDES, written)
    raise AudioMetamerError(
        f"there is no audiogram {name!r}; give normal, {', '.join(STANDARD)}, flat40 (dB HL at all frequencies), or a .toml or "
        ".csv file"
    )
