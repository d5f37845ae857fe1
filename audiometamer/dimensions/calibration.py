"""Requested and reached changes: what requests came to over several signals, and which request reaches a change."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import numpy as np

from audiometamer.dimensions.moved import MovedRecord
from audiometamer.errors import AudioMetamerError
from audiometamer.io.tables import read_table, write_table


class CalibrationRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The result of a requested change along a dimension: a row of ``calibration.tsv``.

    Parameters
    ----------
    dimension : str
    requested : float
        In standard deviations of the bank, as all changes here; column ``wished``.
    signals : int
        Number of moved signals.
    reached, reached_low, reached_high : float
        Median and quartiles.
    leakage : float
        Median.
    snr_db, modulation : float
        Medians of the physical distances; an infinite SNR counts as the largest.
    """

    dimension: str
    requested: float = msgspec.field(name="wished")
    signals: int
    reached: float
    reached_low: float
    reached_high: float
    leakage: float
    snr_db: float
    modulation: float


def calibrate(records: Iterable[MovedRecord]) -> list[CalibrationRow]:
    """A row for each dimension, in the order of the records, and requested change, from small to large."""
    groups: dict[tuple[str, float], list[MovedRecord]] = {}
    for record in records:
        groups.setdefault((record.dimension, record.requested), []).append(record)
    order = {name: place for place, name in enumerate(dict.fromkeys(dimension for dimension, _ in groups))}
    return [_calibrated(*key, groups[key]) for key in sorted(groups, key=lambda key: (order[key[0]], key[1]))]


def _calibrated(dimension: str, requested: float, records: Sequence[MovedRecord]) -> CalibrationRow:
    reached = [record.reached for record in records]
    low, middle, high = np.quantile(reached, (0.25, 0.5, 0.75)).tolist()
    snr = [np.inf if record.physical.snr_db is None else record.physical.snr_db for record in records]
    return CalibrationRow(
        dimension,
        requested,
        len(records),
        middle,
        low,
        high,
        float(np.median([record.leakage for record in records])),
        float(np.median(snr)),
        float(np.median([record.physical.modulation for record in records])),
    )


def change_to_request(table: Sequence[CalibrationRow], dimension: str, reached: float) -> float:
    """The request whose median would reach a change, by linear interpolation from 0 at 0.

    A larger request that reached less is skipped.

    Parameters
    ----------
    table : sequence of Calibrated
    dimension : str
    reached : float
        0 or more.

    Raises
    ------
    AudioMetamerError
        If the table has no such dimension, or no request reached as much.
    """
    rows = sorted((row.requested, row.reached) for row in table if row.dimension == dimension)
    if not rows:
        known = ", ".join(dict.fromkeys(row.dimension for row in table))
        raise AudioMetamerError(f"the calibration has no dimension {dimension!r}; it has {known or 'none'}")
    points = [(0.0, 0.0)]
    points += [point for i, point in enumerate(rows) if point[1] > max([0.0, *(earlier for _, earlier in rows[:i])])]
    if not 0 <= reached <= points[-1][1]:
        raise AudioMetamerError(
            f"{dimension} was calibrated for reached changes from 0 to {points[-1][1]:.3g}, not for {reached:g}"
        )
    requests, changes = zip(*points, strict=True)
    return float(np.interp(reached, changes, requests))


def write_calibration(path: Path, table: Iterable[CalibrationRow]) -> None:
    """Write a calibration as a table."""
    write_table(path, CalibrationRow.__struct_encode_fields__, map(msgspec.to_builtins, table))


def read_calibration(path: Path) -> list[CalibrationRow]:
    """Read what `write_calibration` wrote.

    Raises
    ------
    AudioMetamerError
        If it is not such a table.
    """
    try:
        return msgspec.convert(
            read_table(path, required=CalibrationRow.__struct_encode_fields__), list[CalibrationRow], strict=False
        )
    except msgspec.ValidationError as error:
        raise AudioMetamerError(f"{path} is no calibration: {error}") from error
