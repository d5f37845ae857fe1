"""The items of a plan, each identified by the hash of everything that determines its samples."""

import hashlib
import itertools
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import msgspec
import torch
from msgspec.structs import replace

from audiometamer.errors import AudioMetamerError, AudioMetamerWarning, pluralize
from audiometamer.io.hashes import sha256_of
from audiometamer.metamers.criteria import NullDistribution, default_null, judge_sha256
from audiometamer.metamers.judging import covers, is_out_of_date
from audiometamer.metamers.layout import RECORD
from audiometamer.metamers.metamer import settings_of
from audiometamer.metamers.methods import method_for
from audiometamer.metamers.results import Result
from audiometamer.metamers.setup import check_can_stop
from audiometamer.models.model import Model
from audiometamer.models.shipped import name_of_weights
from audiometamer.signals.audio import Clip
from audiometamer.stimuli.identity import Identity, folder_of_item
from audiometamer.stimuli.layout import is_complete
from audiometamer.stimuli.plan import LoadedPlan
from audiometamer.stimuli.sources import PlannedClip, find_sources, keep_known_names

# Called with a model of a plan: its number, the model, what its metamers are judged by, and its layers.
ModelVisitor = Callable[[int, Model, NullDistribution | None, Sequence[str]], None]


class PlannedItem(msgspec.Struct, frozen=True):
    """One item of a plan: a clip, a model, a layer and a seed.

    Parameters
    ----------
    key : str
    identity : Identity
    source : Source
    entry : int
        Index of its model in the plan.
    judge_sha256 : str
        Hash of the null distribution and labels that judge it; see `audiometamer.metamers.criteria.judge_sha256`.
    has_null : bool
        Whether that null distribution covers its layer.
    """

    key: str
    identity: Identity
    source: PlannedClip
    entry: int
    judge_sha256: str
    has_null: bool

    @property
    def folder(self) -> str:
        """Its folder in the set."""
        return folder_of_item(self.identity.settings, self.key)

    def needs_judging(self, found: Result) -> bool:
        """Whether the item in the set needs a new verdict."""
        return is_out_of_date(found.evidence, self.judge_sha256, has_null=self.has_null)


@dataclass(frozen=True)
class Expansion:
    """Everything that a plan asks for.

    Parameters
    ----------
    plan : LoadedPlan
    sources : list of PlannedClip
    layers : list of list of str
        Layers of each of its models.
    items : list of PlannedItem
        In the order in which they are made: by model, layer, clip and seed.
    natural : list of Clip
        The clips without metamers, as the first model takes them.
    """

    plan: LoadedPlan
    sources: list[PlannedClip]
    layers: list[list[str]]
    items: list[PlannedItem]
    natural: list[Clip] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """The set."""
        return self.plan.folder


def expand(plan: LoadedPlan, *, visit: ModelVisitor | None = None) -> Expansion:
    """All items of a plan; its models are loaded one after the other, and every clip is read.

    Parameters
    ----------
    plan : LoadedPlan
    visit : callable, optional
        Called with each model, its null distribution and its layers while it is loaded.

    Raises
    ------
    AudioMetamerError
        If a model, layer or clip is not as it should be; the place in the plan is named.
    """
    sources = find_sources(plan)
    with plan.errors_at("clips"):
        sources = keep_known_names(sources, plan.folder)
    planned = [source for source in sources if not source.natural]
    items: list[PlannedItem] = []
    natural: list[Clip] = []
    layers: list[list[str]] = []
    numbers: dict[str, int] = {}  # by name
    clip_sums: dict[object, dict[str, Sums]] = {}  # by how a model takes the clips, and their names
    for number in range(len(plan.content.models)):
        model, null = plan.open_model(number)
        if (first := numbers.setdefault(model.name, number)) != number:
            with plan.errors_at(f"models[{number}].name"):
                raise AudioMetamerError(f"models[{first}] is called {model.name!r} too")
        layers.append(plan.layers_of(number, model))
        if (taken := _format(model)) not in clip_sums:
            with plan.errors_at("clips"):
                clip_sums[taken] = {source.name: _sums(model, source, plan.content.level) for source in planned}
                natural = natural or [source.read(model, plan.content.level) for source in sources if source.natural]
        null = null or default_null(model)
        with plan.errors_at("stop"):
            check_can_stop(model, method_for(model, plan.method), null, plan.stop)
        items += _items_of_model(plan, number, model, null, layers[number], planned, clip_sums[taken])
        if visit is not None:
            visit(number, model, null, layers[number])
    return Expansion(plan, sources, layers, _as_made(plan.folder, items), natural)


