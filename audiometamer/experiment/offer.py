"""What a stimulus set offers an experiment: its conditions, the clips that are there at each of them, and what is missing."""

import difflib
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple

from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.design import Design
from audiometamer.io.hashes import file_sha256
from audiometamer.io.tables import read_table
from audiometamer.io.toml_files import Problem, error_context, raise_problems
from audiometamer.metamers.integrity import check_integrity
from audiometamer.metamers.results import Result, read_results
from audiometamer.models.inputs import NATURAL as NATURAL_LAYER
from audiometamer.stimuli.layout import CLIPS
from audiometamer.stimuli.set import read_clips


class Condition(NamedTuple):
    """What a clip is heard as."""

    model: str
    layer: str
    seed: int | None

    def __str__(self) -> str:
        return self.layer if self == NATURAL else f"{self.model} {self.layer}, seed {self.seed}"


NATURAL = Condition("", NATURAL_LAYER, None)


class Missing(NamedTuple):
    """A clip that has no metamer at a condition."""

    clip: str
    condition: Condition
    reason: str


class Source(NamedTuple):
    """A sound of a set, and what each model takes it for."""

    file: str
    recognised_by: dict[str, str]


def condition_of(made: Result) -> Condition:
    """What a metamer is heard as; its seed is the one that was planned."""
    settings = made.evidence.settings
    return Condition(settings.model, settings.layer, made.seed)


def _clip(made: Result) -> str:
    return made.evidence.settings.clip


@dataclass(frozen=True)
class AvailableStimuli:
    """The clips that can be played, by condition.

    Parameters
    ----------
    conditions : list of Condition
        The natural one first, if it is one.
    clips : list of str
        Those that may be played, sorted.
    sources : dict of (str, Condition) to Source
        By clip and condition; of each clip the natural sound is there too.
    missing : list of Missing
        Among all clips of the set.
    about : dict of str to dict of str to str
        What ``clips.tsv`` says of each clip by column.
    """

    conditions: list[Condition]
    clips: list[str]
    sources: dict[tuple[str, Condition], Source]
    missing: list[Missing]
    about: dict[str, dict[str, str]] = field(default_factory=dict)

    def source(self, clip: str, condition: Condition) -> Source:
        """What is played: the natural clip where its metamer is missing."""
        found = self.sources.get((clip, condition))
        return self.sources[clip, NATURAL] if found is None else found

    def is_missing(self, clip: str, condition: Condition) -> bool:
        """Whether a natural clip stands in for the metamer."""
        return (clip, condition) not in self.sources

    def has(self, column: str) -> bool:
        """Whether anything is known of the clips by this column; each is itself by ``clip``."""
        return column == "clip" or any(column in about for about in self.about.values())

    def words(self, column: str) -> list[list[str]]:
        """The playable clips in groups of which a listener hears one: those of the same word; sorted."""
        groups: dict[str, list[str]] = {}
        for clip in self.clips:
            groups.setdefault(told(self.about[clip], column) if column != "clip" else clip, []).append(clip)
        return [groups[word] for word in sorted(groups)]


