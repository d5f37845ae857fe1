"""The items of a plan of sounds that tell models apart, each identified by everything that determines its sounds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import torch

from audiometamer.comparison.controversial import word_pairs
from audiometamer.comparison.rates import at_common_rate
from audiometamer.comparison.representations import Representation, layer_representation
from audiometamer.comparison.scores import task_with
from audiometamer.errors import AudioMetamerError
from audiometamer.io.hashes import sha256_of
from audiometamer.models.model import Model
from audiometamer.signals.audio import Clip
from audiometamer.stimuli.comparison_records import folder_of, key_of
from audiometamer.stimuli.comparisons.making import FLOAT64, Task
from audiometamer.stimuli.comparisons.plan import PAIRED, Comparison, ComparisonPlan, rivals, settings_of
from audiometamer.stimuli.plan import LocatedPlan
from audiometamer.stimuli.sources import PlannedClip, find_sources, keep_known_names

_VERSION = 1  # raised by whoever changes what a kind makes
PlanOfComparisons = LocatedPlan[ComparisonPlan]


class ComparisonItem(msgspec.Struct, frozen=True):
    """One item: a kind of sounds for a clip or two words, the layers that they are made for, and a seed.

    Parameters
    ----------
    key : str
    number : int
        Index of its table in the plan.
    kind : str
    source : PlannedClip or None
    clip_sha256 : str
        Hash of the clip's samples as the models take them; empty without a clip.
    words : tuple of str
    places : tuple of (int, str)
        Index of each model in the plan, and its layer.
    of : tuple of str
        ``model:layer`` of these; of controversial sounds, the models.
    seed : int
    """

    key: str
    number: int
    kind: str
    source: PlannedClip | None
    clip_sha256: str
    words: tuple[str, ...]
    places: tuple[tuple[int, str], ...]
    of: tuple[str, ...]
    seed: int

    @property
    def clip(self) -> str:
        """Name of its clip; empty without one."""
        return self.source.name if self.source is not None else ""

    @property
    def folder(self) -> str:
        """Its folder in the set."""
        return folder_of(self.kind, self.clip, self.words, self.of, self.seed, self.key)

    @property
    def in_float64(self) -> bool:
        """Whether its models compute in float64."""
        return self.kind in FLOAT64


@dataclass(frozen=True)
class OpenedModels:
    """The models of a plan, for sounds of one sample rate.

    Parameters
    ----------
    models : list of Model
    layers : list of list of str
        Layers of each.
    weights : dict of str to str
        SHA-256 of each one's weights, by name.
    """

    models: list[Model]
    layers: list[list[str]]
    weights: dict[str, str]

    @classmethod
    def of(cls, plan: PlanOfComparisons) -> "OpenedModels":
        """The models of a plan.

        Raises
        ------
        AudioMetamerError
            If one cannot be loaded, takes no sounds, has no such layer, or they do not take the same sounds.
        """
        models = [plan.open_model(number)[0] for number in range(len(plan.content.models))]
        layers = [plan.layers_of(number, model) for number, model in enumerate(models)]
        for number, model in enumerate(models):
            with plan.errors_at(f"models[{number}].name"):
                if model.sample_rate is None:
                    raise AudioMetamerError(f"{model.name} takes no sounds")
                if model.name in [other.name for other in models[:number]]:
                    raise AudioMetamerError(f"two models are called {model.name!r}")
        with plan.errors_at("models"):
            return cls(at_common_rate(models), layers, {model.name: model.weights_sha256() for model in models})

    def to(self, device: torch.device, dtype: torch.dtype) -> "OpenedModels":
        """The same on a device, in a floating-point type."""
        return OpenedModels([model.to(device).to(dtype) for model in self.models], self.layers, self.weights)

    @property
    def places(self) -> list[tuple[int, str]]:
        """Index of the model, and layer, of every representation."""
        return [(number, layer) for number, layers in enumerate(self.layers) for layer in layers]

    @property
    def representations(self) -> list[Representation]:
        """The layers, as representations."""
        return [layer_representation(self.models[number], layer) for number, layer in self.places]

    @property
    def sample_rate(self) -> int:
        """Sample rate of their sounds in Hz."""
        rate = self.models[0].sample_rate
        assert rate is not None
        return rate

    def read(self, source: PlannedClip, level: float | None) -> Clip:
        """A clip, as the models take it."""
        return source.read(self.models[0], level)

    def task(self, plan: PlanOfComparisons, item: ComparisonItem) -> Task:
        """What an item asks for."""
        content = plan.content
        return Task(
            content.comparisons[item.number], [(self.models[number], layer) for number, layer in item.places],
            None if item.source is None else self.read(item.source, content.level), item.words, item.seed, content.level,
            content.rate,
        )  # fmt: skip


@dataclass(frozen=True)
class ComparisonExpansion:
    """Everything that a plan asks for.

    Parameters
    ----------
    plan : LocatedPlan
    sources : list of PlannedClip
    layers : list of list of str
        Layers of each of its models.
    items : list of ComparisonItem
        In the order in which they are made.
    """

    plan: PlanOfComparisons
    sources: list[PlannedClip]
    layers: list[list[str]]
    items: list[ComparisonItem]

    @property
    def folder(self) -> Path:
        """The set."""
        return self.plan.folder


def expand_comparisons(plan: PlanOfComparisons) -> ComparisonExpansion:
    """All items of a plan; its models are loaded, and every clip is read.

    Raises
    ------
    AudioMetamerError
        If a model, layer, word or clip is not as it should be; the place in the plan is named.
    """
    opened = OpenedModels.of(plan)
    sources: list[PlannedClip] = []
    sums: dict[str, str] = {}
    if plan.content.has_clips:
        with plan.errors_at("clips"):
            sources = keep_known_names(find_sources(plan), plan.folder)
            sums = {source.name: sha256_of(opened.read(source, plan.content.level).samples) for source in sources}
    items = [
        item for number, one in enumerate(plan.content.comparisons) for item in _items(plan, opened, number, one, sources, sums)
    ]
    return ComparisonExpansion(plan, sources, opened.layers, sorted(items, key=lambda item: not item.in_float64))


def _items(
    plan: PlanOfComparisons, opened: OpenedModels, number: int, one: Comparison, sources: Sequence[PlannedClip],
    sums: dict[str, str],
) -> Iterator[ComparisonItem]:  # fmt: skip
    """The items of one kind: by layers, then clips or words, then seeds."""
    with plan.errors_at(f"comparisons[{number}]"):
        places = _places(opened, one)
        about: list[tuple[PlannedClip | None, tuple[str, ...]]] = [(source, ()) for source in sources if not source.natural]
        if one.kind == "controversial":
            about = [(None, words) for words in _word_pairs(opened, one)]
        elif not about:
            raise AudioMetamerError(f"kind = {one.kind!r} needs clips; give a table [clips]")
    for chosen in places:
        for source, words in about:
            for seed in plan.content.seeds:
                yield _item(plan, opened, number, one, source, sums.get(source.name, "") if source else "", words, chosen, seed)


def _places(opened: OpenedModels, one: Comparison) -> list[tuple[tuple[int, str], ...]]:
    """The layers, or pairs of layers, that items of a kind are made for; of controversial sounds, the models' last layers."""
    if one.kind == "controversial":
        return [*rivals([(number, layers[-1]) for number, layers in enumerate(opened.layers)])]
    return [*rivals(opened.places)] if one.kind in PAIRED else [(place,) for place in opened.places]


