"""The finished metamers of a folder, whether of ``audiometamer synth`` or ``audiometamer run``; read without torch.

Records are the truth; lists such as ``index.tsv`` are derived from them.
"""

import hashlib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from audiometamer.errors import AudioMetamerError, AudioMetamerWarning, BrokenError
from audiometamer.io.names import portable_key, safe_name
from audiometamer.io.paths import is_safe_relative_path
from audiometamer.io.tables import read_cells
from audiometamer.metamers.folder_kinds import NONE_YET, check_set, describe_no_results, is_set
from audiometamer.metamers.layout import FIGURE, INDEX, ITEMS, PLANNED, RECORD, TARGET, UNFINISHED, find_records, signal_path
from audiometamer.metamers.record_files import check_whole, decode_record, warn_about_broken
from audiometamer.metamers.summaries import EvidenceSummary


@dataclass(frozen=True)
class Result:
    """A finished metamer in a folder.

    Parameters
    ----------
    folder : path
        The folder of metamers.
    file : str
        Path of the signal relative to the folder; of several seeds that were attempted, the best one's.
    record : str
        Path of the JSON record relative to the folder.
    original : str
        Path of the natural signal, or of the given target, relative to the folder.
    key : str
        First 12 hexadecimal digits of its identity.
    seeds : list of int
        Seeds that were attempted, the requested one first.
    evidence : EvidenceSummary
    """

    folder: Path
    file: str
    record: str
    original: str
    key: str
    seeds: list[int]
    evidence: EvidenceSummary

    @property
    def path(self) -> Path:
        """Path of the signal."""
        return self.folder / self.file

    @property
    def figure(self) -> Path:
        """Path of the figure of its clip and model; the file may not exist."""
        at = (self.folder / self.record).parent
        return (at.parent if self.in_set else at) / FIGURE

    @property
    def in_set(self) -> bool:
        """Whether it is an item of a stimulus set."""
        return Path(self.record).name == RECORD

    @property
    def has_clip(self) -> bool:
        """Whether it is a metamer of a clip, not of given activations."""
        return Path(self.original).name != TARGET

    @property
    def seed(self) -> int:
        """The requested seed."""
        return self.seeds[0] if self.seeds else self.evidence.settings.seed

    @property
    def passed(self) -> bool | None:
        """Whether it passed its verdict; None if it was not judged."""
        return self.evidence.verdict.passed


class _JudgedBy(msgspec.Struct, frozen=True):
    """In version 0.1, what an item was judged by was part of its identity."""

    judge_sha256: str | None = None


class _Item(msgspec.Struct, frozen=True):
    """The part of an ``item.json`` that a `Result` needs; see `audiometamer.stimuli.records.ItemRecord`."""

    key: str
    file: str
    original: str
    attempts: list[int]
    evidence: EvidenceSummary
    identity: _JudgedBy = _JudgedBy()


class PlannedRow(NamedTuple):
    """A row of ``planned.tsv``: an item that the latest plan of a set asks for; `folder` is relative to the set."""

    key: str
    clip: str
    model: str
    layer: str
    seed: int
    folder: str


_items = msgspec.json.Decoder(_Item)
_summaries = msgspec.json.Decoder(EvidenceSummary)


def read_results(folder: Path, *, warn: bool = True, whole: bool = False) -> list[Result]:
    """All finished metamers of a folder, sorted by name.

    Parameters
    ----------
    folder : path
        Output folder of `synth`, or a stimulus set.
    warn : bool
        Whether to warn about metamers that are unfinished or missing. Default True.
    whole : bool
        Whether to leave out damaged ones, with a warning. Default False.

    Raises
    ------
    AudioMetamerError
        If it is no folder of metamers, holds none yet, or a record cannot be read.

    Warns
    -----
    AudioMetamerWarning
        If the run that makes them was interrupted, or has not finished.
    """
    found = list(iterate_results(folder, whole=whole))
    if not found:
        raise AudioMetamerError(f"{folder} {NONE_YET}")
    if warn:
        _warn_about_unfinished(folder, found)
    return found


def iterate_results(folder: Path, *, whole: bool = False) -> Iterator[Result]:
    """Like `read_results`, one by one and without warnings about unfinished ones; empty if none is finished.

    With `whole`, only those whose record can be read and whose signals are whole; one warning names the others.
    """
    if in_set := is_set(folder):
        records = sorted(folder.glob(f"{ITEMS}/*/*/*/{RECORD}"))
    else:
        records = find_records(folder)
        if not records and not any(folder.glob(f"*/*/*{UNFINISHED}")):
            raise AudioMetamerError(describe_no_results(folder))
    broken: list[str] = []
    for record in records:
        try:
            result = read_item(folder, record.parent, whole=whole) if in_set else _read_beside(folder, record, whole=whole)
        except BrokenError as error:
            if not whole:
                raise
            broken.append(str(error))
        else:
            if result is not None:
                yield result
    warn_about_broken(broken, "counts as not made; the command that made it makes it again")