def read_offer(
    stimulus_set: Path, path: Path, design: Design, check: Callable[[AvailableStimuli], Iterable[Problem]] = lambda _offer: ()
) -> AvailableStimuli:
    """What a set offers to a design that lies at `path`.

    Parameters
    ----------
    stimulus_set, path : path
    design : Design
    check : function, optional
        Further problems of the design with what is offered. Where columns are missing, it gets clips without their cells.
        Default: there are none.

    Raises
    ------
    AudioMetamerError
        If the set has no sounds, not the models, layers, seeds or columns that the design names, two items for one clip at one
        condition, no clip that has them all, or a sound that is not that of its record, or `check` finds something. All problems
        of the design are listed.
    """
    items = [made for made in read_results(stimulus_set) if made.has_clip]
    if not items:
        raise AudioMetamerError(f"{stimulus_set} holds no metamer of a clip; an experiment plays clips and their metamers")
    if silent := [made.file for made in items if made.evidence.sample_rate is None]:
        raise AudioMetamerError(f"{stimulus_set / silent[0]} is no sound; an experiment plays sounds")
    wanted, unknown = _wanted(items, design)
    known = read_clips(stimulus_set)
    problems = [*unknown, *_lacking_columns(stimulus_set, known, design)]
    if not wanted:
        raise_problems(path, problems)
    cells = _cells(_selected(wanted, path, design))
    originals, conditions = _originals(items), list(dict.fromkeys(condition for _, condition in cells))
    labels = _natural_labels(items, design.answers.of)
    sources = {(clip, NATURAL): Source(file, labels[clip]) for clip, file in originals.items()}
    missing, there = [], {(_clip(made), condition_of(made)) for made in wanted}
    file_hash = cache(file_sha256)
    for clip, condition in itertools.product(originals, conditions):
        if (made := cells.get((clip, condition))) is None:
            missing.append(Missing(clip, condition, "not selected" if (clip, condition) in there else "not made"))
        elif made.passed is False and not design.conditions.failed:
            missing.append(Missing(clip, condition, "failed its verdict"))
        else:
            check_integrity(made, file_hash)
            label = made.evidence.verdict.labels.get(design.answers.of)
            sources[clip, condition] = Source(made.file, {} if label is None else {condition.model: label[1]})
    clips = sorted(originals)
    if design.conditions.missing == "leave-out":
        clips = [clip for clip in clips if all((clip, condition) in sources for condition in conditions)]
        if not clips:
            raise_problems(path, problems)
            raise AudioMetamerError(_nothing_left(missing, conditions, len(originals)))
    about = _about(known, clips)
    offer = AvailableStimuli([NATURAL, *conditions] if design.natural else conditions, clips, sources, missing, about)
    raise_problems(path, [*problems, *_untold(stimulus_set, offer, design), *check(offer)])
    return offer


def _wanted(items: Sequence[Result], design: Design) -> tuple[list[Result], list[Problem]]:
    """The items of the models, layers and seeds that a design names, in this order; what it names that is not there."""
    unknown = []
    for field_ in Condition._fields:
        wanted = getattr(design.conditions, f"{field_}s")
        if wanted is None:
            continue
        there = dict.fromkeys(getattr(condition_of(made), field_) for made in items)
        for k, one in enumerate(wanted):
            if one not in there:
                nearest = difflib.get_close_matches(str(one), map(str, there), n=3) or [str(other) for other in there][:3]
                unknown.append(
                    Problem(
                        f"conditions.{field_}s[{k}]", f"the set has no {field_} {one!r}; the nearest are {', '.join(nearest)}"
                    )
                )
        order = {one: k for k, one in enumerate(wanted)}
        items = [made for made in items if getattr(condition_of(made), field_) in order]
        items.sort(key=lambda made: order[getattr(condition_of(made), field_)])
        if not items:
            if not unknown:
                unknown.append(Problem(f"conditions.{field_}s", "the set has none of these for the models and layers before"))
            break
    return list(items), unknown


def _cells(items: Sequence[Result]) -> dict[tuple[str, Condition], Result]:
    """The item of each clip at each condition; conditions by model, then layer, then seed, each as they first come."""
    orders = [
        {value: k for k, value in enumerate(dict.fromkeys(column))} for column in zip(*map(condition_of, items), strict=True)
    ]
    found: dict[tuple[str, Condition], Result] = {}
    for made in sorted(items, key=lambda made: [order[value] for order, value in zip(orders, condition_of(made), strict=True)]):
        if (other := found.setdefault((_clip(made), condition_of(made)), made)) is not made:
            raise AudioMetamerError(
                f"{other.file} and {made.file} are both {_clip(made)} at {condition_of(made)}; name one of them in a selection "
                f"(audiometamer stimuli select --only method=…, and conditions.selection of the design)"
            )
    return found


