"""The record of an item of sounds that tell models apart, in its folder; read without torch."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

import msgspec

from audiometamer.errors import BrokenError
from audiometamer.io.files import json_text, write_text
from audiometamer.io.hashes import file_sha256
from audiometamer.io.names import safe_name
from audiometamer.io.reading import JSON_ERRORS
from audiometamer.metamers.layout import RECORD
from audiometamer.stimuli.layout import COMPARISONS

ORIGINAL = "original.wav"


class SoundRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One sound of an item, scored as it is written: in 16 bits.

    Parameters
    ----------
    file : str
        Its file in the item's folder.
    sha256 : str
    contrast : str
        Sounds of one item with the same contrast are compared with each other.
    level_db : float or None
        RMS of a distortion in dB re that of the clip.
    distances : list of float
        Root mean square difference from the clip in each representation of the record.
    first_scores, second_scores : list of float
        Probability of the first word and of the second in each model.
    hears : list of str
        Word that each model hears.
    score : float or None
        Hard score of a controversial sound.
    drift : float or None
        Relative difference of the mean square distance that a MAD competition holds from the start's.
    snr_db : float or None
        SNR of a metamer at its layer, in dB.
    passed : bool or None
        Whether it is as it should be: a controversial score of at least 0.75, a drift within 1 %, an SNR no more than 1 dB below
        the worst before the metamers were moved apart. None for distortions, which have no criterion.
    rms, peak : float
        Full scale is 1.
    """

    file: str
    sha256: str
    contrast: str
    level_db: float | None
    distances: list[float]
    first_scores: list[float]
    second_scores: list[float]
    hears: list[str]
    score: float | None
    drift: float | None
    snr_db: float | None
    passed: bool | None
    rms: float
    peak: float


class ComparisonRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``item.json`` of an item of sounds that tell models apart: written last, once all its sounds are there.

    Parameters
    ----------
    key : str
    kind : str
    clip, clip_sha256 : str
        Empty for controversial sounds.
    words : list of str
        What the first model is to hear, and the second.
    of : list of str
        ``model:layer``, or models, that the sounds are made for.
    representations : list of str
        ``model:layer`` of each distance, or the model of each score.
    seed : int
    settings : dict of str to object
        Keys of the plan.
    weights : dict of str to str
        SHA-256 of each model's weights.
    original_sha256 : str
        Hash of ``original.wav``, the clip in 16 bits; empty if there is none.
    sounds : list of SoundRecord
    sample_rate : int
        Hz.
    duration : float
        Seconds.
    seconds : float
        Time that it took.
    made, host, audiometamer : str
    replaces : list of str
        SHA-256 of the records that it replaces, oldest first.
    """

    key: str
    kind: str
    clip: str
    clip_sha256: str
    words: list[str]
    of: list[str]
    representations: list[str]
    seed: int
    settings: dict[str, object]
    weights: dict[str, str]
    original_sha256: str
    sounds: list[SoundRecord]
    sample_rate: int
    duration: float
    seconds: float
    made: str
    host: str
    audiometamer: str
    replaces: list[str] = []

    @property
    def folder(self) -> str:
        """Its folder in the set."""
        return folder_of(self.kind, self.clip, self.words, self.of, self.seed, self.key)

    @property
    def passed(self) -> bool | None:
        """Whether all its sounds are as they should be; None if they have no criterion."""
        verdicts = [sound.passed for sound in self.sounds if sound.passed is not None]
        return all(verdicts) if verdicts else None


def folder_of(kind: str, clip: str, words: Sequence[str], of: Sequence[str], seed: int, key: str) -> str:
    """The folder of an item in its set."""
    first = clip or "_".join(words)
    return f"{COMPARISONS}/{safe_name(first)}/{kind}/{safe_name('_'.join(of))}_seed{seed}-{key}"


def write_record(at: Path, record: ComparisonRecord) -> None:
    """Write the record of an item, whose sounds are there."""
    write_text(at / RECORD, json_text(record) + "\n")


_records = msgspec.json.Decoder(ComparisonRecord)


def read_comparison(at: Path, *, whole: bool = False) -> ComparisonRecord | None:
    """The complete item in a folder; None if there is none.

    Parameters
    ----------
    at : path
    whole : bool
        Whether its sounds are read and compared with the hashes of its record. Default False: they must be there.

    Raises
    ------
    BrokenError
        If its record cannot be read, or a sound is missing or another.
    """
    path = at / RECORD
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        record = _records.decode(content)
    except JSON_ERRORS as error:
        raise BrokenError(f"{path} is no record of an item: {error}") from error
    for file, sha256 in stated_hashes(record).items():
        if not (at / file).is_file():
            raise BrokenError(f"{at / file} is missing")
        if whole and file_sha256(at / file) != sha256:
            raise BrokenError(f"{at / file} is not what its record says")
    return record


def stated_hashes(record: ComparisonRecord) -> dict[str, str]:
    """Hashes of an item's sounds by file."""
    original = {ORIGINAL: record.original_sha256} if record.original_sha256 else {}
    return original | {sound.file: sound.sha256 for sound in record.sounds}


def made_again(stimulus_set: Path, listed: Mapping[str, str], changed: Iterable[str]) -> tuple[set[str], dict[str, str]]:
    """Those of a set's changed files that are records of items which a run has made again, and the hashes that these state.

    Parameters
    ----------
    stimulus_set : path
    listed : mapping of str to str
        Hashes of the manifest by file.
    changed : iterable of str
        Files that have other hashes now.
    """
    records: set[str] = set()
    stated: dict[str, str] = {}
    for file in changed:
        at = PurePosixPath(file)
        if at.parts[0] == COMPARISONS and at.name == RECORD:
            with suppress(BrokenError):
                record = read_comparison(stimulus_set / at.parent)
                if record is not None and listed[file] in record.replaces:
                    records.add(file)
                    stated |= {(at.parent / name).as_posix(): sha256 for name, sha256 in stated_hashes(record).items()}
    return records, stated


def iterate_comparisons(stimulus_set: Path, *, whole: bool = False) -> Iterator[tuple[Path, ComparisonRecord]]:
    """The complete items of a set and their folders, sorted; broken ones are left out."""
    for path in sorted((stimulus_set / COMPARISONS).glob(f"*/*/*/{RECORD}")):
        try:
            record = read_comparison(path.parent, whole=whole)
        except BrokenError:
            continue
        if record is not None:
            yield path.parent, record


def is_comparison_set(stimulus_set: Path) -> bool:
    """Whether a set holds sounds that tell models apart rather than metamers."""
    return (stimulus_set / COMPARISONS).is_dir()


def key_of(content: object) -> str:
    """The first 12 hexadecimal digits of the SHA-256 of everything that determines an item."""
    return hashlib.sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()[:12]
