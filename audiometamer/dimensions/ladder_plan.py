"""The plan of a ladder: a TOML file that says which references are to be moved along which dimensions, and how far."""

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from audiometamer.dimensions.dimensions import Dimension, Dimensions, chosen_dimensions, load_all
from audiometamer.dimensions.ladder_files import moved_path
from audiometamer.dimensions.moving import as_presented
from audiometamer.dimensions.moving_methods import METHODS, STEPS
from audiometamer.errors import AudioMetamerError
from audiometamer.io.names import portable_key
from audiometamer.io.toml_files import error_context, read_toml
from audiometamer.models.excerpts import Excerpt, find_excerpts, read_excerpts
from audiometamer.models.loading import load_model
from audiometamer.models.model import Model
from audiometamer.signals.audio import Clip
from audiometamer.stimuli.plan import Count, Seed, model_reference

Change = Annotated[float, Meta(gt=0)]


class LadderPlan(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Which moved signals to make. Paths are as seen from the plan's folder.

    Parameters
    ----------
    output : str
        The ladder's folder. Default "ladder".
    model : str
        As `load_model` takes it.
    dimensions : str
        A folder of dimensions that were found for this model. Default "dimensions".
    choose : list of str
        As in ``relu2/3`` or, one side alone, ``relu2/3/+``. Default: the strongest.
    strongest : int
        How many components of each layer, if none are chosen. Default 3.
    signals : list of str
        Recordings or photographs, their folders, or tables with a column ``path``. A recording that is longer than the model
        takes gives several references.
    references : int, optional
        How many of them are moved along each dimension, drawn anew for each. Default: all.
    changes : list of float
        In standard deviations of natural signals.
    method : str
        Of moving. Default "default".
    steps : int
        Default 50.
    seed : int
        Of the draw. Default 0.
    batch_size : int
        Signals side by side. Default 8.
    """

    model: str
    signals: Annotated[list[str], Meta(min_length=1)]
    changes: Annotated[list[Change], Meta(min_length=1)]
    output: str = "ladder"
    dimensions: str = "dimensions"
    choose: list[str] = []
    strongest: Count = 3
    references: Count | None = None
    method: str = "default"
    steps: Count = STEPS
    seed: Seed = 0
    batch_size: Count = 8


class PlannedMove(NamedTuple):
    """A moved signal that a plan asks for, and where it will lie in the ladder's folder."""

    dimension: Dimension
    reference: str
    change: float
    path: Path


@dataclass(frozen=True)
class PlannedLadder:
    """All that a plan asks for.

    Parameters
    ----------
    path : path
        Of the plan.
    plan : LadderPlan
    moves : list of PlannedMove
        In the order in which they are best made: each dimension with one reference before any with two.
    """

    path: Path
    plan: LadderPlan
    moves: list[PlannedMove]

    @property
    def folder(self) -> Path:
        """The ladder's."""
        return self.path.parent / self.plan.output


def read_ladder_plan(path: Path) -> LadderPlan:
    """Read a plan and check everything that can be checked without its model and signals.

    Raises
    ------
    AudioMetamerError
        If it cannot be read, has an unknown key, a value of a wrong type or out of range, or a change twice.
    """
    plan = read_toml(path, LadderPlan)
    with error_context(path, "output"):
        if (folder := path.parent / plan.output).exists() and not folder.is_dir():
            raise AudioMetamerError(f"{folder} is a file; the ladder needs a folder")
    with error_context(path, "method"):
        if plan.method not in METHODS:
            raise AudioMetamerError(f"there is no method {plan.method!r} of moving; there are {', '.join(METHODS)}")
    with error_context(path, "changes"):
        seen: set[str] = set()
        for text in (f"{change:g}" for change in plan.changes):  # as files are named
            if text in seen:
                raise AudioMetamerError(f"{text} is there twice")
            seen.add(text)
    return plan


def open_ladder_plan(path: Path, plan: LadderPlan) -> tuple[Model, dict[str, Dimensions]]:
    """The model of a plan that lies at `path`, and its dimensions by layer.

    Raises
    ------
    AudioMetamerError
        If one of them cannot be read, or they do not belong together.
    """
    with error_context(path, "model"):
        model = load_model(model_reference(path, plan.model))
    with error_context(path, "dimensions"):
        dimensions = load_all(path.parent / plan.dimensions)
        for found in dimensions.values():
            found.check(model)
    return model, dimensions


def planned_ladder(path: Path, plan: LadderPlan) -> tuple[PlannedLadder, Model, dict[str, Dimensions], list[Clip]]:
    """All that a plan asks for, with its model, its dimensions, and the references that were drawn.

    Raises
    ------
    AudioMetamerError
        If a dimension is unknown, signals are missing, cannot be read, fewer than wanted, or two have the same name.
    """
    model, dimensions = open_ladder_plan(path, plan)
    with error_context(path, "choose"):
        chosen = list(dict.fromkeys(chosen_dimensions(dimensions, plan.choose, strongest=plan.strongest)))
    with error_context(path, "signals"):
        excerpts = find_excerpts(model, [path.parent / signal for signal in plan.signals])
        if not excerpts:
            raise AudioMetamerError(f"there are no recordings or photographs in {', '.join(plan.signals)}")
    with error_context(path, "references"):
        if plan.references is not None and plan.references > len(excerpts):
            raise AudioMetamerError(f"{plan.references} are wanted, and {len(excerpts)} are there")
    own = {dimension: _drawn(excerpts, plan, dimension) for dimension in chosen}
    with error_context(path, "signals"):
        drawn = [excerpt for excerpt in dict.fromkeys(excerpts) if any(excerpt in each for each in own.values())]
        clips = {excerpt: as_presented(model, clip) for excerpt, clip in zip(drawn, read_excerpts(model, drawn), strict=True)}
    moves = [
        PlannedMove(dimension, name, change, moved_path(model, name, dimension, change))
        for turn in range(plan.references or len(excerpts))
        for dimension in chosen
        for name in (clips[own[dimension][turn]].name,)
        for change in plan.changes
    ]
    with error_context(path, "signals"):
        _check_paths(moves)
    return PlannedLadder(path, plan, moves), model, dimensions, list(clips.values())


def _drawn(excerpts: list[Excerpt], plan: LadderPlan, dimension: Dimension) -> list[Excerpt]:
    """The references of a dimension; with more of them, or of dimensions, the first stay."""
    drawn = list(excerpts)
    random.Random(f"{plan.seed} {dimension}").shuffle(drawn)  # noqa: S311 (nothing secret)
    return drawn[: plan.references]


def _check_paths(moves: list[PlannedMove]) -> None:
    """Raise if two moved signals would lie in one place on some file system."""
    seen: dict[str, PlannedMove] = {}
    for each in moves:
        if (first := seen.setdefault(portable_key(each.path), each)) is not each:
            one, other = (f"{move.reference} moved along {move.dimension}" for move in (first, each))
            raise AudioMetamerError(f"{one} and {other} would both be {each.path}; rename one of them")
