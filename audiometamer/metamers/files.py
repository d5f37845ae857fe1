"""Metamers of `synth` on disk: ``OUT/<clip>/<model>/<layer>_seed<k>.wav``, a JSON beside each, and ``OUT/index.tsv``.

Sounds are float32 WAVs, images PNGs of 16 bits, and signals of any other kind ``.npy`` files.
"""

import itertools
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import torch

from audiometamer.errors import AudioMetamerError, BrokenError
from audiometamer.io.files import JSON_ERRORS, atomic_write, set_aside, write_json
from audiometamer.io.hashes import file_sha256, sha256_of
from audiometamer.io.names import check_distinct_paths, check_no_case_twin, safe_name
from audiometamer.io.tables import write_table
from audiometamer.metamers.belonging import check_belongs
from audiometamer.metamers.evidence import Evidence
from audiometamer.metamers.metamer import Metamer
from audiometamer.metamers.results import (
    INDEX,
    TARGET,
    UNFINISHED,
    Result,
    iterate_results,
    read_json,
    record_file,
    result_at,
    suffix_of,
)
from audiometamer.metamers.settings import Settings
from audiometamer.metamers.targets import GivenTarget, read_target, save_activations
from audiometamer.metamers.unfinished import resumes
from audiometamer.metamers.verdicts import verdict_word
from audiometamer.models.model import Model
from audiometamer.signals.audio import Clip
from audiometamer.signals.clip_names import clip_name
from audiometamer.signals.files import read_signal, write_signal
from audiometamer.signals.integrity import is_intact

INDEX_COLUMNS = (
    "file", "clip", "model", "layer", "seed", "verdict", "snr_db", "spearman_rho", "pearson_r2", "label_clip", "label_metamer",
    "method", "attempt", "steps", "seconds", "rms", "peak", "probability_clip", "probability_metamer",
)  # fmt: skip
_ROUNDING = 1e-5  # of pixels, which files of images hold in 16 bits


def record_path(out: Path, settings: Settings) -> Path:
    """Where the JSON of a metamer lies, and its signal beside it."""
    return out / record_file(settings)


def clip_folder(out: Path, clip: str, model: str) -> Path:
    """The folder of one clip's metamers of one model."""
    return out / safe_name(clip) / safe_name(model)


def named_as_before(out: Path, model: Model, clip: Clip) -> Clip:
    """A clip under the name that its metamers in `out` have: earlier versions named every excerpt after its file alone."""
    if clip.source is None or clip.sample_rate is None:
        return clip
    name = clip_name(clip.source.path)
    before = clip_folder(out, name, model.name) / "original.wav"
    return replace(clip, name=name) if is_intact(before) and torch.equal(read_signal(before), clip.samples) else clip


def check_names(out: Path, chosen: Sequence[Settings]) -> None:
    """Raise if two metamers would share a file in `out`, or a new one has the file of another on some file systems."""
    check_distinct_paths(
        ((f"clip {settings.clip!r}", clip_folder(out, settings.clip, settings.model)) for settings in chosen), "folder"
    )
    check_distinct_paths((f"layer {settings.layer!r}", record_path(out, settings)) for settings in chosen)
    for record in {record_path(out, settings) for settings in chosen}:
        check_no_case_twin(record.parent, record.name)


class _OfMetamer(msgspec.Struct):
    """The record of a metamer, which holds more."""

    settings: Settings


_of_metamers = msgspec.json.Decoder(_OfMetamer)


def check_place(out: Path, clip: Clip | GivenTarget, model: str, domain: str) -> None:
    """Raise if the folder that a clip's metamers of a model would share has others: they would seem to be of this one.

    Raises
    ------
    AudioMetamerError
        If it has metamers of a clip or a model of another name, or another clip or target of this name; or if its name is that
        of another folder on some file systems.
    """
    folder = _checked_folder(out, clip, model, domain)
    clip_sha256 = sha256_of(clip.samples) if isinstance(clip, Clip) else ""
    for record in sorted(folder.glob("*_seed*.json")):
        _check_record(record, clip.name, model, clip_sha256)


def _checked_folder(out: Path, clip: Clip | GivenTarget, model: str, domain: str) -> Path:
    """The folder of a clip's metamers; raises if it is another's by its name or its original."""
    folder = clip_folder(out, clip.name, model)
    check_no_case_twin(out, folder.parent.name)
    check_no_case_twin(folder.parent, folder.name)
    _check_original(folder, clip, domain)
    return folder


