"""Write a metamer as ``OUT/<clip>/<model>/<layer>_seed<k>.wav`` and the JSON record beside it.

Sounds are float32 WAVs, images 16-bit PNGs, and other signals ``.npy`` files.
"""

import itertools
import shutil
from pathlib import Path

import msgspec
from torch import Tensor

from audiometamer.errors import BrokenError
from audiometamer.io.files import atomic_write, set_aside, write_json
from audiometamer.io.hashes import file_sha256
from audiometamer.metamers.clip_folders import check_folder, check_record, original_path, save_original
from audiometamer.metamers.evidence import Evidence
from audiometamer.metamers.layout import checkpoint_path, find_clip_records, record_path, signal_path
from audiometamer.metamers.record_files import decode_record
from audiometamer.metamers.results import Result, read_result
from audiometamer.metamers.targets import GivenTarget
from audiometamer.signals.audio import Clip
from audiometamer.signals.files import write_signal
from audiometamer.signals.integrity import is_intact


class _Item(msgspec.Struct):
    """The part of an ``item.json`` that is read here."""

    evidence: Evidence


_items, _evidence = msgspec.json.Decoder(_Item), msgspec.json.Decoder(Evidence)


def save_signal(out: Path, signal: Tensor, clip: Clip | GivenTarget, evidence: Evidence) -> Evidence:
    """Write a metamer's signal and record, and beside them the natural signal, or the given target, unless it is there.

    The record is written last: a signal without one is unfinished work.

    Parameters
    ----------
    out : path
        The folder of metamers.
    signal : Tensor [shape=signal_shape]
    clip : Clip or GivenTarget
    evidence : Evidence

    Returns
    -------
    Evidence
        Evidence with the SHA-256 of the files, as in the record.

    Raises
    ------
    AudioMetamerError
        As `check_clip_folder`.
    """
    settings = evidence.settings
    record = record_path(out, settings)
    path = signal_path(record, evidence.domain)
    folder = check_folder(out, clip, settings.model, evidence.domain)
    # An original vouches for the records beside it; without one, each is checked.
    records = [record] if is_intact(original_path(folder, clip, evidence.domain)) else find_clip_records(folder)
    for other in records:
        check_record(other, clip.name, settings.model, settings.clip_sha256 if isinstance(clip, Clip) else "")
    original = save_original(folder, clip, evidence.domain, evidence.sample_rate)
    _set_aside_broken(record, path)
    write_signal(path, signal, evidence.sample_rate)
    evidence = with_checksums(evidence, path, original)
    write_json(record, evidence)
    checkpoint_path(out, settings).unlink(missing_ok=True)
    return evidence


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


def evidence_from_result(result: Result) -> Evidence:
    """Read the full evidence of a metamer in a folder."""
    record = result.folder / result.record
    return decode_record(record, _items, "a metamer").evidence if result.in_set else decode_record(record, _evidence, "a metamer")