def _selected(items: Sequence[Result], path: Path, design: Design) -> Sequence[Result]:
    """Those that the selection of a design names, if it has one."""
    if design.conditions.selection is None:
        return items
    selection = path.parent / design.conditions.selection
    with error_context(path, "conditions.selection"):
        wanted = {row["file"] for row in read_table(selection, required=["file"])}
        found = [made for made in items if made.file in wanted]
        if not found:
            raise AudioMetamerError(f"{selection} names nothing of the models, layers and seeds that are wanted")
    return found


def _originals(items: Sequence[Result]) -> dict[str, str]:
    """The natural sound of each clip: where models take it at several rates, that of the highest."""
    found: dict[str, Result] = {}
    for made in items:
        best = found.setdefault(_clip(made), made)
        if (made.evidence.sample_rate or 0) > (best.evidence.sample_rate or 0):
            found[_clip(made)] = made
    return {clip: made.original for clip, made in sorted(found.items())}


def _natural_labels(items: Sequence[Result], task: str) -> dict[str, dict[str, str]]:
    """What each model takes each clip for."""
    found: dict[str, dict[str, str]] = {_clip(made): {} for made in items}
    for made in items:
        if label := made.evidence.verdict.labels.get(task):
            found[_clip(made)][made.evidence.settings.model] = label[0]
    return found


def _nothing_left(missing: Sequence[Missing], conditions: Sequence[Condition], clips: int) -> str:
    condition, n = Counter(one.condition for one in missing).most_common(1)[0]
    reason = Counter(one.reason for one in missing if one.condition == condition).most_common(1)[0][0]
    return (
        f"no clip has a metamer at all {len(conditions)} conditions; most are missing at {condition} ({n} of {clips}, "
        f"{reason}): leave it out (conditions.layers), or play natural clips instead (conditions.missing = 'natural')"
    )


def _about(known: Mapping[str, Mapping[str, str]], clips: Sequence[str]) -> dict[str, dict[str, str]]:
    """What is known of the clips: white space at the ends or doubled is never meant, and would not come back from a list."""
    return {clip: {column: " ".join(cell.split()) for column, cell in known.get(clip, {}).items()} for clip in clips}


def _needed_columns(design: Design) -> dict[str, str]:
    """The places that name columns which a design needs, and these, each once."""
    places = {} if design.compares else {design.answer_column: f"clips.{design.answers.of}"}
    if design.once != "clip":
        places[design.once] = "clips.once"
    return {place: column for column, place in places.items()}


def _lacking_columns(stimulus_set: Path, known: Mapping[str, Mapping[str, str]], design: Design) -> Iterator[Problem]:
    columns = dict.fromkeys(name for told in known.values() for name in told)
    for place, column in _needed_columns(design).items():
        if column not in columns:
            yield Problem(
                place,
                f"{stimulus_set / CLIPS} has no column {column!r}; it has {', '.join(columns) or 'none'} "
                "(audiometamer stimuli index --clips adds what is known of the clips)",
            )


def _untold(stimulus_set: Path, offer: AvailableStimuli, design: Design) -> Iterator[Problem]:
    """Cells that a design needs and that are empty, the first of each column that is there."""
    for place, column in _needed_columns(design).items():
        untold = [clip for clip, about in offer.about.items() if not told(about, column)]
        if offer.has(column) and untold:
            yield Problem(place, f"{stimulus_set / CLIPS} has no {column} for {untold[0]}")


def answers_of(offer: AvailableStimuli, column: str) -> list[str]:
    """All values of a column of the clips, sorted: the closed list where the design has none of its own."""
    return sorted({told(about, column) for about in offer.about.values()} - {""})


def told(about: Mapping[str, str], column: str) -> str:
    """A cell of ``clips.tsv``, empty where it has no such column."""
    return about.get(column, "")
