"""A ladder: references and signals moved along dimensions by several changes, as they lie in a folder."""

import itertools
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from audiometamer.dimensions.dimensions import Dimension, Dimensions
from audiometamer.dimensions.ladder_files import COUNTS_AS_MISSING, read_moved_stimuli
from audiometamer.dimensions.moved import MovedStimulus
from audiometamer.errors import AudioMetamerError, BrokenError, first_few
from audiometamer.io.hashes import file_sha256
from audiometamer.metamers.record_files import check_whole, warn_about_broken
from audiometamer.signals.audio import Clip
from audiometamer.signals.files import read_signal


@dataclass(frozen=True)
class Ladder:
    """Moved signals of one model; files are read on demand.

    Parameters
    ----------
    folder : path
    stimuli : mapping of (str, str) to sequence of MovedStimulus
        By dimension and name of the reference, from the smallest requested change up; dimensions in their order.
    """

    folder: Path
    stimuli: Mapping[tuple[str, str], Sequence[MovedStimulus]]

    @property
    def all(self) -> list[MovedStimulus]:
        """Every moved signal, by dimension, reference and requested change."""
        return list(itertools.chain.from_iterable(self.stimuli.values()))

    @cached_property
    def dimensions(self) -> list[str]:
        """Names such as ``relu2/3/+``, in the order of layers, components and signs."""
        return list(dict.fromkeys(dimension for dimension, _ in self.stimuli))

    def references(self, dimension: str) -> list[str]:
        """Names of the clips that were moved along a dimension, sorted.

        Raises
        ------
        AudioMetamerError
            If the ladder has no such dimension.
        """
        if found := [reference for each, reference in self.stimuli if each == dimension]:
            return found
        raise AudioMetamerError(f"{self.folder} has no dimension {dimension!r}; it has {first_few(self.dimensions, 5) or 'none'}")

    def of(self, dimension: str, reference: str) -> Sequence[MovedStimulus]:
        """One reference moved along one dimension, from the smallest requested change up.

        Raises
        ------
        AudioMetamerError
            If the ladder has none.
        """
        if (found := self.stimuli.get((dimension, reference))) is not None:
            return found
        known = first_few(self.references(dimension), 5) or "none"
        raise AudioMetamerError(f"{self.folder} has no reference {reference!r} moved along {dimension}; it has {known}")

    def changes(self, dimension: str, reference: str) -> list[float]:
        """The requested changes of one reference along one dimension, from the smallest up."""
        return [stimulus.record.requested for stimulus in self.of(dimension, reference)]

    def nearest(self, dimension: str, reference: str, requested: float) -> MovedStimulus:
        """The moved signal whose requested change is nearest in ratio; of two that are equally near, the smaller.

        Raises
        ------
        AudioMetamerError
            If the ladder has no such dimension or reference, or the requested change is not above 0.
        """
        if not 0 < requested < math.inf:
            raise AudioMetamerError(
                f"a change of {requested:g} is requested; it must be above 0 (the sign of a dimension says where)"
            )
        return min(self.of(dimension, reference), key=lambda stimulus: abs(math.log(stimulus.record.requested / requested)))

    def clip(self, reference: str) -> Clip:
        """Read a reference, as its model takes it.

        Raises
        ------
        AudioMetamerError
            If the ladder has no such reference, or its file cannot be read.
        """
        path = next((stimulus.original for stimulus in self.all if stimulus.record.clip == reference), None)
        if path is None:
            raise AudioMetamerError(f"{self.folder} has no reference {reference!r}")
        return Clip(reference, read_signal(path), self.sample_rate)

    @cached_property
    def sample_rate(self) -> int | None:
        """The sample rate in Hz; None if signals are not sounds."""
        import soundfile

        return int(soundfile.info(self.all[0].original).samplerate) if self.holds == "sounds" else None

    @property
    def holds(self) -> str:
        """Kind of its signals: ``sounds``, ``images`` or ``other signals``."""
        return {".wav": "sounds", ".png": "images"}.get(self.all[0].path.suffix, "other signals")

    @property
    def model(self) -> str:
        """The name of the model."""
        return self.all[0].record.model

    @property
    def weights_sha256(self) -> str:
        """SHA-256 of the model's weights."""
        return self.all[0].record.weights_sha256

    @cached_property
    def dimensions_sha256(self) -> dict[str, str]:
        """`Dimensions.record.tensors_sha256` by layer."""
        return {Dimension.parse(stimulus.record.dimension).layer: stimulus.record.dimensions_sha256 for stimulus in self.all}

    def restricted_to(self, dimensions: Collection[str]) -> "Ladder":
        """The moved signals along some dimensions."""
        return Ladder(self.folder, {key: stimuli for key, stimuli in self.stimuli.items() if key[0] in dimensions})

    def relocated(self, folder: Path) -> "Ladder":
        """The same files in another folder, to which they were copied."""
        moved = {
            key: [stimulus._replace(path=folder / stimulus.path.relative_to(self.folder)) for stimulus in stimuli]
            for key, stimuli in self.stimuli.items()
        }
        return Ladder(folder, moved)

    def check_files(self) -> None:
        """Raise if a signal or a reference is not the one that its record was written for."""
        hash_file = cache(file_sha256)  # references are shared
        for stimulus in self.all:
            for path, digest in (
                (stimulus.path, stimulus.record.signal_sha256),
                (stimulus.original, stimulus.record.original_sha256),
            ):
                if digest and hash_file(path) != digest:
                    record = stimulus.path.with_suffix(".json")
                    raise AudioMetamerError(f"{path} is not what {record} was written for; delete both, and make them again")

    def check(self, dimensions: Mapping[str, Dimensions]) -> None:
        """Raise if signals were moved along other dimensions than these.

        Parameters
        ----------
        dimensions : mapping of str to Dimensions
            Dimensions by layer.

        Raises
        ------
        AudioMetamerError
            If a layer has none, or they belong to other weights or another bank.
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
    """Read the records of the moved signals in a folder, which may still be growing.

    Parameters
    ----------
    folder : path
    strict : bool
        Whether a broken signal, record or reference is an error. Default False: it is left out, with a warning.

    Raises
    ------
    BrokenError
        If something is broken and `strict` is set.
    AudioMetamerError
        If there are no moved signals, or they belong to several models or to several sets of dimensions; as `read_moved_stimuli`.
    """
    return ladder_of(folder, read_moved_stimuli(folder, strict=strict), strict=strict)


def ladder_of(folder: Path, stimuli: Sequence[MovedStimulus], *, strict: bool = False) -> Ladder:
    """The ladder of those moved signals whose references are whole; raises and warns as `read_ladder`."""
    whole, broken = [], []
    for stimulus in stimuli:
        try:
            check_whole(stimulus.path.with_suffix(".json"), stimulus.path, stimulus.original)
        except BrokenError as error:
            if strict:
                raise
            broken.append(str(error))
        else:
            whole.append(stimulus)
    warn_about_broken(broken, COUNTS_AS_MISSING)
    if not whole:
        raise AudioMetamerError(f"{folder} holds no moved signals: make them with explore ladder")
    _check_origins(folder, whole)
    groups: dict[tuple[str, str], list[MovedStimulus]] = {}
    for stimulus in whole:
        groups.setdefault((stimulus.record.dimension, stimulus.record.clip), []).append(stimulus)
    return Ladder(folder, groups)


def _check_origins(folder: Path, stimuli: Sequence[MovedStimulus]) -> None:
    """Raise if moved signals belong to several models, or those of a layer to several sets of dimensions."""
    of_layer: dict[str, MovedStimulus] = {}
    for stimulus in stimuli:
        first, record = of_layer.setdefault(Dimension.parse(stimulus.record.dimension).layer, stimulus), stimulus.record
        for what, other, differs in (
            ("models", stimuli[0], stimuli[0].record.weights_sha256 != record.weights_sha256),
            ("dimensions", first, first.record.dimensions_sha256 != record.dimensions_sha256),
        ):
            if differs:
                names = " and ".join(each.path.relative_to(folder).as_posix() for each in (other, stimulus))
                raise AudioMetamerError(f"{folder} holds signals of different {what}: {names}; keep each in a folder of its own")
