"""The stimuli that a set provides for an experiment: conditions, the clips available at each of them, and what is missing."""

import difflib
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple

from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.design import Design
from audiometamer.io.hashes import file_sha256
from audiometamer.io.tables import read_table
from audiometamer.io.toml_files import raise_problems
from audiometamer.io.toml_problems import Problem
from audiometamer.metamers.integrity import check_integrity
from audiometamer.metamers.results import Result, read_results
from audiometamer.models.inputs import NATURAL as NATURAL_LAYER
from audiometamer.stimuli.clips import natural_clips, read_clips
from audiometamer.stimuli.layout import CLIPS


class Condition(NamedTuple):
    """A layer of a model with a seed, or natural clips; its `repr` is part of what names are drawn from."""

    model: str
    layer: str
    seed: int | None

    def __str__(self) -> str:
        return self.layer if self == NATURAL_CONDITION else f"{self.model} {self.layer}, seed {self.seed}"


NATURAL_CONDITION = Condition("", NATURAL_LAYER, None)


class MissingMetamer(NamedTuple):
    """A clip that has no metamer at a condition, and why."""

    clip: str
    condition: Condition
    reason: str


class PlayableSound(NamedTuple):
    """A sound of a set, and the label that each model gives it."""

    file: str
    recognised_by: dict[str, str]


@dataclass(frozen=True)
class AvailableStimuli:
    """The clips that can be played, by condition.

    Parameters
    ----------
    conditions : list of Condition
        The natural one first, if it is a condition.
    clips : list of str
        Clips that can be played, sorted.
    sounds : dict of (str, Condition) to PlayableSound
        Sounds by clip and condition, always including the natural sound of each clip.
    missing : list of MissingMetamer
        Among all clips of the set.
    metadata : dict of str to dict of str to str
        The row of each clip in ``clips.tsv``, by column.
    further : list of str
        Clips of which only the natural sound can be played, sorted. Default: none.
    """

    conditions: list[Condition]
    clips: list[str]
    sounds: dict[tuple[str, Condition], PlayableSound]
    missing: list[MissingMetamer]
    metadata: dict[str, dict[str, str]] = field(default_factory=dict)
    further: list[str] = field(default_factory=list)

    def sound(self, clip: str, condition: Condition) -> PlayableSound:
        """The sound to play: the natural clip where its metamer is missing."""
        found = self.sounds.get((clip, condition))
        return self.sounds[clip, NATURAL_CONDITION] if found is None else found

    def is_missing(self, clip: str, condition: Condition) -> bool:
        """Whether a natural clip stands in for the metamer."""
        return (clip, condition) not in self.sounds

    def has(self, column: str) -> bool:
        """Whether the clips have this column; each is itself by ``clip``."""
        return column == "clip" or any(column in row for row in self.metadata.values())

    def words(self, column: str) -> list[list[str]]:
        """The clips grouped by word, that is by the value of a column, sorted; a listener hears one clip of each group."""
        return list(self._by_word(self.clips, column).values())

    def further_words(self, column: str) -> list[list[str]]:
        """Further words, of which there are only natural clips, grouped and sorted likewise."""
        known = self._by_word(self.clips, column)
        return [clips for word, clips in self._by_word(self.further, column).items() if word not in known]

    def _by_word(self, clips: Sequence[str], column: str) -> dict[str, list[str]]:
        groups: dict[str, list[str]] = {}
        for clip in clips:
            groups.setdefault(cell(self.metadata[clip], column) if column != "clip" else clip, []).append(clip)
        return {word: groups[word] for word in sorted(groups)}


