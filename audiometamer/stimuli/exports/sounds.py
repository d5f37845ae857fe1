"""The sounds of an export, and tables of them that do not reveal what each sound is unless that is asked for."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from audiometamer.io.tables import write_table
from audiometamer.signals.presentation import PresentationSettings
from audiometamer.stimuli.clips import RIGHTS, UNKNOWN


class ExportedSound(msgspec.Struct, frozen=True):
    """One sound of an export: a row of the key.

    Parameters
    ----------
    stim_id, file : str
        Its name, and its path in the export.
    clip, model, layer : str
        Source of the sound; the layer of a clip itself is ``natural``.
    seed : int or None
    verdict : str
    set_file : str
        Path in the set of the file that it copies.
    duration, rms_db : float or None
        Seconds; dB re full scale. None until it is written.
    about : dict of str to str
        What ``clips.tsv`` says of the clip; in the key, columns.
    """

    stim_id: str
    file: str
    clip: str
    model: str
    layer: str
    seed: int | None
    verdict: str
    set_file: str
    duration: float | None = None
    rms_db: float | None = None
    about: dict[str, str] = {}

    def row(self) -> dict[str, Any]:
        """Information about it, by column."""
        return self.about | {name: getattr(self, name) for name in KEY_COLUMNS}

    def right(self, name: str) -> str:
        """Licence, attribution or source of its clip."""
        return self.about.get(name) or UNKNOWN


KEY_COLUMNS = tuple(name for name in ExportedSound.__struct_fields__ if name != "about")

Columns = Mapping[str, Callable[[ExportedSound], Any]]
"""Columns of a table: from a sound to its cell."""

PLAYED: Columns = {"stim_id": lambda sound: sound.stim_id, "duration": lambda sound: sound.duration}


class ExportFormat(NamedTuple):
    """A form of export.

    Parameters
    ----------
    file_of : callable
        Maps a sound's name to its path in the export.
    check : callable
        Raises if the sounds cannot be exported in this form.
    write : callable
        Writes the tables into the folder of the export.
    """

    file_of: Callable[[str, PresentationSettings], str]
    check: Callable[[Sequence[ExportedSound], PresentationSettings], None]
    write: Callable[[Path, Sequence[ExportedSound], PresentationSettings], None]


def in_stimuli(name: str, _: PresentationSettings) -> str:
    """A sound's path where sounds lie in a folder of their own."""
    return f"stimuli/{name}.wav"


def anything_goes(_sounds: Sequence[ExportedSound], _settings: PresentationSettings) -> None:
    """The check of a form that takes all sounds and columns."""


def columns_about(sounds: Sequence[ExportedSound]) -> list[str]:
    """The columns that say something about the clips."""
    return list(dict.fromkeys(column for sound in sounds for column in sound.about))


def revealing_columns(sounds: Sequence[ExportedSound], settings: PresentationSettings) -> list[str]:
    """The columns that say what each sound is; the tables of an export have them only with `PresentationSettings.reveal`."""
    about = [column for column in columns_about(sounds) if column not in RIGHTS]
    return ["clip", "model", "layer", "seed", "verdict", *about] if settings.reveal else []


def write_sounds(
    path: Path, sounds: Sequence[ExportedSound], settings: PresentationSettings, columns: Columns, *, empty: str = ""
) -> list[str]:
    """Write a table with a row for each sound, `empty` where a column does not apply; returns its columns."""
    revealing = [column for column in revealing_columns(sounds, settings) if column not in columns]
    rows = []
    for sound in sounds:
        known = sound.row()
        row = {name: known.get(name) for name in revealing} | {name: cell_of(sound) for name, cell_of in columns.items()}
        rows.append({name: empty if cell in (None, "") else cell for name, cell in row.items()})
    written = [*columns, *revealing]
    write_table(path, written, rows)
    return written
