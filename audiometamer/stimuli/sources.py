"""The clips of a plan: chosen from a table, a folder or a list, and named."""

import dataclasses
import difflib
import os
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from torch import Tensor

from audiometamer.errors import AudioMetamerError
from audiometamer.io.tables import read_table
from audiometamer.metamers.starts import as_start
from audiometamer.models.model import Model
from audiometamer.models.published import published
from audiometamer.signals.audio import SOUND_ENDINGS, Clip
from audiometamer.signals.clip_names import cell_seconds, clip_name, excerpt_name, row_clip_name
from audiometamer.signals.images import PICTURE_ENDINGS
from audiometamer.signals.speech import find_speech, pieces
from audiometamer.stimuli.layout import CLIP_COLUMNS, INITIAL, clip_tables
from audiometamer.stimuli.plan import LocatedPlan

PUBLISHED_TABLE = "clips.csv"  # in the folder of published recordings
_SIGNALS = SOUND_ENDINGS | PICTURE_ENDINGS


class PlannedClip(msgspec.Struct, frozen=True):
    """The source of a clip: a file, an excerpt of it in seconds, other columns of its table, whether it has no metamers, and the
    file of the signal that these start from, None for noise.
    """

    name: str
    path: Path
    start: float | None
    duration: float | None
    columns: dict[str, str] = {}
    natural: bool = False
    initial: Path | None = None

    def read(self, model: Model, level: float | None) -> Clip:
        """Read the clip as a model takes it."""
        clip = model.read_clip(self.path, level=level, start=self.start, length=self.duration)
        return dataclasses.replace(clip, name=self.name)

    def read_initial(self, model: Model) -> Tensor | None:
        """The signal that its metamers start from [shape=signal_shape]; None for noise."""
        return None if self.initial is None else as_start(model, self.initial)


def find_sources(plan: LocatedPlan[Any]) -> list[PlannedClip]:
    """The clips of a plan, chosen but not read, sorted by name.

    Raises
    ------
    AudioMetamerError
        If a file is missing, nothing is chosen, there are fewer than `count`, or two have the same name.
    """
    clips = plan.content.clips
    with plan.errors_at(f"clips.{clips.origin}"):
        rows = _rows(plan)
    with plan.errors_at("clips.natural"):
        natural = _selected(rows, clips.natural) if clips.natural else []
    with plan.errors_at("clips.select"):
        rows = [row for row in _selected(rows, clips.select) if row not in natural]
    if clips.split:
        with plan.errors_at("clips.split"):
            natural, rows = ([part for row in some for part in _split_at_pauses(row, clips.duration)] for some in (natural, rows))
    if clips.count is not None:
        with plan.errors_at("clips.count"):
            rows = _drawn(rows, clips.count, clips.seed)
    with plan.errors_at("clips"):
        if not rows:
            raise AudioMetamerError("no clip is chosen")
        found = [_source(plan, row, natural=some is natural) for some in (rows, natural) for row in some]
        _check_sources(found)
    return sorted(found, key=lambda source: source.name)


def _rows(plan: LocatedPlan[Any]) -> list[dict[str, str]]:
    """A row with a ``path`` for each clip."""
    clips = plan.content.clips
    if clips.table is not None:
        table = _table(plan, clips.table)
        rows = read_table(table, required=["path"])
        return [row | {key: str(table.parent / row[key]) for key in ("path", INITIAL) if row.get(key)} for row in rows]
    files = _signals(plan.resolve(clips.folder)) if clips.folder is not None else map(plan.resolve, clips.files or [])
    return [{"path": str(file)} for file in files]


def _table(plan: LocatedPlan[Any], name: str) -> Path:
    """A table of clips beside the plan, or that of published recordings, by their name."""
    table = plan.resolve(name)
    if table.exists() or name not in published():
        return table
    if not published()[name].is_here:
        raise AudioMetamerError(f"{name} is not here yet: `audiometamer published get {name}` fetches it")
    return published()[name].folder / PUBLISHED_TABLE


def _split_at_pauses(row: dict[str, str], longest: float | None) -> list[dict[str, str]]:
    """A row for each stretch of sound in a recording; the row itself if it has an excerpt of its own."""
    if row.get("start") or row.get("duration"):
        return [row]
    stretches = find_speech(row["path"])
    excerpts = [
        {"start": f"{start:.3f}", "duration": f"{end - start:.3f}"}
        for start, end in (stretches if longest is None else pieces(stretches, longest))
    ]
    if "name" not in row:
        return [row | excerpt for excerpt in excerpts]
    return [
        row | excerpt | {"name": excerpt_name(row["name"], float(excerpt["start"]), float(excerpt["duration"]))}
        for excerpt in excerpts
    ]


