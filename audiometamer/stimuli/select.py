"""Select items of a set: clips that passed everywhere, or the largest balanced subset; matched, drawn by seed, recorded."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from audiometamer.errors import AudioMetamerError
from audiometamer.io.files import refuse_existing, write_json
from audiometamer.io.tables import write_table
from audiometamer.stimuli.balance import Family, largest_balanced, most_balanced
from audiometamer.stimuli.clips import read_clips
from audiometamer.stimuli.index import COLUMNS, IndexRow, read_index_rows
from audiometamer.stimuli.layout import CLIPS
from audiometamer.stimuli.selection_rules import SelectionRules
from audiometamer.stimuli.verify import manifest_sha256
from audiometamer.version import __version__

# What defines a condition: everything that determines a metamer but its clip and its seed.
CONDITION = ("model", "weights_sha256", "layer", "method", "loss", "exact", "initial", "stop", "steps")
_MOST_UNITS = 200_000  # to look at in all windows together: some minutes
TABLE, RULES = "selection.tsv", "selection.json"


class Selection(NamedTuple):
    """Selected items, and how many each rule left.

    Parameters
    ----------
    rows : list of Row
    counts : dict of str to int
        Number of items or clips left after each rule.
    """

    rows: list[IndexRow]
    counts: dict[str, Any]


class Candidate(NamedTuple):
    """An item that passed its verdict, and the number of its condition."""

    row: IndexRow
    condition: int


class Unit(NamedTuple):
    """A unit of selection: a clip at all conditions, or at one; at each condition, its seeds, one of which is drawn."""

    clip: str
    conditions: list[list[Candidate]]


def select(stimulus_set: Path, rules: SelectionRules) -> Selection:
    """Select items of a set by rules; see `SelectionRules`.

    No selection that follows the rules is larger. Where that takes too long to ascertain, as it may with thousands of items and
    narrow windows, the count ``at_most`` is an upper bound.

    Raises
    ------
    AudioMetamerError
        If nothing passed or nothing is left, or a column is not in ``clips.tsv``.
    """
    return select_rows(read_index_rows(stimulus_set), read_clips(stimulus_set), rules)


def select_rows(rows: Sequence[IndexRow], clips: dict[str, dict[str, str]], rules: SelectionRules) -> Selection:
    """As `select`, from rows of an index and columns of the clips by name."""
    rows = sorted(_only(rows, clips, rules.only), key=lambda row: row.file)
    conditions = {condition: k for k, condition in enumerate(dict.fromkeys(map(_condition, rows)))}
    left_out = rules.paths_left_out({row.path for row in rows})
    passed = [
        Candidate(row, conditions[_condition(row)])
        for row in rows
        if row.verdict == "passed" and row.attempt not in rules.without_attempts and row.path not in left_out
    ]
    if not passed:
        verdicts = ", ".join(f"{n} {verdict}" for verdict, n in Counter(row.verdict for row in rows).items())
        unjudged = not any(row.verdict in ("passed", "failed") for row in rows)
        remedy = "make a null distribution (audiometamer null) and run again" if unjudged else "there is nothing to select from"
        raise AudioMetamerError(f"no item passed its verdict{rules.described_without()} ({verdicts}): {remedy}")
    names = {row.clip for row in rows}
    values = {column: _values(column, names, clips) for column in (*rules.balance, *rules.may_drop)}
    search = _Search(rules, passed, len(conditions), values)
    if not (candidates := search.units(passed)):
        raise AudioMetamerError(_nothing_complete(passed, list(conditions)))
    search.run()
    if not search.best:
        raise AudioMetamerError(_nothing_balanced(candidates, values, rules))
    found = sorted(search.drawn(), key=lambda row: row.file)
    return Selection(found, {
        "items": len(rows), "passed": len(passed), "one_seed": len({(c.row.clip, c.condition) for c in passed}),
        "candidates": _size(candidates), "matched": search.matched, "selected": len(found), "at_most": search.at_most,
        "selected_clips": len({row.clip for row in found}), "conditions": len(conditions),
    })  # fmt: skip


@dataclass
class _Search:
    """The search for the largest balanced selection over all windows of durations and levels.

    Parameters
    ----------
    rules : Rules
    passed : list of Candidate
    n_conditions : int
    values : dict of str to dict of str to str
        Value of each clip, by column to balance.
    best : list of Unit
        The first of the largest selections found.
    at_most : int
        Upper bound on the number of items.
    matched : int
        Number of items in the window of the best.
    """

    rules: SelectionRules
    passed: list[Candidate]
    n_conditions: int
    values: dict[str, dict[str, str]]
    best: list[Unit] = field(default_factory=list)
    at_most: int = 0
    matched: int = 0

    def __post_init__(self) -> None:
        self.generator = np.random.default_rng(self.rules.seed)

    def run(self) -> None:
        """Try window after window, the most promising first, until none can contain more than the best."""
        looked_at = 0
        for at_most, part in self.windows():
            if at_most <= _size(self.best):
                break
            if looked_at > _MOST_UNITS:
                self.at_most = at_most
                return
            units = self.units(part)
            self.take(units)
            looked_at += len(units)
        self.at_most = _size(self.best)

    def take(self, units: Sequence[Unit]) -> None:
        """Balance some units; keep them if they are more than the best so far."""
        each = self.n_conditions if self.rules.among == "largest" else 1
        most = len(units) if self.rules.most_clips is None else self.rules.most_clips * each
        chosen = largest_balanced(len(units), self.families(units), most=most, generator=self.generator)
        if len(chosen) > len(self.best):
            self.best, self.matched = [units[k] for k in chosen], _size(units)

    def windows(self) -> Iterator[tuple[int, list[Candidate]]]:
        """Each window with its upper bound, the highest first; of equals, the one with most candidates."""
        durations, levels = _durations(self.passed, self.rules), _levels(self.passed, self.rules)
        order = np.argsort(durations, kind="stable")
        found: list[tuple[int, int, NDArray[np.intp], slice]] = []
        for of_duration in _spans(durations[order], self.rules.duration_within):
            inside = order[of_duration]
            inside = inside[np.argsort(levels[inside], kind="stable")]
            spans = _spans(levels[inside], self.rules.level_within)
            found += [(bound, s.stop - s.start, inside, s) for bound, s in zip(self.bounds(inside, spans), spans, strict=True)]
        for bound, _, inside, span in sorted(found, key=lambda window: window[:2], reverse=True):
            yield bound, [self.passed[k] for k in sorted(inside[span])]

    def bounds(self, inside: NDArray[np.intp], spans: Sequence[slice]) -> list[int]:
        """Upper bound on the items selected from each span of candidates: what each column by itself allows."""
        clips = {clip: k for k, clip in enumerate(dict.fromkeys(c.row.clip for c in self.passed))}
        columns = [(np.ones((1, len(clips)), np.int64), False)]
        for column, value_of in self.values.items():
            values = np.array([value_of[clip] for clip in clips])
            of_value = np.array([values == value for value in set(value_of.values())], np.int64)
            columns.append((of_value, column in self.rules.may_drop))
        place = np.array([(clips[self.passed[k].row.clip], self.passed[k].condition) for k in inside]).T
        seeds = np.zeros((len(clips), self.n_conditions), np.int64)
        bounds, start, stop = [], 0, 0
        for span in spans:  # each a little further on than the last
            np.add.at(seeds, tuple(place[:, stop : span.stop]), 1)
            np.subtract.at(seeds, tuple(place[:, start : span.start]), 1)
            start, stop = span.start, span.stop
            present = seeds > 0
            if self.rules.among == "complete":
                present &= present.all(axis=1, keepdims=True)
            bounds.append(min(most_balanced(of_value @ present, may_drop=may_drop) for of_value, may_drop in columns))
        most = (self.rules.most_clips or len(clips)) * self.n_conditions
        return [min(bound, most) for bound in bounds]

    def units(self, part: Sequence[Candidate]) -> list[Unit]:
        """The units among some candidates."""
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
        """Everything that must be equally frequent: conditions, and at each the values of each column."""
        apart = self.rules.among == "largest"  # else a clip brings all conditions, and these are balanced already
        place = [unit.conditions[0][0].condition if apart else 0 for unit in units]
        n_places = self.n_conditions if apart else 1
        families = [_family(place, n_places, ["" for _ in units], [""], may_drop=False)]
        for column, value_of in self.values.items():
            of_unit, values = [value_of[unit.clip] for unit in units], sorted(set(value_of.values()))
            families.append(_family(place, n_places, of_unit, values, may_drop=column in self.rules.may_drop))
        return families

    def drawn(self) -> list[IndexRow]:
        """One seed of each clip at each condition, drawn from the best."""
        return [seeds[int(self.generator.integers(len(seeds)))].row for unit in self.best for seeds in unit.conditions]


def _size(units: Sequence[Unit]) -> int:
    return sum(len(unit.conditions) for unit in units)


def _spans(values: NDArray[np.float64], width: float | None) -> list[slice]:
    """Slices of ascending values within a window, for every window that cannot be moved to contain more."""
    if width is None:
        return [slice(0, len(values))]
    ends = np.searchsorted(values, values + width + 1e-9, side="right").tolist()  # 1e-9: rounding of logarithms
    return [slice(start, end) for start, end in enumerate(ends) if start == 0 or end > ends[start - 1]]


def _durations(passed: Sequence[Candidate], rules: SelectionRules) -> NDArray[np.float64]:
    if rules.duration_within is not None and (endless := [c.row.file for c in passed if c.row.duration is None]):
        raise AudioMetamerError(f"{endless[0]} is not a sound: it has no duration to match")
    return np.array([c.row.duration or 0.0 for c in passed])


def _levels(passed: Sequence[Candidate], rules: SelectionRules) -> NDArray[np.float64]:
    """RMS levels in dB; zeros if levels are not matched."""
    if rules.level_within is None:
        return np.zeros(len(passed))
    if silent := [c.row.file for c in passed if not c.row.rms > 0]:
        raise AudioMetamerError(f"{silent[0]} is silent: it has no level to match")
    return 20 * np.log10([c.row.rms for c in passed])


def _condition(row: IndexRow) -> tuple[str, ...]:
    return tuple(str(getattr(row, column)) for column in CONDITION)


def _only(rows: Sequence[IndexRow], clips: dict[str, dict[str, str]], only: dict[str, tuple[str, ...]]) -> Sequence[IndexRow]:
    """The rows with the requested values."""
    for column, wanted in only.items():
        values = [str(getattr(row, column) if column in COLUMNS else clips.get(row.clip, {}).get(column, "")) for row in rows]
        if column not in COLUMNS and not any(values):
            raise AudioMetamerError(f"neither the index nor {CLIPS} has a column {column!r}; the index has {', '.join(COLUMNS)}")
        if unknown := [value for value in wanted if value not in values]:
            raise AudioMetamerError(f"no item has {column} {unknown[0]!r}; there are {', '.join(sorted(set(values)))}")
        rows = [row for row, value in zip(rows, values, strict=True) if value in wanted]
    return rows


def _nothing_complete(passed: Sequence[Candidate], conditions: Sequence[tuple[str, ...]]) -> str:
    """Message: the condition at which fewest clips passed."""
    clips = [len({c.row.clip for c in passed if c.condition == k}) for k in range(len(conditions))]
    fewest = conditions[clips.index(min(clips))]
    return (
        f"no clip passed at all {len(conditions)} conditions; fewest did at {fewest[0]} {fewest[2]} ({min(clips)}): leave it out "
        f"(--only), or select the largest balanced subset (--among largest)"
    )


def _values(column: str, names: set[str], clips: dict[str, dict[str, str]]) -> dict[str, str]:
    """The value of each clip in a column."""
    known = dict.fromkeys(name for about in clips.values() for name in about)
    if column not in known:
        raise AudioMetamerError(f"{CLIPS} has no column {column!r} to balance; it has {', '.join(known) or 'none'}")
    if missing := sorted(name for name in names if not clips.get(name, {}).get(column)):
        raise AudioMetamerError(
            f"{CLIPS} has no {column} for {missing[0]}" + f" and {len(missing) - 1} more" * (len(missing) > 1)
        )
    return {name: clips[name][column] for name in sorted(names)}


def _family(place: Sequence[int], n_places: int, of_unit: Sequence[str], values: Sequence[str], *, may_drop: bool) -> Family:
    """The units of each value at each place."""
    members: dict[tuple[str, int], list[int]] = {}
    for k, at in enumerate(zip(of_unit, place, strict=True)):
        members.setdefault(at, []).append(k)
    return Family([[members.get((value, at), []) for at in range(n_places)] for value in values], may_drop=may_drop)


def _nothing_balanced(units: Sequence[Unit], values: dict[str, dict[str, str]], rules: SelectionRules) -> str:
    """Message: the value that has no candidate."""
    left = {unit.clip for unit in units}
    for column, value_of in values.items():
        missing = sorted(set(value_of.values()) - {value_of[clip] for clip in left})
        if missing and column not in rules.may_drop:
            return (
                f"nothing is balanced: no clip of {column} {missing[0]} is among the {len(left)} candidates; let values of "
                f"{column} be left out (--may-drop {column}), or widen the other rules"
            )
    widths = [f"{rules.level_within:g} dB"] if rules.level_within is not None else []
    widths += [f"{rules.duration_within:g} s"] if rules.duration_within is not None else []
    near, widen = (f" that lies within {' and '.join(widths)}", "widen the window, ") if widths else ("", "")
    return (
        f"nothing{near} is balanced among the {len(units)} candidates; {widen}let values be left out (--may-drop), or balance "
        "fewer columns"
    )


def write_selection(stimulus_set: Path, out: Path, rules: SelectionRules) -> Selection:
    """Select, and write ``selection.tsv``, rows of the index with the columns of the clips, and ``selection.json``, the rules.

    Raises
    ------
    AudioMetamerError
        As `select`, or if one of the files exists.
    """
    refuse_existing(out / TABLE, out / RULES)
    clips = read_clips(stimulus_set)
    selection = select(stimulus_set, rules)
    about_clips = dict.fromkeys(column for about in clips.values() for column in about if column not in COLUMNS)
    rows = [clips.get(row.clip, {}) | msgspec.structs.asdict(row) for row in selection.rows]
    content = {
        "audiometamer": __version__,
        "set": stimulus_set.resolve().name,
        "set_manifest_sha256": manifest_sha256(stimulus_set),
        "rules": rules,
        "counts": selection.counts,
    }
    columns = (*COLUMNS, *about_clips)
    write_table(out / TABLE, columns, ({column: row.get(column) for column in columns} for row in rows))
    write_json(out / RULES, content)
    return selection
