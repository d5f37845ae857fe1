"""The items of a plan: what each one is, decided by the hash of everything that decides its samples."""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import torch
from msgspec.structs import replace

from audiometamer.errors import AudioMetamerError
from audiometamer.io.hashes import sha256_of
from audiometamer.io.toml_files import error_context
from audiometamer.metamers.criteria import NullDistribution, default_null, judge_sha256
from audiometamer.metamers.judging import covers, is_out_of_date
from audiometamer.metamers.layout import RECORD
from audiometamer.metamers.metamer import settings_of
from audiometamer.metamers.methods import load_method
from audiometamer.metamers.results import Result
from audiometamer.models.model import Model
from audiometamer.signals.audio import Clip
from audiometamer.stimuli.identity import Identity, folder_of_item
from audiometamer.stimuli.layout import is_complete
from audiometamer.stimuli.plan import Plan, Source, layers_of, named_as_before, open_model, output_folder, sources

# Shown a model of a plan by its number, what its metamers are judged by, and the layers.
Visit = Callable[[int, Model, NullDistribution | None, Sequence[str]], None]


class Planned(msgspec.Struct, frozen=True):
    """One item of a plan: a clip, a model, a layer and a seed.

    Parameters
    ----------
    key : str
    identity : Identity
    source : Source
    entry : int
        Which of the plan's models.
    judge_sha256 : str
        Null distribution and labels that it is to be judged by; see `audiometamer.metamers.criteria.judge_sha256`.
    has_null : bool
        Whether that null distribution says anything of its layer.
    """

    key: str
    identity: Identity
    source: Source
    entry: int
    judge_sha256: str
    has_null: bool

    @property
    def folder(self) -> str:
        """Where it lies in the set."""
        return folder_of_item(self.identity.settings, self.key)

    def is_to_be_judged(self, found: Result) -> bool:
        """Whether the verdict of the item, as it lies in the set, is to be given anew."""
        return is_out_of_date(found.evidence, self.judge_sha256, has_null=self.has_null)


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


def expand(path: Path, plan: Plan, *, visit: Visit | None = None) -> Expansion:
    """All items of a plan; every model is loaded in its turn, and every clip read.

    Parameters
    ----------
    path : path
        Of the plan.
    plan : Plan
    visit : callable, optional
        Shown each model, its null distribution and its layers while it is loaded.

    Raises
    ------
    AudioMetamerError
        If a model, layer or clip is not as it should be; the place in the plan is named.
    """
    chosen = sources(path, plan.clips)
    with error_context(path, "clips"):
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
            with error_context(path, "clips"):
                heard[taken] = {source.name: sha256_of(source.read(model, plan.level).samples) for source in chosen}
        null = null or default_null(model)
        whole, judge = identity_of(model, layers[k][0], plan), judge_sha256(model, null)
        for layer in layers[k]:
            for source in chosen:
                for seed in plan.seeds:
                    own = {"clip": source.name, "clip_sha256": heard[taken][source.name], "layer": layer, "seed": seed}
                    settings = replace(whole.settings, **own)
                    identity = replace(whole, settings=settings)
                    items.append(Planned(identity.key, identity, source, k, judge, covers(null, layer)))
        if visit is not None:
            visit(k, model, null, layers[k])
    return Expansion(path, plan, chosen, layers, _as_made(output_folder(path, plan), items))


def _as_made(stimulus_set: Path, items: Sequence[Planned]) -> list[Planned]:
    """Items with the keys that they have in the set: in earlier versions, keys also depended on what items are judged by."""
    there: dict[Path, dict[str, list[Path]]] = {}  # folders of items by that of their model, and their name but for the key
    found = []
    for item in items:
        at = stimulus_set / item.folder
        if at.parent not in there:
            folders = there[at.parent] = {}
            for beside in sorted(at.parent.iterdir()) if at.parent.is_dir() else ():
                folders.setdefault(beside.name.rpartition("-")[0], []).append(beside)
        others = [] if is_complete(at) else there[at.parent].get(at.name.rpartition("-")[0], [])
        same = (held for beside in others if (held := _made_as(beside, item.identity)) is not None)
        made: _Identified | Planned = next(same, item)
        found.append(replace(item, key=made.key, identity=made.identity))
    return found


class _Identified(msgspec.Struct):
    """An ``item.json``, which holds more."""

    key: str
    identity: Identity


def _made_as(at: Path, identity: Identity) -> _Identified | None:
    """Key and identity of the complete item in a folder if it is the same item; None if it is not."""
    try:
        found = msgspec.json.decode((at / RECORD).read_bytes(), type=_Identified)
    except (OSError, msgspec.MsgspecError):  # not complete, or of another version: it is not taken for what is wanted
        return None
    return found if found.identity.is_same(identity) else None


def _format(model: Model) -> object:
    return model.sample_rate, model.duration, model.level, model.picture, model.signal_shape


def identity_of(model: Model, layer: str, plan: Plan) -> Identity:
    """What decides the samples of a model's items, by the one of silence with seed 0."""
    silence = Clip("", torch.zeros(model.signal_shape), model.sample_rate)
    structure = f"{model!r} {model.domain!r} {model.bounds} {model.signal_shape} {model.sample_rate}"
    # A module that shows another object may show where in memory it lies: that is no part of what it is.
    structure = re.sub(r" at 0x[0-9a-fA-F]+", "", structure)
    return Identity(
        settings_of(model, silence, layer, 0, method=plan.method, steps=plan.steps),
        load_method(plan.method).fingerprint(),
        hashlib.sha256(structure.encode()).hexdigest(),
    )