def _check_record(record: Path, clip: str, model: str, clip_sha256: str) -> None:
    """Raise if a record is there and is of another clip or model; with an empty sum, only the names are compared."""
    try:
        found = _of_metamers.decode(record.read_bytes()).settings
    except (OSError, *JSON_ERRORS):  # whoever makes or reads that metamer says so
        return
    if (found.clip, found.model) != (clip, model):
        raise AudioMetamerError(
            f"{record} is of {found.clip!r} and {found.model!r}, not of {clip!r} and {model!r}; rename one of them or choose "
            "another --out"
        )
    if clip_sha256 and found.clip_sha256 != clip_sha256:
        raise AudioMetamerError(f"{record} is of another clip called {clip!r}; rename one or choose another --out")


def _check_original(folder: Path, clip: Clip | GivenTarget, domain: str) -> None:
    """Raise if what the metamers of a folder were made from is there, and another."""
    original = folder / original_name(clip, domain)
    if not is_intact(original):  # it is written again
        return
    if isinstance(clip, GivenTarget):
        there = read_target(original).activations
        same = there.keys() == clip.activations.keys() and all(there[k].equal(a.cpu()) for k, a in clip.activations.items())
        kind = "target"
    else:
        same, kind = is_held_by(original, clip), "clip"
    if not same:
        raise AudioMetamerError(f"{original} is another {kind} called {clip.name!r}; rename one of them or choose another --out")


def is_held_by(path: Path, clip: Clip) -> bool:
    """Whether a file holds a clip, as `write_signal` writes it."""
    there, samples = read_signal(path).reshape(-1), clip.samples.to("cpu").reshape(-1)
    if there.numel() != samples.numel():
        return False
    return torch.allclose(there, samples, rtol=0, atol=_ROUNDING) if path.suffix == ".png" else there.equal(samples.to(there))


def original_name(clip: Clip | GivenTarget, domain: str) -> str:
    """The file of what metamers are made from."""
    return TARGET if isinstance(clip, GivenTarget) else f"original{suffix_of(domain)}"


def mend_original(out: Path, clip: Clip | GivenTarget, model: Model) -> None:
    """Write again what a clip's metamers in `out` were made from, if it is gone or cut short."""
    at, domain = clip_folder(out, clip.name, model.name), type(model.domain).__name__
    if (at / original_name(clip, domain)).exists() or any(at.glob("*_seed*.json")):
        _save_original(at, clip, domain, model.sample_rate)


def checkpoint_path(out: Path, settings: Settings) -> Path:
    """Where an unfinished metamer is kept."""
    return record_path(out, settings).with_suffix(UNFINISHED)


def save_metamer(out: Path, metamer: Metamer) -> Path:
    """Write a metamer's signal and JSON, and the natural signal, or the given target, beside them if it is not there.

    The JSON is written last: a signal without one is unfinished work.

    Returns
    -------
    path
        Of the signal.

    Raises
    ------
    AudioMetamerError
        As `check_place`.
    """
    evidence, clip = metamer.evidence, metamer.clip
    record = record_path(out, evidence.settings)
    path = record.with_suffix(suffix_of(evidence.domain))
    folder = _checked_folder(out, clip, evidence.settings.model, evidence.domain)
    # The original vouches for the records that are there already; without one, each is looked at.
    records = [record] if is_intact(folder / original_name(clip, evidence.domain)) else sorted(folder.glob("*_seed*.json"))
    for other in records:
        _check_record(other, clip.name, evidence.settings.model, evidence.settings.clip_sha256 if isinstance(clip, Clip) else "")
    original = _save_original(record.parent, clip, evidence.domain, evidence.sample_rate)
    _set_aside_broken(record, path)
    write_signal(path, metamer.samples, evidence.sample_rate)
    write_json(record, with_sums(evidence, path, original))
    checkpoint_path(out, evidence.settings).unlink(missing_ok=True)
    return path


def _save_original(at: Path, clip: Clip | GivenTarget, domain: str, sample_rate: int | None) -> Path:
    """Write the natural signal, or the given target, into the folder of its metamers, unless it is there and whole."""
    path = at / original_name(clip, domain)
    if is_intact(path):
        return path
    set_aside(path)
    if isinstance(clip, GivenTarget):
        save_activations(path, clip.activations)
    else:
        write_signal(path, clip.samples, sample_rate)
    return path


def _set_aside_broken(record: Path, signal: Path) -> None:
    """Set a record aside, with its signal, if it counts as not made."""
    try:
        if record.exists():
            evidence_of(result_at(record, whole=True))
    except BrokenError:
        set_aside(signal)
        set_aside(record)


def with_sums(evidence: Evidence, signal: Path, original: Path) -> Evidence:
    """What is known of a metamer, with the sums of its files as they have just been written."""
    return msgspec.structs.replace(evidence, signal_sha256=file_sha256(signal), original_sha256=file_sha256(original))


