"""Presentation copies of a set: PCM at a sound card's rate, one level for all, ramps, opaque names, and what to calibrate by."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec

from audiometamer.errors import AudioMetamerError
from audiometamer.io.draws import Draws, date_alike, keyed_draws, write_key
from audiometamer.io.files import atomic_folder, resolved, write_json, write_private, write_text
from audiometamer.io.hashes import file_sha256
from audiometamer.io.tables import read_table, table_text, write_table
from audiometamer.metamers.belonging import check_belongs
from audiometamer.metamers.results import iterate_results
from audiometamer.models.inputs import NATURAL
from audiometamer.signals.presentation import NOISE, TONE, Settings, Sounds, _rms, write_pcm
from audiometamer.stimuli.set import (
    RIGHTS,
    UNKNOWN,
    IndexRow,
    description,
    read_clips,
    read_index_rows,
)
from audiometamer.stimuli.verify import manifest_sha256
from audiometamer.version import __version__

ExportFormat = Literal["bids", "psychopy", "folder"]


class ExportedSound(msgspec.Struct, frozen=True):
    """One sound of an export: a row of the key.

    Parameters
    ----------
    stim_id, file : str
        Its name, and where it lies in the export.
    clip, model, layer : str
        What it is; the layer of a clip itself is ``natural``.
    seed : int or None
    verdict : str
    set_file : str
        What it is a copy of, as that lies in the set.
    duration, rms_db : float or None
        Seconds; dB re full scale. None until it is written.
    about : dict of str to str
        What ``clips.tsv`` tells of the clip; in the key, columns.
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
        """What is known of it, by column."""
        return self.about | {name: getattr(self, name) for name in _KEY}

    def right(self, name: str) -> str:
        """Licence, attribution or source of its clip."""
        return self.about.get(name) or UNKNOWN


_KEY = tuple(name for name in ExportedSound.__struct_fields__ if name != "about")


def export(
    stimulus_set: Path,
    out: Path,
    *,
    to: ExportFormat,
    settings: Settings,
    selection: Path | None = None,
    key: Path | None = None,
    names_key: Path | None = None,
) -> list[ExportedSound]:
    """Write presentation copies of a set's metamers and of their clips into a new folder, and the key to them beside it.

    The files of `out` do not tell what they are; the key does, and lies elsewhere, with the settings in a JSON of the same name
    and, in `names_key_file`, the private key that names and dither follow from. The same set, settings and private key give
    the same files.

    Parameters
    ----------
    stimulus_set, out : path
    to : {"bids", "psychopy", "folder"}
    settings : Settings
    selection : path, optional
        A ``selection.tsv`` of `audiometamer.stimuli.select`. Default: every finished item, those that failed among them.
    key : path, optional
        Default: `out` with ``-key.tsv``.
    names_key : path, optional
        Private key of an earlier export or an experiment, for the same names. Default: a fresh one.

    Returns
    -------
    list of Entry
        As in the key.

    Raises
    ------
    AudioMetamerError
        If `out` or a key exists, the private key cannot be read, a sound cannot be read or is silent, is no sound, a peak would
        clip and `settings.peaks` is "stop", or a ramp is too long.
    """
    if to not in get_args(ExportFormat):
        raise AudioMetamerError(f"{to!r} is no form of export; there are {', '.join(get_args(ExportFormat))}")
    key = key or default_key_file(out)
    _check_free(out, key)
    draws = keyed_draws(settings.seed, names_key)
    entries = _entries(stimulus_set, _selected(stimulus_set, selection), draws, _naming(to, settings))
    if to == "psychopy" and settings.reveal:
        _check_variables(_told(entries, settings))
    sounds = Sounds(stimulus_set, settings, [entry.set_file for entry in entries], draws)
    with atomic_folder(out) as folder:
        made = [_write(entry, sounds, folder) for entry in entries]
        level = sounds.write_calibration(folder, _naming(to, settings))
        date_alike(folder.rglob("*.wav"))
        about = {
            "audiometamer": __version__, "set": stimulus_set.resolve().name,
            "set_manifest_sha256": manifest_sha256(stimulus_set),
            "selection_sha256": None if selection is None else file_sha256(selection), "to": to, "sounds": len(made),
            "settings": settings, "lowered_by_db": round(sounds.lowered_db, 3), "calibration_rms_db": round(level, 3),
        }  # fmt: skip
        _FORMS[to](folder, made, settings)
        write_text(folder / "README.md", _readme(made, settings, level, sounds.lowered_db, _naming(to, settings)))
        write_key(names_key_file(key), draws)
        write_json(key.with_suffix(".json"), about)
        write_private(key, table_text((*_KEY, *_columns_about(made)), (entry.row() for entry in made)))
    return made


