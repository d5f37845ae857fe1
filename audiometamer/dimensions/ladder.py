"""A ladder: references and signals moved along dimensions by several changes, as they lie in a folder.

``<clip>/original.wav``, ``<clip>/<dimension><change>.wav`` with what is known of it in a ``.json`` beside, each whole or absent;
and of all that are there, ``moves.tsv`` and ``calibration.tsv``. Names that begin with a dot are of whoever is making it.
"""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import NamedTuple

import msgspec
from torch import Tensor

from audiometamer.dimensions.dimensions import Dimension, Dimensions
from audiometamer.dimensions.moving import Move, Moved, MovedRecord
from audiometamer.errors import AudioMetamerError, BrokenError, first_few
from audiometamer.io.files import set_aside, write_json
from audiometamer.io.hashes import file_sha256
from audiometamer.io.names import check_distinct_paths, safe_name
from audiometamer.io.tables import write_table
from audiometamer.metamers.layout import signal_kind, suffix_of
from audiometamer.metamers.record_files import check_whole, decode_record, warn_about_broken
from audiometamer.models.model import Model
from audiometamer.signals.audio import Clip
from audiometamer.signals.files import read_signal, write_signal

MOVES = "moves.tsv"
COLUMNS = (
    "file", "original", "clip", "model", "dimension", "layer", "component", "sign", "wished", "reached", "leakage", "before",
    "after", "snr_db", "modulation", "level_db", "peak", "method", "steps", "seconds",
)  # fmt: skip

_records = msgspec.json.Decoder(MovedRecord)


class MovedStimulus(NamedTuple):
    """One moved signal of a ladder: what is known of it, and the file where it lies."""

    record: MovedRecord
    path: Path

    @property
    def original(self) -> Path:
        """Where its reference lies."""
        return self.path.with_name(f"original{self.path.suffix}")

    def read(self) -> Tensor:
        """The signal, float32; as `audiometamer.signals.files.read_signal` reads it."""
        return read_signal(self.path)