def keep_attempt(out: Path, settings: Settings) -> None:
    """Copy a metamer that is attempted again into ``attempts/``, with its record, before the new attempts replace it."""
    record = record_path(out, settings)
    for number in itertools.count():
        kept = record.parent / "attempts" / f"{record.stem}-{number}.json"
        if not kept.exists():
            break
    signal = record.with_suffix(suffix_of(read_evidence(record).domain))
    for source, copy in ((signal, kept.with_suffix(signal.suffix)), (record, kept)):
        with atomic_write(copy) as temporary:
            shutil.copyfile(source, temporary)


def read_evidence(path: Path) -> Evidence:
    """Read the JSON beside a signal."""
    return evidence_of(result_at(path))


class _Held(msgspec.Struct):
    """An ``item.json``, which holds more."""

    evidence: Evidence


_held, _evidences = msgspec.json.Decoder(_Held), msgspec.json.Decoder(Evidence)


def evidence_of(result: Result) -> Evidence:
    """All that is known of a metamer."""
    record = result.folder / result.record
    return read_json(record, _held, "a metamer").evidence if result.in_set else read_json(record, _evidences, "a metamer")


def read_metamer(path: Path) -> Metamer:
    """Read back what `save_metamer`, or a run of a plan, wrote; `path` is the signal's, or its record's."""
    return metamer_of(result_at(path))


def metamer_of(result: Result) -> Metamer:
    """A metamer of a folder, whole.

    Raises
    ------
    AudioMetamerError
        If something cannot be read, or its signal or its original is not that of its record.
    """
    check_belongs(result)
    evidence, original = evidence_of(result), result.folder / result.original
    name, notices = evidence.settings.clip, tuple(evidence.clip_notices)
    clip: Clip | GivenTarget
    if result.of_clip:
        clip = Clip(name, read_signal(original), evidence.sample_rate, notices, evidence.source)
    else:
        clip = GivenTarget(name, read_target(original).activations, notices)
    return Metamer(read_signal(result.path), clip, evidence)


def is_finished(out: Path, settings: Settings) -> bool:
    """Whether a metamer of these settings is in `out` already.

    Raises
    ------
    BrokenError
        If it is, but counts as not made.
    AudioMetamerError
        If one of the same name but other settings is: nothing is overwritten unasked.
    """
    record = record_path(out, settings)
    if not record.exists():
        return False
    evidence = evidence_of(result_at(record, whole=True))
    path, found = record.with_suffix(suffix_of(evidence.domain)), evidence.settings
    if found == settings:
        return True
    differing = [name for name in Settings.__struct_fields__ if getattr(found, name) != getattr(settings, name)]
    raise AudioMetamerError(
        f"{path} exists and was made with another {', '.join(differing)}; choose another --out, or --overwrite it"
    )


def is_attempted_again(out: Path, settings: Settings) -> bool:
    """Whether a finished metamer has failed by a new judge, and its method has not yet made all attempts at it."""
    evidence, checkpoint = read_evidence(record_path(out, settings)), checkpoint_path(out, settings)
    return evidence.verdict.passed is False and resumes(checkpoint, seed=settings.seed, attempts=len(evidence.tries))


def write_index(out: Path) -> Path:
    """Write ``index.tsv``, a row for each record under `out`, those that failed their verdict among them."""
    path = out / INDEX
    write_table(path, INDEX_COLUMNS, map(_row, iterate_results(out, whole=True)))
    return path


def _row(result: Result) -> dict[str, str | int]:
    evidence = result.evidence
    settings, verdict = evidence.settings, evidence.verdict
    matched = evidence.similarity[settings.layer]
    labels = list(verdict.labels.values()) or [("", "")]
    return {
        "file": result.file, "clip": settings.clip, "model": settings.model, "layer": settings.layer, "seed": settings.seed,
        "verdict": verdict_word(verdict.passed),
        "snr_db": _number(matched["snr_db"]), "spearman_rho": _number(matched["spearman_rho"]),
        "pearson_r2": _number(matched["pearson_r2"]),
        "label_clip": "|".join(clip for clip, _ in labels), "label_metamer": "|".join(m for _, m in labels),
        "method": settings.method, "attempt": evidence.attempt, "steps": sum(t.steps for t in evidence.tries),
        "seconds": f"{evidence.seconds:.1f}", "rms": f"{evidence.rms:.4f}", "peak": f"{evidence.peak:.4f}",
        "probability_clip": "|".join(f"{clip:.4f}" for clip, _ in evidence.probabilities.values()),
        "probability_metamer": "|".join(f"{metamer:.4f}" for _, metamer in evidence.probabilities.values()),
    }  # fmt: skip


def _number(value: float | None) -> str:
    return "inf" if value is None else f"{value:.4f}"
