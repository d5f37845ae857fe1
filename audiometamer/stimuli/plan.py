"""A plan: a TOML file that says which stimuli to make; read and checked."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec
from msgspec import Meta

from audiometamer.errors import AudioMetamerError
from audiometamer.io.label_files import grouped, read_groups
from audiometamer.io.toml_files import error_context, read_toml
from audiometamer.io.toml_problems import Problem
from audiometamer.matching.stopping import StoppingRule
from audiometamer.metamers.criteria import NullDistribution
from audiometamer.metamers.methods import Method, load_method
from audiometamer.metamers.settings import places
from audiometamer.metamers.stops import parse_stop
from audiometamer.models.heard import SEPARATOR, split_ear, with_ear_beside
from audiometamer.models.loading import load_model
from audiometamer.models.model import Model

Count = Annotated[int, Meta(ge=1, le=10**9)]
Seed = Annotated[int, Meta(ge=0, lt=2**31)]


class ClipSelection(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Which recordings or photographs. Give one of `table`, `folder` and `files`; paths are relative to the plan's folder.

    Parameters
    ----------
    table : str, optional
        A CSV file with a column ``path``, relative to that file's folder, and perhaps ``name``, ``start`` and ``duration``.
    folder : str, optional
        All sounds or images in it, at any depth.
    files : list of str, optional
    select : dict of str to str or list of str
        Column of the table to the values that are selected. Default: all rows.
    natural : dict of str to str or list of str
        Column of the table to the values of clips that are in the set as they are, without metamers, beside those that are
        selected: for the practice and catch trials of an experiment. Default: none.
    count : int, optional
        Number of clips to draw at random, beside those that stay natural. Default: all.
    seed : int
        Random seed of that draw. Default 0.
    initial : str, optional
        Recording or image that every clip's attempts start from in place of noise; a table's own column ``initial``, whose paths
        are relative to the table, takes precedence. See `audiometamer.synthesize`. Default: noise.
    start, duration : float, optional
        Excerpt of each recording, in seconds; see `audiometamer.read_clip`. A table's own columns take precedence.
    split : {"pauses"}, optional
        Make a clip of each stretch of sound between the pauses of a recording; a stretch longer than `duration` is cut into equal
        parts. See `audiometamer.find_speech`. A row of a table with an excerpt of its own is not split. Default: no splitting.
    """

    table: str | None = None
    folder: str | None = None
    files: list[str] | None = None
    select: dict[str, str | list[str]] = {}
    natural: dict[str, str | list[str]] = {}
    count: Count | None = None
    seed: Seed = 0
    initial: str | None = None
    start: Annotated[float, Meta(ge=0)] | None = None
    duration: Annotated[float, Meta(gt=0)] | None = None
    split: Literal["pauses"] | None = None

    @property
    def origin(self) -> str:
        """The key that names where the clips are: ``table``, ``folder`` or ``files``."""
        return "table" if self.table is not None else "folder" if self.folder is not None else "files"

    def problems(self) -> Iterator[Problem]:
        """Its faults, independent of the disk."""
        given = [key for key in ("table", "folder", "files") if getattr(self, key) is not None]
        if len(given) != 1:
            yield Problem("clips", f"give one of table, folder and files; {' and '.join(given) or 'none of them'} is given")
        for key in ("select", "natural"):
            if len(given) == 1 and getattr(self, key) and self.table is None:
                yield Problem("clips", f"{key} needs a table, whose columns it names")
        if self.split and self.start is not None:
            yield Problem("clips", "split finds where clips start; leave out start")


