"""Metamers on disk: ``OUT/<clip>/<model>/<layer>_seed<k>.wav`` with a JSON beside each, and ``OUT/index.tsv``.

Sounds are float32 WAVs, images PNGs of 16 bits, and signals of any other kind ``.npy`` files.
"""

import hashlib
import os
import re
import struct
import warnings
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import scipy.io.wavfile
import torch
from torch import Tensor

from audiometamer.audio import Clip, write_wav
from audiometamer.clip_names import clip_name
from audiometamer.errors import AudioMetamerError, AudioMetamerWarning
from audiometamer.files import whole_file, write_json
from audiometamer.images import read_png, write_png
from audiometamer.metamers.evidence import Evidence
from audiometamer.metamers.settings import Settings
from audiometamer.metamers.synthesis import Metamer
from audiometamer.metamers.targets import GivenTarget, read_target, save_activations
from audiometamer.models import Model
from audiometamer.tables import read_cells, write_table
from audiometamer.verdicts import verdict_word
from audiometamer.version import __version__

INDEX_COLUMNS = (
    "file", "clip", "model", "layer", "seed", "verdict", "snr_db", "spearman_rho", "pearson_r2", "label_clip", "label_metamer",
    "method", "steps", "seconds", "rms", "peak",
)  # fmt: skip
TARGET = "target.safetensors"
_LONGEST = 150  # bytes of a name; file systems take 255
_ROUNDING = 1e-5  # of pixels, which files of images hold in 16 bits


def record_path(out: Path, settings: Settings) -> Path:
    """Where the JSON of a metamer lies, and its signal beside it."""
    return clip_folder(out, settings.clip, settings.model) / f"{safe_name(settings.layer)}_seed{settings.seed}.json"


def clip_folder(out: Path, clip: str, model: str) -> Path:
    """The folder of one clip's metamers of one model."""
    return out / safe_name(clip) / safe_name(model)


def named_as_before(out: Path, model: Model, clip: Clip) -> Clip:
    """A clip under the name that its metamers in `out` have: earlier versions named every excerpt after its file alone."""
    if clip.source is None or clip.sample_rate is None:
        return clip
    name = clip_name(clip.source.path)
    before = clip_folder(out, name, model.name) / "original.wav"
    return replace(clip, name=name) if before.exists() and torch.equal(read_signal(before), clip.samples) else clip


def check_original(out: Path, clip: Clip, model: str, domain: str) -> None:
    """Raise if another clip of the same name is in `out`: its metamers of other layers and seeds would seem to be of this one."""
    original = clip_folder(out, clip.name, model) / f"original{suffix_of(domain)}"
    if not original.exists():
        return
    there, samples = read_signal(original), clip.samples.to("cpu").reshape(-1)
    if there.numel() != samples.numel() or not torch.allclose(there.reshape(-1), samples, rtol=0, atol=_ROUNDING):
        raise AudioMetamerError(f"{original} is another clip called {clip.name!r}; rename one of them or choose another --out")


