"""The description of a set for people and for BIDS: ``README.md`` and ``dataset_description.json``."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from audiometamer.errors import AudioMetamerError, first_few, first_line, pluralize
from audiometamer.io.files import set_aside
from audiometamer.io.reading import JSON_ERRORS
from audiometamer.metamers.record_files import warn_about_broken
from audiometamer.stimuli.clips import RIGHTS, UNKNOWN
from audiometamer.stimuli.index import IndexRow
from audiometamer.version import __version__

BIDS_VERSION = "1.11.1"
WRITTEN_BY_US = "<!-- written by audiometamer; without this line it is left as it is -->"
_MOST_NAMED = 20


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


def read_description(path: Path) -> dict[str, Any]:
    """The existing description, with additions of a laboratory; empty if it is missing, or broken, and then it is set aside."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise AudioMetamerError(f"{path} cannot be read: {error.strerror}") from error
    except JSON_ERRORS as error:
        warn_about_broken([f"{path} is not a JSON object ({first_line(error)})"], "it is set aside and written again")
        set_aside(path)
        return {}


def licences_section(rights: Sequence[Mapping[str, str]]) -> str:
    """The part of a README about the clips' licences."""
    licences = Counter(right["licence"] for right in rights)
    incomplete = [
        f"{right['clip']} ({', '.join(r for r in RIGHTS if right[r] == UNKNOWN)})"
        for right in rights
        if UNKNOWN in right.values()
    ]
    unknown = f"\nNot known: {first_few(incomplete, _MOST_NAMED)}.\n" if incomplete else ""
    return f"""
## Licences
The licences are those of the clips that the sounds are made from. Each clip is listed in `LICENCES.tsv`.

{chr(10).join(f"- {licence}: {pluralize(count, 'clip')}" for licence, count in sorted(licences.items()))}
{unknown}"""


def readme(title: str, rows: Sequence[IndexRow], rights: Sequence[Mapping[str, str]]) -> str:
    """The README of a set of metamers: how it was made, in words and a table."""
    cells: dict[tuple[str, str], Counter[str]] = {}
    for row in rows:
        cells.setdefault((row.model, row.layer), Counter())[row.verdict] += 1
    methods = dict.fromkeys(f"{row.method}, loss {row.loss}, up to {row.steps} steps for each attempt" for row in rows)
    seeds = sorted({row.seed for row in rows})
    weights = dict.fromkeys(f"{row.model} (weights {row.weights_sha256[:12]}…)" for row in rows)
    verdicts = "\n".join(
        f"| {model} | {layer} | {n.total()} | {n['passed']} | {n['failed']} | {n['no verdict']} | {_rate(n)} |"
        for (model, layer), n in cells.items()
    )
    return f"""{WRITTEN_BY_US}
# {title}

Model metamers: sounds that a layer of a network cannot distinguish from a natural clip. {len(rows)} metamers of
{pluralize(len(rights), "clip")}; listed by audiometamer {__version__}.

- Models: {"; ".join(weights)}.
- Layers: {", ".join(dict.fromkeys(row.layer for row in rows))}.
- Method: {"; ".join(methods)}.
- Seeds: {first_few([str(seed) for seed in seeds], _MOST_NAMED)}.
- Plan: `plan.toml`, with `clips.csv`; each later one is `plan-2.toml` and so on. `audiometamer run plan.toml`, in this folder,
  makes its missing items.
- The `item.json` beside every sound contains its settings, seeds, versions, loss and evidence.

| model | layer | made | passed | failed | no verdict | pass rate |
|---|---|---|---|---|---|---|
{verdicts}

A sound passes if it is closer to its clip at the layer than every random pair of natural sounds, and the model gives both the
same label. Those that failed are kept and marked.

## Files
`index.tsv`: a row for each sound. `clips.tsv`: what is known about the clips. `originals/`: the clips as the models take them.
`items/<clip>/<model>/<layer>_seed<k>-<key>/`: a sound and its record. `sha256sum -c MANIFEST.sha256` (or `audiometamer stimuli
verify`) finds every file that has changed.
{licences_section(rights)}"""


def _rate(count: Mapping[str, int]) -> str:
    judged = count["passed"] + count["failed"]
    return f"{100 * count['passed'] / judged:.0f} %" if judged else "–"
