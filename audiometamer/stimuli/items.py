"""The items of a set: what each one is, decided by the hash of everything that decides its samples, and how it lies on disk."""

import csv
import hashlib
import platform
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import torch
from msgspec.structs import replace

from audiometamer.audio import Clip
from audiometamer.criteria import NullDistribution
from audiometamer.errors import AudioMetamerError
from audiometamer.files import whole_file
from audiometamer.matching.methods import load_method
from audiometamer.metamers.evidence import Evidence, Settings, sha256_of
from audiometamer.metamers.files import safe_name, suffix_of, write_signal
from audiometamer.metamers.synthesis import Metamer, default_null, merit, settings_of
from audiometamer.models import Model
from audiometamer.stimuli.plan import Plan, Source, layers_of, open_model, output_folder, sources, within

RECORD, ERROR, CHECKPOINT, PLANNED = "item.json", "error.json", "checkpoint.safetensors", "planned.tsv"
_COLUMNS = ("key", "clip", "model", "layer", "seed", "folder")


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
    def folder(self) -> Path:
        """Where it lies, as seen from the set."""
        return folder_of(self.identity.settings, self.key)


def folder_of(settings: Settings, key: str) -> Path:
    """Where an item lies, as seen from the set."""
    leaf = safe_name(f"{settings.layer}_seed{settings.seed}")
    return Path("items", safe_name(settings.clip), safe_name(settings.model), f"{leaf}-{key}")


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``item.json``: its presence means that an item is complete.

    Parameters
    ----------
    key : str
    identity : Identity
    original : str
        The natural clip, as seen from the set.
    attempts : list of int
        The seeds that were tried.
    file : str
        The signal, as seen from the item's folder.
    evidence : Evidence
    made : str
        When, in UTC.
    host : str
    """

    key: str
    identity: Identity
    original: str
    attempts: list[int]
    file: str
    evidence: Evidence
    made: str
    host: str


class _Verdict(msgspec.Struct):
    passed: bool | None


class _Evidence(msgspec.Struct):
    settings: Settings
    verdict: _Verdict


class Item(msgspec.Struct):
    """A complete item in brief: what of its `Record` a list of thousands needs.

    Parameters
    ----------
    key, original, attempts, file
        See `Record`.
    evidence : struct
        With `settings` and `verdict.passed` only.
    folder : path
        Filled in when it is read.
    """

    key: str
    original: str
    attempts: list[int]
    file: str
    evidence: _Evidence
    folder: Path = Path()

    @property
    def passed(self) -> bool | None:
        """Whether its verdict was passed; None if there was nothing to judge by."""
        return self.evidence.verdict.passed


class Failure(msgspec.Struct, frozen=True):
    """``error.json``: why an item could not be made."""

    message: str
    type: str
    when: str


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
        with within(path, "clips"):
            hashes = heard.setdefault(_format(model), {}) or _hashes(chosen, model, plan)
            heard[_format(model)] = hashes
        whole = identity_of(model, null, _nothing(model), layers[k][0], 0, plan)
        for layer in layers[k]:
            for source in chosen:
                for seed in plan.seeds:
                    clip_sha256 = hashes[source.name]
                    settings = replace(whole.settings, clip=source.name, clip_sha256=clip_sha256, layer=layer, seed=seed)
                    identity = replace(whole, settings=settings)
                    items.append(Planned(identity.key, identity, source, k))
        if visit is not None:
            visit(model, layers[k])
    return Expansion(path, plan, chosen, layers, items)


def _format(model: Model) -> object:
    return model.sample_rate, model.duration, model.level, model.picture, model.signal_shape


def _nothing(model: Model) -> Clip:
    return Clip("", torch.zeros(model.signal_shape), model.sample_rate)


def _hashes(chosen: Sequence[Source], model: Model, plan: Plan) -> dict[str, str]:
    return {source.name: sha256_of(source.read(model, plan.level).samples) for source in chosen}


def identity_of(model: Model, null: NullDistribution | None, clip: Clip, layer: str, seed: int, plan: Plan) -> Identity:
    """What decides one item's samples."""
    judge = null or default_null(model)
    structure = f"{model!r} {model.domain!r} {model.bounds} {model.signal_shape} {model.sample_rate}"
    # A module that shows another object may show where in memory it lies: that is no part of what it is.
    structure = re.sub(r" at 0x[0-9a-fA-F]+", "", structure)
    judged_by = msgspec.json.encode([judge, model.named_labels()], order="deterministic")
    return Identity(
        settings_of(model, clip, layer, seed, method=plan.method, steps=plan.steps),
        load_method(plan.method).fingerprint(),
        hashlib.sha256(structure.encode()).hexdigest(),
        hashlib.sha256(judged_by).hexdigest(),
    )


