"""A plan as it lies in its set: with everything that it left open filled in, and a table of its clips."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from audiometamer.io.files import write_text
from audiometamer.io.tables import table_text
from audiometamer.io.toml_files import toml_text
from audiometamer.stimuli.layout import CLIP_COLUMNS, INITIAL
from audiometamer.stimuli.plan import LoadedPlan, LocatedPlan, PlannedModel, model_reference
from audiometamer.stimuli.sources import PlannedClip, own_cells, relative_path


def write_resolved_plan(plan: LocatedPlan[Any], chosen: Sequence[PlannedClip], layers: Sequence[list[str]]) -> Path | None:
    """Write a plan into its set with everything that it left open filled in, and a table of its clips, with all columns.

    The first plan of a set is ``plan.toml`` with ``clips.csv``; each later one that differs is ``plan-2.toml`` and so on.

    Returns
    -------
    path or None
        The table; None without clips.
    """
    folder, table = plan.folder, _clips_table(chosen, plan.folder)
    for number in itertools.count(1):
        ending = f"-{number}" if number > 1 else ""
        plan_file, clips_file = folder / f"plan{ending}.toml", folder / f"clips{ending}.csv"
        texts = {plan_file: toml_text(_filled_in(plan, layers, clips_file.name if chosen else None))}
        if chosen:
            texts = {clips_file: table, **texts}
        if any(_text(file) not in (None, text) for file, text in texts.items()):
            continue  # another plan's; or no file of ours, where somebody's clips lie in the set's folder
        for file, text in texts.items():
            if _text(file) is None:
                write_text(file, text)
        return clips_file if chosen else None
    raise AssertionError("there is always a next number")


def _text(path: Path) -> str | None:
    """The text of a file; None if there is none, or a power cut has emptied it."""
    return (path.read_text(encoding="utf-8", errors="replace").strip("\0") or None) if path.exists() else None


def _clips_table(chosen: Sequence[PlannedClip], folder: Path) -> str:
    columns = list(dict.fromkeys(column for source in chosen for column in source.columns))
    rows = [{**source.columns, **dict(zip(CLIP_COLUMNS, own_cells(source, folder), strict=True))} for source in chosen]
    if any(source.initial is not None for source in chosen):
        columns.insert(0, INITIAL)
        for source, row in zip(chosen, rows, strict=True):
            row[INITIAL] = "" if source.initial is None else relative_path(source.initial, folder)
    return table_text((*CLIP_COLUMNS, *columns), rows, delimiter=",")


def _filled_in(plan: LocatedPlan[Any], layers: Sequence[list[str]], table: str | None) -> dict[str, Any]:
    """Content for TOML; its paths are relative to the set's folder."""

    def relative(file: str | None) -> str | None:
        return None if file is None else relative_path(plan.resolve(file), plan.folder)

    entries = [
        PlannedModel(
            entry.name if model_reference(plan.path, entry.name) == entry.name else relative(entry.name) or ".",
            own,
            relative(entry.null),
            relative(entry.groups),
        )
        for entry, own in zip(plan.content.models, layers, strict=True)
    ]
    steps = {"steps": plan.steps} if isinstance(plan, LoadedPlan) else {}
    whole = msgspec.structs.replace(plan.content, output=".", layers=None, models=entries, **steps)
    clips: dict[str, Any] = {} if table is None else {"table": table}
    if plan.content.clips.natural:
        clips["natural"] = plan.content.clips.natural
    return {**msgspec.to_builtins(whole), "clips": clips}
