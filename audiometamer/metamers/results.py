"""A folder of metamers, written by ``audiometamer synth`` or ``audiometamer run``: what it holds, read without torch.

``OUT/<clip>/<model>/<layer>_seed<k>.json``, beside its signal, is a metamer of `synth`;
``SET/items/<clip>/<model>/<layer>_seed<k>-<key>/item.json`` one of a stimulus set. Records are the truth; lists are made of them.
"""

import hashlib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec
from msgspec.structs import replace

from audiometamer.errors import AudioMetamerError, AudioMetamerWarning, BrokenError, first_line
from audiometamer.io.files import JSON_ERRORS, is_safe_relative_path
from audiometamer.io.names import portable_key, safe_name
from audiometamer.io.paths import is_safe_relative_path
from audiometamer.io.tables import read_cells
from audiometamer.metamers.settings import Settings
from audiometamer.metamers.verdicts import Verdict
from audiometamer.signals.integrity import is_intact
from audiometamer.version import __version__

T = TypeVar("T")
ITEMS, RECORD, PLANNED = "items", "item.json", "planned.tsv"  # of a set
INDEX, TARGET, FIGURE, UNFINISHED = "index.tsv", "target.safetensors", "figure.png", ".unfinished.safetensors"
REPORT, REPORT_FILES = "report.html", "report_files"
# How a metamer came about, from the plainest way on.
ATTEMPTS = ("first", "new noise", "continued", "layer before")
_GIVE = "give the --out folder of `audiometamer synth`, or a set that `audiometamer run` made"
_NONE_YET = "holds no finished metamer yet; the command that made it can_resume where it stopped"
# What else may be given by mistake, by a file that is there.
_OTHERS = {
    "evaluation.tsv": "an evaluation", "lists.json": "an experiment", "model.toml": "a model", "selection.tsv": "a selection",
    "moves.tsv": "a ladder of moved sounds", "sounds.tsv": "an export", "conditions.csv": "an export",
}  # fmt: skip


class BrokenOriginalError(BrokenError):
    """The natural signal of a metamer that is whole is gone or cut short: it alone is written again."""


class AttemptSummary(msgspec.Struct, frozen=True):
    """One attempt at a metamer, in brief: how it was made; see `audiometamer.metamers.evidence.AttemptRecord`."""

    attempt: str = ""
    start_seed: int | None = None
    steps: int = 0
    snr_db: float | None = None
    continues: int | None = None
    layer: str | None = None


class EvidenceSummary(msgspec.Struct, frozen=True):
    """The part of a metamer's evidence that a table of thousands needs; the rest, loss curves above all, is not read."""

    settings: Settings
    verdict: Verdict
    similarity: dict[str, dict[str, float | None]]
    seconds: float
    rms: float
    peak: float
    sample_rate: int | None
    tries: list[AttemptSummary] = []
    kept: int = 0
    domain: str = "Waveform"
    probabilities: dict[str, tuple[float, float]] = {}
    judged_by: str | None = None
    signal_sha256: str = ""
    original_sha256: str = ""

    @property
    def attempt(self) -> str:
        """Which of `ATTEMPTS` made it; empty if nothing is known."""
        return attempt_origin(self.tries, self.gave)

    @property
    def gave(self) -> int:
        """The attempt that gave the signal, from 0."""
        snr = self.similarity.get(self.settings.layer, {}).get("snr_db")
        return kept_attempt([tried.snr_db for tried in self.tries], self.kept, snr)


def kept_attempt(snrs: Sequence[float | None], kept: int, snr: float | None) -> int:
    """Which attempt gave a signal, from 0, by the attempts' SNRs, what its record says, and its own SNR.

    Version 0.1 also counted attempts that its method left out; the attempt whose SNR is the signal's gave it.
    """
    likely = [k for k in (kept, *range(len(snrs))) if k < len(snrs) and snrs[k] == snr]
    return likely[0] if likely else min(kept, max(len(snrs) - 1, 0))


def attempt_origin(tries: Sequence[AttemptSummary], kept: int) -> str:
    """How the signal of an attempt came about.

    Returns
    -------
    str
        ``first``: by the first attempt, from noise. ``new noise``: by a later one, from other noise. ``continued``: from the
        signal of an attempt before it. ``layer before``: it, or what it continued, first matched the layer before. Empty
        without attempts.
    """
    if not tries:
        return ""
    chain = [kept]
    while tries[chain[-1]].start_seed is None and chain[-1] > 0:
        chain.append(_continued(tries, chain[-1]))
    if any(tries[k].layer is not None or tries[k].attempt.startswith("by the layer before") for k in chain):
        return "layer before"
    if tries[kept].start_seed is None:
        return "continued"
    return "new noise" if kept else "first"


