"""Metamers on disk: ``OUT/<clip>/<model>/<layer>_seed<k>.wav`` with a JSON beside each, and ``OUT/index.tsv``."""

import csv
import os
import re
import warnings
from pathlib import Path

import msgspec
import scipy.io.wavfile
import torch

from audiometamer.audio import Clip, write_wav
from audiometamer.errors import AudioMetamerError, AudioMetamerWarning
from audiometamer.files import whole_file
from audiometamer.metamers.evidence import Evidence, Settings
from audiometamer.metamers.synthesis import Metamer
from audiometamer.version import __version__

INDEX_COLUMNS = (
    "wav", "clip", "model", "layer", "seed", "verdict", "snr_db", "spearman_rho", "pearson_r2", "label_clip", "label_metamer",
    "method", "steps", "seconds", "rms", "peak",
)  # fmt: skip


def metamer_path(out: Path, clip: str, model: str, layer: str, seed: int) -> Path:
    """Where the WAV of a metamer lies."""
    return clip_folder(out, clip, model) / f"{_safe(layer)}_seed{seed}.wav"


def clip_folder(out: Path, clip: str, model: str) -> Path:
    """The folder of one clip's metamers of one model."""
    return out / _safe(clip) / _safe(model)


def save_metamer(out: Path, metamer: Metamer) -> Path:
    """Write a metamer's WAV and JSON, and the clip's own WAV beside them if it is not there.

    The JSON is written last: a WAV without one is unfinished work.

    Returns
    -------
    path
        Of the WAV.
    """
    settings = metamer.evidence.settings
    path = metamer_path(out, settings.clip, settings.model, settings.layer, settings.seed)
    rate = metamer.clip.sample_rate
    original = path.with_name("original.wav")
    if not original.exists():
        write_wav(original, metamer.clip.samples, rate)
    write_wav(path, metamer.samples.flatten(), rate)
    with whole_file(path.with_suffix(".json")) as temporary:
        temporary.write_bytes(msgspec.json.format(msgspec.json.encode(metamer.evidence), indent=1) + b"\n")
    return path


def read_evidence(path: Path) -> Evidence:
    """Read the JSON beside a WAV."""
    record = path.with_suffix(".json")
    try:
        return msgspec.json.decode(record.read_bytes(), type=Evidence)
    except (OSError, msgspec.MsgspecError) as error:
        raise AudioMetamerError(f"{record} is not the record of a metamer{_other_version(record)}: {error}") from error


class _Versions(msgspec.Struct):
    versions: dict[str, str]


def _other_version(record: Path) -> str:
    """Words for the version of audiometamer that wrote a record, if it tells and is not this one."""
    try:
        found = msgspec.json.decode(record.read_bytes(), type=_Versions).versions.get("audiometamer", __version__)
    except (OSError, msgspec.MsgspecError):
        return ""
    return "" if found == __version__ else f" of this version ({__version__}; {found} wrote it)"


def read_metamer(path: Path) -> Metamer:
    """Read back what `save_metamer` wrote; `path` is the WAV's."""
    evidence = read_evidence(path)
    samples = {}
    for file in (path, path.with_name("original.wav")):
        try:
            rate, values = scipy.io.wavfile.read(file)
        except (OSError, ValueError) as error:
            raise AudioMetamerError(f"{file} cannot be read: {error}") from error
        samples[file] = torch.from_numpy(values.copy())
    original = samples[path.with_name("original.wav")]
    clip = Clip(evidence.settings.clip, original, rate, tuple(evidence.clip_notices))
    return Metamer(samples[path], clip, evidence)


def is_finished(out: Path, settings: Settings) -> bool:
    """Whether a metamer of these settings is in `out` already.

    Raises
    ------
    AudioMetamerError
        If one of the same name but other settings is: nothing is overwritten unasked.
    """
    path = metamer_path(out, settings.clip, settings.model, settings.layer, settings.seed)
    if not path.with_suffix(".json").exists() or not path.exists():
        return False
    found = read_evidence(path).settings
    if found == settings:
        return True
    differing = [name for name in Settings.__struct_fields__ if getattr(found, name) != getattr(settings, name)]
    raise AudioMetamerError(
        f"{path} exists and was made with another {', '.join(differing)}; choose another --out, or --overwrite it"
    )