def read_available_stimuli(stimulus_set: Path, path: Path, design: Design) -> tuple[AvailableStimuli, list[Problem]]:
    """Find what a set has for a design that lies at `path`.

    Parameters
    ----------
    stimulus_set, path : path
    design : Design

    Returns
    -------
    AvailableStimuli
        Available stimuli; if columns are missing, clips lack their cells.
    list of Problem
        Where the design asks for models, layers, seeds or columns that the set does not have.

    Raises
    ------
    AudioMetamerError
        If the set has no sounds, nothing that the design asks for, two items for one clip at one condition, no clip that has
        all conditions, or a sound that is not that of its record.
    """
    items = _metamers(stimulus_set)
    metadata = read_clips(stimulus_set)
    problems = [*_lacking_columns(stimulus_set, metadata, design)]
    requested, unknown = _requested(items, design)
    selected, unselected = _selected(requested, path, design)
    problems = [*unknown, *unselected, *problems]
    if not selected:
        raise_problems(path, problems)
    cells = _cells(selected)
    conditions = list(dict.fromkeys(condition for _, condition in cells))
    sounds = _natural_sounds(items, design.answers.of)
    originals = sorted(clip for clip, _ in sounds)
    made = {(_clip(item), _condition(item)) for item in requested}
    missing = []
    check_sum = cache(file_sha256)
    for clip, condition in itertools.product(originals, conditions):
        item = cells.get((clip, condition))
        if item is None:
            missing.append(MissingMetamer(clip, condition, "not selected" if (clip, condition) in made else "not made"))
        elif item.passed is False and not design.conditions.failed:
            missing.append(MissingMetamer(clip, condition, "failed its verdict"))
        else:
            check_integrity(item, check_sum)
            label = item.evidence.verdict.labels.get(design.answers.of)
            sounds[clip, condition] = PlayableSound(item.file, {} if label is None else {condition.model: label[1]})
    sounds |= {(clip, NATURAL_CONDITION): PlayableSound(file, {}) for clip, file in _without_metamers(stimulus_set, originals)}
    clips = originals
    if design.conditions.missing == "leave-out":
        clips = [clip for clip in clips if all((clip, condition) in sounds for condition in conditions)]
        if not clips:
            raise_problems(path, problems)
            raise AudioMetamerError(_nothing_left(missing, conditions, len(originals)))
    played = [NATURAL_CONDITION, *conditions] if design.natural else conditions
    further = sorted({clip for clip, _ in sounds} - {*clips})
    available = AvailableStimuli(played, clips, sounds, missing, _tidy(metadata, [*clips, *further]), further)
    return available, [*problems, *_empty_cells(stimulus_set, available, design)]


def _metamers(stimulus_set: Path) -> list[Result]:
    """The metamers of clips in a set; raises if there are none, or they are no sounds."""
    items = [item for item in read_results(stimulus_set) if item.has_clip]
    if not items:
        raise AudioMetamerError(f"{stimulus_set} holds no metamer of a clip; an experiment plays clips and their metamers")
    if silent := [item.file for item in items if item.evidence.sample_rate is None]:
        raise AudioMetamerError(f"{stimulus_set / silent[0]} is no sound; an experiment plays sounds")
    return items


def _clip(item: Result) -> str:
    return item.evidence.settings.clip


def _condition(item: Result) -> Condition:
    """The condition of a metamer; its seed is the one that was planned."""
    settings = item.evidence.settings
    return Condition(settings.model, settings.layer, item.seed)


def _requested(items: Sequence[Result], design: Design) -> tuple[list[Result], list[Problem]]:
    """The items of the models, layers and seeds that a design names, in this order; and what it names that the set lacks."""
    problems = []
    for name in Condition._fields:
        requested = getattr(design.conditions, f"{name}s")
        if requested is None:
            continue
        values = dict.fromkeys(getattr(_condition(item), name) for item in items)
        for k, value in enumerate(requested):
            if value not in values:
                nearest = difflib.get_close_matches(str(value), map(str, values), n=3) or [str(other) for other in values][:3]
                message = f"the set has no {name} {value!r}; the nearest are {', '.join(nearest)}"
                problems.append(Problem(f"conditions.{name}s[{k}]", message))
        order = {value: k for k, value in enumerate(requested)}
        items = [item for item in items if getattr(_condition(item), name) in order]
        items.sort(key=lambda item: order[getattr(_condition(item), name)])
        if not items:
            if not problems:
                problems.append(Problem(f"conditions.{name}s", "the set has none of these for the models and layers before"))
            break
    return list(items), problems


def _selected(items: Sequence[Result], path: Path, design: Design) -> tuple[Sequence[Result], list[Problem]]:
    """The items that the selection of a design names, if it has one; and what is wrong with the selection."""
    if design.conditions.selection is None or not items:
        return items, []
    place, selection = "conditions.selection", path.parent / design.conditions.selection
    try:
        files = {row["file"] for row in read_table(selection, required=["file"])}
    except AudioMetamerError as error:
        return [], [Problem(place, str(error))]
    selected = [item for item in items if item.file in files]
    if not selected:
        return [], [Problem(place, f"{selection} names nothing of the models, layers and seeds that are wanted")]
    return selected, []