def default_key_file(out: Path) -> Path:
    """Where the key to an export lies if nothing else is said: beside its folder."""
    return out.parent / f"{resolved(out).name}-key.tsv"


def names_key_file(key: Path) -> Path:
    """Where the private key lies that the names in a key follow from."""
    return key.with_suffix(".names.key")


def _check_free(out: Path, key: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise AudioMetamerError(f"{out} exists; nothing is overwritten: choose another --out")
    if key.suffix != ".tsv":
        raise AudioMetamerError(f"the key is {key}; its name must end in .tsv")
    for path in (key, key.with_suffix(".json"), names_key_file(key)):
        if path.exists():
            raise AudioMetamerError(f"{path} exists; nothing is overwritten: choose another --key")
    if resolved(out) in resolved(key).parents:
        raise AudioMetamerError(f"the key {key} would lie in {out}, where listeners' programs can read it; keep it apart")


def _selected(stimulus_set: Path, selection: Path | None) -> list[IndexRow]:
    rows = read_index_rows(stimulus_set)
    if selection is not None:
        wanted = {row["file"]: None for row in read_table(selection, required=["file"])}
        by_file = {row.file: row for row in rows}
        if missing := [file for file in wanted if file not in by_file]:
            raise AudioMetamerError(f"{selection} names {missing[0]}, which is no finished item of {stimulus_set}")
        rows = [by_file[file] for file in wanted]
    for row in rows:
        if row.sample_rate is None:
            raise AudioMetamerError(f"{stimulus_set / row.file} is no sound; only sounds are exported")
    exported, sum_of = {row.file for row in rows}, cache(file_sha256)
    for result in iterate_results(stimulus_set):
        if result.file in exported:
            check_belongs(result, sum_of)
    return rows


def _entries(stimulus_set: Path, rows: Sequence[IndexRow], draws: Draws, file_of: Callable[[str], str]) -> list[ExportedSound]:
    """Each metamer and each clip, with names that tell nothing, in the order of these names."""
    clips = read_clips(stimulus_set)
    originals = {row.original: row for row in rows if row.original.endswith(".wav")}
    sources = [(row.file, row, row.layer) for row in rows] + [(path, row, NATURAL) for path, row in originals.items()]
    entries: dict[str, ExportedSound] = {}
    for set_file, row, layer in sources:
        name, natural = draws.name(set_file), layer == NATURAL
        if name in entries:  # of 20,000 sounds, once in a million exports
            raise AudioMetamerError(f"two sounds would be named {name}; choose another --seed")
        about = {column: cell for column, cell in clips.get(row.clip, {}).items() if column not in _KEY}
        entries[name] = ExportedSound(
            stim_id=name, file=file_of(name), clip=row.clip, model="" if natural else row.model, layer=layer,
            seed=None if natural else row.seed, verdict="" if natural else row.verdict, set_file=set_file, about=about,
        )  # fmt: skip
    return [entries[name] for name in sorted(entries)]


def _write(entry: ExportedSound, sounds: Sounds, folder: Path) -> ExportedSound:
    """Write one sound; its entry with its duration and level."""
    sound = sounds.read(entry.set_file)
    write_pcm(folder / entry.file, sound, sounds.settings, name=entry.stim_id, draws=sounds.draws)
    level = round(20 * math.log10(_rms(sound)), 3)
    return msgspec.structs.replace(entry, duration=len(sound) / sounds.settings.sample_rate, rms_db=level)


def _naming(to: ExportFormat, settings: Settings) -> Callable[[str], str]:
    """From the name of a sound to its file in an export."""
    if to == "folder":
        return lambda name: f"{name}.wav"
    if to == "bids" and settings.bids_version == "coming":
        return lambda name: f"stimuli/stim-{name}_audio.wav"
    return lambda name: f"stimuli/{name}.wav"


def _columns_about(entries: Sequence[ExportedSound]) -> list[str]:
    return list(dict.fromkeys(column for entry in entries for column in entry.about))


def _told(entries: Sequence[ExportedSound], settings: Settings) -> list[str]:
    """The columns that say what each sound is, which the tables of an export have with `reveal` alone."""
    about = [column for column in _columns_about(entries) if column not in RIGHTS]
    return ["clip", "model", "layer", "seed", "verdict", *about] if settings.reveal else []


def _table(
    path: Path,
    entries: Sequence[ExportedSound],
    settings: Settings,
    columns: Mapping[str, Callable[[ExportedSound], Any]],
    empty: str = "",
) -> list[str]:
    """Write a table of an export, `empty` for what does not apply; its columns."""
    told = [column for column in _told(entries, settings) if column not in columns]
    rows = [
        {name: entry.row().get(name) for name in told} | {name: of(entry) for name, of in columns.items()} for entry in entries
    ]
    filled = [{name: empty if cell in (None, "") else cell for name, cell in row.items()} for row in rows]
    write_table(path, (*columns, *told), filled)
    return [*columns, *told]


def _write_folder(folder: Path, entries: Sequence[ExportedSound], settings: Settings) -> None:
    """``sounds.tsv``: a row for each sound."""
    _table(folder / "sounds.tsv", entries, settings, {"file": _file, "stim_id": _stim_id, "duration": _duration})


def _write_psychopy(folder: Path, entries: Sequence[ExportedSound], settings: Settings) -> None:
    """``conditions.csv``: what a loop of PsychoPy reads; its columns become variables."""
    _table(folder / "conditions.csv", entries, settings, {"stim_file": _file, "stim_id": _stim_id, "duration": _duration})


def _check_variables(columns: Sequence[str]) -> None:
    """PsychoPy makes each column a variable: letters, digits and underscores, a letter first."""
    if wrong := [column for column in columns if not (column.isidentifier() and column.isascii())]:
        raise AudioMetamerError(
            f"PsychoPy takes no column {wrong[0]!r}: letters, digits and underscores only, a letter first; rename it in the "
            "table of the clips, or do without --reveal"
        )


def _file(entry: ExportedSound) -> str:
    return entry.file


def _stim_id(entry: ExportedSound) -> str:
    return entry.stim_id


def _duration(entry: ExportedSound) -> float | None:
    return entry.duration


_COLUMNS = {
    "stim_file": "The sound, as it lies in stimuli/.",
    "stim_id": "The sound: a stimulus_id of stimuli/stimuli.tsv.",
    "stimulus_id": "The sound: the beginning of its file's name.",
    "type": "What kind of stimulus it is.",
    "filename": "The sound's file in stimuli/.",
    "license": "Of the clip that the sound is, or was made from.",
    "copyright": "Who is to be named for that clip.",
    "description": "What it is.",
    "present": "Whether the file is there.",
    "clip": "The natural clip.",
    "model": "The network that the metamer was made for; none for a natural clip.",
    "layer": "The matched layer; natural: the clip itself.",
    "seed": "Of the metamer.",
    "verdict": "Whether it is a metamer by its criteria.",
}


def _write_bids(folder: Path, entries: Sequence[ExportedSound], settings: Settings) -> None:
    """``stimuli/`` at the root of a BIDS data set, and in ``sourcedata/`` rows for the participants' ``events.tsv``."""
    licences = [entry.right("licence") for entry in entries]
    about = description("Stimuli made with audiometamer", licences, kind="raw", told_in="README.md")
    write_json(folder / "dataset_description.json", about)
    name_file = _naming("bids", settings)
    catalogue: dict[str, Callable[[ExportedSound], Any]] = {
        "stimulus_id": lambda entry: f"stim-{entry.stim_id}",
        "type": lambda _: "audio",
        "filename": lambda entry: name_file(entry.stim_id).removeprefix("stimuli/"),
        "description": lambda entry: "sound to calibrate by" if entry.stim_id in (NOISE, TONE) else "sound",
        "present": lambda _: "true",
    }
    if settings.reveal:  # whose clip it is tells what it is
        catalogue |= {"license": lambda e: e.right("licence"), "copyright": lambda e: e.right("attribution")}
    events: dict[str, Callable[[ExportedSound], Any]] = {"onset": lambda _: None, "duration": _duration}
    if settings.bids_version == "coming":
        stimuli = [*entries, *map(_calibration_entry, (NOISE, TONE))]
        _described(folder / "stimuli" / "stimuli.tsv", stimuli, settings, catalogue)
        events["stim_id"] = catalogue["stimulus_id"]
    else:
        events["stim_file"] = catalogue["filename"]
    _described(folder / "sourcedata" / "events.tsv", entries, settings, events)


def _described(
    path: Path, entries: Sequence[ExportedSound], settings: Settings, columns: Mapping[str, Callable[[ExportedSound], Any]]
) -> None:
    """A table as BIDS takes it and, beside it, a JSON that says what its columns are."""
    written = _table(path, entries, settings, columns, empty="n/a")
    own = [name for name in written if name not in ("onset", "duration")]  # BIDS itself says what these are
    about = {name: {"Description": _COLUMNS.get(name, f"Of the clip: {name}.")} for name in own}
    write_json(path.with_suffix(".json"), about)


def _calibration_entry(name: str) -> ExportedSound:
    rights = {"licence": "CC0-1.0", "attribution": "n/a"}
    return ExportedSound(stim_id=name, file="", clip="", model="", layer="", seed=None, verdict="", set_file="", about=rights)


_FORMS: dict[ExportFormat, Callable[[Path, Sequence[ExportedSound], Settings], None]] = {
    "bids": _write_bids,
    "psychopy": _write_psychopy,
    "folder": _write_folder,
}


def _readme(
    entries: Sequence[ExportedSound], settings: Settings, level: float, lowered: float, file_of: Callable[[str], str]
) -> str:
    """What an export is and how loud; nothing of what each sound is."""
    if settings.factor is None:
        plays = "the level at which the sounds play"
        same = f"Every sound, the noise and the tone have the same RMS: {level:.2f} dB re full scale, where a constant 1 has 0 dB"
    else:
        plays = "the sounds' mean level"
        same = (
            f"All sounds were multiplied by {settings.factor:g}; noise and tone have the mean power of the set, {level:.2f} dB "
            f"re full scale, and the key tells how far each sound is from it"
        )
    down = f" The whole set was lowered by {lowered:.2f} dB so that no peak clips." if lowered else ""
    of_clips = sorted({(entry.right("licence"), entry.right("attribution")) for entry in entries})
    rights = "\n".join(f"- {licence}; {named}" for licence, named in of_clips)
    return f"""# Presentation copies

{len(entries)} sounds, {settings.sample_rate} Hz, {settings.bits} bits with triangular dither, raised-cosine ramps of
{settings.ramp:g} ms. Their names tell nothing; the key to them is kept elsewhere. Made with audiometamer {__version__}.

## Level
{same}.{down}

- `{file_of(NOISE)}`: Gaussian noise with the average spectrum of these sounds, 10 s.
- `{file_of(TONE)}`: 1 kHz, 10 s.

Set the level with the noise: the equivalent level that a sound level meter reads over it is {plays}.
The tone has the same RMS and is for checking the equipment.

## Licences of the clips, and whom to name
{rights}
"""
