"""The plan of a ladder: a TOML file about which references are moved along which dimensions, and how far."""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from audiometamer.dimensions.dimensions import Dimension, Dimensions, chosen_dimensions, load_all
from audiometamer.dimensions.ladder_files import moved_path
from audiometamer.dimensions.moving import as_presented
from audiometamer.dimensions.moving_methods import STEPS, find_method
from audiometamer.errors import AudioMetamerError
from audiometamer.io.names import portable_key
from audiometamer.io.toml_files import error_context, problems_raised, read_toml
from audiometamer.io.toml_problems import Problem
from audiometamer.models.excerpts import Excerpt, find_excerpts, read_excerpts
from audiometamer.models.loading import load_model
from audiometamer.models.model import Model
from audiometamer.signals.audio import Clip
from audiometamer.stimuli.plan import Count, Seed, model_reference

Change = Annotated[float, Meta(gt=0)]


class LadderPlan(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Which moved signals to make; paths are relative to the plan's folder.

    Parameters
    ----------
    output : str
        The ladder's folder. Default "ladder".
    model : str
        As `load_model` takes it.
    dimensions : str
        The folder of `explore dimensions` for this model. Default "dimensions".
    choose : list of str
        Components, as in ``relu2/3``, or one side of them, as in ``relu2/3/+``. Default: the strongest.
    strongest : int
        Number of components of each layer, if none are chosen. Default 3.
    signals : list of str
        Recordings or photographs, their folders, or tables with a column ``path``. A recording that is longer than the model
        takes gives several references.
    references : int, optional
        Number of signals moved along each dimension, drawn for each dimension. Default: all.
    changes : list of float
        In standard deviations of the bank.
    method : str
        Method of moving. Default "default".
    steps : int
        Optimisation steps. Default 50.
    seed : int
        Random seed of the draw. Default 0.
    batch_size : int
        Signals moved together. Default 8.
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
    """A moved signal of a plan, and its path in the ladder's folder."""

    dimension: Dimension
    reference: str
    change: float
    path: Path


@dataclass(frozen=True)
class PlannedLadder:
    """All moved signals of a plan.

    Parameters
    ----------
    path : path
        File of the plan.
    plan : LadderPlan
    moves : list of PlannedMove
        In the order in which they are made: each dimension gets one reference before any gets two.
    """

    path: Path
    plan: LadderPlan
    moves: list[PlannedMove]

    @property
    def folder(self) -> Path:
        """The ladder's folder."""
        return self.path.parent / self.plan.output


def read_ladder_plan(path: Path) -> LadderPlan:
    """Read a plan and check everything that can be checked without its model and signals.

    Raises
    ------
    AudioMetamerError
        If it cannot be read, has an unknown key, a value of a wrong type or out of range, or a change twice.
    """
    return read_toml(path, LadderPlan, partial(_problems, path.parent))


def _problems(folder: Path, plan: LadderPlan) -> Iterator[Problem]:
    if (output := folder / plan.output).exists() and not output.is_dir():
        yield Problem("output", f"{output} is a file; the ladder needs a folder")
    yield from problems_raised("method", lambda: find_method(plan.method))
    names = Counter(f"{change:g}" for change in plan.changes)  # as files are named
    yield from (Problem("changes", f"{name} appears twice") for name, times in names.items() if times > 1)


def open_ladder_plan(path: Path, plan: LadderPlan) -> tuple[Model, dict[str, Dimensions]]:
    """Open the model of a plan, and its dimensions by layer.

    Raises
    ------
    AudioMetamerError
        If the model or the dimensions cannot be read, or do not belong together.
    """
    with error_context(path, "model"):
        model = load_model(model_reference(path, plan.model))
    with error_context(path, "dimensions"):
        dimensions = load_all(path.parent / plan.dimensions)
        for found in dimensions.values():
            found.check(model)
    return model, dimensions


def planned_ladder(path: Path, plan: LadderPlan) -> tuple[PlannedLadder, Model, dict[str, Dimensions], list[Clip]]:
    """All moved signals of a plan, with its model, its dimensions, and the drawn references.

    Raises
    ------
    AudioMetamerError
        If a dimension is unknown; if signals are missing, cannot be read or are fewer than requested; if two have the same name.
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
            raise AudioMetamerError(f"{plan.references} are requested, and there are {len(excerpts)}")
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
    """The references of a dimension; the first of them stay the same if their number, or the dimensions, change."""
    drawn = list(excerpts)
    random.Random(f"{plan.seed} {dimension}").shuffle(drawn)  # noqa: S311 (nothing secret)
    return drawn[: plan.references]


def _check_paths(moves: list[PlannedMove]) -> None:
    """Raise if two moved signals would have the same path on some file system."""
    seen: dict[str, PlannedMove] = {}
    for each in moves:
        if (first := seen.setdefault(portable_key(each.path), each)) is not each:
            one, other = (f"{move.reference} moved along {move.dimension}" for move in (first, each))
            raise AudioMetamerError(f"{one} and {other} would both be {each.path}; rename one of them")
