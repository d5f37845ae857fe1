"""Which items of a set to use: what passed everywhere, or as much as is balanced; matched, drawn by seed, and written down."""

from collections import Counter
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
import scipy.optimize
import scipy.sparse
from numpy.typing import NDArray

from audiometamer.errors import AudioMetamerError
from audiometamer.stimuli.layout import CLIPS, MANIFEST
from audiometamer.stimuli.set import COLUMNS, Row, json_text, read_clips, read_rows, write_table, write_text
from audiometamer.stimuli.verify import file_sha256
from audiometamer.version import __version__

# What makes a condition: all that decides a metamer but its clip and its seed.
CONDITION = ("model", "weights_sha256", "layer", "method", "loss", "steps")
_SOLVER_SECONDS = 600.0
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


class Unit(NamedTuple):
    """What is taken or left as a whole: a clip with all its conditions, or one item."""

    clip: str
    rows: list[Row]


def select(stimulus_set: Path, rules: Rules) -> Selection:
    """Choose items of a set by rules; see `Rules`.

    Raises
    ------
    AudioMetamerError
        If nothing passed or nothing is left, or a column is not in ``clips.tsv``.
    """
    return select_rows(read_rows(stimulus_set), read_clips(stimulus_set), rules)


def select_rows(rows: Sequence[Row], clips: dict[str, dict[str, str]], rules: Rules) -> Selection:
    """As `select`, from rows of an index and what is known of the clips by name and column."""
    generator = np.random.default_rng(rules.seed)
    rows = _only(rows, clips, rules.only)
    conditions = list(dict.fromkeys(_condition(row) for row in rows))
    drawn = _one_seed_each(rows, generator)
    if not drawn:
        told = ", ".join(f"{n} {verdict}" for verdict, n in Counter(row.verdict for row in rows).items())
        raise AudioMetamerError(f"no item passed its verdict ({told}): there is nothing to select from")
    units = _units(drawn, len(conditions), rules)
    counts: dict[str, Any] = {"items": len(rows), "passed": sum(row.verdict == "passed" for row in rows), "one_seed": len(drawn)}
    counts["candidates"] = sum(len(unit.rows) for unit in units)
    if not units:
        raise AudioMetamerError(_nothing_complete(drawn, conditions))
    units = _matched(units, rules)
    counts["matched"] = sum(len(unit.rows) for unit in units)
    values = {column: _values(column, {row.clip for row in rows}, clips) for column in (*rules.balance, *rules.may_drop)}
    chosen = [units[k] for k in _balanced(units, conditions, values, rules, generator)]
    if not chosen:
        raise AudioMetamerError(_nothing_balanced(units, values, rules))
    found = sorted((row for unit in chosen for row in unit.rows), key=lambda row: row.file)
    counts |= {"selected": len(found), "selected_clips": len({row.clip for row in found}), "conditions": len(conditions)}
    return Selection(found, counts)


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


def _nothing_complete(drawn: Sequence[Row], conditions: Sequence[tuple[str, ...]]) -> str:
    """One line: where fewest clips passed."""
    passed = Counter(dict.fromkeys(conditions, 0))
    passed.update(_condition(row) for row in drawn)
    fewest, n = min(passed.items(), key=lambda item: item[1])
    return (
        f"no clip passed at all {len(conditions)} conditions; fewest did at {fewest[0]} {fewest[2]} ({n}): leave it out "
        f"(--only), or select the largest balanced subset (--among largest)"
    )


def _one_seed_each(rows: Sequence[Row], generator: np.random.Generator) -> list[Row]:
    """Of each clip at each condition, one of the seeds that passed."""
    passed: dict[tuple[str, ...], list[Row]] = {}
    for row in sorted(rows, key=lambda row: row.file):
        if row.verdict == "passed":
            passed.setdefault((row.clip, *_condition(row)), []).append(row)
    return [seeds[int(generator.integers(len(seeds)))] for seeds in passed.values()]


