"""What a stimulus set offers an experiment: its conditions, the clips that are there at each of them, and what is missing."""

import difflib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.design import Design
from audiometamer.stimuli.export import NATURAL as NATURAL_LAYER
from audiometamer.stimuli.layout import CLIPS, Item, read_items
from audiometamer.stimuli.set import read_clips, read_table
from audiometamer.toml_files import within


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


@dataclass(frozen=True)
class Offer:
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

    def words(self, column: str) -> list[list[str]]:
        """The playable clips in groups of which a listener hears one: those of the same word; sorted."""
        groups: dict[str, list[str]] = {}
        for clip in self.clips:
            groups.setdefault(self.about[clip][column] if column != "clip" else clip, []).append(clip)
        return [groups[word] for word in sorted(groups)]


def read_offer(stimulus_set: Path, path: Path, design: Design) -> Offer:
    """What a set offers to a design that lies at `path`.

    Raises
    ------
    AudioMetamerError
        If the set has no sounds, not the models, layers, seeds or columns that the design names, two items for one clip at one
        condition, or no clip that has them all.
    """
    items = read_items(stimulus_set)
    if not items:
        raise AudioMetamerError(f"{stimulus_set} holds no finished item; `audiometamer run` makes them")
    for item in items:
        if item.record.evidence.sample_rate is None:
            raise AudioMetamerError(f"{stimulus_set / item.file} is no sound; an experiment plays sounds")
    cells = _cells(_wanted(items, path, design))
    with within(path, "conditions.selection"):
        selected = None if design.conditions.selection is None else _files(path.parent / design.conditions.selection, items)
    originals = _originals(items)
    labels = _natural_labels(items, design.answers.of)
    sources = {(clip, NATURAL): Source(file, labels[clip]) for clip, file in originals.items()}
    missing, conditions = [], list(dict.fromkeys(condition for _, condition in cells))
    for clip in originals:
        for condition in conditions:
            item_here = cells.get((clip, condition))
            if reason := _reason(item_here, selected, failed=design.conditions.failed):
                missing.append(Missing(clip, condition, reason))
            elif item_here is not None:
                label = item_here.record.evidence.verdict.labels.get(design.answers.of)
                sources[clip, condition] = Source(item_here.file, {} if label is None else {condition.model: label[1]})
    clips = sorted(originals)
    if design.conditions.missing == "leave-out":
        clips = [clip for clip in clips if all((clip, condition) in sources for condition in conditions)]
        if not clips:
            raise AudioMetamerError(_nothing_left(missing, conditions, len(originals)))
    about = _about(stimulus_set, clips, path, design)
    return Offer([NATURAL, *conditions] if design.natural else conditions, clips, sources, missing, about)


def _wanted(items: Sequence[Item], path: Path, design: Design) -> list[Item]:
    """The items of the models, layers and seeds that a design names, in this order."""
    for name, read in (("models", _model), ("layers", _layer), ("seeds", _seed)):
        wanted = getattr(design.conditions, name)
        if wanted is None:
            continue
        there = dict.fromkeys(read(item) for item in items)
        for k, one in enumerate(wanted):
            if one not in there:
                nearest = difflib.get_close_matches(str(one), map(str, there), n=3) or [str(other) for other in there][:3]
                raise AudioMetamerError(
                    f"{path}: conditions.{name}[{k}]: the set has no {name[:-1]} {one!r}; the nearest are {', '.join(nearest)}"
                )
        items = sorted((item for item in items if read(item) in wanted), key=lambda item: wanted.index(read(item)))
        if not items:
            raise AudioMetamerError(f"{path}: conditions.{name}: the set has none of these for the models and layers before")
    return list(items)


def _model(item: Item) -> str:
    return item.record.evidence.settings.model


def _layer(item: Item) -> str:
    return item.record.evidence.settings.layer


def _seed(item: Item) -> int:
    """As planned: the first of those that were tried."""
    return (item.record.attempts or [item.record.evidence.settings.seed])[0]


def _clip(item: Item) -> str:
    return item.record.evidence.settings.clip