@dataclass(frozen=True)
class Ladder:
    """Moved signals of one model; they are read when they are asked for.

    Parameters
    ----------
    folder : path
    rungs : mapping of (str, str) to sequence of Rung
        By dimension and name of the reference, from the smallest wished change up; dimensions in their order.
    """

    folder: Path
    rungs: Mapping[tuple[str, str], Sequence[MovedStimulus]]

    @property
    def all(self) -> list[MovedStimulus]:
        """Every moved signal, by dimension, reference and wished change."""
        return list(itertools.chain.from_iterable(self.rungs.values()))

    @cached_property
    def dimensions(self) -> list[str]:
        """As in ``relu2/3/+``, in the order of layers, components and signs."""
        return list(dict.fromkeys(dimension for dimension, _ in self.rungs))

    def references(self, dimension: str) -> list[str]:
        """Names of the clips that were moved along a dimension, sorted.

        Raises
        ------
        AudioMetamerError
            If the ladder has no such dimension.
        """
        if found := [reference for each, reference in self.rungs if each == dimension]:
            return found
        raise AudioMetamerError(f"{self.folder} has no dimension {dimension!r}; it has {first_few(self.dimensions, 5) or 'none'}")

    def of(self, dimension: str, reference: str) -> Sequence[MovedStimulus]:
        """One reference moved along one dimension, from the smallest wished change up.

        Raises
        ------
        AudioMetamerError
            If the ladder has none.
        """
        if (found := self.rungs.get((dimension, reference))) is not None:
            return found
        there = first_few(self.references(dimension), 5) or "none"
        raise AudioMetamerError(f"{self.folder} has no reference {reference!r} moved along {dimension}; it has {there}")

    def changes(self, dimension: str, reference: str) -> list[float]:
        """The wished changes that are there, from the smallest up."""
        return [rung.record.wished for rung in self.of(dimension, reference)]

    def nearest(self, dimension: str, reference: str, wished: float) -> MovedStimulus:
        """The moved signal whose wished change is nearest, in ratio; of two that are equally near, the smaller change.

        Raises
        ------
        AudioMetamerError
            If the ladder has none of the two, or the wished change is not above 0.
        """
        if not 0 < wished < math.inf:
            raise AudioMetamerError(
                f"a change of {wished} is wished for; it must be above 0 (the sign of a dimension says where)"
            )
        return min(self.of(dimension, reference), key=lambda rung: abs(math.log(rung.record.wished / wished)))

    def clip(self, reference: str) -> Clip:
        """A reference, as its model takes it.

        Raises
        ------
        AudioMetamerError
            If the ladder has none of this name, or its file cannot be read.
        """
        path = next((rung.original for rung in self.all if rung.record.clip == reference), None)
        if path is None:
            raise AudioMetamerError(f"{self.folder} has no reference {reference!r}")
        return Clip(reference, read_signal(path), self.sample_rate)

    @cached_property
    def sample_rate(self) -> int | None:
        """In Hz; None of signals that are no sounds."""
        import soundfile

        return int(soundfile.info(self.all[0].original).samplerate) if self.holds == "sounds" else None

    @property
    def holds(self) -> str:
        """What its signals are: ``sounds``, ``images``, or others, which nobody hears or sees."""
        return {".wav": "sounds", ".png": "images"}.get(self.all[0].path.suffix, "other signals")

    @property
    def model(self) -> str:
        """The name of the model."""
        return self.all[0].record.model

    @property
    def weights_sha256(self) -> str:
        """Of the model."""
        return self.all[0].record.weights_sha256

    @cached_property
    def dimensions_sha256(self) -> dict[str, str]:
        """What `Dimensions.record.tensors_sha256` was of each layer."""
        return {Dimension.parse(rung.record.dimension).layer: rung.record.dimensions_sha256 for rung in self.all}

    def check_files(self) -> None:
        """Raise if a signal or a reference is another than the one that a record was written for."""
        file_hash = cache(file_sha256)  # references are shared
        for rung in self.all:
            for path, digest in ((rung.path, rung.record.signal_sha256), (rung.original, rung.record.original_sha256)):
                if digest and file_hash(path) != digest:
                    record = rung.path.with_suffix(".json")
                    raise AudioMetamerError(f"{path} is not what {record} was written for; delete both, and make them again")

    def check(self, dimensions: Mapping[str, Dimensions]) -> None:
        """Raise if signals were moved along others than these, given by layer.

        Raises
        ------
        AudioMetamerError
            If there are none of a layer, or they are of other weights or another bank.
        """
        for layer, sha256 in self.dimensions_sha256.items():
            if layer not in dimensions:
                raise AudioMetamerError(
                    f"{self.folder} has signals moved at {layer}; the dimensions are of {first_few([*dimensions], 5) or 'none'}"
                )
            found = dimensions[layer].record
            if (found.weights_sha256, found.tensors_sha256) != (self.weights_sha256, sha256):
                what = "weights" if found.weights_sha256 != self.weights_sha256 else "dimensions"
                raise AudioMetamerError(f"{self.folder} has signals moved at {layer} with other {what}; choose another folder")


def read_ladder(folder: Path, *, strict: bool = False) -> Ladder:
    """Read what is known of the moved signals in a folder, whoever made them, also while it is being made.

    Parameters
    ----------
    folder : path
    strict : bool
        Whether a broken signal, record or reference is an error. Default False: what is broken is left out, with a warning.

    Raises
    ------
    BrokenError
        If something is broken and `strict` is set.
    AudioMetamerError
        If there are none; if signals are of several models, or were moved along several dimensions of one name; as `read_rungs`.
    """
    return ladder_of(folder, read_rungs(folder, strict=strict), strict=strict)


