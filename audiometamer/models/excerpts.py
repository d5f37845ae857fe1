"""Many natural signals from files, folders and tables: a recording longer than a model's duration gives several."""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from audiometamer.errors import AudioMetamerError, AudioMetamerWarning
from audiometamer.io.tables import read_table
from audiometamer.models.model import Model
from audiometamer.signals.audio import SOUND_ENDINGS, Clip, file_duration
from audiometamer.signals.images import PICTURE_ENDINGS

_TABLES = {".csv", ".tsv"}

Excerpt = tuple[Path, float | None]  # a file and, for a sound, the time in s at which the excerpt begins


def find_excerpts(model: Model, sources: Sequence[Path]) -> list[Excerpt]:
    """All excerpts of files, back to back within each.

    Parameters
    ----------
    model : Model
        A model of sounds or images.
    sources : sequence of path
        Recordings or images; folders, searched recursively; tables with a column ``path``, relative to the table.

    Raises
    ------
    AudioMetamerError
        If a file does not exist or cannot be read as audio, or the model takes neither sounds nor images.
    """
    found: list[Excerpt] = []
    for file in (file for source in sources for file in _files(model, source)):
        if model.picture is not None:
            if not file.exists():
                raise AudioMetamerError(f"{file} does not exist")
            found.append((file, None))
            continue
        if model.duration is None:
            raise AudioMetamerError(f"{model.name} takes neither sounds nor images: it has no duration and no picture")
        seconds, duration = file_duration(file), model.duration
        found += [(file, duration * k) for k in range(max(int(seconds / duration), 1))]
    return found


def read_excerpts(model: Model, excerpts: Iterable[Excerpt]) -> Iterator[Clip]:
    """Excerpts as a model takes them, named as by `audiometamer.read_clip`.

    Padding gives no warning here; silence is an error that names the file.
    """
    for path, start in excerpts:
        with warnings.catch_warnings(action="ignore", category=AudioMetamerWarning):
            clip = model.read_clip(path, start=start)
        yield clip


def _files(model: Model, source: Path) -> list[Path]:
    if source.is_dir():
        endings = SOUND_ENDINGS if model.picture is None else PICTURE_ENDINGS
        return sorted(path for path in source.rglob("*") if path.suffix.lower() in endings)
    if source.suffix.lower() in _TABLES:
        return [source.parent / row["path"] for row in read_table(source, required=["path"])]
    return [source]
