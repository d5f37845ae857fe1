"""Presentation copies of a set: PCM at a sound card's rate, one level for all, ramps, opaque names, and calibration sounds."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

import msgspec

from audiometamer.errors import AudioMetamerError
from audiometamer.io.draws import Draws, equalize_mtimes, keyed_draws, write_key
from audiometamer.io.files import atomic_folder, write_json, write_private, write_text
from audiometamer.io.hashes import file_sha256
from audiometamer.io.paths import real_path
from audiometamer.io.tables import read_table, table_text
from audiometamer.metamers.integrity import check_integrity
from audiometamer.metamers.results import iterate_results
from audiometamer.models.inputs import NATURAL
from audiometamer.signals.presentation import NOISE, TONE, PresentationSettings, Sounds, _rms, write_pcm
from audiometamer.stimuli.clips import read_clips
from audiometamer.stimuli.exports.bids import BIDS
from audiometamer.stimuli.exports.folder import FOLDER
from audiometamer.stimuli.exports.psychopy import PSYCHOPY
from audiometamer.stimuli.exports.readme import readme
from audiometamer.stimuli.exports.sounds import KEY_COLUMNS, ExportedSound, ExportFormat, columns_about
from audiometamer.stimuli.index import IndexRow, read_index_rows
from audiometamer.stimuli.verify import manifest_sha256
from audiometamer.version import __version__

FormatName = Literal["bids", "psychopy", "folder"]
_FORMATS: dict[FormatName, ExportFormat] = {"bids": BIDS, "psychopy": PSYCHOPY, "folder": FOLDER}


def export(
    stimulus_set: Path,
    out: Path,
    *,
    to: FormatName,
    settings: PresentationSettings,
    selection: Path | None = None,
    key: Path | None = None,
    names_key: Path | None = None,
) -> list[ExportedSound]:
    """Write presentation copies of a set's metamers and of their clips into a new folder, and the key to them beside it.

    The files of `out` do not reveal what they are; the key does, and lies elsewhere, with the settings in a JSON of the same name
    and, in `names_key_file`, the private key that names and dither follow from. The same set, settings and private key give the
    same files.

    Parameters
    ----------
    stimulus_set, out : path
    to : {"bids", "psychopy", "folder"}
    settings : Settings
    selection : path, optional
        A ``selection.tsv`` of `audiometamer.stimuli.select`. Default: every finished item, including those that failed.
    key : path, optional
        Default: `out` with ``-key.tsv``.
    names_key : path, optional
        Private key of an earlier export or an experiment, for the same names. Default: a fresh one.

    Returns
    -------
    list of ExportedSound
        As in the key.

    Raises
    ------
    AudioMetamerError
        If `out` or a key exists, the private key cannot be read, a sound cannot be read or is silent, an item is no sound, a peak
        would clip and `settings.peaks` is "stop", or a ramp is too long.
    """
    if to not in _FORMATS:
        raise AudioMetamerError(f"{to!r} is no form of export; there are {', '.join(_FORMATS)}")
    form, key = _FORMATS[to], key or default_key_file(out)
    _check_free(out, key)
    draws = keyed_draws(settings.seed, names_key)

    def file_of(name: str) -> str:
        return form.file_of(name, settings)

    planned = _planned(stimulus_set, _selected(stimulus_set, selection), draws, file_of)
    form.check(planned, settings)
    sounds = Sounds(stimulus_set, settings, [sound.set_file for sound in planned], draws)
    with atomic_folder(out) as folder:
        written = [_write(sound, sounds, folder) for sound in planned]
        level = sounds.write_calibration(folder, file_of)
        equalize_mtimes(folder.rglob("*.wav"))
        form.write(folder, written, settings)
        files = {name: file_of(name) for name in (NOISE, TONE)}
        write_text(folder / "README.md", readme(written, settings, files, level=level, lowered=sounds.lowered_db))
        about = {
            **_origin(stimulus_set, selection), "to": to, "sounds": len(written), "settings": settings,
            "lowered_by_db": round(sounds.lowered_db, 3), "calibration_rms_db": round(level, 3),
        }  # fmt: skip
        _write_key(key, draws, written, about)
    return written


def _origin(stimulus_set: Path, selection: Path | None) -> dict[str, Any]:
    """The source of an export."""
    return {
        "audiometamer": __version__,
        "set": stimulus_set.resolve().name,
        "set_manifest_sha256": manifest_sha256(stimulus_set),
        "selection_sha256": None if selection is None else file_sha256(selection),
    }


def _write_key(key: Path, draws: Draws, sounds: Sequence[ExportedSound], about: Mapping[str, Any]) -> None:
    """Write the private key of the names, how the export was made, and last what each sound is."""
    write_key(names_key_file(key), draws)
    write_json(key.with_suffix(".json"), about)
    write_private(key, table_text((*KEY_COLUMNS, *columns_about(sounds)), (sound.row() for sound in sounds)))


def default_key_file(out: Path) -> Path:
    """Default path of the key to an export: beside its folder."""
    return out.parent / f"{real_path(out).name}-key.tsv"


def names_key_file(key: Path) -> Path:
    """Path of the private key that the names in a key follow from."""
    return key.with_suffix(".names.key")


def _check_free(out: Path, key: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise AudioMetamerError(f"{out} exists; nothing is overwritten: choose another --out")
    if key.suffix != ".tsv":
        raise AudioMetamerError(f"the key is {key}; its name must end in .tsv")
    for path in (key, key.with_suffix(".json"), names_key_file(key)):
        if path.exists():
            raise AudioMetamerError(f"{path} exists; nothing is overwritten: choose another --key")
    if real_path(out) in real_path(key).parents:
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
    exported, file_hash = {row.file for row in rows}, cache(file_sha256)
    for result in iterate_results(stimulus_set):
        if result.file in exported:
            check_integrity(result, file_hash)
    return rows


def _planned(stimulus_set: Path, rows: Sequence[IndexRow], draws: Draws, file_of: Callable[[str], str]) -> list[ExportedSound]:
    """Each metamer and each clip, with names that reveal nothing, in the order of these names."""
    clips = read_clips(stimulus_set)
    originals = {row.original: row for row in rows if row.original.endswith(".wav")}
    sources = [(row.file, row, row.layer) for row in rows] + [(path, row, NATURAL) for path, row in originals.items()]
    found: dict[str, ExportedSound] = {}
    for set_file, row, layer in sources:
        name, natural = draws.name(set_file), layer == NATURAL
        if name in found:  # of 20,000 sounds, once in a million exports
            raise AudioMetamerError(f"two sounds would be named {name}; choose another --seed")
        about = {column: cell for column, cell in clips.get(row.clip, {}).items() if column not in KEY_COLUMNS}
        found[name] = ExportedSound(
            stim_id=name, file=file_of(name), clip=row.clip, model="" if natural else row.model, layer=layer,
            seed=None if natural else row.seed, verdict="" if natural else row.verdict, set_file=set_file, about=about,
        )  # fmt: skip
    return [found[name] for name in sorted(found)]


def _write(sound: ExportedSound, sounds: Sounds, folder: Path) -> ExportedSound:
    """Write one sound; returns it with its duration and level."""
    samples = sounds.read(sound.set_file)
    write_pcm(folder / sound.file, samples, sounds.settings, name=sound.stim_id, draws=sounds.draws)
    level = round(20 * math.log10(_rms(samples)), 3)
    return msgspec.structs.replace(sound, duration=len(samples) / sounds.settings.sample_rate, rms_db=level)