def ladder_of(folder: Path, rungs: Sequence[MovedStimulus], *, strict: bool = False) -> Ladder:
    """The ladder of the moved signals in a folder whose references are whole; raises, and warns, as `read_ladder`."""
    whole, broken = [], []
    for rung in rungs:
        try:
            check_whole(rung.path.with_suffix(".json"), rung.path, rung.original)
        except BrokenError as error:
            if strict:
                raise
            broken.append(str(error))
        else:
            whole.append(rung)
    warn_about_broken(broken, "counts as not made; explore ladder makes it again")
    if not whole:
        raise AudioMetamerError(f"{folder} holds no moved signals: make them with explore ladder")
    _check_origins(folder, whole)
    groups: dict[tuple[str, str], list[MovedStimulus]] = {}
    for rung in whole:
        groups.setdefault((rung.record.dimension, rung.record.clip), []).append(rung)
    return Ladder(folder, groups)


def read_rungs(folder: Path, *, strict: bool = False) -> list[MovedStimulus]:
    """The moved signals in a folder, by dimension, name of the reference and wished change; none if there is no folder.

    What is broken counts as not made; with `strict`, it is a `BrokenError`.

    Raises
    ------
    AudioMetamerError
        If a record may not be read.

    Warns
    -----
    AudioMetamerWarning
        If a record cannot be read, or its signal is gone or cut short.
    """
    paths = (path for path in folder.glob("*/*.json") if not any(part.startswith(".") for part in (path.parent.name, path.name)))
    rungs, broken = [], []
    for path in sorted(paths):
        try:
            rungs.append(read_rung(path))
        except BrokenError as error:
            if strict:
                raise
            broken.append(str(error))
    warn_about_broken(broken, "counts as not made; explore ladder makes it again")
    return sorted(rungs, key=lambda rung: _order(rung.record))


def read_rung(path: Path) -> MovedStimulus:
    """A moved signal, by its record.

    Raises
    ------
    BrokenError
        If that cannot be read, or the signal is gone or cut short.
    """
    record = decode_record(path, _records, "a moved signal")
    signals = (path.with_suffix(suffix) for suffix in (".wav", ".png", ".npy"))
    rung = MovedStimulus(record, next((signal for signal in signals if signal.exists()), path.with_suffix(".wav")))
    check_whole(path, rung.path)
    return rung


def _order(record: MovedRecord) -> tuple[object, ...]:
    return Dimension.parse(record.dimension).order, record.clip, record.wished


def _check_origins(folder: Path, rungs: Sequence[MovedStimulus]) -> None:
    """Raise if moved signals are of several models, or those of a layer of several sets of dimensions."""
    of_layer: dict[str, MovedStimulus] = {}
    for rung in rungs:
        first, record = of_layer.setdefault(Dimension.parse(rung.record.dimension).layer, rung), rung.record
        for what, other, differs in (
            ("models", rungs[0], rungs[0].record.weights_sha256 != record.weights_sha256),
            ("dimensions", first, first.record.dimensions_sha256 != record.dimensions_sha256),
        ):
            if differs:
                names = " and ".join(each.path.relative_to(folder).as_posix() for each in (other, rung))
                raise AudioMetamerError(f"{folder} holds signals of different {what}: {names}; keep each in a folder of its own")


def all_moves(clips: Sequence[Clip], dimensions: Sequence[Dimension], changes: Sequence[float]) -> list[Move]:
    """Every clip moved along every dimension by every change, those of one layer after the other."""
    return [Move(clip, dimension, change) for dimension, clip, change in itertools.product(dimensions, clips, changes)]


def distinct_clips(clips: Iterable[Clip]) -> list[Clip]:
    """Each once.

    Raises
    ------
    AudioMetamerError
        If two have the same name and differ, or files of both would lie in one folder.
    """
    found: dict[str, Clip] = {}
    for clip in clips:
        if not found.setdefault(clip.name, clip).samples.equal(clip.samples):
            raise AudioMetamerError(f"two different signals are named {clip.name}; rename one of them")
    check_distinct_paths(((name, safe_name(name)) for name in found), "folder")
    return list(found.values())


