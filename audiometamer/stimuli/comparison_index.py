"""The index of a set of sounds that tell models apart: a row for each sound."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from audiometamer.metamers.verdicts import verdict_word
from audiometamer.stimuli.comparison_records import ORIGINAL, ComparisonRecord, SoundRecord, iterate_comparisons
from audiometamer.stimuli.layout import COMPARISONS

SEPARATOR = "|"  # of the values of several models in one cell


class ComparisonRow(msgspec.Struct, frozen=True):
    """One sound of ``index.tsv``; its fields are the columns, in this order. Cells that do not apply are empty.

    Values of several models or layers in one cell are separated by ``|``.

    Parameters
    ----------
    file : str
        Path of the sound in the set.
    key : str
        The first 12 hexadecimal digits of the item's identity.
    kind, clip : str
    words : str
        What the first model is to hear, and the second.
    of : str
        ``model:layer``, or models, that the sound is made for.
    contrast : str
        Sounds of one item with the same contrast are compared with each other.
    level_db : float or None
        RMS of a distortion in dB re that of the clip.
    verdict : str
        ``passed``, ``failed`` or ``no verdict``.
    representations : str
        ``model:layer``, or models, of the following cells.
    distances : str
        Root mean square difference from the clip, in 16 bits.
    first_scores, second_scores : str
        Probability of the first word and of the second.
    hears : str
        Word that each model hears.
    score : float or None
        Hard score of a controversial sound.
    drift : float or None
        Relative difference of the mean square distance that is held.
    snr_db : float or None
        SNR of a metamer.
    seed : int
    sample_rate : int
        Hz.
    duration, seconds : float
        Of the sound, and of making its item.
    rms, peak : float
        Full scale is 1.
    original : str
        Path of the clip in the set.
    clip_sha256, weights_sha256 : str
        Hashes of the clip's samples and of the models' weights.
    """

    file: str
    key: str
    kind: str
    clip: str
    words: str
    of: str
    contrast: str
    level_db: float | None
    verdict: str
    representations: str
    distances: str
    first_scores: str
    second_scores: str
    hears: str
    score: float | None
    drift: float | None
    snr_db: float | None
    seed: int
    sample_rate: int
    duration: float
    seconds: float
    rms: float
    peak: float
    original: str
    clip_sha256: str
    weights_sha256: str


def comparison_rows(stimulus_set: Path) -> list[ComparisonRow]:
    """A row for each sound of each complete item on the disk."""
    return [row for at, record in iterate_comparisons(stimulus_set, whole=True) for row in _rows(stimulus_set, at, record)]


def sounds_of(files: Iterable[str]) -> list[str]:
    """Those of a set's files that are sounds of its items, the clips aside."""
    inside = (file for file in files if file.startswith(f"{COMPARISONS}/") and file.endswith(".wav"))
    return [file for file in inside if not file.endswith(f"/{ORIGINAL}")]


def _rows(stimulus_set: Path, at: Path, record: ComparisonRecord) -> Iterator[ComparisonRow]:
    folder = at.relative_to(stimulus_set).as_posix()
    models = dict.fromkeys(name.rpartition(":")[0] or name for name in record.representations)
    for sound in record.sounds:
        yield ComparisonRow(
            file=f"{folder}/{sound.file}", key=record.key, kind=record.kind, clip=record.clip, words=SEPARATOR.join(record.words),
            of=SEPARATOR.join(record.of), contrast=sound.contrast, level_db=sound.level_db, verdict=verdict_word(sound.passed),
            representations=SEPARATOR.join(record.representations), **_scores(sound), seed=record.seed,
            sample_rate=record.sample_rate, duration=record.duration, seconds=record.seconds, rms=sound.rms, peak=sound.peak,
            original=f"{folder}/{ORIGINAL}" if record.original_sha256 else "", clip_sha256=record.clip_sha256,
            weights_sha256=SEPARATOR.join(record.weights[model] for model in models if model in record.weights),
        )  # fmt: skip


def _scores(sound: SoundRecord) -> dict[str, Any]:
    lists: dict[str, Sequence[float]] = {
        "distances": sound.distances, "first_scores": sound.first_scores, "second_scores": sound.second_scores,
    }  # fmt: skip
    joined = {name: SEPARATOR.join(f"{value:.6g}" for value in values) for name, values in lists.items()}
    return {
        **joined, "hears": SEPARATOR.join(sound.hears), "score": sound.score, "drift": sound.drift, "snr_db": sound.snr_db,
    }  # fmt: skip


def comparison_readme(title: str, rows: Sequence[ComparisonRow], rights: str) -> str:
    """The README of a set, without its first line and its licences."""
    kinds = dict.fromkeys((row.kind, row.of) for row in rows)
    counts = [[row for row in rows if (row.kind, row.of) == kind] for kind in kinds]
    table = "\n".join(
        f"| {kind} | {of.replace(SEPARATOR, ', ')} | {len(some)} | {sum(row.verdict == 'failed' for row in some)} |"
        for (kind, of), some in zip(kinds, counts, strict=True)
    )
    return f"""# {title}

Sounds that tell models apart: {len(rows)} sounds. Models and layers: {"; ".join(rows[0].representations.split(SEPARATOR))}.

| kind | made for | sounds | failed |
|---|---|---|---|
{table}

All sounds have 16 bits; distances and scores are those of the sounds as written. Those that failed are kept and marked.

## Files
`index.tsv`: a row for each sound. `{COMPARISONS}/<clip or words>/<kind>/…-<key>/`: the sounds of an item, their clip, and their
record. `plan.toml`, with `clips.csv`; each later one is `plan-2.toml` and so on. `audiometamer run plan.toml`, in this folder,
makes missing items. `sha256sum -c MANIFEST.sha256` (or `audiometamer stimuli verify`) finds every file that has changed.
{rights}"""