def read_result(path: Path, *, whole: bool = False) -> Result:
    """The metamer whose signal or record lies at `path`; with `whole`, its signals must be whole."""
    path = path.absolute()
    at = path.parent
    if not (at / RECORD).exists():
        return _read_beside(at.parents[1], path.with_suffix(".json"), whole=whole)
    if (found := read_item(_item_folder(at).parents[3], at, whole=whole)) is None:
        raise AudioMetamerError(f"{at / RECORD} does not exist")
    return found


def read_item(stimulus_set: Path, at: Path, *, whole: bool = False) -> Result | None:
    """The item in a folder of a set; None if it is not finished. With `whole`, its signal and original must be whole.

    Raises
    ------
    BrokenError
        If its record cannot be read or is another item's; or, with `whole`, if its signal or original is missing or truncated.
    AudioMetamerError
        If another version wrote the record, or it may not be read.
    """
    record = at / RECORD
    if not record.exists():
        return None
    item = decode_record(record, _items, "an item")
    if not _is_placed(_item_folder(at), item):
        raise BrokenError(f"{record} is the record of item {item.key}, which belongs in another folder")
    if not all(map(is_safe_relative_path, filter(None, (item.file, item.original)))):
        raise AudioMetamerError(f"{record} names {item.file!r} and {item.original!r}; they must lie in {stimulus_set}")
    if whole:
        check_whole(record, at / item.file, stimulus_set / item.original)
    folder, evidence = at.relative_to(stimulus_set).as_posix(), item.evidence
    if evidence.judged_by is None and item.identity.judge_sha256 is not None:
        evidence = replace(evidence, judged_by=item.identity.judge_sha256)
    return Result(stimulus_set, f"{folder}/{item.file}", f"{folder}/{RECORD}", item.original, item.key, item.attempts, evidence)


def _is_placed(folder: Path, item: _Item) -> bool:
    """Whether an item lies in its own folder, as far as its version allows to say."""
    if not folder.name.endswith(f"-{item.key}"):
        return False
    settings, clip, model = item.evidence.settings, folder.parents[1].name, folder.parent.name
    agrees = portable_key(f"{clip}/{model}") == portable_key(f"{safe_name(settings.clip)}/{safe_name(settings.model)}")
    return agrees or item.identity.judge_sha256 is not None


def _item_folder(at: Path) -> Path:
    """The folder of an item, given that folder or an attempt's, ``attempts/<number>``."""
    return at.parents[1] if at.name.isdigit() else at


def _read_beside(out: Path, record: Path, *, whole: bool) -> Result:
    """A metamer of `synth`, by its record."""
    summary = decode_record(record, _summaries, "a metamer")
    signal, target = signal_path(record, summary.domain), record.with_name(TARGET)
    original = target if target.exists() else record.with_name(f"original{signal.suffix}")
    if whole:
        check_whole(record, signal, original)
    file, relative_record_path, original_file = (path.relative_to(out).as_posix() for path in (signal, record, original))
    key = hashlib.sha256(msgspec.json.encode(summary.settings, order="deterministic")).hexdigest()[:12]
    return Result(out, file, relative_record_path, original_file, key, [summary.settings.seed], summary)


def read_planned(stimulus_set: Path) -> list[PlannedRow]:
    """The items that the latest plan of a set asks for.

    Raises
    ------
    AudioMetamerError
        If there is no list of them: the folder is no set, or its run never began.
    """
    path = stimulus_set / PLANNED
    if not path.exists():
        check_set(stimulus_set)
        raise AudioMetamerError(f"{stimulus_set} is no stimulus set: it has no {PLANNED}, which `audiometamer run` writes")
    header, rows = read_cells(path)
    if tuple(header) != PlannedRow._fields:
        raise AudioMetamerError(
            f"{path} has the columns {', '.join(header) or '(none)'}; it must have {', '.join(PlannedRow._fields)}: "
            "`audiometamer run` rewrites it"
        )
    try:
        return msgspec.convert(rows, list[PlannedRow], strict=False)
    except msgspec.ValidationError as error:
        raise AudioMetamerError(f"{path} cannot be read: {error}") from error


def _warn_about_unfinished(folder: Path, found: Sequence[Result]) -> None:
    """Warn about metamers that are not made yet, and about those that were made and are missing."""
    finished = {Path(result.record).parent.as_posix() for result in found}
    planned = read_planned(folder) if (folder / PLANNED).exists() else []
    message = ""
    unfinished = sum(item.folder not in finished for item in planned) or sum(1 for _ in folder.glob(f"*/*/*{UNFINISHED}"))
    if unfinished:
        message = f"{unfinished} of its metamers are not made yet"
    elif not is_set(folder) and not (folder / INDEX).exists():
        message = f"it has no {INDEX} yet: the run that makes it was interrupted, or still runs"
    elif missing := sorted(_indexed(folder) - {result.file for result in found}):
        more = ", …" * (len(missing) > 1)
        message = f"{len(missing)} metamers that {INDEX} lists have no record any more ({missing[0]}{more})"
    if message:
        warnings.warn(f"{folder}: {message}; the {len(found)} finished ones are read", AudioMetamerWarning, stacklevel=3)


def _indexed(folder: Path) -> set[str]:
    """The files that a folder's index lists; empty if it has none, or another version's."""
    header, rows = read_cells(folder / INDEX) if (folder / INDEX).exists() else ([], [])
    return {row[header.index("file")] for row in rows} if "file" in header else set()
