"""Consistency of a set without a manifest: of records with each other, their signals and their originals."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

import msgspec
from msgspec.structs import replace

from audiometamer.errors import AudioMetamerError
from audiometamer.io.hashes import file_sha256
from audiometamer.io.names import portable_key
from audiometamer.io.reading import JSON_ERRORS, read_file_bytes
from audiometamer.metamers.integrity import is_original, is_signal
from audiometamer.metamers.layout import ITEMS, RECORD
from audiometamer.metamers.summaries import EvidenceSummary
from audiometamer.stimuli.identity import Identity, folder_of_item
from audiometamer.stimuli.layout import ATTEMPTS

DifferenceKind = Literal["missing", "changed", "extra", "unreadable", "link", "misplaced", "foreign"]


class Difference(NamedTuple):
    """One file that is not as it should be.

    By the manifest it is ``missing``, ``changed``, ``extra`` or ``unreadable``; it is a ``link``; a record is ``misplaced`` in a
    folder that is not its own; a signal or an original is ``foreign`` to its record; a record was ``changed`` by hand.
    """

    kind: DifferenceKind
    file: str


class RecordProof(msgspec.Struct, frozen=True):
    """The part of an ``item.json`` that proves something; see `audiometamer.stimuli.records.ItemRecord`."""

    key: str
    original: str
    attempts: list[int]
    file: str
    evidence: EvidenceSummary
    identity: msgspec.Raw = msgspec.Raw(b"{}")
    replaces: list[str] = []
    seal: str = ""


_held = msgspec.json.Decoder(RecordProof)
_identities = msgspec.json.Decoder(Identity)
_SEAL = '"seal": "{}"'


def insert_seal(text: str, seal: str) -> str:
    """Insert the seal into a record whose seal is empty."""
    return text.replace(_SEAL.format(""), _SEAL.format(seal))


def is_sealed(content: bytes, seal: str) -> bool:
    """Whether a record is unchanged since it was written; True if it has no seal."""
    unsealed = content.replace(_SEAL.format(seal).encode(), _SEAL.format("").encode())
    return not seal or hashlib.sha256(unsealed).hexdigest() == seal


@dataclass
class SetContents:
    """Hashes of the files of a set, each read once, and its records.

    Parameters
    ----------
    folder : path
    sums : dict of str to str
        SHA-256 by file.
    records : dict of str to Held
    edited : set of str
        Records whose seal is broken, or that are not records.
    """

    folder: Path
    sums: dict[str, str] = field(default_factory=dict)
    records: dict[str, RecordProof] = field(default_factory=dict)
    edited: set[str] = field(default_factory=set)

    def read(self, file: str) -> None:
        """Read a file and keep its hash.

        Raises
        ------
        AudioMetamerError
            If it cannot be read.
        """
        path = self.folder / file
        if path.exists() and not (path.is_file() or path.is_dir()):  # a pipe would block
            raise AudioMetamerError(f"{path} is not a file")
        if not is_record(file):
            self.sums[file] = file_sha256(path)
            return
        try:
            content = read_file_bytes(path)
        except OSError as error:
            raise AudioMetamerError(f"{path} cannot be read: {error.strerror}") from error
        self.sums[file] = hashlib.sha256(content).hexdigest()
        try:
            self.records[file] = held = _held.decode(content)
        except JSON_ERRORS:
            self.edited.add(file)
        else:
            if not is_sealed(content, held.seal):
                self.edited.add(file)

    def file_hash(self, path: Path) -> str:
        """The hash of a file that was read."""
        return self.sums[path.relative_to(self.folder).as_posix()]

    def stated_hashes(self, file: str) -> dict[str, str]:
        """The hashes that a record states for its files; none in records of earlier versions."""
        held = self.records[file]
        stated = {signal_of(file, held): held.evidence.signal_sha256, held.original: held.evidence.original_sha256}
        return {name: digest for name, digest in stated.items() if digest}


def is_record(file: str) -> bool:
    """Whether a file of a set is, by its name, the record of an item or of an attempt at one."""
    parts = PurePosixPath(file).parts
    return parts[0] == ITEMS and parts[-1] == RECORD and (len(parts) == 5 or (len(parts) == 7 and parts[4] == ATTEMPTS))


def signal_of(file: str, held: RecordProof) -> str:
    """Path of a record's signal in the set."""
    return PurePosixPath(os.path.normpath(PurePosixPath(file).parent / held.file)).as_posix()


