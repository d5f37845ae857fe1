"""Recognise what kind of folder a path is: metamers of `synth`, a stimulus set, or something else; read without torch."""

from pathlib import Path

from audiometamer.errors import AudioMetamerError
from audiometamer.metamers.layout import INDEX, ITEMS, PLANNED, find_records

NONE_YET = "holds no finished metamer yet; the command that made it resumes where it stopped"
_GIVE = "give the --out folder of `audiometamer synth`, or a set that `audiometamer run` made"
# What else may be given by mistake, by a file in it.
_OTHERS = {
    "evaluation.tsv": "an evaluation", "lists.json": "an experiment", "model.toml": "a model", "selection.tsv": "a selection",
    "moves.tsv": "a ladder of moved sounds", "sounds.tsv": "an export", "conditions.csv": "an export",
}  # fmt: skip


def is_set(folder: Path) -> bool:
    """Whether a folder is a stimulus set, as `audiometamer run` makes it."""
    items = folder / ITEMS  # a clip may be called items, too
    return (folder / PLANNED).exists() or (items.is_dir() and not any(items.glob("*/*.json")))


def check_set(folder: Path) -> None:
    """Raise if a folder is no stimulus set."""
    if is_set(folder):
        return
    if find_records(folder):
        raise AudioMetamerError(
            f"{folder} is no stimulus set, but metamers of `audiometamer synth`; give a set of `audiometamer run`"
        )
    what = f"has no folder {ITEMS}" if folder.is_dir() else "is a file" if folder.exists() else "does not exist"
    if kind := _other_kind(folder):
        what = f"is {kind}"
    raise AudioMetamerError(f"{folder} is no stimulus set: it {what}; give the folder that `audiometamer run` made")


def _other_kind(folder: Path) -> str | None:
    """Another known kind of the folder, if any."""
    return next((what for file, what in _OTHERS.items() if (folder / file).exists()), None)


def describe_no_results(folder: Path) -> str:
    """State what a folder without metamers is, and what to give instead, in one line."""
    if not folder.is_dir():
        return f"{folder} {'is a file' if folder.exists() else 'does not exist'}; {_GIVE}"
    if (outer := _enclosing(folder.absolute())) is not None:
        return f"{folder} lies in a folder of metamers; give that: {outer}"
    inner = [path.name for path in sorted(folder.iterdir()) if is_set(path) or (path / INDEX).exists()]
    if inner:
        return f"{folder} holds folders of metamers ({', '.join(inner[:3])}{', …' * (len(inner) > 3)}); give one of them"
    kind = _other_kind(folder)
    if kind is None and (folder / ".lock").exists():
        return f"{folder} {NONE_YET}"
    return f"{folder} is {kind}, no folder of metamers; {_GIVE}" if kind else f"{folder} holds no metamers; {_GIVE}"


def _enclosing(folder: Path) -> Path | None:
    """The folder of metamers that a folder of some of them lies in."""
    for depth, outer in enumerate([folder, *folder.parents][1:5], start=1):
        if is_set(outer) or (depth < 3 and any(folder.glob("*/" * (2 - depth) + "*_seed*.json"))):
            return outer
    return None
