"""Moved signals on disk: ``OUT/<clip>/<dimension><change>.wav`` beside ``original.wav``; ``OUT/moves.tsv``, ``moves.json``."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import msgspec

from audiometamer.audio import Clip
from audiometamer.errors import AudioMetamerError
from audiometamer.exploration.dimensions import Dimension
from audiometamer.exploration.moving import Move, Moved, MovedRecord
from audiometamer.files import write_json
from audiometamer.metamers.files import read_signal, safe_name, suffix_of, write_signal
from audiometamer.models import Model
from audiometamer.tables import write_table

COLUMNS = (
    "file", "original", "clip", "model", "dimension", "layer", "component", "sign", "wished", "reached", "leakage", "before",
    "after", "snr_db", "modulation", "level_db", "peak", "method", "steps", "seconds",
)  # fmt: skip


def ladder(clips: Sequence[Clip], dimensions: Sequence[Dimension], changes: Sequence[float]) -> list[Move]:
    """Every clip moved along every dimension by every change, those of one layer after the other."""
    return [Move(clip, dimension, change) for dimension, clip, change in itertools.product(dimensions, clips, changes)]


def moved_path(model: Model, record: MovedRecord) -> Path:
    """Where a moved signal lies in its folder."""
    return Path(safe_name(record.clip)) / f"{safe_name(record.dimension)}{record.wished:g}{_suffix(model)}"


def original_path(model: Model, clip: str) -> Path:
    """Where the reference lies."""
    return Path(safe_name(clip)) / f"original{_suffix(model)}"


def write_moved(model: Model, moved: Sequence[Moved], out: Path) -> None:
    """Write moved signals, their references, and tables of all.

    Raises
    ------
    AudioMetamerError
        If two clips have the same name and differ, or a file cannot be written.
    """
    clips: dict[str, Clip] = {}
    for each in moved:
        if not clips.setdefault(each.record.clip, each.clip).samples.equal(each.clip.samples):
            raise AudioMetamerError(f"two different signals are named {each.record.clip}; rename one of them")
    for name, clip in clips.items():
        write_signal(out / original_path(model, name), clip.samples, model.sample_rate)
    for each in moved:
        write_signal(out / moved_path(model, each.record), each.samples, model.sample_rate)
    write_table(out / "moves.tsv", COLUMNS, [_row(model, each.record) for each in moved])
    write_json(out / "moves.json", [each.record for each in moved])


def read_records(out: Path) -> list[MovedRecord]:
    """The records that `write_moved` wrote.

    Raises
    ------
    AudioMetamerError
        If they cannot be read.
    """
    try:
        return msgspec.json.decode((out / "moves.json").read_bytes(), type=list[MovedRecord])
    except (OSError, msgspec.MsgspecError) as error:
        raise AudioMetamerError(f"{out} holds no moved signals that can be read: {error}") from error


def read_moved(model: Model, out: Path) -> list[Moved]:
    """What `write_moved` wrote, signals too."""
    return [
        Moved(
            read_signal(out / moved_path(model, record)),
            Clip(record.clip, read_signal(out / original_path(model, record.clip)), model.sample_rate),
            record,
        )
        for record in read_records(out)
    ]


def _suffix(model: Model) -> str:
    return suffix_of(type(model.domain).__name__)


def _row(model: Model, record: MovedRecord) -> dict[str, object]:
    layer, component, sign = Dimension.parse(record.dimension)
    return {
        "file": moved_path(model, record).as_posix(),
        "original": original_path(model, record.clip).as_posix(),
        "layer": layer,
        "component": component,
        "sign": "+" if sign > 0 else "-",
        "before": record.before[component],
        "after": record.after[component],
        **msgspec.structs.asdict(record.physical),
        **{
            name: getattr(record, name)
            for name in COLUMNS
            if name in MovedRecord.__struct_fields__ and name not in ("before", "after")
        },
    }
