"""What a set says of itself: its index, clips, licences, description, README, and last its manifest."""

import importlib.util
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from audiometamer.errors import AudioMetamerError, first_few, first_line, pluralize
from audiometamer.io.files import atomic_write, is_temporary, set_aside, write_json, write_text
from audiometamer.io.locks import file_lock
from audiometamer.io.tables import read_table, write_table
from audiometamer.jobs.claims import LOCK, file_stamp, remove_dead_claims
from audiometamer.metamers.folder_kinds import check_set, is_set
from audiometamer.metamers.layout import INDEX, ITEMS
from audiometamer.metamers.record_files import JSON_ERRORS, warn_about_broken
from audiometamer.metamers.results import Result, iterate_results, read_results
from audiometamer.metamers.verdicts import verdict_word
from audiometamer.signals.clip_names import row_clip_name
from audiometamer.stimuli.layout import (
    CLAIMS,
    CLIP_COLUMNS,
    CLIPS,
    DESCRIPTION,
    LICENCES,
    MANIFEST,
    ORIGINALS,
    PARQUET,
    README,
    clip_tables,
)
from audiometamer.stimuli.verify import lists_all, write_manifest
from audiometamer.version import __version__

UNKNOWN = "unknown"
BIDS_VERSION = "1.11.1"
RIGHTS = ("licence", "attribution", "source")
_MOST_NAMED = 20
_OF_WORKERS = (ITEMS, ORIGINALS, CLAIMS)  # folders that they write into
_BY_US = "<!-- written by audiometamer; without this line it is left as it is -->"


