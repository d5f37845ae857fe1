"""A plan: a TOML file that says which stimuli to make; read, and every key of it checked."""

import dataclasses
import difflib
import itertools
import os
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from audiometamer.errors import AudioMetamerError
from audiometamer.io.files import write_text
from audiometamer.io.label_files import grouped, read_groups
from audiometamer.io.tables import read_table, table_text
from audiometamer.io.toml_files import error_context, read_toml, toml_text
from audiometamer.metamers.criteria import NullDistribution
from audiometamer.metamers.methods import load_method
from audiometamer.metamers.settings import places
from audiometamer.models.inputs import load_clip
from audiometamer.models.loading import load_model
from audiometamer.models.model import Model
from audiometamer.signals.audio import SOUND_ENDINGS, Clip
from audiometamer.signals.clip_names import clip_name, excerpt_name, name_of, seconds_in
from audiometamer.signals.images import PICTURE_ENDINGS
from audiometamer.stimuli.layout import OWN_COLUMNS, clip_tables

Count = Annotated[int, Meta(ge=1, le=10**9)]
Seed = Annotated[int, Meta(ge=0, lt=2**31)]

_SIGNALS = SOUND_ENDINGS | PICTURE_ENDINGS


class Clips(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Which recordings or photographs. Give one of `table`, `folder` and `files`; paths are as seen from the plan's folder.

    Parameters
    ----------
    table : str, optional
        A CSV file with a column ``path``, as seen from the file's folder, and perhaps ``name``, ``start`` and ``duration``.
    folder : str, optional
        All in it, at any depth.
    files : list of str, optional
    select : dict of str to str or list of str
        Of a table: column to the values that are wanted. Default: all rows.
    count : int, optional
        So many, drawn by `seed`. Default: all.
    seed : int
        Default 0.
    start, duration : float, optional
        Seconds of the recordings to take; see `audiometamer.read_clip`. A table's own columns go before.
    """

    table: str | None = None
    folder: str | None = None
    files: list[str] | None = None
    select: dict[str, str | list[str]] = {}
    count: Count | None = None
    seed: Seed = 0
    start: Annotated[float, Meta(ge=0)] | None = None
    duration: Annotated[float, Meta(gt=0)] | None = None


class PlannedModel(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A model of a plan, and what its metamers are judged by.

    Parameters
    ----------
    name : str
        As `load_model` takes it.
    layers : list of str, optional
        Default: the plan's, or all that the model lists.
    null : str, optional
        A file with a null distribution. Default: the model's own.
    groups : str, optional
        A file of coarser labels for the verdict; see `audiometamer.io.label_files.read_groups`. Default: the model's own labels.
    """

    name: str
    layers: Annotated[list[str], Meta(min_length=1)] | None = None
    null: str | None = None
    groups: str | None = None


class Plan(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Which metamers to make: each clip, at each layer of each model, with each seed.

    Parameters
    ----------
    output : str
        The set's folder, as seen from the plan's.
    clips : Clips
    models : list of PlannedModel
    layers : list of str, optional
        Of every model that names none itself.
    seeds : list of int
        Default [0].
    method : str
        Default "default".
    steps : int, optional
        Of an attempt. Default: the method's own.
    level : float, optional
        RMS of the clips. Default: the models' own.
    batch_size : int, optional
        Signals side by side. Default: as many as there is memory for; see `audiometamer.synthesize`.
    """

    output: str
    clips: Clips
    models: Annotated[list[PlannedModel], Meta(min_length=1)]
    layers: Annotated[list[str], Meta(min_length=1)] | None = None
    seeds: Annotated[list[Seed], Meta(min_length=1)] = msgspec.field(default_factory=lambda: [0])
    method: str = "default"
    steps: Count | None = None
    level: Annotated[float, Meta(gt=0, le=1)] | None = None
    batch_size: Count | None = None


class Source(msgspec.Struct, frozen=True):
    """Where a clip comes from: a file, the seconds of it that are meant, and what else its table says."""

    name: str
    path: Path
    start: float | None
    duration: float | None
    columns: dict[str, str] = {}

    def read(self, model: Model, level: float | None) -> Clip:
        """The clip as a model takes it."""
        clip = load_clip(model, self.path, level=level, start=self.start, length=self.duration)
        return dataclasses.replace(clip, name=self.name)


def read_plan(path: Path) -> Plan:
    """Read a plan and check everything that can be checked without its models and clips.

    Raises
    ------
    AudioMetamerError
        If it cannot be read, has an unknown key, a value of a wrong type or out of range, or says something twice; the place is
        named as in ``models[1].layers[0]``, counted from 0.
    """
    plan = read_toml(path, Plan)
    with error_context(path, "output"):
        if (folder := output_folder(path, plan)).exists() and not folder.is_dir():
            raise AudioMetamerError(f"{folder} is a file; the set needs a folder")
    with error_context(path, "method"):
        load_method(plan.method)
    with error_context(path, "seeds"):
        _once(plan.seeds)
    for k, layers in enumerate([plan.layers, *(entry.layers for entry in plan.models)]):
        with error_context(path, f"models[{k - 1}].layers" if k else "layers"):
            _once(layers or [])
    with error_context(path, "clips"):
        given = [key for key in ("table", "folder", "files") if getattr(plan.clips, key) is not None]
        if len(given) != 1:
            raise AudioMetamerError(f"give one of table, folder and files; {' and '.join(given) or 'none of them'} is given")
        if plan.clips.select and plan.clips.table is None:
            raise AudioMetamerError("select needs a table, whose columns it names")
    return plan


def _once(values: Sequence[object]) -> None:
    seen: set[object] = set()
    for value in values:
        if value in seen:
            raise AudioMetamerError(f"{value!r} is there twice")
        seen.add(value)


def output_folder(path: Path, plan: Plan) -> Path:
    """The folder of a plan's set."""
    return path.parent / plan.output


def sources(path: Path, clips: Clips) -> list[Source]:
    """The clips of a plan that lies at `path`, chosen but not read, sorted by name.

    Raises
    ------
    AudioMetamerError
        If a file is missing, nothing is chosen, fewer are there than wanted, or two have the same name.
    """
    with error_context(path, "clips.table" if clips.table else "clips.folder" if clips.folder else "clips.files"):
        if clips.table is not None:
            rows = _rows(path.parent / clips.table)
        elif clips.folder is not None:
            rows = [{"path": str(file)} for file in _signals(path.parent / clips.folder)]
        else:
            rows = [{"path": str(path.parent / file)} for file in clips.files or []]
    with error_context(path, "clips.select"):
        rows = _selected(rows, clips.select)
    with error_context(path, "clips.count"):
        if clips.count is not None and clips.count > len(rows):
            raise AudioMetamerError(f"{clips.count} are wanted, and {len(rows)} are there")
    if clips.count is not None:
        rows = random.Random(clips.seed).sample(rows, clips.count)  # noqa: S311 (a reproducible draw, no secret)
    with error_context(path, "clips"):
        found = [
            Source(
                name_of(row, clips.start, clips.duration),
                Path(row["path"]),
                seconds_in(row, "start", clips.start),
                seconds_in(row, "duration", clips.duration),
                {column: cell for column, cell in row.items() if column not in OWN_COLUMNS},
            )
            for row in rows
        ]
        _check_sources(found)
    return sorted(found, key=lambda source: source.name)


def _rows(table: Path) -> list[dict[str, str]]:
    return [{**row, "path": str(table.parent / row["path"])} for row in read_table(table, required=["path"])]


def _signals(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise AudioMetamerError(f"{folder} is not a folder")
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SIGNALS and path.is_file())


def _selected(rows: Sequence[dict[str, str]], select: Mapping[str, str | list[str]]) -> list[dict[str, str]]:
    for column, value in select.items():
        there = dict.fromkeys(row[column] for row in rows if column in row)
        if not there:
            raise AudioMetamerError(f"there is no column {column!r}; there are {', '.join(rows[0] if rows else ())}")
        wanted = [value] if isinstance(value, str) else value
        for missing in (one for one in wanted if one not in there):
            nearest = difflib.get_close_matches(missing, there, n=3) or list(there)[:3]
            raise AudioMetamerError(f"no clip has {column} {missing!r}; the nearest are {', '.join(nearest)}")
        rows = [row for row in rows if row[column] in wanted]
    return list(rows)


def _check_sources(found: Sequence[Source]) -> None:
    if not found:
        raise AudioMetamerError("no clip is chosen")
    seen: dict[str, Path] = {}
    for source in found:
        name = os.fsencode(source.path)
        if name.decode(errors="replace") != str(source.path):
            raise AudioMetamerError(f"the name of {name!r} is not UTF-8; rename it")
        if not source.path.is_file():
            raise AudioMetamerError(f"{source.path} does not exist")
        if seen.setdefault(source.name, source.path) is not source.path:
            raise AudioMetamerError(
                f"{seen[source.name]} and {source.path} would both be called {source.name!r}; rename one, or give the table a "
                "column name"
            )


def named_as_before(chosen: Sequence[Source], stimulus_set: Path) -> list[Source]:
    """Sources sorted by name; those that a set knows by their file's name alone, as earlier versions named excerpts, keep it."""
    rows = [row for table in clip_tables(stimulus_set) for row in read_table(table)]
    known = {tuple(row.get(column) for column in OWN_COLUMNS) for row in rows}
    taken = {source.name for source in chosen}

    def named(source: Source) -> Source:
        before = msgspec.structs.replace(source, name=clip_name(source.path))
        by_itself = source.name == excerpt_name(before.name, source.start, source.duration)
        return before if by_itself and before.name not in taken and _own_cells(before, stimulus_set) in known else source

    return sorted(map(named, chosen), key=lambda source: source.name)


def open_model(path: Path, entry: PlannedModel, *, place: str) -> tuple[Model, NullDistribution | None]:
    """A model of a plan, its labels grouped as the plan says, and the null distribution that the plan names for it."""
    with error_context(path, f"{place}.name"):
        model = load_model(as_seen(path, entry.name))
    with error_context(path, f"{place}.groups"):
        if entry.groups is not None:
            model.labels = grouped(model.named_labels(), read_groups(path.parent / entry.groups))
    with error_context(path, f"{place}.null"):
        return model, None if entry.null is None else NullDistribution.load(path.parent / entry.null)


def planned_models(stimulus_set: Path) -> list[tuple[Path, PlannedModel]]:
    """The models of a set's plans, the latest plan's first, each with the file of its plan."""
    plans = sorted(stimulus_set.glob("plan*.toml"), key=lambda path: (len(path.name), path.name), reverse=True)
    return [(path, entry) for path in plans for entry in read_plan(path).models]


def as_seen(path: Path, name: str) -> str:
    """A folder of a model that lies beside the plan is named as seen from there."""
    beside = path.parent / name
    return str(beside) if (beside / "model.toml").is_file() else name


def layers_of(path: Path, plan: Plan, entry: PlannedModel, model: Model, *, place: str) -> list[str]:
    """The layers of one of a plan's models, each known to be there."""
    named = entry.layers or plan.layers
    where = f"{place}.layers" if entry.layers else "layers"
    for k, layer in enumerate(named or []):
        with error_context(path, f"{where}[{k}]"):
            for one in places(layer):
                model.tap(one)
    return list(dict.fromkeys(map(model.canonical, named or model.layers)))


def write_resolved(path: Path, plan: Plan, chosen: Sequence[Source], layers: Sequence[list[str]], folder: Path) -> Path:
    """Write a plan into its set with everything that it left open filled in, and a table of its clips, with all columns.

    The first plan of a set is ``plan.toml`` with ``clips.csv``; each later one that differs is ``plan-2.toml`` and so on.

    Returns
    -------
    path
        Of the table.
    """
    table = _clips_table(chosen, folder)
    for number in itertools.count(1):
        ending = f"-{number}" if number > 1 else ""
        content = toml_text(_filled_in(path, plan, layers, folder, f"clips{ending}.csv"))
        found, found_table = folder / f"plan{ending}.toml", folder / f"clips{ending}.csv"
        texts = {found_table: table, found: content}
        if any(_text(file) not in (None, text) for file, text in texts.items()):
            continue  # of another plan; or no file of ours, where somebody's clips lie in the set's folder
        for file, text in texts.items():
            if _text(file) is None:
                write_text(file, text)
        return found_table
    raise AssertionError("there is always a next number")


def _text(path: Path) -> str | None:
    """What a file says; None if there is none, or a power cut has emptied it."""
    return (path.read_text(encoding="utf-8", errors="replace").strip("\0") or None) if path.exists() else None


def _clips_table(chosen: Sequence[Source], folder: Path) -> str:
    columns = list(dict.fromkeys(column for source in chosen for column in source.columns))
    rows = ({**source.columns, **dict(zip(OWN_COLUMNS, _own_cells(source, folder), strict=True))} for source in chosen)
    return table_text((*OWN_COLUMNS, *columns), rows, delimiter=",")


def _own_cells(source: Source, folder: Path) -> tuple[str, ...]:
    """A source's cells in the columns `OWN_COLUMNS` of a table in a folder."""
    seconds = ["" if value is None else str(value) for value in (source.start, source.duration)]
    return (source.name, Path(os.path.relpath(source.path, folder)).as_posix(), *seconds)


def _filled_in(path: Path, plan: Plan, layers: Sequence[list[str]], folder: Path, table: str) -> dict[str, Any]:
    """For TOML; paths as seen from `folder`."""

    def seen(file: str | None) -> str | None:
        return None if file is None else Path(os.path.relpath(path.parent / file, folder)).as_posix()

    entries = [
        PlannedModel(
            entry.name if as_seen(path, entry.name) == entry.name else seen(entry.name) or ".",
            own,
            seen(entry.null),
            seen(entry.groups),
        )
        for entry, own in zip(plan.models, layers, strict=True)
    ]
    steps = plan.steps or load_method(plan.method).steps
    whole = msgspec.structs.replace(plan, output=".", layers=None, models=entries, steps=steps)
    return {**msgspec.to_builtins(whole), "clips": {"table": table}}
