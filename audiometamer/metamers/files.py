"""Write a metamer as ``OUT/<clip>/<model>/<layer>_seed<k>.wav`` and the JSON record beside it, and read it back.

Sounds are float32 WAVs, images 16-bit PNGs, and other signals ``.npy`` files.
"""

import itertools
import shutil
from dataclasses import replace
from pathlib import Path

import msgspec

from audiometamer.errors import AudioMetamerError, BrokenError
from audiometamer.io.files import atomic_write, set_aside, write_json
from audiometamer.io.hashes import file_sha256
from audiometamer.metamers.clip_folders import check_folder, check_record, original_path, save_original
from audiometamer.metamers.evidence import Evidence
from audiometamer.metamers.integrity import check_integrity
from audiometamer.metamers.layout import checkpoint_path, find_clip_records, record_path, signal_path
from audiometamer.metamers.record_files import decode_record
from audiometamer.metamers.results import Result, read_result
from audiometamer.metamers.settings import Settings
from audiometamer.metamers.synthesis import Metamer
from audiometamer.metamers.targets import GivenTarget, read_target
from audiometamer.metamers.unfinished import can_resume
from audiometamer.signals.audio import Clip
from audiometamer.signals.files import read_signal, write_signal
from audiometamer.signals.whole import is_whole


class _Item(msgspec.Struct):
    """The part of an ``item.json`` that is read here."""

    evidence: Evidence


_items, _evidence = msgspec.json.Decoder(_Item), msgspec.json.Decoder(Evidence)


def save_metamer(out: Path, metamer: Metamer) -> Path:
    """Write a metamer as `write_metamer`, and return the path of its signal."""
    write_metamer(out, metamer)
    return signal_path(record_path(out, metamer.evidence.settings), metamer.evidence.domain)


def write_metamer(out: Path, metamer: Metamer) -> Metamer:
    """Write a metamer's signal and record, and beside them the natural signal, or the given target, unless it is there.

    The record is written last: a signal without one is unfinished work.

    Parameters
    ----------
    out : path
        The folder of metamers.
    metamer : Metamer

    Returns
    -------
    Metamer
        With the SHA-256 of its files in its evidence, as in the record.

    Raises
    ------
    AudioMetamerError
        As `check_clip_folder`.
    """
    evidence, clip = metamer.evidence, metamer.clip
    settings = evidence.settings
    record = record_path(out, settings)
    path = signal_path(record, evidence.domain)
    folder = check_folder(out, clip, settings.model, evidence.domain)
    # An original vouches for the records beside it; without one, each is checked.
    records = [record] if is_whole(original_path(folder, clip, evidence.domain)) else find_clip_records(folder)
    for other in records:
        check_record(other, clip.name, settings.model, settings.clip_sha256 if isinstance(clip, Clip) else "")
    original = save_original(folder, clip, evidence.domain, evidence.sample_rate)
    _set_aside_broken(record, path)
    write_signal(path, metamer.samples, evidence.sample_rate)
    evidence = with_checksums(evidence, path, original)
    write_json(record, evidence)
    checkpoint_path(out, settings).unlink(missing_ok=True)
    return replace(metamer, evidence=evidence)


def _set_aside_broken(record: Path, signal: Path) -> None:
    """Rename a record and its signal out of the way if they are damaged."""
    try:
        if record.exists():
            evidence_from_result(read_result(record, whole=True))
    except BrokenError:
        set_aside(signal)
        set_aside(record)


def with_checksums(evidence: Evidence, signal: Path, original: Path) -> Evidence:
    """The evidence of a metamer with the SHA-256 of its files as they have just been written."""
    return msgspec.structs.replace(evidence, signal_sha256=file_sha256(signal), original_sha256=file_sha256(original))


def archive_attempt(out: Path, evidence: Evidence) -> None:
    """Copy a metamer that is attempted again into ``attempts/``, with its record, before it is replaced."""
    record = record_path(out, evidence.settings)
    for number in itertools.count():
        archived = record.parent / "attempts" / f"{record.stem}-{number}.json"
        if not archived.exists():
            break
    signal = signal_path(record, evidence.domain)
    for source, copy in ((signal, archived.with_suffix(signal.suffix)), (record, archived)):
        with atomic_write(copy) as temporary:
            shutil.copyfile(source, temporary)


def read_evidence(path: Path) -> Evidence:
    """Read the record of a metamer; `path` is the record's, or its signal's."""
    return evidence_from_result(read_result(path))


def evidence_from_result(result: Result) -> Evidence:
    """Read the full evidence of a metamer in a folder."""
    record = result.folder / result.record
    return decode_record(record, _items, "a metamer").evidence if result.in_set else decode_record(record, _evidence, "a metamer")


def read_metamer(path: Path) -> Metamer:
    """Read a metamer that `save_metamer`, or the run of a plan, wrote; `path` is the signal's, or its record's."""
    return metamer_from_result(read_result(path))


def metamer_from_result(result: Result) -> Metamer:
    """Read a metamer in a folder, with its signal and its original.

    Raises
    ------
    AudioMetamerError
        If something cannot be read, or its signal or its original is not that of its record.
    """
    check_integrity(result)
    evidence, original = evidence_from_result(result), result.folder / result.original
    name, notices = evidence.settings.clip, tuple(evidence.clip_notices)
    clip: Clip | GivenTarget
    if result.has_clip:
        clip = Clip(name, read_signal(original), evidence.sample_rate, notices, evidence.source)
    else:
        clip = GivenTarget(name, read_target(original).activations, notices)
    return Metamer(read_signal(result.path), clip, evidence)


def find_metamer(out: Path, settings: Settings) -> Metamer | None:
    """Read the metamer of these settings in `out`; None if there is none.

    Raises
    ------
    BrokenError
        If it is damaged: it counts as not made.
    AudioMetamerError
        If one of the same name but other settings is there: nothing is overwritten unasked. As `metamer_from_result`.
    """
    record = record_path(out, settings)
    if not record.exists():
        return None
    result = read_result(record, whole=True)
    found = result.evidence.settings
    if found != settings:
        differing = [name for name in Settings.__struct_fields__ if getattr(found, name) != getattr(settings, name)]
        raise AudioMetamerError(
            f"{result.path} exists and was made with another {', '.join(differing)}; choose another --out, or --overwrite it"
        )
    return metamer_from_result(result)


def has_attempts_left(out: Path, evidence: Evidence) -> bool:
    """Whether a finished metamer of `out` failed a new verdict, and its method has attempts left for it."""
    settings = evidence.settings
    return evidence.verdict.passed is False and can_resume(
        checkpoint_path(out, settings), seed=settings.seed, attempts=len(evidence.tries)
    )