def _word_pairs(opened: OpenedModels, one: Comparison) -> list[tuple[str, str]]:
    pairs = word_pairs(opened.models, one.words)
    for model in opened.models:
        for words in pairs:
            task_with(model, words, one.task)
    return pairs


def _item(
    plan: PlanOfComparisons, opened: OpenedModels, number: int, one: Comparison, source: PlannedClip | None, clip_sha256: str,
    words: tuple[str, ...], places: tuple[tuple[int, str], ...], seed: int,
) -> ComparisonItem:  # fmt: skip
    names = [opened.models[entry].name for entry, _ in places]
    if one.kind == "controversial":
        of, all_of = tuple(names), tuple(model.name for model in opened.models)
    else:
        of = tuple(f"{name}:{layer}" for name, (_, layer) in zip(names, places, strict=True))
        all_of = tuple(each.name for each in opened.representations)
    determining = {
        "version": _VERSION, "settings": settings_of(one), "clip": source.name if source else "", "clip_sha256": clip_sha256,
        "words": words, "of": of, "representations": all_of, "weights": opened.weights, "seed": seed, "rate": plan.content.rate,
        "level": plan.content.level, "sample_rate": opened.sample_rate, "shape": opened.models[0].signal_shape,
    }  # fmt: skip
    return ComparisonItem(key_of(determining), number, one.kind, source, clip_sha256, words, places, of, seed)