def _continued(tries: Sequence[AttemptSummary], k: int) -> int:
    """What an attempt continued; version 0.1 did not say so: the latest that began from noise, to be on the safe side."""
    if (before := tries[k].continues) is not None and 0 <= before < k:
        return before
    return max((j for j in range(k) if tries[j].start_seed is not None), default=0)


@dataclass(frozen=True)
class Result:
    """A finished metamer.

    Parameters
    ----------
    folder : path
        The folder of metamers.
    file : str
        The signal, as it lies in the folder: of several seeds that were tried, the best one's.
    record : str
        The JSON, likewise.
    original : str
        The natural signal, or the activations that were given in its place, likewise.
    key : str
        The first 12 hexadecimal digits of its identity.
    seeds : list of int
        All that were tried, first the one that was asked for.
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
        """Where the signal is."""
        return self.folder / self.file

    @property
    def figure(self) -> Path:
        """Where the figure of its clip and model is, if it was drawn."""
        at = (self.folder / self.record).parent
        return (at.parent if self.in_set else at) / FIGURE

    @property
    def in_set(self) -> bool:
        """Whether it is an item of a stimulus set."""
        return Path(self.record).name == RECORD

    @property
    def of_clip(self) -> bool:
        """Whether it is a metamer of a clip, not of given activations."""
        return Path(self.original).name != TARGET

    @property
    def seed(self) -> int:
        """The one that was asked for."""
        return self.seeds[0] if self.seeds else self.evidence.settings.seed

    @property
    def passed(self) -> bool | None:
        """Whether its verdict was passed; None if there was nothing to judge by."""
        return self.evidence.verdict.passed


class _JudgedBy(msgspec.Struct, frozen=True):
    """Version 0.1 made what an item was judged by part of its identity."""

    judge_sha256: str | None = None


class _Item(msgspec.Struct, frozen=True):
    """An ``item.json`` in brief; `audiometamer.stimuli.records.Record` is the whole of it."""

    key: str
    file: str
    original: str
    attempts: list[int]
    evidence: EvidenceSummary
    identity: _JudgedBy = _JudgedBy()


class Wanted(NamedTuple):
    """A row of ``planned.tsv``: an item that the latest plan of a set asks for, and its folder as it lies in the set."""

    key: str
    clip: str
    model: str
    layer: str
    seed: int
    folder: str


_items = msgspec.json.Decoder(_Item)
_summaries = msgspec.json.Decoder(EvidenceSummary)


def read_results(folder: Path, *, warn: bool = True, whole: bool = False) -> list[Result]:
    """All finished metamers of a folder, in the order of their names; with `warn`, a warning of those unfinished or gone.

    With `whole`, broken ones are left out, with a warning.

    Raises
    ------
    AudioMetamerError
        If it is no folder of metamers, holds none yet, or a record cannot be read.

    Warns
    -----
    AudioMetamerWarning
        If its run was interrupted, or has not finished.
    """
    found = list(iterate_results(folder, whole=whole))
    if not found:
        raise AudioMetamerError(f"{folder} {_NONE_YET}")
    if warn:
        _warn_of_unfinished(folder, found)
    return found


def iterate_results(folder: Path, *, whole: bool = False) -> Iterator[Result]:
    """As `read_results`, one by one and without a warning; nothing if none is finished.

    With `whole`, only those whose record can be read and whose signals are whole; a warning names the others.
    """
    if in_set := is_set(folder):
        records = sorted(folder.glob(f"{ITEMS}/*/*/*/{RECORD}"))
    else:
        records = find_records(folder)
        if not records and not any(folder.glob(f"*/*/*{UNFINISHED}")):
            raise AudioMetamerError(_no_results(folder))
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


def warn_about_broken(broken: Sequence[str], then: str) -> None:
    """Say in one line what was found broken, if anything, and what comes of it."""
    if broken:
        more = f" (and {len(broken) - 1} more like it)" if len(broken) > 1 else ""
        warnings.warn(f"{broken[0]}{more}: {then}", AudioMetamerWarning, stacklevel=3)


def is_set(folder: Path) -> bool:
    """Whether a folder is a stimulus set, as `audiometamer run` makes it."""
    items = folder / ITEMS  # a clip may be called items, too
    return (folder / PLANNED).exists() or (items.is_dir() and not any(items.glob("*/*.json")))


def check_set(folder: Path) -> None:
    """Raise if a folder is no stimulus set."""
    if is_set(folder):
        return
    if find_records(folder):
        raise AudioMetamerError(
            f"{folder} is no stimulus set, but metamers of `audiometamer synth`; give a set of `audiometamer run`"
        )
    what = f"has no folder {ITEMS}" if folder.is_dir() else "is a file" if folder.exists() else "does not exist"
    if kind := _other_kind(folder):
        what = f"is {kind}"
    raise AudioMetamerError(f"{folder} is no stimulus set: it {what}; give the folder that `audiometamer run` made")


def _other_kind(folder: Path) -> str | None:
    """What else a folder is, if that is known."""
    return next((what for file, what in _OTHERS.items() if (folder / file).exists()), None)


def find_records(out: Path) -> list[Path]:
    """The records that `synth` has written into a folder."""
    return sorted(out.glob("*/*/*_seed*.json"))


def record_file(settings: Settings) -> str:
    """Where `synth` writes the record of a metamer, as it lies in the folder."""
    return f"{safe_name(settings.clip)}/{safe_name(settings.model)}/{safe_name(settings.layer)}_seed{settings.seed}.json"


def read_item(stimulus_set: Path, at: Path, *, whole: bool = False) -> Result | None:
    """The item in a folder of a set; None if it is not complete. With `whole`, its signal and original must be so.

    Raises
    ------
    BrokenError
        If its record cannot be read or is another item's; or, with `whole`, if its signal or original is gone or cut short.
    AudioMetamerError
        If the record is another version's, or may not be read.
    """
    record = at / RECORD
    if not record.exists():
        return None
    item = read_json(record, _items, "an item")
    if not _is_placed(_item_folder(at), item):
        raise BrokenError(f"{record} is the record of item {item.key}, which belongs in another folder")
    if not all(map(is_safe_relative_path, filter(None, (item.file, item.original)))):
        raise AudioMetamerError(f"{record} names {item.file!r} and {item.original!r}; they must lie in {stimulus_set}")
    if whole:
        check_whole(record, at / item.file, stimulus_set / item.original)
    lies, evidence = at.relative_to(stimulus_set).as_posix(), item.evidence
    if evidence.judged_by is None and item.identity.judge_sha256 is not None:
        evidence = replace(evidence, judged_by=item.identity.judge_sha256)
    return Result(stimulus_set, f"{lies}/{item.file}", f"{lies}/{RECORD}", item.original, item.key, item.attempts, evidence)


def _is_placed(folder: Path, item: _Item) -> bool:
    """Whether an item lies in its own folder, as far as its version tells."""
    if not folder.name.endswith(f"-{item.key}"):
        return False
    settings, clip, model = item.evidence.settings, folder.parents[1].name, folder.parent.name
    lies = portable_key(f"{clip}/{model}") == portable_key(f"{safe_name(settings.clip)}/{safe_name(settings.model)}")
    return lies or item.identity.judge_sha256 is not None


def _item_folder(at: Path) -> Path:
    """The folder of an item, from its own or that of an attempt at it, ``attempts/<number>``."""
    return at.parents[1] if at.name.isdigit() else at


def read_result(path: Path, *, whole: bool = False) -> Result:
    """The metamer whose signal, or record, lies at `path`; with `whole`, its signals must be so."""
    path = path.absolute()
    at = path.parent
    if not (at / RECORD).exists():
        return _read_beside(at.parents[1], path.with_suffix(".json"), whole=whole)
    if (found := read_item(_item_folder(at).parents[3], at, whole=whole)) is None:
        raise AudioMetamerError(f"{at / RECORD} does not exist")
    return found


def _read_beside(out: Path, record: Path, *, whole: bool) -> Result:
    """A metamer of `synth`, by the JSON beside its signal."""
    summary = read_json(record, _summaries, "a metamer")
    signal = record.with_suffix(suffix_of(summary.domain))
    target = record.with_name(TARGET)
    original = target if target.exists() else record.with_name(f"original{signal.suffix}")
    if whole:
        check_whole(record, signal, original)
    signal_file, record_file, original_file = (path.relative_to(out).as_posix() for path in (signal, record, original))
    key = hashlib.sha256(msgspec.json.encode(summary.settings, order="deterministic")).hexdigest()[:12]
    return Result(out, signal_file, record_file, original_file, key, [summary.settings.seed], summary)


def read_json(record: Path, decoder: "msgspec.json.Decoder[T]", of: str) -> T:
    """Decode a record; `of` says whose it should be.

    Raises
    ------
    BrokenError
        If it holds something else.
    AudioMetamerError
        If another version wrote it, or it may not be read.
    """
    try:
        return decoder.decode(record.read_bytes())
    except OSError as error:
        raise AudioMetamerError(f"{record} cannot be read: {error.strerror}") from error
    except JSON_ERRORS as error:
        if version := other_version(record):
            raise AudioMetamerError(f"{record} is not the record of {of}{version}: {error}") from error
        raise BrokenError(f"{record} is not the record of {of}: {first_line(error)}") from error


def check_whole(record: Path, signal: Path, original: Path | None = None) -> None:
    """Raise `BrokenError` or `BrokenOriginalError` if what lies beside a record is gone or cut short."""
    for path, what, kind in ((signal, "signal", BrokenError), (original, "original", BrokenOriginalError)):
        if path is not None and not is_intact(path):
            raise kind(f"{path}, the {what} of {record.name}, is {'cut short' if path.exists() else 'gone'}")


def suffix_of(domain: str) -> str:
    """How a file of a signal ends, by the class of its domain."""
    return {"Waveform": ".wav", "Image": ".png"}.get(domain, ".npy")


class _Versions(msgspec.Struct):
    versions: dict[str, str] = {}
    evidence: "_Versions | None" = None


def other_version(record: Path) -> str:
    """Words for the version of audiometamer that wrote a record, if it says so and is not this one."""
    try:
        whole = msgspec.json.decode(record.read_bytes(), type=_Versions)
    except (OSError, *JSON_ERRORS):
        return ""
    found = (whole.evidence or whole).versions.get("audiometamer", __version__)
    return "" if found == __version__ else f" of this version ({__version__}; {found} wrote it)"


def read_planned(stimulus_set: Path) -> list[Wanted]:
    """What the latest plan of a set asks for.

    Raises
    ------
    AudioMetamerError
        If there is no list of it: the folder is no set, or its run never began.
    """
    path = stimulus_set / PLANNED
    if not path.exists():
        check_set(stimulus_set)
        raise AudioMetamerError(f"{stimulus_set} is no stimulus set: it has no {PLANNED}, which `audiometamer run` writes")
    header, rows = read_cells(path)
    if tuple(header) != Wanted._fields:
        raise AudioMetamerError(
            f"{path} has the columns {', '.join(header) or '(none)'}; it must have {', '.join(Wanted._fields)}: "
            "`audiometamer run` writes it anew"
        )
    try:
        return msgspec.convert(rows, list[Wanted], strict=False)
    except msgspec.ValidationError as error:
        raise AudioMetamerError(f"{path} cannot be read: {error}") from error


def _warn_of_unfinished(folder: Path, found: Sequence[Result]) -> None:
    """Say what is not made yet, and what was made and is gone."""
    there = {Path(result.record).parent.as_posix() for result in found}
    planned = read_planned(folder) if (folder / PLANNED).exists() else []
    told = ""
    if missing := sum(wanted.folder not in there for wanted in planned) or sum(1 for _ in folder.glob(f"*/*/*{UNFINISHED}")):
        told = f"{missing} of its metamers are not made yet"
    elif not is_set(folder) and not (folder / INDEX).exists():
        told = f"it has no {INDEX} yet: the run that makes it was interrupted, or still runs"
    elif gone := sorted(_listed(folder) - {result.file for result in found}):
        told = f"{len(gone)} metamers that {INDEX} lists have no record any more ({gone[0]}{', …' * (len(gone) > 1)})"
    if told:
        warnings.warn(f"{folder}: {told}; the {len(found)} finished ones are read", AudioMetamerWarning, stacklevel=3)


def _listed(folder: Path) -> set[str]:
    """The files that a folder's list names; none if it has no list, or another version's."""
    header, rows = read_cells(folder / INDEX) if (folder / INDEX).exists() else ([], [])
    return {row[header.index("file")] for row in rows} if "file" in header else set()


def _no_results(folder: Path) -> str:
    """What a folder without metamers is instead, and what to give, in one line."""
    if not folder.is_dir():
        return f"{folder} {'is a file' if folder.exists() else 'does not exist'}; {_GIVE}"
    if (outer := _around(folder.absolute())) is not None:
        return f"{folder} lies in a folder of metamers; give that: {outer}"
    inner = [path.name for path in sorted(folder.iterdir()) if is_set(path) or (path / INDEX).exists()]
    if inner:
        return f"{folder} holds folders of metamers ({', '.join(inner[:3])}{', …' * (len(inner) > 3)}); give one of them"
    kind = _other_kind(folder)
    if kind is None and (folder / ".lock").exists():
        return f"{folder} {_NONE_YET}"
    return f"{folder} is {kind}, no folder of metamers; {_GIVE}" if kind else f"{folder} holds no metamers; {_GIVE}"


def _around(folder: Path) -> Path | None:
    """The folder of metamers that a folder of some of them lies in."""
    for depth, outer in enumerate([folder, *folder.parents][1:5], start=1):
        if is_set(outer) or (depth < 3 and any(folder.glob("*/" * (2 - depth) + "*_seed*.json"))):
            return outer
    return None