class Sums(NamedTuple):
    """SHA-256 of a clip's samples, and of those that its metamers start from; empty for noise."""

    clip: str
    initial: str


def _sums(model: Model, source: PlannedClip, level: float | None) -> Sums:
    samples, initial = source.read(model, level).samples, source.read_initial(model)
    return Sums(sha256_of(samples), "" if initial is None else sha256_of(initial))


def _items_of_model(
    plan: LoadedPlan,
    number: int,
    model: Model,
    null: NullDistribution | None,
    layers: Sequence[str],
    sources: Sequence[PlannedClip],
    clip_sums: Mapping[str, "Sums"],
) -> Iterator[PlannedItem]:
    base, judge = base_identity(model, layers[0], plan), judge_sha256(model, null)
    for layer, source, seed in itertools.product(layers, sources, plan.content.seeds):
        sums = clip_sums[source.name]
        own = {"clip": source.name, "clip_sha256": sums.clip, "layer": layer, "seed": seed, "initial": sums.initial}
        identity = replace(base, settings=replace(base.settings, **own))
        yield PlannedItem(identity.key, identity, source, number, judge, covers(null, layer))


def _as_made(stimulus_set: Path, items: Sequence[PlannedItem]) -> list[PlannedItem]:
    """Items with the keys that they have in the set: in earlier versions, keys also depended on what judges the items."""
    listed: dict[Path, dict[str, list[Path]]] = {}  # folders of items by their model's folder and their name without the key
    found = []
    other_weights: Counter[tuple[str, str]] = Counter()  # items in the place of one to be made, by model and weights
    for item in items:
        at, settings = stimulus_set / item.folder, item.identity.settings
        if at.parent not in listed:
            folders = listed[at.parent] = {}
            for beside in sorted(at.parent.iterdir()) if at.parent.is_dir() else ():
                folders.setdefault(beside.name.rpartition("-")[0], []).append(beside)
        others = [] if is_complete(at) else listed[at.parent].get(at.name.rpartition("-")[0], [])
        held = [identified for beside in others if (identified := _identified(beside)) is not None]
        made: _Identified | PlannedItem = next((one for one in held if one.identity.is_same(item.identity)), item)
        if made is item:
            weights = {one.identity.settings.weights_sha256 for one in held} - {settings.weights_sha256}
            other_weights.update((settings.model, sha256) for sha256 in weights)
        found.append(replace(item, key=made.key, identity=made.identity))
    _warn_of_other_weights(stimulus_set, other_weights)
    return found


def _warn_of_other_weights(stimulus_set: Path, counts: Mapping[tuple[str, str], int]) -> None:
    for (model, sha256), n in counts.items():
        whose = f", now called {now}" if (now := name_of_weights(sha256)) else ""
        warnings.warn(
            f"{stimulus_set} holds {pluralize(n, 'item')} of {model} with other weights{whose}: the plan's are made beside "
            "them; to go on with the others, name their model in the plan, or else another output",
            AudioMetamerWarning,
            stacklevel=3,
        )


class _Identified(msgspec.Struct):
    """The part of an ``item.json`` that identifies it."""

    key: str
    identity: Identity


def _identified(at: Path) -> _Identified | None:
    """Key and identity of the complete item in a folder; None if it is not complete, or another version's."""
    try:
        return msgspec.json.decode((at / RECORD).read_bytes(), type=_Identified)
    except (OSError, msgspec.MsgspecError):
        return None


def _format(model: Model) -> object:
    return model.sample_rate, model.duration, model.level, model.picture, model.signal_shape


def base_identity(model: Model, layer: str, plan: LoadedPlan) -> Identity:
    """The identity that a model's items share, as that of an item of silence with seed 0."""
    silence = Clip("", torch.zeros(model.signal_shape), model.sample_rate)
    structure = f"{model!r} {model.domain!r} {model.bounds} {model.signal_shape} {model.sample_rate}"
    # The repr of a module may contain the memory addresses of other objects, which are no part of its structure.
    structure = re.sub(r" at 0x[0-9a-fA-F]+", "", structure)
    return Identity(
        settings_of(
            model,
            silence,
            layer,
            0,
            method=plan.content.method,
            steps=plan.content.steps,
            exact=plan.content.exact,
            stop=plan.stop,
        ),
        plan.method.fingerprint(),
        hashlib.sha256(structure.encode()).hexdigest(),
    )
