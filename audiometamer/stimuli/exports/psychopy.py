"""Export for PsychoPy: sounds, and a table of conditions for a loop."""

from collections.abc import Sequence
from pathlib import Path

from audiometamer.errors import AudioMetamerError
from audiometamer.signals.presentation import PresentationSettings
from audiometamer.stimuli.exports.sounds import (
    PLAYED,
    ExportedSound,
    ExportFormat,
    in_stimuli,
    revealing_columns,
    write_sounds,
)


def _check(sounds: Sequence[ExportedSound], settings: PresentationSettings) -> None:
    """PsychoPy turns each column into a variable: letters, digits and underscores, a letter first."""
    columns = revealing_columns(sounds, settings)
    if wrong := [column for column in columns if not (column.isidentifier() and column.isascii())]:
        raise AudioMetamerError(
            f"PsychoPy takes no column {wrong[0]!r}: letters, digits and underscores only, a letter first; rename it in the "
            "table of the clips, or do without --reveal"
        )


def _write(folder: Path, sounds: Sequence[ExportedSound], settings: PresentationSettings) -> None:
    """``conditions.csv``: what a loop of PsychoPy reads."""
    write_sounds(folder / "conditions.csv", sounds, settings, {"stim_file": lambda sound: sound.file, **PLAYED})


PSYCHOPY = ExportFormat(in_stimuli, _check, _write)