def _cells(items: Sequence[Result]) -> dict[tuple[str, Condition], Result]:
    """The item of each clip at each condition; models, layers and seeds each in order of first occurrence."""
    orders = [{value: k for k, value in enumerate(dict.fromkeys(column))} for column in zip(*map(_condition, items), strict=True)]
    cells: dict[tuple[str, Condition], Result] = {}
    for item in sorted(items, key=lambda item: [order[value] for order, value in zip(orders, _condition(item), strict=True)]):
        if (other := cells.setdefault((_clip(item), _condition(item)), item)) is not item:
            raise AudioMetamerError(
                f"{other.file} and {item.file} are both {_clip(item)} at {_condition(item)}; name one of them in a selection "
                f"(audiometamer stimuli select --only method=…, and conditions.selection of the design)"
            )
    return cells


def _natural_sounds(items: Sequence[Result], task: str) -> dict[tuple[str, Condition], PlayableSound]:
    """The natural sound of each clip, with the labels of all models; of several sample rates, that of the highest."""
    best: dict[str, Result] = {}
    labels: dict[str, dict[str, str]] = {}
    for item in items:
        clip = _clip(item)
        known = best.setdefault(clip, item)
        if (item.evidence.sample_rate or 0) > (known.evidence.sample_rate or 0):
            best[clip] = item
        own = labels.setdefault(clip, {})
        if label := item.evidence.verdict.labels.get(task):
            own[item.evidence.settings.model] = label[0]
    return {(clip, NATURAL_CONDITION): PlayableSound(item.original, labels[clip]) for clip, item in sorted(best.items())}


def _without_metamers(stimulus_set: Path, originals: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The clips that lie in the set without any metamer, and their files; raises if a file is gone."""
    for clip, file in natural_clips(stimulus_set).items():
        if clip not in originals:
            if not (stimulus_set / file).is_file():
                raise AudioMetamerError(f"{stimulus_set / file} is gone: put it back, or run the set's plan again to write it")
            yield clip, file


def _nothing_left(missing: Sequence[MissingMetamer], conditions: Sequence[Condition], clips: int) -> str:
    condition, n = Counter(one.condition for one in missing).most_common(1)[0]
    reason = Counter(one.reason for one in missing if one.condition == condition).most_common(1)[0][0]
    return (
        f"no clip has a metamer at all {len(conditions)} conditions; most are missing at {condition} ({n} of {clips}, "
        f"{reason}): leave it out (conditions.layers), or play natural clips instead (conditions.missing = 'natural')"
    )


def _tidy(metadata: Mapping[str, Mapping[str, str]], clips: Sequence[str]) -> dict[str, dict[str, str]]:
    """Cells without leading, trailing or repeated white space, which would not survive in a list of answers."""
    return {clip: {column: " ".join(text.split()) for column, text in metadata.get(clip, {}).items()} for clip in clips}


def _needed_columns(design: Design) -> dict[str, str]:
    """The keys of a design that name columns which it needs, and these columns, each once."""
    places = {} if design.compares else {design.answer_column: f"clips.{design.answers.of}"}
    if design.once != "clip":
        places[design.once] = "clips.once"
    return {place: column for column, place in places.items()}


def _lacking_columns(stimulus_set: Path, metadata: Mapping[str, Mapping[str, str]], design: Design) -> Iterator[Problem]:
    columns = dict.fromkeys(name for row in metadata.values() for name in row)
    for place, column in _needed_columns(design).items():
        if column not in columns:
            yield Problem(
                place,
                f"{stimulus_set / CLIPS} has no column {column!r}; it has {', '.join(columns) or 'none'} "
                "(audiometamer stimuli index --clips adds what is known of the clips)",
            )


def _empty_cells(stimulus_set: Path, available: AvailableStimuli, design: Design) -> Iterator[Problem]:
    """The first empty cell of each column that a design needs and the set has."""
    for place, column in _needed_columns(design).items():
        empty = [clip for clip, row in available.metadata.items() if not cell(row, column)]
        if available.has(column) and empty:
            yield Problem(place, f"{stimulus_set / CLIPS} has no {column} for {empty[0]}")


def right_answers(available: AvailableStimuli, column: str) -> list[str]:
    """All values of a column of the clips, sorted: the closed list where the design has none of its own."""
    return sorted({cell(row, column) for row in available.metadata.values()} - {""})


def cell(row: Mapping[str, str], column: str) -> str:
    """A cell of ``clips.tsv``; empty where there is no such column."""
    return row.get(column, "")