class IndexRow(msgspec.Struct, frozen=True):
    """One item of ``index.tsv``; its fields are the columns, in this order. What does not apply is empty.

    Parameters
    ----------
    file : str
        The signal, as it lies in the set.
    key : str
        The first 12 hexadecimal digits of the item's identity.
    clip, model, layer : str
    seed : int
        Of the attempt that was kept.
    verdict : str
        ``passed``, ``failed`` or ``no verdict``.
    snr_db, spearman_rho, pearson_r2 : float or None
        At the matched layer; an infinite SNR is ``inf``.
    label_clip, label_metamer : str
        What the model takes clip and metamer for; several tasks are separated by ``|``.
    method, loss : str
    attempt : str
        How it came about: ``first``, ``new noise``, ``continued`` or ``layer before``; see
        `audiometamer.metamers.summaries.attempt_origin`.
    steps : int
    seconds : float
        Of synthesis.
    sample_rate : int or None
        Hz.
    duration : float or None
        Seconds of sound.
    rms, peak : float
        Full scale is 1.
    attempts : int
        How many seeds were tried.
    original : str
        What it is a metamer of, as it lies in the set.
    clip_sha256, weights_sha256 : str
        Of the clip's samples and of the model's weights.
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
    attempt: str
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
    """A row for each complete item, as it is on disk now.

    Raises
    ------
    AudioMetamerError
        If there is no item, or a record or a sound cannot be read.
    """
    rows = list(map(_row, read_results(stimulus_set)))
    for original, row in {row.original: row for row in rows}.items():
        if not (stimulus_set / original).exists():
            raise AudioMetamerError(
                f"{stimulus_set / original}, the clip of {row.file}, is gone: put it back, or run its plan again, which writes it"
            )
    return rows


def _row(result: Result) -> IndexRow:
    from audiometamer.signals.audio import file_duration

    evidence = result.evidence
    settings, labels = evidence.settings, evidence.verdict.labels.values()
    matched = evidence.similarity.get(settings.layer, {})
    sound = evidence.sample_rate is not None
    return IndexRow(
        file=result.file, key=result.key, clip=settings.clip, model=settings.model, layer=settings.layer, seed=settings.seed,
        verdict=verdict_word(evidence.verdict.passed), attempt=evidence.attempt,
        snr_db=math.inf if "snr_db" in matched and matched["snr_db"] is None else matched.get("snr_db"),
        spearman_rho=matched.get("spearman_rho"), pearson_r2=matched.get("pearson_r2"),
        label_clip="|".join(clip for clip, _ in labels), label_metamer="|".join(metamer for _, metamer in labels),
        method=settings.method, loss=settings.loss, steps=settings.steps, seconds=evidence.seconds,
        sample_rate=evidence.sample_rate, duration=file_duration(result.path) if sound else None,
        rms=evidence.rms, peak=evidence.peak, attempts=len(result.seeds), original=result.original,
        clip_sha256=settings.clip_sha256, weights_sha256=settings.weights_sha256,
    )  # fmt: skip


def write_set(stimulus_set: Path, *, clips: Path | None = None, name: str | None = None) -> list[IndexRow]:
    """Write all that a set says of itself from the items on disk; the manifest last; of a folder of `synth`, only its clips.

    ``index.tsv`` (and ``index.parquet`` where pyarrow is installed), ``clips.tsv``, ``LICENCES.tsv``,
    ``dataset_description.json``, ``README.md`` and ``MANIFEST.sha256``.

    Parameters
    ----------
    stimulus_set : path
    clips : path, optional
        A table with the column ``name`` or ``path``, whose other columns describe the clips (word, speaker, ``licence``,
        ``attribution``, ``source``). It adds to what the set's plans and its ``clips.tsv`` tell, and where it tells otherwise
        it is believed.
    name : str, optional
        Of the data set. Default: what ``dataset_description.json`` has, or else that of the folder.

    Returns
    -------
    list of Row

    Raises
    ------
    AudioMetamerError
        If there is no item, if something cannot be read or written, if two rows of `clips` tell different things of one clip,
        or if it tells of none of the set's clips.
    """
    if not stimulus_set.is_dir():
        check_set(stimulus_set)
    with file_lock(stimulus_set / LOCK):
        rows = list(map(_row, read_results(stimulus_set, warn=False, whole=True)))
        told = {} if clips is None else _named(clips)
        if clips is not None and not any(row.clip in told for row in rows):
            raise AudioMetamerError(
                f"{clips} tells of none of the clips of {stimulus_set} ({rows[0].clip}, …); it has {first_few(list(told))}"
            )
        _write(stimulus_set, rows, _merged(_known(stimulus_set), told), name)
    return rows


def finalize(stimulus_set: Path, *, clips: Path) -> None:
    """Write all that a set says of itself at the end of a run: nothing if nothing is made, or if it is all written already.

    Runs that end at the same time do this one after the other; what the first has written is true for the next.

    Parameters
    ----------
    stimulus_set : path
    clips : path
        The table of the plan's clips.
    """
    before = file_stamp(stimulus_set / MANIFEST)
    with file_lock(stimulus_set / LOCK):
        known = _known(stimulus_set)
        about = _merged(known, _named(clips))
        if file_stamp(stimulus_set / MANIFEST) != before and about == known and lists_all(stimulus_set):
            return
        _remove_leftovers(stimulus_set)
        if rows := list(map(_row, iterate_results(stimulus_set, whole=True))):
            _write(stimulus_set, rows, about)


def _remove_leftovers(stimulus_set: Path) -> None:
    """Remove what runs that were killed had half written.

    Tables are written by who holds the set's lock, items and originals by who holds a claim: what was there before nobody was
    seen to hold one is left over.
    """
    tables = [path for path in stimulus_set.glob(".*") if is_temporary(path.name)]
    signals = [path for folder in _OF_WORKERS for path in (stimulus_set / folder).rglob(".*") if is_temporary(path.name)]
    for path in (*tables, *(signals if remove_dead_claims(stimulus_set / CLAIMS) else ())):
        path.unlink(missing_ok=True)


def _write(stimulus_set: Path, rows: Sequence[IndexRow], about: Mapping[str, Mapping[str, str]], name: str | None = None) -> None:
    used = {clip: about.get(clip, {}) for clip in dict.fromkeys(row.clip for row in rows)}
    rights = [{"clip": clip, **{right: told.get(right) or UNKNOWN for right in RIGHTS}} for clip, told in used.items()]
    columns = dict.fromkeys(column for told in used.values() for column in told)
    write_table(stimulus_set / CLIPS, ("clip", *columns), [{"clip": clip, **told} for clip, told in used.items()])
    write_table(stimulus_set / LICENCES, ("clip", *RIGHTS), rights)
    if not is_set(stimulus_set):  # of `synth`, which writes an index of its own
        return
    write_table(stimulus_set / INDEX, COLUMNS, map(msgspec.structs.asdict, rows))
    _write_parquet(stimulus_set / PARQUET, rows)
    described = _read_description(stimulus_set / DESCRIPTION)
    title = name or described.get("Name") or stimulus_set.resolve().name
    described |= description(title, [right["licence"] for right in rights], kind="derivative", listed_in=LICENCES)
    write_json(stimulus_set / DESCRIPTION, described)
    readme = stimulus_set / README
    if not readme.exists() or readme.read_text(encoding="utf-8", errors="replace").startswith(_BY_US):
        write_text(readme, _readme(title, rows, rights))
    write_manifest(stimulus_set)


def read_clips(stimulus_set: Path) -> dict[str, dict[str, str]]:
    """What ``clips.tsv`` tells of each clip by column; nothing if it is not there."""
    path = stimulus_set / CLIPS
    return {row.pop("clip"): row for row in read_table(path, required=["clip"])} if path.exists() else {}


def _known(stimulus_set: Path) -> dict[str, dict[str, str]]:
    """What the set tells of its clips: the tables of its plans, from the first on, and ``clips.tsv``; the later are believed."""
    known: dict[str, dict[str, str]] = {}
    for path in clip_tables(stimulus_set):
        known = _merged(known, _named(path))
    return _merged(known, read_clips(stimulus_set))


def _merged(known: Mapping[str, Mapping[str, str]], more: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    """What is known of each clip by column, and more; an empty cell tells nothing."""
    merged = {clip: dict(told) for clip, told in known.items()}
    for clip, told in more.items():
        before = merged.setdefault(clip, {})
        before.update({column: cell for column, cell in told.items() if cell or column not in before})
    return merged


def _named(path: Path) -> dict[str, dict[str, str]]:
    """Rows of a ``clips.csv`` by the clip's name."""
    rows = read_table(path)
    if not {"name", "path"} & rows[0].keys():
        raise AudioMetamerError(f"{path} has no column name or path; it has {', '.join(rows[0])}")
    hidden = {"name", "path", "clip"} | {column for column in CLIP_COLUMNS if not any(row.get(column) for row in rows)}
    found: dict[str, dict[str, str]] = {}
    for row in rows:
        clip, told = row_clip_name(row), {column: cell for column, cell in row.items() if column not in hidden}
        if found.setdefault(clip, told) != told:
            raise AudioMetamerError(f"{path} tells different things of two clips named {clip}; names of clips must differ")
    return found


