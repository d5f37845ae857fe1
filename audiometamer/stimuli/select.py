"""Which items of a set to use: what passed everywhere, or as much as is balanced; matched, drawn by seed, and written down."""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np

from audiometamer.errors import AudioMetamerError
from audiometamer.stimuli.balance import Family, largest_balanced, most_balanced
from audiometamer.stimuli.layout import CLIPS, MANIFEST
from audiometamer.stimuli.set import COLUMNS, Row, json_text, read_clips, read_rows, write_table, write_text
from audiometamer.stimuli.verify import file_sha256
from audiometamer.version import __version__

# What makes a condition: all that decides a metamer but its clip and its seed.
CONDITION = ("model", "weights_sha256", "layer", "method", "loss", "steps")
TABLE, RULES = "selection.tsv", "selection.json"


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What is selected.

    Only items that passed their verdict are, and one seed of each clip at each condition, drawn. A condition is a layer of a
    model, matched in one way: items of other weights, another method, loss or number of steps are of another condition.

    Parameters
    ----------
    among : {"complete", "largest"}
        ``complete``: clips that passed at all conditions, each with all of them. ``largest``: as many items as can be had with
        equally many at each condition; a clip may be there at some conditions alone. Default "complete".
    balance : tuple of str
        Columns of ``clips.tsv`` (word, voice, …), every value of which is to come equally often at every condition. Default none.
    may_drop : tuple of str
        Of these columns, values that may be left out altogether; those that remain come equally often. Default none.
    most_clips : int or None
        At most so many at each condition. Default: as many as there are.
    level_within : float or None
        All RMS levels lie in a window of so many dB. Default: any.
    duration_within : float or None
        All durations lie in a window of so many seconds. Default: any.
    only : dict of str to tuple of str
        By column of ``index.tsv`` or ``clips.tsv``, the values to select from. Default: all.
    seed : int
        Of every draw. Default 0.
    """

    among: Literal["complete", "largest"] = "complete"
    balance: tuple[str, ...] = ()
    may_drop: tuple[str, ...] = ()
    most_clips: int | None = None
    level_within: float | None = None
    duration_within: float | None = None
    only: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    seed: int = 0

    def __post_init__(self) -> None:
        checks = (
            (self.among in ("complete", "largest"), f"among is {self.among!r}; it must be complete or largest"),
            (self.most_clips is None or self.most_clips > 0, f"most clips is {self.most_clips}; it must be above 0"),
            (
                self.level_within is None or self.level_within >= 0,
                f"level within is {self.level_within} dB; it must be 0 or more",
            ),
            (
                self.duration_within is None or self.duration_within >= 0,
                f"duration within is {self.duration_within} s; it must be 0 or more",
            ),
            (self.seed >= 0, f"seed is {self.seed}; it must be 0 or more"),
        )
        for good, message in checks:
            if not good:
                raise AudioMetamerError(message)


class Selection(NamedTuple):
    """Items, and how they came to be selected.

    Parameters
    ----------
    rows : list of Row
    counts : dict of str to int
        How many items, clips or both were left after each rule.
    """

    rows: list[Row]
    counts: dict[str, Any]


class Candidate(NamedTuple):
    """An item that passed its verdict, and the number of its condition."""

    row: Row
    condition: int


class Unit(NamedTuple):
    """What is taken or left as a whole: a clip at all conditions, or at one; of each, the seeds, one of which is drawn."""

    clip: str
    conditions: list[list[Candidate]]


# What must lie in a window, and how wide that is.
_Match = tuple[Callable[[Row], float], float]


def select(stimulus_set: Path, rules: Rules) -> Selection:
    """Choose items of a set by rules; see `Rules`. No larger choice keeps to them.

    Raises
    ------
    AudioMetamerError
        If nothing passed or nothing is left, or a column is not in ``clips.tsv``.
    """
    return select_rows(read_rows(stimulus_set), read_clips(stimulus_set), rules)


def select_rows(rows: Sequence[Row], clips: dict[str, dict[str, str]], rules: Rules) -> Selection:
    """As `select`, from rows of an index and what is known of the clips by name and column."""
    rows = sorted(_only(rows, clips, rules.only), key=lambda row: row.file)
    conditions = {condition: k for k, condition in enumerate(dict.fromkeys(map(_condition, rows)))}
    passed = [Candidate(row, conditions[_condition(row)]) for row in rows if row.verdict == "passed"]
    if not passed:
        told = ", ".join(f"{n} {verdict}" for verdict, n in Counter(row.verdict for row in rows).items())
        raise AudioMetamerError(f"no item passed its verdict ({told}): there is nothing to select from")
    matches = _matches(passed, rules)
    names = {row.clip for row in rows}
    values = {column: _values(column, names, clips) for column in (*rules.balance, *rules.may_drop)}
    search = _Search(rules, len(conditions), len(names), values)
    candidates = search.units(passed)
    if not candidates:
        raise AudioMetamerError(_nothing_complete(passed, list(conditions)))
    search.look(passed, matches)
    if not search.best:
        raise AudioMetamerError(_nothing_balanced(candidates, values, rules) if search.matched else _nothing_matched(rules))
    found = sorted(search.drawn(), key=lambda row: row.file)
    return Selection(found, {
        "items": len(rows), "passed": len(passed), "one_seed": len({(c.row.clip, c.condition) for c in passed}),
        "candidates": _size(candidates), "matched": search.matched, "selected": len(found),
        "selected_clips": len({row.clip for row in found}), "conditions": len(conditions),
    })  # fmt: skip


@dataclass
class _Search:
    """Look for the largest balanced selection in one part of the candidates after another.

    Parameters
    ----------
    rules : Rules
    n_conditions, n_clips : int
    values : dict of str to dict of str to str
        By column that is to be balanced, what it tells of each clip.
    best : list of Unit
        The first of those that are largest.
    matched : int
        How many items are in the windows where it was found.
    """

    rules: Rules
    n_conditions: int
    n_clips: int
    values: dict[str, dict[str, str]]
    best: list[Unit] = field(default_factory=list)
    matched: int = 0

    def __post_init__(self) -> None:
        self.generator = np.random.default_rng(self.rules.seed)
        clips = self.n_clips if self.rules.most_clips is None else self.rules.most_clips
        self.most = clips * (self.n_conditions if self.rules.among == "largest" else 1)  # units

    def look(self, part: Sequence[Candidate], matches: Sequence[_Match]) -> None:
        """Look in every window of a part that could hold more than the best so far."""
        if len(part) <= len(self.best):
            return
        units = self.units(part)
        families = self.families(units)
        if not matches:
            self.matched = self.matched or _size(units)
        if min(most_balanced(families), self.most) <= len(self.best):
            return
        if matches:
            (value, width), *rest = matches
            for inside in _windows(part, value, width):
                self.look(inside, rest)
            return
        chosen = largest_balanced(len(units), families, most=self.most, generator=self.generator)
        if len(chosen) > len(self.best):
            self.best, self.matched = [units[k] for k in chosen], _size(units)

    def units(self, part: Sequence[Candidate]) -> list[Unit]:
        """What can be taken of a part."""
        seeds: dict[tuple[str, int], list[Candidate]] = {}
        for candidate in part:
            seeds.setdefault((candidate.row.clip, candidate.condition), []).append(candidate)
        if self.rules.among == "largest":
            return [Unit(clip, [found]) for (clip, _), found in seeds.items()]
        clips: dict[str, list[list[Candidate]]] = {}
        for (clip, _), found in seeds.items():
            clips.setdefault(clip, []).append(found)
        return [Unit(clip, found) for clip, found in clips.items() if len(found) == self.n_conditions]

    def families(self, units: Sequence[Unit]) -> list[Family]:
        """What is to come equally often: conditions, and at each the values of each column."""
        apart = self.rules.among == "largest"  # else a clip brings all conditions, and these are balanced already
        place = [unit.conditions[0][0].condition if apart else 0 for unit in units]
        n_places = self.n_conditions if apart else 1
        families = [_family(place, n_places, ["" for _ in units], [""], may_drop=False)]
        for column, told in self.values.items():
            of_unit = [told[unit.clip] for unit in units]
            families.append(_family(place, n_places, of_unit, sorted(set(told.values())), may_drop=column in self.rules.may_drop))
        return families

    def drawn(self) -> list[Row]:
        """Of the best, one seed of each clip at each condition."""
        return [seeds[int(self.generator.integers(len(seeds)))].row for unit in self.best for seeds in unit.conditions]


def _size(units: Sequence[Unit]) -> int:
    return sum(len(unit.conditions) for unit in units)


def _windows(part: Sequence[Candidate], value: Callable[[Row], float], width: float) -> list[Sequence[Candidate]]:
    """Those that lie in a window, for every window that cannot be moved to hold others too; those with most first."""
    part = sorted(part, key=lambda candidate: value(candidate.row))
    values = [value(candidate.row) for candidate in part]
    ends = [bisect_right(values, low + width + 1e-9) for low in values]  # 1e-9: rounding of logarithms
    spans = [(start, end) for start, end in enumerate(ends) if start == 0 or end > ends[start - 1]]
    return [part[start:end] for start, end in sorted(spans, key=lambda span: span[0] - span[1])]


def _matches(passed: Sequence[Candidate], rules: Rules) -> list[_Match]:
    matches: list[_Match] = []
    if rules.duration_within is not None:
        if endless := [c.row.file for c in passed if c.row.duration is None]:
            raise AudioMetamerError(f"{endless[0]} is no sound: it has no duration to match")
        matches.append((lambda row: row.duration or 0.0, rules.duration_within))
    if rules.level_within is not None:
        if silent := [c.row.file for c in passed if not c.row.rms > 0]:
            raise AudioMetamerError(f"{silent[0]} is silent: it has no level to match")
        matches.append((lambda row: 20 * math.log10(row.rms), rules.level_within))
    return matches


def _condition(row: Row) -> tuple[str, ...]:
    return tuple(str(getattr(row, column)) for column in CONDITION)


def _only(rows: Sequence[Row], clips: dict[str, dict[str, str]], only: dict[str, tuple[str, ...]]) -> Sequence[Row]:
    """The rows with the values that were asked for."""
    for column, wanted in only.items():
        told = [str(getattr(row, column) if column in COLUMNS else clips.get(row.clip, {}).get(column, "")) for row in rows]
        if column not in COLUMNS and not any(told):
            raise AudioMetamerError(f"neither the index nor {CLIPS} has a column {column!r}; the index has {', '.join(COLUMNS)}")
        if unknown := [value for value in wanted if value not in told]:
            raise AudioMetamerError(f"no item has {column} {unknown[0]!r}; there are {', '.join(sorted(set(told)))}")
        rows = [row for row, value in zip(rows, told, strict=True) if value in wanted]
    return rows


def _nothing_complete(passed: Sequence[Candidate], conditions: Sequence[tuple[str, ...]]) -> str:
    """One line: where fewest clips passed."""
    clips = [len({c.row.clip for c in passed if c.condition == k}) for k in range(len(conditions))]
    fewest = conditions[clips.index(min(clips))]
    return (
        f"no clip passed at all {len(conditions)} conditions; fewest did at {fewest[0]} {fewest[2]} ({min(clips)}): leave it out "
        f"(--only), or select the largest balanced subset (--among largest)"
    )


def _nothing_matched(rules: Rules) -> str:
    widths = [f"{rules.level_within:g} dB"] if rules.level_within is not None else []
    widths += [f"{rules.duration_within:g} s"] if rules.duration_within is not None else []
    return f"no clip's own metamers lie within {' and '.join(widths)} of each other; widen the window"


def _values(column: str, names: set[str], clips: dict[str, dict[str, str]]) -> dict[str, str]:
    """What a column tells of each clip."""
    known = dict.fromkeys(name for told in clips.values() for name in told)
    if column not in known:
        raise AudioMetamerError(f"{CLIPS} has no column {column!r} to balance; it has {', '.join(known) or 'none'}")
    if untold := sorted(name for name in names if not clips.get(name, {}).get(column)):
        raise AudioMetamerError(
            f"{CLIPS} does not tell the {column} of {untold[0]}" + f" and {len(untold) - 1} more" * (len(untold) > 1)
        )
    return {name: clips[name][column] for name in sorted(names)}


def _family(place: Sequence[int], n_places: int, of_unit: Sequence[str], values: Sequence[str], *, may_drop: bool) -> Family:
    """The units of each value at each place."""
    members: dict[tuple[str, int], list[int]] = {}
    for k, at in enumerate(zip(of_unit, place, strict=True)):
        members.setdefault(at, []).append(k)
    return Family([[members.get((value, at), []) for at in range(n_places)] for value in values], may_drop=may_drop)


def _nothing_balanced(units: Sequence[Unit], values: dict[str, dict[str, str]], rules: Rules) -> str:
    """One line: which value has no candidate."""
    left = {unit.clip for unit in units}
    for column, told in values.items():
        missing = sorted(set(told.values()) - {told[clip] for clip in left})
        if missing and column not in rules.may_drop:
            return (
                f"nothing is balanced: no clip of {column} {missing[0]} is among the {len(left)} candidates; let values of "
                f"{column} be left out (--may-drop {column}), or widen the other rules"
            )
    return f"nothing is balanced among the {len(units)} candidates; let values be left out (--may-drop), or balance fewer columns"


def write_selection(stimulus_set: Path, out: Path, rules: Rules) -> Selection:
    """Select, and write ``selection.tsv`` (rows of the index, with the columns of the clips) and ``selection.json``, the rules.

    Raises
    ------
    AudioMetamerError
        As `select`; or if one of the files exists.
    """
    for path in (out / TABLE, out / RULES):
        if path.exists():
            raise AudioMetamerError(f"{path} exists; nothing is overwritten: choose another --out")
    clips = read_clips(stimulus_set)
    selection = select(stimulus_set, rules)
    told = dict.fromkeys(column for about in clips.values() for column in about if column not in COLUMNS)
    rows = [clips.get(row.clip, {}) | msgspec.structs.asdict(row) for row in selection.rows]
    manifest = stimulus_set / MANIFEST
    content = {
        "audiometamer": __version__,
        "set": stimulus_set.resolve().name,
        "set_manifest_sha256": file_sha256(manifest) if manifest.exists() else None,
        "rules": rules,
        "counts": selection.counts,
    }
    write_table(out / TABLE, (*COLUMNS, *told), ({c: r.get(c) for c in (*COLUMNS, *told)} for r in rows))
    write_text(out / RULES, json_text(content))
    return selection