def checkpoint_path(out: Path, settings: Settings) -> Path:
    """Where an unfinished metamer is kept."""
    return record_path(out, settings).with_suffix(".unfinished.safetensors")


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
        If the folder has metamers of another clip of that name.
    """
    evidence, clip = metamer.evidence, metamer.clip
    record = record_path(out, evidence.settings)
    path = record.with_suffix(suffix_of(evidence.domain))
    if isinstance(clip, GivenTarget):
        if not (record.parent / TARGET).exists():
            save_activations(record.parent / TARGET, clip.activations)
    else:
        check_original(out, clip, evidence.settings.model, evidence.domain)
        if not (original := record.with_name(f"original{path.suffix}")).exists():
            write_signal(original, clip.samples, evidence.sample_rate)
    write_signal(path, metamer.samples, evidence.sample_rate)
    write_json(record, evidence)
    checkpoint_path(out, evidence.settings).unlink(missing_ok=True)
    return path


def read_evidence(path: Path) -> Evidence:
    """Read the JSON beside a signal."""
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
    """Read back what `save_metamer` wrote; `path` is the signal's, or its JSON's."""
    evidence = read_evidence(path)
    path = path.with_suffix(suffix_of(evidence.domain))
    name, notices, rate = evidence.settings.clip, tuple(evidence.clip_notices), evidence.sample_rate
    if (given := path.with_name(TARGET)).exists():
        clip: Clip | GivenTarget = GivenTarget(name, read_target(given).activations, notices)
    else:
        clip = Clip(name, read_signal(path.with_name(f"original{path.suffix}")), rate, notices, evidence.source)
    return Metamer(read_signal(path), clip, evidence)


def suffix_of(domain: str) -> str:
    """How a file of a signal ends, by the class of its domain."""
    return {"Waveform": ".wav", "Image": ".png"}.get(domain, ".npy")


def write_signal(path: Path, signal: Tensor, sample_rate: int | None) -> None:
    """Write a signal [shape=signal_shape] as the ending of its file says."""
    if path.suffix == ".wav" and sample_rate is not None:
        write_wav(path, signal.reshape(-1, signal.shape[-1]).squeeze(0), sample_rate)
    elif path.suffix == ".png":
        write_png(path, signal)
    else:
        with whole_file(path) as temporary:
            np.save(temporary, signal.numpy())


def read_signal(path: Path) -> Tensor:
    """Read what `write_signal` wrote."""
    try:
        if path.suffix == ".png":
            return read_png(path)
        values = np.load(path) if path.suffix == ".npy" else scipy.io.wavfile.read(path)[1].T.copy()
    except (OSError, ValueError, struct.error) as error:
        raise AudioMetamerError(f"{path} cannot be read: {error}") from error
    return torch.from_numpy(values)


def is_finished(out: Path, settings: Settings) -> bool:
    """Whether a metamer of these settings is in `out` already.

    Raises
    ------
    AudioMetamerError
        If one of the same name but other settings is: nothing is overwritten unasked.
    """
    record = record_path(out, settings)
    if not record.exists():
        return False
    evidence = read_evidence(record)
    path, found = record.with_suffix(suffix_of(evidence.domain)), evidence.settings
    if not path.exists():
        return False
    if found == settings:
        return True
    differing = [name for name in Settings.__struct_fields__ if getattr(found, name) != getattr(settings, name)]
    raise AudioMetamerError(
        f"{path} exists and was made with another {', '.join(differing)}; choose another --out, or --overwrite it"
    )


def write_index(out: Path) -> Path:
    """Write ``index.tsv``, a row for each record under `out`, those that failed their verdict among them."""
    rows = []
    for record in _records(out):
        evidence = read_evidence(record)
        settings, verdict = evidence.settings, evidence.verdict
        matched = evidence.similarity[settings.layer]
        labels = list(verdict.labels.values()) or [("", "")]
        rows.append({
            "file": record.with_suffix(suffix_of(evidence.domain)).relative_to(out).as_posix(),
            "clip": settings.clip, "model": settings.model, "layer": settings.layer, "seed": settings.seed,
            "verdict": verdict_word(verdict.passed),
            "snr_db": _number(matched["snr_db"]), "spearman_rho": _number(matched["spearman_rho"]),
            "pearson_r2": _number(matched["pearson_r2"]),
            "label_clip": "|".join(clip for clip, _ in labels), "label_metamer": "|".join(m for _, m in labels),
            "method": settings.method, "steps": sum(t.steps for t in evidence.tries), "seconds": f"{evidence.seconds:.1f}",
            "rms": f"{evidence.rms:.4f}", "peak": f"{evidence.peak:.4f}",
        })  # fmt: skip
    path = out / "index.tsv"
    write_table(path, INDEX_COLUMNS, rows)
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
    header, rows = read_cells(path)
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


def safe_name(name: str) -> str:
    """A name that every file system takes; a long one is cut, and ends with its hash."""
    safe = re.sub(r"[^\w.@\-\[\]+=]+", "_", name).strip(".") or "_"
    if len(safe.encode()) <= _LONGEST:
        return safe
    cut = safe.encode()[: _LONGEST - 9].decode(errors="ignore")
    return f"{cut}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _number(value: float | None) -> str:
    return "inf" if value is None else f"{value:.4f}"


def folder_of(path: str | os.PathLike[str]) -> Path:
    """A folder that may be written to; raises if a file is in the way."""
    folder = Path(path)
    if folder.exists() and not folder.is_dir():
        raise AudioMetamerError(f"{folder} is a file; --out takes a folder")
    return folder