def _units(drawn: Sequence[Row], conditions: int, rules: Rules) -> list[Unit]:
    if rules.among == "largest":
        return [Unit(row.clip, [row]) for row in drawn]
    of_clip: dict[str, list[Row]] = {}
    for row in drawn:
        of_clip.setdefault(row.clip, []).append(row)
    return [Unit(clip, rows) for clip, rows in of_clip.items() if len(rows) == conditions]


def _matched(units: list[Unit], rules: Rules) -> list[Unit]:
    """Those in the windows of level, then of duration, that hold most."""
    if rules.level_within is not None:
        if silent := [row.file for unit in units for row in unit.rows if not row.rms > 0]:
            raise AudioMetamerError(f"{silent[0]} is silent: it has no level to match")
        units = _densest(units, [[20 * float(np.log10(row.rms)) for row in unit.rows] for unit in units], rules.level_within)
    if rules.duration_within is not None:
        if endless := [row.file for unit in units for row in unit.rows if row.duration is None]:
            raise AudioMetamerError(f"{endless[0]} is no sound: it has no duration to match")
        units = _densest(units, [[row.duration or 0.0 for row in unit.rows] for unit in units], rules.duration_within)
    return units


def _densest(units: list[Unit], values: list[list[float]], width: float) -> list[Unit]:
    """The units all of whose values lie in one window, where that window holds most of them; the lowest such."""
    low, high = np.array([min(v) for v in values]), np.array([max(v) for v in values])
    width += 1e-9  # rounding of logarithms
    inside = max(((low >= start) & (high <= start + width) for start in np.unique(low)), key=np.count_nonzero)
    if not inside.any():
        raise AudioMetamerError(f"no clip's own metamers lie within {width:.3g} of each other; widen the window")
    return [unit for unit, kept in zip(units, inside, strict=True) if kept]


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


def _balanced(
    units: Sequence[Unit],
    conditions: Sequence[tuple[str, ...]],
    values: dict[str, dict[str, str]],
    rules: Rules,
    generator: np.random.Generator,
) -> list[int]:
    """The most units that are balanced, by number."""
    at: Sequence[Hashable] = conditions if rules.among == "largest" else [None]
    place = [_condition(unit.rows[0]) if rules.among == "largest" else None for unit in units]
    families = [_family(place, ["" for _ in units], at, [""], may_drop=False)]
    for column, told in values.items():
        of_unit, distinct = [told[unit.clip] for unit in units], sorted(set(told.values()))
        families.append(_family(place, of_unit, at, distinct, may_drop=column in rules.may_drop))
    most = None if rules.most_clips is None else rules.most_clips * len(at)
    return largest_balanced(len(units), families, most=most, generator=generator)


def _family(
    place: Sequence[Hashable], of_unit: Sequence[str], conditions: Sequence[Hashable], values: Sequence[str], *, may_drop: bool
) -> "Family":
    """The units of each value at each condition."""
    members: dict[tuple[str, Hashable], list[int]] = {}
    for k, at in enumerate(zip(of_unit, place, strict=True)):
        members.setdefault(at, []).append(k)
    return Family([[members.get((value, condition), []) for condition in conditions] for value in values], may_drop=may_drop)


class Family(NamedTuple):
    """Groups of units that must hold equally many of what is chosen.

    Parameters
    ----------
    values : list of list of list of int
        For each value of a column, the groups (one for each condition), each a list of units.
    may_drop : bool
        Whether all groups of a value may hold none instead.
    """

    values: list[list[list[int]]]
    may_drop: bool