def moved_path(model: Model, clip: str, dimension: Dimension | str, change: float) -> Path:
    """Where a moved signal lies in its folder."""
    return Path(safe_name(clip)) / f"{safe_name(str(dimension))}{change:g}{_suffix(model)}"


def place_path(model: Model, clip: str, dimension: Dimension | str, coordinate: float) -> Path:
    """Where a signal lies that was moved to a coordinate, whichever side that was."""
    name = str(dimension).removesuffix("/+").removesuffix("/-")
    return Path(safe_name(clip)) / f"{safe_name(name)}@{coordinate:g}{_suffix(model)}"


def original_path(model: Model, clip: str) -> Path:
    """Where the reference lies."""
    return Path(safe_name(clip)) / f"original{_suffix(model)}"


def save_moved(model: Model, moved: Moved, folder: Path, *, coordinate: float | None = None) -> MovedStimulus:
    """Write a moved signal, and then its record: a signal without one is unfinished work.

    What is there already under their names, and broken, is set aside.

    Parameters
    ----------
    model : Model
    moved : Moved
    folder : path
    coordinate : float, optional
        Where it was to come to: its file is named after that. Default: after its wished change, as in a ladder.

    Raises
    ------
    WritingError
        If the operating system refuses.
    """
    record = moved.record
    if coordinate is None:
        path = folder / moved_path(model, record.clip, record.dimension, record.wished)
    else:
        path = folder / place_path(model, record.clip, record.dimension, coordinate)
    if (told := path.with_suffix(".json")).exists():
        try:
            read_rung(told)
        except BrokenError:
            set_aside(path)
            set_aside(told)
    write_signal(path, moved.samples, model.sample_rate)
    rung = MovedStimulus(record, path)
    original = file_sha256(rung.original) if rung.original.exists() else ""
    record = msgspec.structs.replace(record, signal_sha256=file_sha256(path), original_sha256=original)
    write_json(told, record)
    return MovedStimulus(record, path)


def write_moved(model: Model, moved: Sequence[Moved], out: Path, *, coordinates: Sequence[float] | None = None) -> None:
    """Write moved signals, their references, and a table of them.

    Parameters
    ----------
    model : Model
    moved : sequence of Moved
    out : path
    coordinates : sequence of float, optional
        Of each, where it was to come to. A reference that is there has a row of the table, and no file but its own.

    Raises
    ------
    AudioMetamerError
        As `distinct_clips`, or if a file cannot be written.
    """
    for clip in distinct_clips(each.clip for each in moved):
        write_signal(out / original_path(model, clip.name), clip.samples, model.sample_rate)
    if coordinates is None:
        write_moves(out, [save_moved(model, each, out) for each in moved])
        return
    rows = []
    for each, coordinate in zip(moved, coordinates, strict=True):
        if each.record.wished == 0:
            rung = MovedStimulus(each.record, out / original_path(model, each.record.clip))
        else:
            rung = save_moved(model, each, out, coordinate=coordinate)
        rows.append({**_row(out, rung), "coordinate": coordinate})
    write_table(out / MOVES, (*COLUMNS, "coordinate"), rows)


def write_moves(out: Path, rungs: Iterable[MovedStimulus]) -> None:
    """Write ``moves.tsv``, a row for each moved signal."""
    write_table(out / MOVES, COLUMNS, [_row(out, rung) for rung in rungs])


def _row(out: Path, rung: MovedStimulus) -> dict[str, object]:
    record = rung.record
    layer, component, sign = Dimension.parse(record.dimension)
    return {
        "file": rung.path.relative_to(out).as_posix(),
        "original": rung.original.relative_to(out).as_posix(),
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


def _suffix(model: Model) -> str:
    return suffix_of(signal_kind(model.domain))