def find_faults(contents: SetContents) -> Iterator[Difference]:
    """Find records that were changed or misplaced, and signals and originals that do not belong to their records."""
    originals: dict[tuple[str, str], bool] = {}  # whether one is what a record states; many records share it
    for file in sorted(contents.edited):
        yield Difference("changed", file)
    for file, held in contents.records.items():
        if file not in contents.edited and (kind := _fault(file, held, contents.records)):
            yield Difference(kind, file)
        evidence, signal, original = held.evidence, signal_of(file, held), held.original
        yield from (Difference("missing", name) for name in (signal, original) if name not in contents.sums)
        if signal in contents.sums and not is_signal(evidence, contents.folder / signal, contents.file_hash):
            yield Difference("foreign", signal)
        if original in contents.sums:
            stated = (original, evidence.original_sha256 or evidence.settings.clip_sha256)
            try:
                if stated not in originals:
                    originals[stated] = is_original(evidence, contents.folder / original, contents.file_hash)
                if not originals[stated]:
                    yield Difference("foreign", original)
            except AudioMetamerError:
                yield Difference("unreadable", original)


def _fault(file: str, held: RecordProof, records: Mapping[str, RecordProof]) -> DifferenceKind | None:
    """Faults of a record by itself, or compared with its item's."""
    at = PurePosixPath(file).parent
    item = at.parents[1] if at.parent.name == ATTEMPTS else at
    identity = _identity(held)
    if identity is None or _is_of_version_0_1(
        held, identity, is_later=at != item and at.name != "0"
    ):  # whose keys and folders were made differently
        if not item.name.endswith(f"-{held.key}"):
            return "misplaced"
    elif portable_key(item) != portable_key(folder_of_item(identity.settings, held.key)):
        return "misplaced"
    elif not _agrees(held, identity):
        return "changed"
    return None if at == item else _fault_of_attempt(at, held, records.get(f"{item}/{RECORD}"))


def _identity(held: RecordProof) -> Identity | None:
    try:
        return _identities.decode(held.identity)
    except msgspec.MsgspecError:
        return None


def _is_of_version_0_1(held: RecordProof, identity: Identity, *, is_later: bool) -> bool:
    """Whether an item has its key from version 0.1, which hashed the judge too; attempts by version 0.2 do not record that."""
    retried = is_later or held.attempts != [identity.settings.seed]
    return identity.judge_sha256 is not None or (retried and not held.seal and held.key != identity.key)


def _agrees(held: RecordProof, identity: Identity) -> bool:
    """Whether key, identity and evidence of a record belong to one item."""
    settings = held.evidence.settings
    same = replace(settings, seed=identity.settings.seed) == identity.settings
    return same and held.key == identity.key and settings.seed in held.attempts


def _fault_of_attempt(at: PurePosixPath, held: RecordProof, item: RecordProof | None) -> DifferenceKind | None:
    if item is None or not at.name.isdigit() or (number := int(at.name)) >= len(item.attempts):
        return None  # the item is missing; or its record is not yet written
    first = held.file.startswith("../../")
    if held.key != item.key or held.evidence.settings.seed != item.attempts[number] or first != (number == 0):
        return "misplaced"
    file = PurePosixPath(os.path.normpath(PurePosixPath(ATTEMPTS, at.name) / held.file)).as_posix()
    return "changed" if file == item.file and held.evidence != item.evidence else None
