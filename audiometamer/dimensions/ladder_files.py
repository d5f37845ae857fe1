"""Files of moved signals: names, reading, writing, and the table of all that are in a folder.

``<clip>/original.wav``, ``<clip>/<dimension><change>.wav`` with its record in a ``.json`` beside, each whole or absent, and
``moves.tsv``. Names that begin with a dot belong to whoever is making a ladder.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from audiometamer.dimensions.dimensions import Dimension
from audiometamer.dimensions.moved import Moved, MovedRecord, MovedStimulus
from audiometamer.errors import AudioMetamerError, BrokenError
from audiometamer.io.files import set_aside, write_json
from audiometamer.io.hashes import file_sha256
from audiometamer.io.names import check_distinct_paths, safe_name
from audiometamer.io.tables import write_table
from audiometamer.metamers.layout import signal_kind, suffix_of
from audiometamer.metamers.record_files import check_whole, decode_record, warn_about_broken
from audiometamer.models.model import Model
from audiometamer.signals.audio import Clip
from audiometamer.signals.files import write_signal

MOVES = "moves.tsv"
COLUMNS = (
    "file", "original", "clip", "model", "dimension", "layer", "component", "sign", "wished", "reached", "leakage", "before",
    "after", "snr_db", "modulation", "level_db", "peak", "method", "steps", "seconds",
)  # fmt: skip
COUNTS_AS_MISSING = "counts as not made; explore ladder makes it again"

_records = msgspec.json.Decoder(MovedRecord)


def distinct_clips(clips: Iterable[Clip]) -> list[Clip]:
    """Each clip once.

    Raises
    ------
    AudioMetamerError
        If two different clips have the same name, or names that give the same folder.
    """
    found: dict[str, Clip] = {}
    for clip in clips:
        if not found.setdefault(clip.name, clip).samples.equal(clip.samples):
            raise AudioMetamerError(f"two different signals are named {clip.name}; rename one of them")
    check_distinct_paths(((name, safe_name(name)) for name in found), "folder")
    return list(found.values())


def moved_path(model: Model, clip: str, dimension: Dimension | str, change: float) -> Path:
    """The path of a moved signal within a folder."""
    return Path(safe_name(clip)) / f"{safe_name(str(dimension))}{change:g}{_suffix(model)}"


def coordinate_path(model: Model, clip: str, dimension: Dimension | str, coordinate: float) -> Path:
    """The path of a signal that was moved to a coordinate, to whichever side that was."""
    name = str(dimension).removesuffix("/+").removesuffix("/-")
    return Path(safe_name(clip)) / f"{safe_name(name)}@{coordinate:g}{_suffix(model)}"


def original_path(model: Model, clip: str) -> Path:
    """The path of a reference within a folder."""
    return Path(safe_name(clip)) / f"original{_suffix(model)}"


def read_moved_stimuli(folder: Path, *, strict: bool = False) -> list[MovedStimulus]:
    """The moved signals in a folder, ordered by dimension, name of the reference and requested change.

    Broken ones count as not made; with `strict`, they raise `BrokenError`. A folder that does not exist has none.

    Raises
    ------
    AudioMetamerError
        If the operating system refuses to read a record.

    Warns
    -----
    AudioMetamerWarning
        If a record is broken, or its signal is missing or truncated.
    """
    paths = (path for path in folder.glob("*/*.json") if not any(part.startswith(".") for part in (path.parent.name, path.name)))
    stimuli, broken = [], []
    for path in sorted(paths):
        try:
            stimuli.append(read_moved_stimulus(path))
        except BrokenError as error:
            if strict:
                raise
            broken.append(str(error))
    warn_about_broken(broken, COUNTS_AS_MISSING)
    return sorted(stimuli, key=lambda stimulus: _order(stimulus.record))


def read_moved_stimulus(path: Path) -> MovedStimulus:
    """Read a moved signal by its record.

    Raises
    ------
    BrokenError
        If the record is broken, or the signal is missing or truncated.
    """
    record = decode_record(path, _records, "a moved signal")
    signals = (path.with_suffix(suffix) for suffix in (".wav", ".png", ".npy"))
    stimulus = MovedStimulus(record, next((signal for signal in signals if signal.exists()), path.with_suffix(".wav")))
    check_whole(path, stimulus.path)
    return stimulus


def _order(record: MovedRecord) -> tuple[object, ...]:
    return Dimension.parse(record.dimension).order, record.clip, record.requested


def save_moved(model: Model, moved: Moved, folder: Path) -> MovedStimulus:
    """Write a moved signal, then its record: a signal without a record is unfinished.

    The file is named after the requested change, or after the coordinate if the signal was moved to one. Broken files of the same
    names are set aside.

    Raises
    ------
    WritingError
        If the operating system refuses.
    """
    record = moved.record
    if moved.coordinate is None:
        path = folder / moved_path(model, record.clip, record.dimension, record.requested)
    else:
        path = folder / coordinate_path(model, record.clip, record.dimension, moved.coordinate)
    if (record_path := path.with_suffix(".json")).exists():
        try:
            read_moved_stimulus(record_path)
        except BrokenError:
            set_aside(path)
            set_aside(record_path)
    write_signal(path, moved.samples, model.sample_rate)
    original = MovedStimulus(record, path).original
    original_sha256 = file_sha256(original) if original.exists() else ""
    record = msgspec.structs.replace(record, signal_sha256=file_sha256(path), original_sha256=original_sha256)
    write_json(record_path, record)
    return MovedStimulus(record, path)


def write_moved(model: Model, moved: Sequence[Moved], out: Path) -> None:
    """Write moved signals, their references, and a table of them.

    A signal that was at its coordinate already has a row that names its reference, and no other file.

    Raises
    ------
    AudioMetamerError
        As `distinct_clips`, or if a file cannot be written.
    """
    for clip in distinct_clips(each.clip for each in moved):
        write_signal(out / original_path(model, clip.name), clip.samples, model.sample_rate)
    rows = []
    for each in moved:
        if each.record.requested == 0:
            stimulus = MovedStimulus(each.record, out / original_path(model, each.record.clip))
        else:
            stimulus = save_moved(model, each, out)
        rows.append({**_row(out, stimulus), "coordinate": each.coordinate})
    has_coordinates = any(each.coordinate is not None for each in moved)
    write_table(out / MOVES, (*COLUMNS, "coordinate") if has_coordinates else COLUMNS, rows)


def write_moves(out: Path, stimuli: Iterable[MovedStimulus]) -> None:
    """Write ``moves.tsv``, a row for each moved signal."""
    write_table(out / MOVES, COLUMNS, [_row(out, stimulus) for stimulus in stimuli])


def _row(out: Path, stimulus: MovedStimulus) -> dict[str, object]:
    """A row of the table; of coordinates, those along the dimension alone."""
    record = stimulus.record
    layer, component, sign = Dimension.parse(record.dimension)
    fields = msgspec.to_builtins(record)
    return {
        **fields,
        **fields["physical"],
        "file": stimulus.path.relative_to(out).as_posix(),
        "original": stimulus.original.relative_to(out).as_posix(),
        "layer": layer,
        "component": component,
        "sign": "+" if sign > 0 else "-",
        "before": record.before[component],
        "after": record.after[component],
    }


def _suffix(model: Model) -> str:
    return suffix_of(signal_kind(model.domain))
