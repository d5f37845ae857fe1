"""The index of a set: a row for each item."""

import importlib.util
import math
from collections.abc import Sequence
from pathlib import Path

import msgspec

from audiometamer.errors import AudioMetamerError
from audiometamer.io.files import atomic_write
from audiometamer.io.tables import write_table
from audiometamer.metamers.layout import INDEX
from audiometamer.metamers.results import Result, read_results
from audiometamer.metamers.verdicts import verdict_word
from audiometamer.stimuli.layout import PARQUET


class IndexRow(msgspec.Struct, frozen=True):
    """One item of ``index.tsv``; its fields are the columns, in this order. Cells that do not apply are empty.

    Parameters
    ----------
    file : str
        Path of the signal in the set.
    key : str
        The first 12 hexadecimal digits of the item's identity.
    clip, model, layer : str
    seed : int
        Random seed of the attempt that was kept.
    verdict : str
        ``passed``, ``failed`` or ``no verdict``.
    snr_db, spearman_rho, pearson_r2 : float or None
        At the matched layer; an infinite SNR is ``inf``.
    label_clip, label_metamer : str
        Labels that the model gives to clip and metamer; those of several tasks are separated by ``|``.
    method, loss : str
    exact : str
        ``yes`` if the front end was computed as published in every step.
    initial : str
        ``yes`` if it started from a given signal in place of noise.
    stop : str
        The stopping rule that was added to the method's own.
    attempt : str
        How it was made: ``first``, ``new noise``, ``continued`` or ``layer before``; see
        `audiometamer.metamers.summaries.attempt_origin`.
    path : str
        The attempts that led to it, the earliest first; see `audiometamer.metamers.summaries.path_of`.
    steps : int
    seconds : float
        Duration of the synthesis.
    sample_rate : int or None
        Hz.
    duration : float or None
        Duration of the sound in seconds.
    rms, peak : float
        Full scale is 1.
    attempts : int
        Number of seeds that were tried.
    original : str
        Path of the clip in the set.
    clip_sha256, weights_sha256 : str
        Hashes of the clip's samples and of the model's weights.
    """

    file: str
    key: str
    clip: str
    model: str
    layer: str
    seed: int
    verdict: str
    snr_db: float | None
    spearman_rho: float | None
    pearson_r2: float | None
    label_clip: str
    label_metamer: str
    method: str
    loss: str
    exact: str
    initial: str
    stop: str
    attempt: str
    path: str
    steps: int
    seconds: float
    sample_rate: int | None
    duration: float | None
    rms: float
    peak: float
    attempts: int
    original: str
    clip_sha256: str
    weights_sha256: str


COLUMNS = IndexRow.__struct_fields__


def read_index_rows(stimulus_set: Path) -> list[IndexRow]:
    """A row for each complete item on the disk.

    Raises
    ------
    AudioMetamerError
        If there is no item, or a record or a sound cannot be read.
    """
    rows = list(map(index_row, read_results(stimulus_set)))
    for original, row in {row.original: row for row in rows}.items():
        if not (stimulus_set / original).exists():
            raise AudioMetamerError(
                f"{stimulus_set / original}, the clip of {row.file}, is gone: put it back, or run its plan again to write it"
            )
    return rows


def index_row(result: Result) -> IndexRow:
    """The row of an item."""
    from audiometamer.signals.audio import file_duration

    evidence = result.evidence
    settings, labels = evidence.settings, evidence.verdict.labels.values()
    matched = evidence.similarity.get(settings.layer, {})
    sound = evidence.sample_rate is not None
    return IndexRow(
        file=result.file, key=result.key, clip=settings.clip, model=settings.model, layer=settings.layer, seed=settings.seed,
        verdict=verdict_word(evidence.verdict.passed), attempt=evidence.attempt, path=evidence.path_taken,
        snr_db=math.inf if "snr_db" in matched and matched["snr_db"] is None else matched.get("snr_db"),
        spearman_rho=matched.get("spearman_rho"), pearson_r2=matched.get("pearson_r2"),
        label_clip="|".join(clip for clip, _ in labels), label_metamer="|".join(metamer for _, metamer in labels),
        method=settings.method, loss=settings.loss, exact="yes" if settings.exact else "",
        initial="yes" if settings.initial else "", stop=settings.stop,
        steps=settings.steps, seconds=evidence.seconds,
        sample_rate=evidence.sample_rate, duration=file_duration(result.path) if sound else None,
        rms=evidence.rms, peak=evidence.peak, attempts=len(result.seeds), original=result.original,
        clip_sha256=settings.clip_sha256, weights_sha256=settings.weights_sha256,
    )  # fmt: skip


def write_index(stimulus_set: Path, rows: Sequence[msgspec.Struct]) -> None:
    """Write ``index.tsv``, and ``index.parquet`` where pyarrow is installed; all rows are of one kind."""
    write_table(stimulus_set / INDEX, rows[0].__struct_fields__, map(msgspec.structs.asdict, rows))
    _write_parquet(stimulus_set / PARQUET, rows)


def _write_parquet(path: Path, rows: Sequence[msgspec.Struct]) -> None:
    """Write the index with its types if pyarrow is installed; without it, remove an earlier one, which would be out of date."""
    if importlib.util.find_spec("pyarrow") is None:
        path.unlink(missing_ok=True)
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {str: pa.string(), int: pa.int64(), float: pa.float64(), int | None: pa.int64(), float | None: pa.float64()}
    schema = pa.schema([(field, types[kind]) for field, kind in type(rows[0]).__annotations__.items()])
    table = pa.Table.from_pylist([msgspec.structs.asdict(row) for row in rows], schema=schema)
    with atomic_write(path) as temporary, temporary.open("wb") as file:  # a path with a colon would be taken for a URI
        pq.write_table(table, file)
