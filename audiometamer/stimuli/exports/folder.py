"""Export as a plain folder: sounds beside a table."""

from collections.abc import Sequence
from pathlib import Path

from audiometamer.signals.presentation import PresentationSettings
from audiometamer.stimuli.exports.sounds import PLAYED, ExportedSound, ExportFormat, anything_goes, write_sounds


def _write(folder: Path, sounds: Sequence[ExportedSound], settings: PresentationSettings) -> None:
    """``sounds.tsv``: a row for each sound."""
    write_sounds(folder / "sounds.tsv", sounds, settings, {"file": lambda sound: sound.file, **PLAYED})


FOLDER = ExportFormat(lambda name, _: f"{name}.wav", anything_goes, _write)
