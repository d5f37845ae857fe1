"""Metamers on disk: ``OUT/<clip>/<model>/<layer>_seed<k>.wav`` with a JSON beside each, and ``OUT/index.tsv``."""

import csv
import os
import re
import struct
from pathlib import Path

import msgspec
import scipy.io.wavfile
import torch

from audiometamer.audio import Clip, write_wav
from audiometamer.errors import AudioMetamerError
from audiometamer.files import whole_file
from audiometamer.metamers.evidence import Evidence, Settings
from audiometamer.metamers.synthesis import Metamer

INDEX_COLUMNS = (
    "wav", "clip", "model", "layer", "seed", "verdict", "snr_db", "spearman_rho", "pearson_r2", "label_clip", "label_metamer",
    "method", "steps", "seconds", "rms", "peak",
)  # fmt: skip


def metamer_path(out: Path, clip: str, model: str, layer: str, seed: int) -> Path:
    """Where the WAV of a metamer lies."""
    return clip_folder(out, clip, model) / f"{safe_name(layer)}_seed{seed}.wav"


def clip_folder(out: Path, clip: str, model: str) -> Path:
    """The folder of one clip's metamers of one model."""
    return out / safe_name(clip) / safe_name(model)


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
    try:
        return msgspec.json.decode(path.with_suffix(".json").read_bytes(), type=Evidence)
    except (OSError, msgspec.MsgspecError) as error:
        raise AudioMetamerError(
            f"{path.with_suffix('.json')} is not the record of a metamer, or one of another version of audiometamer: {error}"
        ) from error


def read_metamer(path: Path) -> Metamer:
    """Read back what `save_metamer` wrote; `path` is the WAV's."""
    evidence = read_evidence(path)
    samples = {}
    for file in (path, path.with_name("original.wav")):
        try:
            rate, values = scipy.io.wavfile.read(file)
        except (OSError, ValueError, struct.error) as error:
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
    for record in sorted(out.glob("*/*/*.json")):
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
    """The files of the metamers that ``index.tsv`` lists, in its order; every one is there, with its record and its clip.

    Raises
    ------
    AudioMetamerError
        If there is no index, it is not one that `write_index` has written, or a file that it lists is missing.
    """
    index = out / "index.tsv"
    if not index.is_file():
        raise AudioMetamerError(f"{out} holds no index.tsv; audiometamer synth writes it when all metamers of {out} are done")
    try:
        with index.open(newline="", encoding="utf-8") as file:
            columns, *rows = list(csv.reader(file, delimiter="\t")) or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise AudioMetamerError(f"{index} cannot be read: {error}") from error
    if columns[1:] != list(INDEX_COLUMNS[1:]):
        raise AudioMetamerError(f"{index} is not a list of metamers, or one of another version of audiometamer: {columns[:9]}")
    paths = []
    for line, row in enumerate(rows, start=2):
        if len(row) != len(columns):
            raise AudioMetamerError(f"{index}, line {line}: {len(row)} cells under {len(columns)} columns; a damaged file?")
        path = out / row[0]
        for needed in (path, path.with_suffix(".json"), path.with_name("original" + path.suffix)):
            if not needed.is_file():
                raise AudioMetamerError(f"{index}, line {line}: {needed} does not exist")
        paths.append(path)
    if not paths:
        raise AudioMetamerError(f"{index} lists no metamers")
    return paths


def verdict_word(passed: bool | None) -> str:
    """``passed``, ``failed``, or ``no verdict`` where there was nothing to judge by."""
    return {True: "passed", False: "failed", None: "no verdict"}[passed]


def safe_name(name: str) -> str:
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
