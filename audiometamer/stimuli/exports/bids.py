"""Export as the beginning of a BIDS data set: stimuli at its root, and rows for the participants' events."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from audiometamer.io.files import write_json
from audiometamer.signals.presentation import NOISE, TONE, PresentationSettings
from audiometamer.stimuli.description import description
from audiometamer.stimuli.exports.sounds import (
    Columns,
    ExportedSound,
    ExportFormat,
    anything_goes,
    in_stimuli,
    write_sounds,
)

_DESCRIPTIONS = {
    "stim_file": "Path of the sound, relative to stimuli/.",
    "stim_id": "The sound: a stimulus_id of stimuli/stimuli.tsv.",
    "stimulus_id": "The sound: the beginning of its file name.",
    "type": "Type of the stimulus.",
    "filename": "File name of the sound in stimuli/.",
    "license": "Licence of the clip that the sound is, or was made from.",
    "copyright": "Attribution of that clip.",
    "description": "Description of the stimulus.",
    "present": "Whether the file is present.",
    "clip": "The natural clip.",
    "model": "The network that the metamer was made for; none for a natural clip.",
    "layer": "The matched layer; natural: the clip itself.",
    "seed": "Random seed of the metamer.",
    "verdict": "Whether it is a metamer by its criteria.",
}


def _write(folder: Path, sounds: Sequence[ExportedSound], settings: PresentationSettings) -> None:
    """``stimuli/`` at the root of a BIDS data set, and in ``sourcedata/`` rows for the participants' ``events.tsv``."""
    licences = [sound.right("licence") for sound in sounds]
    about = description("Stimuli made with audiometamer", licences, kind="raw", listed_in="README.md")
    write_json(folder / "dataset_description.json", about)
    catalogue = _catalogue(settings)
    events: dict[str, Callable[[ExportedSound], Any]] = {"onset": lambda _: None, "duration": lambda sound: sound.duration}
    if settings.bids_version == "coming":
        stimuli = [*sounds, *map(_calibration_sound, (NOISE, TONE))]
        _write_described(folder / "stimuli" / "stimuli.tsv", stimuli, settings, catalogue)
        events["stim_id"] = catalogue["stimulus_id"]
    else:
        events["stim_file"] = catalogue["filename"]
    _write_described(folder / "sourcedata" / "events.tsv", sounds, settings, events)


def _catalogue(settings: PresentationSettings) -> Columns:
    """The columns of ``stimuli.tsv``."""
    columns: dict[str, Callable[[ExportedSound], Any]] = {
        "stimulus_id": lambda sound: f"stim-{sound.stim_id}",
        "type": lambda _: "audio",
        "filename": lambda sound: _file_of(sound.stim_id, settings).removeprefix("stimuli/"),
        "description": lambda sound: "calibration sound" if sound.stim_id in (NOISE, TONE) else "sound",
        "present": lambda _: "true",
    }
    if settings.reveal:  # whose clip it is reveals what it is
        columns |= {"license": lambda sound: sound.right("licence"), "copyright": lambda sound: sound.right("attribution")}
    return columns


def _write_described(path: Path, sounds: Sequence[ExportedSound], settings: PresentationSettings, columns: Columns) -> None:
    """Write a table as BIDS takes it and, beside it, a JSON that describes its columns."""
    written = write_sounds(path, sounds, settings, columns, empty="n/a")
    own = [name for name in written if name not in ("onset", "duration")]  # which BIDS itself describes
    about = {name: {"Description": _DESCRIPTIONS.get(name, f"{name} of the clip.")} for name in own}
    write_json(path.with_suffix(".json"), about)


def _calibration_sound(name: str) -> ExportedSound:
    rights = {"licence": "CC0-1.0", "attribution": "n/a"}
    return ExportedSound(stim_id=name, file="", clip="", model="", layer="", seed=None, verdict="", set_file="", about=rights)


def _file_of(name: str, settings: PresentationSettings) -> str:
    return f"stimuli/stim-{name}_audio.wav" if settings.bids_version == "coming" else in_stimuli(name, settings)


BIDS = ExportFormat(_file_of, anything_goes, _write)