def write_index(out: Path) -> Path:
    """Write ``index.tsv``, a row for each WAV with its record under `out`, those that failed their verdict among them."""
    rows = []
    for record in _records(out):
        evidence = read_evidence(record)
        settings, verdict = evidence.settings, evidence.verdict
        matched = evidence.similarity[settings.layer]
        labels = list(verdict.labels.values()) or [("", "")]
        rows.append({
            "wav": record.with_suffix(".wav").relative_to(out).as_posix(),
            "clip": settings.clip, "model": settings.model, "layer": settings.layer, "seed": settings.seed,
            "verdict": verdict_word(verdict.passed),
            "snr_db": _number(matched["snr_db"]), "spearman_rho": _number(matched["spearman_rho"]),
            "pearson_r2": _number(matched["pearson_r2"]),
            "label_clip": "|".join(clip for clip, _ in labels), "label_metamer": "|".join(m for _, m in labels),
            "method": settings.method, "steps": sum(t.steps for t in evidence.tries), "seconds": f"{evidence.seconds:.1f}",
            "rms": f"{evidence.rms:.4f}", "peak": f"{evidence.peak:.4f}",
        })  # fmt: skip
    path = out / "index.tsv"
    with whole_file(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, INDEX_COLUMNS, delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def read_index(out: Path) -> list[Path]:
    """The files that ``index.tsv`` lists, in its order.

    Raises
    ------
    AudioMetamerError
        If it is missing, is not text, has other columns than this version writes, or names a file outside `out`.

    Warns
    -----
    AudioMetamerWarning
        If there are records that it does not list: the run that made them has not finished.
    """
    path = out / "index.tsv"
    if not path.exists():
        raise AudioMetamerError(f"{path} does not exist; it is written when synth has finished: give the --out folder of one")
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = list(csv.reader(file, delimiter="\t", strict=True)) or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise AudioMetamerError(f"{path} cannot be read as a table: {error}") from error
    if tuple(header) != INDEX_COLUMNS:
        differing = sorted(set(INDEX_COLUMNS) ^ set(header)) or ["in another order"]
        raise AudioMetamerError(
            f"{path} is no list of metamers of this version, {__version__}: its columns differ ({', '.join(differing)}); "
            f"the synth command that made it writes it anew"
        )
    for line, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise AudioMetamerError(f"{path}, line {line}: {len(row)} cells; there should be {len(header)}")
        if Path(row[0]).is_absolute() or ".." in Path(row[0]).parts:
            raise AudioMetamerError(f"{path}, line {line}: {row[0]} lies outside {out}; files are named as they lie in it")
    files = [out / row[0] for row in rows]
    unlisted = set(_records(out)) - {file.with_suffix(".json") for file in files}
    if unlisted:
        warnings.warn(
            f"{len(unlisted)} metamers in {out} are left out: they are not in its index.tsv, written when synth has finished",
            AudioMetamerWarning, stacklevel=2,
        )  # fmt: skip
    return files


def _records(out: Path) -> list[Path]:
    return sorted(out.glob("*/*/*.json"))


def verdict_word(passed: bool | None) -> str:
    """``passed``, ``failed``, or ``no verdict`` where there was nothing to judge by."""
    return {True: "passed", False: "failed", None: "no verdict"}[passed]


def _safe(name: str) -> str:
    """A name that every file system takes."""
    return re.sub(r"[^\w.@\-\[\]]+", "_", name).strip(".") or "_"


def _number(value: float | None) -> str:
    return "inf" if value is None else f"{value:.4f}"


def folder_of(path: str | os.PathLike[str]) -> Path:
    """A folder that may be written to; raises if a file is in the way."""
    folder = Path(path)
    if folder.exists() and not folder.is_dir():
        raise AudioMetamerError(f"{folder} is a file; --out takes a folder")
    return folder
