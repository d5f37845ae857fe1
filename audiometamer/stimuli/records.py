"""Write the items of a set; each record last, by rename, so that an item is whole or absent."""

import hashlib
import os
import platform
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec.structs import replace

from audiometamer.errors import AudioMetamerError, one_line
from audiometamer.io.files import json_text, set_aside, write_json, write_text
from audiometamer.io.hashes import file_sha256, sha256_of
from audiometamer.io.names import safe_name
from audiometamer.io.tables import write_table
from audiometamer.metamers.clip_folders import file_holds_clip
from audiometamer.metamers.evidence import Evidence
from audiometamer.metamers.files import metamer_from_result
from audiometamer.metamers.layout import PLANNED, RECORD, suffix_of
from audiometamer.metamers.measuring import rank_key
from audiometamer.metamers.metamer import Metamer
from audiometamer.metamers.record_files import decode_record
from audiometamer.metamers.results import PlannedRow, read_result
from audiometamer.metamers.saving import with_checksums
from audiometamer.metamers.unfinished import Unfinished, save_unfinished
from audiometamer.signals.audio import Clip
from audiometamer.signals.files import write_signal
from audiometamer.signals.integrity import is_intact
from audiometamer.stimuli.clips import natural_clips
from audiometamer.stimuli.identity import Identity
from audiometamer.stimuli.items import PlannedItem
from audiometamer.stimuli.layout import ATTEMPTS, CHECKPOINT, ERROR, NATURAL_CLIPS, ORIGINALS, Failure
from audiometamer.stimuli.proof import insert_seal
from audiometamer.stimuli.verify import listed_sum


class ItemRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``item.json``: present once an item is complete.

    Parameters
    ----------
    key : str
    identity : Identity
    original : str
        Path of the natural clip in the set.
    attempts : list of int
        Seeds of the attempts.
    file : str
        Path of the signal, relative to the item's folder.
    evidence : Evidence
    made : str
        Time, in UTC.
    host : str
    replaces : list of str
        SHA-256 of the records that it replaces, oldest first.
    seal : str
        SHA-256 of the file with an empty seal; empty, like `replaces`, in records of version 0.2 and earlier.
    """

    key: str
    identity: Identity
    original: str
    attempts: list[int]
    file: str
    evidence: Evidence
    made: str
    host: str
    replaces: list[str] = []
    seal: str = ""


def write_record(path: Path, record: ItemRecord) -> None:
    """Write an ``item.json`` that lists the records it replaces and is sealed against edits by hand."""
    text = json_text(replace(record, replaces=_replaced(path), seal="")) + "\n"
    write_text(path, insert_seal(text, hashlib.sha256(text.encode()).hexdigest()))


def _replaced(path: Path) -> list[str]:
    """Hashes of the records that one at `path` replaces: the existing one and those before; or else the one in the manifest."""
    before = []
    with suppress(AudioMetamerError):  # missing or unreadable
        before = [*read_record(path).replaces, file_sha256(path)]
    return before or listed_sum(path)


_records = msgspec.json.Decoder(ItemRecord)


def read_record(path: Path) -> ItemRecord:
    """Read an ``item.json``."""
    return decode_record(path, _records, "an item")


def save_item(folder: Path, item: PlannedItem, metamer: Metamer, *, attempt: int) -> None:
    """Write an attempt at an item into a set; the record last, by rename.

    The record is that of the best attempt, by `audiometamer.metamers.measuring.rank_key`; all are kept in ``attempts/``.
    At the first attempt, an existing record is broken: it is set aside, with its signals.
    """
    at, evidence = folder / item.folder, metamer.evidence
    signal = f"metamer{suffix_of(evidence.domain)}"
    assert isinstance(metamer.clip, Clip)
    original = save_original(folder, metamer.clip, evidence.domain)
    own = at / ATTEMPTS / str(attempt) if attempt else at
    if not attempt:
        if (at / RECORD).exists():
            set_aside(at / signal)
        set_aside(at / ATTEMPTS)
        set_aside(at / RECORD)
    write_signal(own / signal, metamer.samples, evidence.sample_rate)
    evidence = with_checksums(evidence, own / signal, folder / original)
    record = ItemRecord(item.key, item.identity, original, [evidence.settings.seed], signal, evidence, _now(), platform.node())
    if attempt:
        write_record(own / RECORD, record)
        before = read_record(at / RECORD)
        if len(before.attempts) == 1 or not (at / ATTEMPTS / "0" / RECORD).exists():
            write_record(at / ATTEMPTS / "0" / RECORD, replace(before, file=f"../../{before.file}"))
        better = (
            replace(record, file=f"{ATTEMPTS}/{attempt}/{signal}") if rank_key(evidence) > rank_key(before.evidence) else before
        )
        record = replace(better, attempts=[*before.attempts, evidence.settings.seed])
    write_record(at / RECORD, record)
    (at / ERROR).unlink(missing_ok=True)
    (at / CHECKPOINT).unlink(missing_ok=True)


def rejudge_item(
    folder: Path,
    item: PlannedItem,
    rejudge: Callable[[Metamer], Metamer],
    resume: Callable[[Metamer], Unfinished | None],
) -> Callable[[], None]:
    """Judge all attempts at an item again; returns the function that rewrites their records. The best becomes the item.

    Parameters
    ----------
    folder : path
        The set.
    item : Planned
    rejudge : callable
        Maps a metamer to the same metamer with its new verdict.
    resume : callable
        From a metamer that failed to the state from which its synthesis resumes, which is written as a checkpoint; None if there
        is nothing to resume.
    """
    at = folder / item.folder
    attempts = sorted((at / ATTEMPTS).glob(f"*/{RECORD}"), key=lambda path: int(path.parent.name))
    metamers = [rejudge(metamer_from_result(read_result(path, whole=True))) for path in attempts or [at / RECORD]]
    best = max(range(len(metamers)), key=lambda k: rank_key(metamers[k].evidence))
    unfinished = resume(metamers[best])
    whole = replace(read_record(at / RECORD), evidence=metamers[best].evidence)
    if attempts:
        file = os.path.normpath(attempts[best].parent.relative_to(at) / read_record(attempts[best]).file)
        whole = replace(whole, file=Path(file).as_posix())

    def write() -> None:
        if unfinished is not None:
            save_unfinished(at / CHECKPOINT, unfinished)  # first: a verdict that is written is not given again
        for path, metamer in zip(attempts, metamers, strict=False):
            write_record(path, replace(read_record(path), evidence=metamer.evidence))
        write_record(at / RECORD, whole)

    return write


def save_original(folder: Path, clip: Clip, domain: str) -> str:
    """Write the natural clip unless it is there and whole; its hash is in its name, since models take it in several ways.

    Returns
    -------
    str
        Its path in the set.

    Raises
    ------
    AudioMetamerError
        If another clip is there.
    """
    rate = "" if clip.sample_rate is None else f"@{clip.sample_rate}"
    name = safe_name(f"{clip.name}{rate}-{sha256_of(clip.samples)[:8]}") + suffix_of(domain)
    if not is_intact(path := folder / ORIGINALS / name):
        set_aside(path)
        write_signal(path, clip.samples, clip.sample_rate)
    elif not file_holds_clip(path, clip):
        raise AudioMetamerError(f"{path} is another clip; put {clip.name!r} back, or delete the file to have it written")
    return f"{ORIGINALS}/{name}"


def save_natural(folder: Path, clips: Sequence[Clip]) -> None:
    """Write natural clips that have no metamers, and list them in ``natural.tsv``, beside those of earlier plans."""
    kinds = ["Image" if clip.sample_rate is None else "Waveform" for clip in clips]
    saved = {clip.name: save_original(folder, clip, kind) for clip, kind in zip(clips, kinds, strict=True)}
    known = natural_clips(folder) | saved
    if clips:
        write_table(folder / NATURAL_CLIPS, ("clip", "file"), [{"clip": name, "file": known[name]} for name in sorted(known)])


def save_failure(folder: Path, item: PlannedItem, error: BaseException) -> None:
    """Write why an item could not be made."""
    write_json(folder / item.folder / ERROR, Failure(one_line(error), type(error).__name__, _now()))


def write_planned(folder: Path, items: Sequence[PlannedItem]) -> None:
    """List the items of a plan, so that its status is known without its models and clips."""
    settings = ((item, item.identity.settings) for item in items)
    rows = (PlannedRow(item.key, s.clip, s.model, s.layer, s.seed, item.folder) for item, s in settings)
    write_table(folder / PLANNED, PlannedRow._fields, (row._asdict() for row in rows))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
