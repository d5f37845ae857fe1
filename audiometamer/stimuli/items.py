"""The items of a plan: what each one is, decided by the hash of everything that decides its samples."""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import torch
from msgspec.structs import replace

from audiometamer.audio import Clip
from audiometamer.criteria import NullDistribution
from audiometamer.errors import AudioMetamerError
from audiometamer.matching.methods import load_method
from audiometamer.metamers.evidence import sha256_of
from audiometamer.metamers.files import safe_name
from audiometamer.metamers.results import ITEMS
from audiometamer.metamers.settings import Settings
from audiometamer.metamers.synthesis import default_null, settings_of
from audiometamer.models import Model
from audiometamer.stimuli.plan import Plan, Source, layers_of, named_as_before, open_model, output_folder, sources
from audiometamer.toml_files import within


class Identity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that decides an item's samples, besides rounding.

    Parameters
    ----------
    settings : Settings
    method_sha256 : str
        Of the method's content; see `Method.fingerprint`.
    structure_sha256 : str
        Of the model's structure: front end, network, domain.
    judge_sha256 : str
        Of the null distribution and the labels: a synthesis tries again until it passes by them.
    """

    settings: Settings
    method_sha256: str
    structure_sha256: str
    judge_sha256: str

    @property
    def key(self) -> str:
        """The first 12 digits of its SHA-256."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()[:12]


class Planned(msgspec.Struct, frozen=True):
    """One item of a plan: a clip, a model, a layer and a seed.

    Parameters
    ----------
    key : str
    identity : Identity
    source : Source
    entry : int
        Which of the plan's models.
    """

    key: str
    identity: Identity
    source: Source
    entry: int

    @property
    def folder(self) -> str:
        """Where it lies in the set."""
        settings = self.identity.settings
        leaf = safe_name(f"{settings.layer}_seed{settings.seed}")
        return f"{ITEMS}/{safe_name(settings.clip)}/{safe_name(settings.model)}/{leaf}-{self.key}"


@dataclass(frozen=True)
class Expansion:
    """What a plan comes to.

    Parameters
    ----------
    path : path
        Of the plan.
    plan : Plan
    sources : list of Source
    layers : list of list of str
        Of each of its models.
    items : list of Planned
        In the order in which they are made: by model, layer, clip and seed.
    """

    path: Path
    plan: Plan
    sources: list[Source]
    layers: list[list[str]]
    items: list[Planned]

    @property
    def folder(self) -> Path:
        """The set."""
        return output_folder(self.path, self.plan)


def expand(path: Path, plan: Plan, *, visit: Callable[[Model, Sequence[str]], None] | None = None) -> Expansion:
    """All items of a plan; every model is loaded in its turn, and every clip read.

    Parameters
    ----------
    path : path
        Of the plan.
    plan : Plan
    visit : callable, optional
        Shown each model with its layers while it is loaded.

    Raises
    ------
    AudioMetamerError
        If a model, layer or clip is not as it should be; the place in the plan is named.
    """
    chosen = sources(path, plan.clips)
    with within(path, "clips"):
        chosen = named_as_before(chosen, output_folder(path, plan))
    items: list[Planned] = []
    layers: list[list[str]] = []
    names: dict[str, int] = {}
    heard: dict[object, dict[str, str]] = {}  # SHA-256 of the clips by how a model takes them
    for k, entry in enumerate(plan.models):
        place = f"models[{k}]"
        model, null = open_model(path, entry, place=place)
        if names.setdefault(model.name, k) != k:
            raise AudioMetamerError(f"{path}: {place}.name: models[{names[model.name]}] is called {model.name!r} too")
        layers.append(layers_of(path, plan, entry, model, place=place))
        if (taken := _format(model)) not in heard:
            with within(path, "clips"):
                heard[taken] = {source.name: sha256_of(source.read(model, plan.level).samples) for source in chosen}
        whole = identity_of(model, null, layers[k][0], plan)
        for layer in layers[k]:
            for source in chosen:
                for seed in plan.seeds:
                    own = {"clip": source.name, "clip_sha256": heard[taken][source.name], "layer": layer, "seed": seed}
                    settings = replace(whole.settings, **own)
                    identity = replace(whole, settings=settings)
                    items.append(Planned(identity.key, identity, source, k))
        if visit is not None:
            visit(model, layers[k])
    return Expansion(path, plan, chosen, layers, items)


def _format(model: Model) -> object:
    return model.sample_rate, model.duration, model.level, model.picture, model.signal_shape


def identity_of(model: Model, null: NullDistribution | None, layer: str, plan: Plan) -> Identity:
    """What decides the samples of a model's items, by the one of silence with seed 0."""
    silence = Clip("", torch.zeros(model.signal_shape), model.sample_rate)
    judge = null or default_null(model)
    structure = f"{model!r} {model.domain!r} {model.bounds} {model.signal_shape} {model.sample_rate}"
    # A module that shows another object may show where in memory it lies: that is no part of what it is.
    structure = re.sub(r" at 0x[0-9a-fA-F]+", "", structure)
    judged_by = msgspec.json.encode([judge, model.named_labels()], order="deterministic")
    return Identity(
        settings_of(model, silence, layer, 0, method=plan.method, steps=plan.steps),
        load_method(plan.method).fingerprint(),
        hashlib.sha256(structure.encode()).hexdigest(),
        hashlib.sha256(judged_by).hexdigest(),
    )