class PlannedModel(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A model of a plan, and what its metamers are judged by.

    Parameters
    ----------
    name : str
        As `load_model` takes it.
    layers : list of str, optional
        Default: the plan's, or all that the model lists.
    null : str, optional
        File of a null distribution. Default: the model's own.
    groups : str, optional
        File of coarser labels for the verdict; see `audiometamer.io.label_files.read_groups`. Default: the model's own labels.
    """

    name: str
    layers: Annotated[list[str], Meta(min_length=1)] | None = None
    null: str | None = None
    groups: str | None = None


class CommonPlan(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What all plans share.

    Parameters
    ----------
    output : str
        Folder of the set, relative to the plan's.
    clips : ClipSelection
    models : list of PlannedModel
    layers : list of str, optional
        Layers of every model that names none itself.
    seeds : list of int
        Default [0].
    """

    output: str
    clips: ClipSelection
    models: Annotated[list[PlannedModel], Meta(min_length=1)]
    layers: Annotated[list[str], Meta(min_length=1)] | None = None
    seeds: Annotated[list[Seed], Meta(min_length=1)] = msgspec.field(default_factory=lambda: [0])

    def repetitions(self) -> Iterator[Problem]:
        """Seeds and layers that are there twice."""
        yield from _repeated("seeds", self.seeds)
        yield from _repeated("layers", self.layers or [])
        for k, entry in enumerate(self.models):
            yield from _repeated(f"models[{k}].layers", entry.layers or [])


class Plan(CommonPlan, forbid_unknown_fields=True, frozen=True):
    """Which metamers to make: each clip, at each layer of each model, with each seed.

    Parameters
    ----------
    output, clips, models, layers, seeds
        As in `CommonPlan`.
    method : str
        Default "default".
    steps : int, optional
        Steps of an attempt. Default: the method's own.
    exact : bool, optional
        Whether cochleagrams are computed as published; see `audiometamer.synthesize`. Default: as the method does.
    stop : str, optional
        Stopping rule beside the method's own; see `audiometamer.metamers.stops.parse_stop`. Default: the method's alone.
    level : float, optional
        RMS of the clips. Default: the models' own.
    batch_size : int, optional
        Number of signals made together. Default: as many as there is memory for; see `audiometamer.synthesize`.
    captured : bool
        Whether steps are captured; see there. Default False.
    """

    method: str = "default"
    steps: Count | None = None
    exact: bool | None = None
    stop: str | None = None
    level: Annotated[float, Meta(gt=0, le=1)] | None = None
    batch_size: Count | None = None
    captured: bool = False

    def problems(self) -> Iterator[Problem]:
        """Its faults, independent of the disk."""
        yield from self.repetitions()
        yield from self.clips.problems()


def _repeated(place: str, values: Sequence[object]) -> Iterator[Problem]:
    """The first value that is there twice."""
    seen: set[object] = set()
    for value in values:
        if value in seen:
            yield Problem(place, f"{value!r} is there twice")
            return
        seen.add(value)


P = TypeVar("P", bound=CommonPlan)


@dataclass(frozen=True)
class LocatedPlan(Generic[P]):
    """A plan that was read, and where it lies.

    Parameters
    ----------
    path : path
        The TOML file.
    content : CommonPlan
    """

    path: Path
    content: P

    @property
    def folder(self) -> Path:
        """The folder of its set."""
        return self.resolve(self.content.output)

    def resolve(self, file: str) -> Path:
        """A path of the plan, which is relative to its folder."""
        return self.path.parent / file

    def check_output(self) -> None:
        """Raise if the set's folder is a file."""
        if self.folder.exists() and not self.folder.is_dir():
            with self.errors_at("output"):
                raise AudioMetamerError(f"{self.folder} is a file; the set needs a folder")

    def errors_at(self, place: str) -> AbstractContextManager[None]:
        """A context whose errors name the plan and a place in it."""
        return error_context(self.path, place)

    def open_model(self, number: int) -> tuple[Model, NullDistribution | None]:
        """One of the models, its labels grouped as the plan says, and the null distribution that the plan names for it."""
        entry, place = self.content.models[number], f"models[{number}]"
        with self.errors_at(f"{place}.name"):
            model = load_model(model_reference(self.path, entry.name))
        if entry.groups is not None:
            with self.errors_at(f"{place}.groups"):
                model.labels = grouped(model.named_labels(), read_groups(self.resolve(entry.groups)))
        if entry.null is None:
            return model, None
        with self.errors_at(f"{place}.null"):
            return model, NullDistribution.load(self.resolve(entry.null))

    def layers_of(self, number: int, model: Model) -> list[str]:
        """The layers at which one of the models is matched, each known to be there."""
        entry = self.content.models[number]
        named = entry.layers or self.content.layers
        place = f"models[{number}].layers" if entry.layers else "layers"
        for k, layer in enumerate(named or []):
            with self.errors_at(f"{place}[{k}]"):
                for each in places(layer):
                    model.tap(each)
        return list(dict.fromkeys(map(model.canonical, named or model.default_layers)))


@dataclass(frozen=True)
class LoadedPlan(LocatedPlan[Plan]):
    """A plan of metamers that was read and checked, beside what a `LocatedPlan` has its method and its stopping rule.

    Parameters
    ----------
    method : Method
    stop : callable, "passed" or None
    """

    method: Method
    stop: StoppingRule | Literal["passed"] | None = None

    @classmethod
    def at(cls, path: Path, content: Plan) -> "LoadedPlan":
        """A plan that lies at `path`."""
        with error_context(path, "stop"):
            stop = parse_stop(content.stop)
        with error_context(path, "method"):
            return cls(path, content, load_method(content.method), stop)

    def __reduce__(self) -> tuple[Any, ...]:
        """For other processes: a method holds functions that cannot be pickled, and is known by its name."""
        return LoadedPlan.at, (self.path, self.content)

    @property
    def steps(self) -> int:
        """Steps of an attempt."""
        return self.content.steps or self.method.steps


def read_plan(path: Path) -> LoadedPlan:
    """Read a plan and check everything that can be checked without its models and clips.

    Raises
    ------
    AudioMetamerError
        If it cannot be read, has an unknown key, a value of a wrong type or out of range, or says something twice; the place is
        named as in ``models[1].layers[0]``, counted from 0.
    """
    plan = LoadedPlan.at(path, read_toml(path, Plan, Plan.problems))
    plan.check_output()
    return plan


def plans_of(stimulus_set: Path) -> list[LoadedPlan]:
    """The plans of a set, the latest first."""
    files = sorted(stimulus_set.glob("plan*.toml"), key=lambda path: (len(path.name), path.name), reverse=True)
    return list(map(read_plan, files))


def model_reference(path: Path, name: str) -> str:
    """The name that loads a model named in a file: its folder, and an ear's audiogram, are named relative to the file."""
    if (pair := split_ear(name)) is not None:
        return with_ear_beside(f"{model_reference(path, pair[0])}{SEPARATOR}{pair[1]}", path.parent)
    beside = path.parent / name
    return str(beside) if (beside / "model.toml").is_file() else name