def read_planned(folder: Path) -> list[tuple[str, str, str, str, int, Path]]:
    """Of each item that the latest plan of a set asks for: key, clip, model, layer, seed and folder as seen from the set.

    Raises
    ------
    AudioMetamerError
        If there is no list of them: the folder is no set, or its run never began.
    """
    path = folder / PLANNED
    try:
        with path.open(newline="", encoding="utf-8") as file:
            header, *rows = list(csv.reader(file, delimiter="\t"))
        if tuple(header) != _COLUMNS:
            raise ValueError(f"its columns are {', '.join(header)}")
        return [(key, clip, model, layer, int(seed), Path(at)) for key, clip, model, layer, seed, at in rows]
    except FileNotFoundError as error:
        raise AudioMetamerError(f"{folder} is no stimulus set: it has no {PLANNED}, which `audiometamer run` writes") from error
    except (OSError, ValueError) as error:
        raise AudioMetamerError(f"{path} cannot be read: {error}") from error


def write_planned(folder: Path, items: Sequence[Planned]) -> None:
    """List what a plan asks for, so that its state can be told without its models and clips."""
    with whole_file(folder / PLANNED) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(_COLUMNS)
        for item in items:
            s = item.identity.settings
            writer.writerow([item.key, s.clip, s.model, s.layer, s.seed, item.folder.as_posix()])


def read_item(folder: Path) -> Item | None:
    """The item in a folder, in brief; None if it is not complete.

    Raises
    ------
    AudioMetamerError
        If its record is there, but not as it should be.
    """
    try:
        content = (folder / RECORD).read_bytes()
        item = msgspec.json.decode(content, type=Item)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise AudioMetamerError(f"{folder / RECORD} is not the record of an item: {error}") from error
    item.folder = folder
    return item


def read_items(folder: Path) -> list[Item]:
    """All complete items of a set, of whichever plan, sorted by where they lie."""
    found = sorted((folder / "items").glob(f"*/*/*/{RECORD}"))
    return [item for path in found if (item := read_item(path.parent)) is not None]


def read_record(path: Path) -> Record:
    """An ``item.json``, whole."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Record)
    except (OSError, msgspec.MsgspecError) as error:
        raise AudioMetamerError(f"{path} is not the record of an item: {error}") from error


def save_item(folder: Path, item: Planned, metamer: Metamer, *, attempt: int) -> bool | None:
    """Write an attempt at an item into the set `folder`; the record last, by rename.

    Of several attempts the record shows the best, by `audiometamer.metamers.synthesis.merit`; the others lie in ``attempts/``.

    Returns
    -------
    bool or None
        Whether the item's verdict is passed now.
    """
    at, evidence = folder / item.folder, metamer.evidence
    signal = f"metamer{suffix_of(evidence.domain)}"
    original = _save_original(folder, item, metamer)
    made = datetime.now(UTC).isoformat(timespec="seconds")
    record = Record(item.key, item.identity, original, [evidence.settings.seed], signal, evidence, made, platform.node())
    if attempt == 0:
        write_signal(at / signal, metamer.samples, evidence.sample_rate)
    else:
        own = at / "attempts" / str(attempt)
        write_signal(own / signal, metamer.samples, evidence.sample_rate)
        _write(own / RECORD, record)
        before = read_record(at / RECORD)
        if not (first := at / "attempts" / "0" / RECORD).exists():
            _write(first, replace(before, file=f"../../{before.file}"))
        better = replace(record, file=f"attempts/{attempt}/{signal}") if merit(evidence) > merit(before.evidence) else before
        record = replace(better, attempts=[*before.attempts, evidence.settings.seed])
    _write(at / RECORD, record)
    (at / ERROR).unlink(missing_ok=True)
    (at / CHECKPOINT).unlink(missing_ok=True)
    return record.evidence.verdict.passed


def _save_original(folder: Path, item: Planned, metamer: Metamer) -> str:
    """Write the natural clip if it is not there; named with its hash, for models take it at several lengths and levels."""
    assert isinstance(metamer.clip, Clip)
    settings, evidence = item.identity.settings, metamer.evidence
    rate = "" if evidence.sample_rate is None else f"@{evidence.sample_rate}"
    name = safe_name(f"{settings.clip}{rate}-{settings.clip_sha256[:8]}") + suffix_of(evidence.domain)
    if not (path := folder / "originals" / name).exists():
        write_signal(path, metamer.clip.samples, evidence.sample_rate)
    return f"originals/{name}"


def save_failure(folder: Path, item: Planned, error: BaseException) -> None:
    """Write why an item could not be made."""
    when = datetime.now(UTC).isoformat(timespec="seconds")
    _write(folder / item.folder / ERROR, Failure(" ".join(str(error).split()), type(error).__name__, when))


def read_failure(folder: Path) -> Failure | None:
    """Why the item in a folder could not be made; None if nothing is known."""
    try:
        return msgspec.json.decode((folder / ERROR).read_bytes(), type=Failure)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise AudioMetamerError(f"{folder / ERROR} cannot be read: {error}") from error


def _write(path: Path, struct: msgspec.Struct) -> None:
    with whole_file(path) as temporary:
        temporary.write_bytes(msgspec.json.format(msgspec.json.encode(struct), indent=1) + b"\n")


def is_complete(folder: Path) -> bool:
    """Whether the item in a folder is complete."""
    return (folder / RECORD).exists()
