"""What listeners hear in a test of sounds that tell models apart, and what the models say about it."""

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import msgspec

from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.comparisons.design import ComparisonDesign
from audiometamer.io.files import write_private
from audiometamer.io.tables import read_table, table_text
from audiometamer.stimuli.comparison_index import SEPARATOR
from audiometamer.stimuli.comparison_records import (
    ORIGINAL,
    ComparisonRecord,
    SoundRecord,
    is_comparison_set,
    iterate_comparisons,
)

TABLE = "comparisons.tsv"  # in the folder of an experiment; for the experimenter's eyes only


class Compared(msgspec.Struct, frozen=True, order=True):
    """A pair of sounds in one order, or one controversial sound in which either word may be heard.

    Parameters
    ----------
    item : str
        Key of the item in the set.
    kind, of, clip, contrast : str
        As in the set's index; of a controversial sound, `clip` is its words.
    pair : str
        The same for both orders of two sounds.
    files : tuple of str
        Files of the set that are played, in order.
    words : tuple of str
        Words of a controversial sound; the first is what the first model is to hear.
    representations : tuple of str
        What predicts the answers: ``model:layer``, or models.
    first, second : tuple of float
        Distance of either sound from the original in each of these; or the probability of either word in each model.
    swapped : bool
        Whether this is the second order of the pair.
    seed : int
        Seed of the item.
    right : str
        The right answer of a catch trial; empty for others.
    """

    item: str
    kind: str
    of: str
    clip: str
    contrast: str
    pair: str
    files: tuple[str, ...]
    words: tuple[str, ...]
    representations: tuple[str, ...]
    first: tuple[float, ...]
    second: tuple[float, ...]
    swapped: bool = False
    seed: int = 0
    right: str = ""


def read_compared(stimulus_set: Path, path: Path, design: ComparisonDesign) -> list[tuple[Compared, Compared | None]]:
    """Everything that a design asks for in a set: pairs of sounds in both orders, or controversial sounds.

    Raises
    ------
    AudioMetamerError
        If the set holds no such sounds, or its items predict different things.
    """
    if not is_comparison_set(stimulus_set):
        raise AudioMetamerError(
            f"{stimulus_set} holds no sounds that tell models apart; give a set of a plan with [[comparisons]]"
        )
    words = design.answers.kind == "words"
    found = []
    kinds = set[str]()
    for at, record in iterate_comparisons(stimulus_set, whole=True):
        folder = at.relative_to(stimulus_set).as_posix()
        if (record.kind == "controversial") == words:
            kinds.add(record.kind)
            if design.kinds is None or record.kind in design.kinds:
                found += [*(_heard_words(folder, record, design) if words else _pairs(folder, record, design))]
    if unknown := [kind for kind in design.kinds or [] if kind not in kinds]:
        raise AudioMetamerError(
            f"{path}: kinds: {stimulus_set} holds no {unknown[0]}; it holds {', '.join(sorted(kinds)) or 'none'}"
        )
    if not found:
        rest = " that passed: failed = true plays the others" if kinds else f" for {design.answers.kind!r}"
        raise AudioMetamerError(f"{stimulus_set} holds no sounds{rest}")
    if len(several := {one.representations for one, _ in found}) > 1:
        raise AudioMetamerError(
            f"{stimulus_set} was made by plans of different models or layers ({' and '.join(map(', '.join, sorted(several)))}); "
            "make a set of one plan"
        )
    return found


def _playable(record: ComparisonRecord, design: ComparisonDesign) -> list[SoundRecord]:
    return [sound for sound in record.sounds if design.failed or sound.passed is not False]


def _heard_words(folder: str, record: ComparisonRecord, design: ComparisonDesign) -> Iterator[tuple[Compared, None]]:
    words, of = tuple(record.words), SEPARATOR.join(record.of)
    for sound in _playable(record, design):
        file, pair = f"{folder}/{sound.file}", f"{record.key} {sound.file}"
        scores = tuple(sound.first_scores), tuple(sound.second_scores)
        yield (
            Compared(
                record.key, record.kind, of, SEPARATOR.join(words), sound.contrast, pair, (file,), words,
                tuple(record.representations), *scores, seed=record.seed,
            ),
            None,
        )  # fmt: skip


def _pairs(folder: str, record: ComparisonRecord, design: ComparisonDesign) -> Iterator[tuple[Compared, Compared]]:
    for a, b in combinations(_playable(record, design), 2):
        if a.contrast == b.contrast:
            yield _ordered(folder, record, a, b, swapped=False), _ordered(folder, record, b, a, swapped=True)


def _ordered(folder: str, record: ComparisonRecord, a: SoundRecord, b: SoundRecord, *, swapped: bool) -> Compared:
    one, other = (b, a) if swapped else (a, b)
    return Compared(
        record.key, record.kind, SEPARATOR.join(record.of), record.clip, a.contrast, f"{record.key} {one.file} {other.file}",
        (f"{folder}/{ORIGINAL}", f"{folder}/{a.file}", f"{folder}/{b.file}"), (), tuple(record.representations),
        tuple(a.distances), tuple(b.distances), swapped, record.seed,
    )  # fmt: skip


def catch_of(one: Compared) -> Compared:
    """A catch trial: the original itself takes the place of the second sound, or of the first if the pair is swapped."""
    original, first, second = one.files
    nothing = (0.0,) * len(one.first)
    if one.swapped:
        changed = {"files": (original, original, second), "first": nothing, "right": "2"}
    else:
        changed = {"files": (original, first, original), "second": nothing, "right": "1"}
    return msgspec.structs.replace(one, **changed)


COLUMNS = ("stimulus", *Compared.__struct_fields__)


def write_compared(folder: Path, compared: dict[str, Compared]) -> None:
    """Write the table of the sounds of an experiment, by their opaque names; only its owner may read it."""
    rows = ({"stimulus": name, **{key: _cell(value) for key, value in msgspec.structs.asdict(one).items()}}
            for name, one in sorted(compared.items()))  # fmt: skip
    write_private(folder / TABLE, table_text(COLUMNS, rows))


def read_table_of_compared(folder: Path) -> dict[str, Compared]:
    """The sounds of an experiment by their opaque names.

    Raises
    ------
    AudioMetamerError
        If it is no experiment of sounds that tell models apart, or the table cannot be read.
    """
    path = folder / TABLE
    if not path.is_file():
        raise AudioMetamerError(f"{folder} has no {TABLE}; give an experiment of sounds that tell models apart")
    found = {}
    for row in read_table(path, required=COLUMNS):
        cells = {name: _value(name, row[name]) for name in Compared.__struct_fields__}
        try:
            found[row["stimulus"]] = msgspec.convert(cells, Compared, strict=False)
        except msgspec.ValidationError as error:
            raise AudioMetamerError(f"{path}, line {row.line}: {error}") from error
    return found


def _cell(value: object) -> object:
    if isinstance(value, tuple):
        return SEPARATOR.join(f"{each:.9g}" if isinstance(each, float) else str(each) for each in value)
    return ("yes" if value else "no") if isinstance(value, bool) else value


def _value(name: str, cell: str) -> object:
    if name in ("files", "words", "representations", "first", "second"):
        return cell.split(SEPARATOR) if cell else []
    return cell == "yes" if name == "swapped" else cell