def _cells(items: Iterable[Item]) -> dict[tuple[str, Condition], Item]:
    """The item of each clip at each condition; conditions by model, then layer, then seed, each as they first come."""
    items = list(items)
    orders = [{value: k for k, value in enumerate(dict.fromkeys(map(read, items)))} for read in (_model, _layer, _seed)]
    found: dict[tuple[str, Condition], Item] = {}
    for item in sorted(items, key=lambda item: tuple(o[r(item)] for o, r in zip(orders, (_model, _layer, _seed), strict=True))):
        place = (_clip(item), Condition(_model(item), _layer(item), _seed(item)))
        if (other := found.setdefault(place, item)) is not item:
            raise AudioMetamerError(
                f"{other.folder} and {item.folder} are both {place[0]} at {place[1]}; name one of them in a selection "
                f"(audiometamer stimuli select --only method=…, and conditions.selection of the design)"
            )
    return found


def _files(selection: Path, items: Sequence[Item]) -> set[str]:
    wanted = {row["file"] for row in read_table(selection, required=["file"])}
    if unknown := sorted(wanted - {item.file for item in items}):
        raise AudioMetamerError(f"{selection} names {unknown[0]}, which is no finished item of the set")
    return wanted


def _reason(item: Item | None, selected: set[str] | None, *, failed: bool) -> str:
    """Why there is nothing to be played; nothing if there is."""
    if item is None:
        return "not made"
    if selected is not None and item.file not in selected:
        return "not selected"
    if not failed and item.record.evidence.verdict.passed is False:
        return "failed its verdict"
    return ""


def _originals(items: Sequence[Item]) -> dict[str, str]:
    """The natural sound of each clip: where models take it at several rates, that of the highest."""
    found: dict[str, Item] = {}
    for item in items:
        best = found.setdefault(_clip(item), item)
        if (item.record.evidence.sample_rate or 0) > (best.record.evidence.sample_rate or 0):
            found[_clip(item)] = item
    return {clip: item.record.original for clip, item in sorted(found.items())}


def _natural_labels(items: Sequence[Item], task: str) -> dict[str, dict[str, str]]:
    """What each model takes each clip for."""
    found: dict[str, dict[str, str]] = {_clip(item): {} for item in items}
    for item in items:
        if label := item.record.evidence.verdict.labels.get(task):
            found[_clip(item)][_model(item)] = label[0]
    return found


def _nothing_left(missing: Sequence[Missing], conditions: Sequence[Condition], clips: int) -> str:
    condition, n = Counter(one.condition for one in missing).most_common(1)[0]
    reason = Counter(one.reason for one in missing if one.condition == condition).most_common(1)[0][0]
    return (
        f"no clip has a metamer at all {len(conditions)} conditions; most are missing at {condition} ({n} of {clips}, "
        f"{reason}): leave it out (conditions.layers), or play natural clips instead (conditions.missing = 'natural')"
    )


def _about(stimulus_set: Path, clips: Sequence[str], path: Path, design: Design) -> dict[str, dict[str, str]]:
    """What is known of the clips; everything that the design needs is."""
    known = read_clips(stimulus_set)
    about = {clip: known.get(clip, {}) for clip in clips}
    needed = {"clips.once": design.once} if design.once != "clip" else {}
    if not design.compares:
        needed[f"clips.{design.answers.of}"] = design.answer_column
    for place, column in needed.items():
        columns = dict.fromkeys(name for told in known.values() for name in told)
        if column not in columns:
            raise AudioMetamerError(
                f"{path}: {place}: {stimulus_set / CLIPS} has no column {column!r}; it has {', '.join(columns) or 'none'} "
                f"(audiometamer stimuli index --clips adds what is known of the clips)"
            )
        if untold := [clip for clip in clips if not about[clip].get(column)]:
            raise AudioMetamerError(f"{path}: {place}: {stimulus_set / CLIPS} does not tell the {column} of {untold[0]}")
    return about


def answers_of(offer: Offer, column: str) -> list[str]:
    """All values of a column of the clips, sorted: the closed list where the design has none of its own."""
    return sorted({told[column] for told in offer.about.values()})


def told(about: Mapping[str, str], column: str) -> str:
    """A cell of ``clips.tsv``, empty where it has no such column."""
    return about.get(column, "")