def _write_parquet(path: Path, rows: Sequence[IndexRow]) -> None:
    """The index with its types, if pyarrow is installed; without it, none: one of earlier would not be true."""
    if importlib.util.find_spec("pyarrow") is None:
        path.unlink(missing_ok=True)
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {str: pa.string(), int: pa.int64(), float: pa.float64(), int | None: pa.int64(), float | None: pa.float64()}
    schema = pa.schema([(field, types[kind]) for field, kind in IndexRow.__annotations__.items()])
    table = pa.Table.from_pylist([msgspec.structs.asdict(row) for row in rows], schema=schema)
    with atomic_write(path) as temporary, temporary.open("wb") as file:  # a path with a colon would be taken for a URI
        pq.write_table(table, file)


def description(name: str, licences: Iterable[str], *, kind: str, listed_in: str) -> dict[str, Any]:
    """``dataset_description.json`` as BIDS requires it; `kind` is its ``DatasetType``, `listed_in` the file with the licences."""
    distinct = sorted(set(licences))
    one = len(distinct) == 1 and distinct[0] != UNKNOWN
    licence = distinct[0] if one else f"differs between the clips or unknown: see {listed_in}"
    return {
        "Name": name,
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": kind,
        "License": licence,
        "GeneratedBy": [{"Name": "audiometamer", "Version": __version__}],
    }