def largest_balanced(n: int, families: Sequence[Family], *, generator: np.random.Generator, most: int | None = None) -> list[int]:
    """The most of `n` units such that in each family every group holds equally many of them; exact.

    A mixed integer program, solved by HiGHS. Units of the same groups are alike: cᵢ of the nᵢ units of kind i are chosen, and
    drawn. Maximise Σ cᵢ (1 + εᵢ), where the number in each group of family f is k_f, or 0 for a value that may be dropped.
    Σ nᵢ εᵢ < 1/2, so that the number counts first and the drawn ε choose among equals.

    Parameters
    ----------
    n : int
    families : sequence of Family
    generator : Generator
    most : int, optional
        No more units than this.

    Returns
    -------
    list of int
        The chosen, ascending; empty if nothing can be balanced.

    Raises
    ------
    AudioMetamerError
        If the solver gives up, or takes longer than ten minutes.
    """
    alike, kinds = _kinds(n, families)
    program = _Program([len(units) for units in alike])
    for f, family in enumerate(families):
        highest = max(len(group) for groups in family.values for group in groups)
        common = program.variable(highest)
        for v, groups in enumerate(family.values):
            used = program.variable(1) if family.may_drop else None
            for g in range(len(groups)):
                group = kinds.get((f, v, g), [])
                if used is None:
                    program.constrain(group, {common: -1.0}, 0, 0)
                    continue
                # Used: as many as are common. Not used: none.
                program.constrain(group, {common: -1.0}, -np.inf, 0)
                program.constrain(group, {common: -1.0, used: -highest}, -highest, np.inf)
                program.constrain(group, {used: -highest}, -np.inf, 0)
    if most is not None:
        program.constrain(range(len(alike)), {}, 0, most)
    counts = program.solve(1 + generator.random(len(alike)) / (2 * n + 1))
    return sorted(
        int(k) for units, count in zip(alike, counts, strict=True) for k in generator.choice(units, count, replace=False)
    )


_Place = tuple[int, int, int]  # family, value, group


def _kinds(n: int, families: Sequence[Family]) -> tuple[list[list[int]], dict[_Place, list[int]]]:
    """The units of each kind, those that are in the same groups; and the kinds that are in each group."""
    places: list[list[_Place]] = [[] for _ in range(n)]
    for f, family in enumerate(families):
        for v, groups in enumerate(family.values):
            for g, group in enumerate(groups):
                for k in group:
                    places[k].append((f, v, g))
    alike: dict[tuple[_Place, ...], list[int]] = {}
    for k, at in enumerate(places):
        alike.setdefault(tuple(at), []).append(k)
    kinds: dict[_Place, list[int]] = {}
    for kind, at_all in enumerate(alike):
        for place in at_all:
            kinds.setdefault(place, []).append(kind)
    return list(alike.values()), kinds


class _Program:
    """A mixed integer program, built a row at a time; what is sought are the first variables, whole numbers from 0."""

    def __init__(self, highest: Sequence[float]) -> None:
        self.n, self.highest = len(highest), list(highest)
        self.entries: list[tuple[int, int, float]] = []
        self.low: list[float] = []
        self.high: list[float] = []

    def variable(self, highest: float) -> int:
        """A whole number from 0 to `highest`; its place."""
        self.highest.append(highest)
        return len(self.highest) - 1

    def constrain(self, ones: Sequence[int] | range, others: dict[int, float], low: float, high: float) -> None:
        """Σ of some variables + Σ of weighted others must lie from `low` to `high`."""
        row = len(self.low)
        self.entries += [(row, k, 1.0) for k in ones] + [(row, k, weight) for k, weight in others.items()]
        self.low.append(low)
        self.high.append(high)

    def solve(self, merits: NDArray[np.float64]) -> list[int]:
        """The first variables where the sum of their merits is highest."""
        rows, columns, weights = zip(*self.entries, strict=True)
        shape = (len(self.low), len(self.highest))
        matrix = scipy.sparse.csr_array((weights, (rows, columns)), shape=shape)
        cost = np.concatenate([-merits, np.zeros(shape[1] - self.n)])
        solved = scipy.optimize.milp(
            cost,
            integrality=np.ones(shape[1]),
            bounds=scipy.optimize.Bounds(0, self.highest),
            constraints=scipy.optimize.LinearConstraint(matrix, self.low, self.high),
            options={"mip_rel_gap": 0.0, "time_limit": _SOLVER_SECONDS},
        )
        if solved.x is None or solved.status != 0:
            raise AudioMetamerError(f"the largest balanced subset was not found: {solved.message}")
        return [round(count) for count in solved.x[: self.n]]


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