def _drawn(rows: Sequence[dict[str, str]], count: int, seed: int) -> list[dict[str, str]]:
    if count > len(rows):
        raise AudioMetamerError(f"{count} are wanted, and {len(rows)} are there")
    return random.Random(seed).sample(rows, count)  # noqa: S311 (a reproducible draw, no secret)


def _source(plan: LocatedPlan[Any], row: dict[str, str], *, natural: bool) -> PlannedClip:
    clips, initial = plan.content.clips, row.get(INITIAL)
    if not initial and clips.initial is not None:
        initial = str(plan.resolve(clips.initial))
    return PlannedClip(
        row_clip_name(row, clips.start, clips.duration),
        Path(row["path"]),
        cell_seconds(row, "start", clips.start),
        cell_seconds(row, "duration", clips.duration),
        {column: cell for column, cell in row.items() if column not in (*CLIP_COLUMNS, INITIAL)},
        natural,
        Path(initial) if initial and not natural else None,
    )


def _signals(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise AudioMetamerError(f"{folder} is not a folder")
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SIGNALS and path.is_file())


def _selected(rows: Sequence[dict[str, str]], select: Mapping[str, str | list[str]]) -> list[dict[str, str]]:
    for column, value in select.items():
        values = dict.fromkeys(row[column] for row in rows if column in row)
        if not values:
            raise AudioMetamerError(f"there is no column {column!r}; there are {', '.join(rows[0] if rows else ())}")
        wanted = [value] if isinstance(value, str) else value
        for missing in (cell for cell in wanted if cell not in values):
            nearest = difflib.get_close_matches(missing, values, n=3) or list(values)[:3]
            raise AudioMetamerError(f"no clip has {column} {missing!r}; the nearest are {', '.join(nearest)}")
        rows = [row for row in rows if row[column] in wanted]
    return list(rows)


def _check_sources(found: Sequence[PlannedClip]) -> None:
    with_start, without = ([s for s in found if not s.natural and (s.initial is None) is none] for none in (False, True))
    if with_start and without:
        raise AudioMetamerError(
            f"{with_start[0].name!r} has an initial signal and {without[0].name!r} has none; give one for each"
        )
    seen: dict[str, Path] = {}
    for source in found:
        name = os.fsencode(source.path)
        if name.decode(errors="replace") != str(source.path):
            raise AudioMetamerError(f"the name of {name!r} is not UTF-8; rename it")
        for file in (source.path, source.initial):
            if file is not None and not file.is_file():
                raise AudioMetamerError(f"{file} does not exist")
        if seen.setdefault(source.name, source.path) is not source.path:
            raise AudioMetamerError(
                f"{seen[source.name]} and {source.path} would both be called {source.name!r}; rename one, or give the table a "
                "column name"
            )


def keep_known_names(chosen: Sequence[PlannedClip], stimulus_set: Path) -> list[PlannedClip]:
    """Sources sorted by name; excerpts that a set knows by their file's name alone, as in earlier versions, keep that name."""
    rows = [row for table in clip_tables(stimulus_set) for row in read_table(table)]
    known = {tuple(row.get(column) for column in CLIP_COLUMNS) for row in rows}
    taken = {source.name for source in chosen}

    def named(source: PlannedClip) -> PlannedClip:
        before = msgspec.structs.replace(source, name=clip_name(source.path))
        by_itself = source.name == excerpt_name(before.name, source.start, source.duration)
        return before if by_itself and before.name not in taken and own_cells(before, stimulus_set) in known else source

    return sorted(map(named, chosen), key=lambda source: source.name)


def own_cells(source: PlannedClip, folder: Path) -> tuple[str, ...]:
    """A source's cells in the columns `CLIP_COLUMNS` of a table in a folder."""
    seconds = ["" if value is None else str(value) for value in (source.start, source.duration)]
    return (source.name, relative_path(source.path, folder), *seconds)


def relative_path(file: Path, folder: Path) -> str:
    """The path of a file from a folder, as text for files."""
    return Path(os.path.relpath(file, folder)).as_posix()