def _read_description(path: Path) -> dict[str, Any]:
    """What was written, with what a laboratory has added; nothing if it is not there, or broken, and then it is set aside."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise AudioMetamerError(f"{path} cannot be read: {error.strerror}") from error
    except JSON_ERRORS as error:
        warn_about_broken([f"{path} is not a JSON object ({first_line(error)})"], "it is set aside and written anew")
        set_aside(path)
        return {}


def _readme(title: str, rows: Sequence[IndexRow], rights: Sequence[Mapping[str, str]]) -> str:
    """How a set was made, in words and a table."""
    cells: dict[tuple[str, str], Counter[str]] = {}
    for row in rows:
        cells.setdefault((row.model, row.layer), Counter())[row.verdict] += 1
    licences = Counter(right["licence"] for right in rights)
    methods = dict.fromkeys(f"{row.method}, loss {row.loss}, up to {row.steps} steps for each attempt" for row in rows)
    seeds = sorted({row.seed for row in rows})
    weights = dict.fromkeys(f"{row.model} (weights {row.weights_sha256[:12]}…)" for row in rows)
    verdicts = "\n".join(
        f"| {model} | {layer} | {n.total()} | {n['passed']} | {n['failed']} | {n['no verdict']} | {_rate(n)} |"
        for (model, layer), n in cells.items()
    )
    untold = [
        f"{right['clip']} ({', '.join(r for r in RIGHTS if right[r] == UNKNOWN)})"
        for right in rights
        if UNKNOWN in right.values()
    ]
    unknown = f"\nNot known: {first_few(untold, _MOST_NAMED)}.\n" if untold else ""
    return f"""{_BY_US}
# {title}

Model metamers: sounds that a layer of a network cannot tell from a natural clip. {len(rows)} metamers of
{pluralize(len(rights), "clip")}; listed by audiometamer {__version__}.

- Models: {"; ".join(weights)}.
- Layers: {", ".join(dict.fromkeys(row.layer for row in rows))}.
- Method: {"; ".join(methods)}.
- Seeds: {first_few([str(seed) for seed in seeds], _MOST_NAMED)}.
- Plan: `plan.toml`, with `clips.csv`; each later one is `plan-2.toml` and so on. `audiometamer run plan.toml`, in this folder,
  makes what of it is missing.
- Every sound has its settings, seeds, versions, loss and evidence in the `item.json` beside it.

| model | layer | made | passed | failed | no verdict | pass rate |
|---|---|---|---|---|---|---|
{verdicts}

A sound passes if it is closer to its clip at the layer than every random pair of natural sounds, and the model gives both the
same label. Those that failed are kept, and say so.

## Files
`index.tsv`: a row for each sound. `clips.tsv`: what is known of the clips. `originals/`: the clips as the models take them.
`items/<clip>/<model>/<layer>_seed<k>-<key>/`: a sound and its record. `sha256sum -c MANIFEST.sha256` (or `audiometamer stimuli
verify`) finds every file that has changed.

## Licences
Of the clips; a metamer is made from its clip. Each clip is listed in `LICENCES.tsv`.

{chr(10).join(f"- {licence}: {pluralize(count, 'clip')}" for licence, count in sorted(licences.items()))}
{unknown}"""


def _rate(count: Mapping[str, int]) -> str:
    judged = count["passed"] + count["failed"]
    return f"{100 * count['passed'] / judged:.0f} %" if judged else "–"
