"""Words in their maskers, and what listeners heard: the English Consistent Confusion Corpus, or a table.

The published layout is that of version 1.2 of the corpus (Marxer, Barker, Cooke & Garcia Lecumberri 2016, Journal of the
Acoustical Society of America 140, EL458), as its README.md and its ReadMe.txt describe it: ``confusionCorpus_v1.2.csv`` has a row
for each token, and for each ID there is ``confusionWavs/T_ID.wav``, with the word in the left channel and its masker in the
right. Listeners heard their sum.
"""

import math
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from audiometamer.errors import AudioMetamerError, pluralize
from audiometamer.io.tables import TableRow, read_table
from audiometamer.signals.audio import MAX_SECONDS, read_samples
from audiometamer.signals.resampling import resample
from audiometamer.training.mixing import mix
from audiometamer.training.recordings import Samples, checked

_PUBLISHED_TABLE = "confusionCorpus_*.csv"
_PUBLISHED = (
    "ID", "Masker", "SNR", "Speaker", "Target", "Responses", "Counts", "Confusion", "Target-Arpabet", "Confusion-Arpabet",
)  # fmt: skip
_PLAIN = ("path", "target", "responses")
_COUNT = r"[1-9][0-9]{0,5}"
_RESPONSE = re.compile(rf"(.*\S)\s*:\s*({_COUNT})")
_DECIBELS = (-200.0, 200.0)  # as in recipes


class TokenSounds(NamedTuple):
    """The sounds of a token.

    Parameters
    ----------
    heard : array [shape=(samples,)]
        The word in its masker.
    quiet : array [shape=(samples,)] or None
        The word alone; None if the token has no such recording.
    sample_rate : int
        In Hz.
    """

    heard: Samples
    quiet: Samples | None
    sample_rate: int


@dataclass(frozen=True)
class Token:
    """A recording of a word in its masker, and the words that listeners heard.

    Parameters
    ----------
    name : str
    path : path
        Its recording.
    target : str
        The word that was spoken.
    responses : mapping of str to int
        Number of listeners by the word that they heard.
    confusion : str
        The wrong word that most listeners heard; empty if there is none, or several tie.
    talker, masker : str
        Names; empty if not known.
    snr : float
        Signal-to-noise ratio in dB; NaN if not known.
    two_channels : bool
        Whether the recording has the word in its first channel and the masker in its second. Default False.
    masker_path : path, optional
        Masker to add to the recording at `snr`. Default: none.
    onset : float
        Where in that masker to begin, in seconds. Default 0.
    """

    name: str
    path: Path
    target: str
    responses: Mapping[str, int]
    confusion: str = ""
    talker: str = ""
    masker: str = ""
    snr: float = math.nan
    two_channels: bool = False
    masker_path: Path | None = None
    onset: float = 0.0

    @property
    def has_quiet(self) -> bool:
        """Whether there is a recording of the word alone."""
        return self.two_channels or self.masker_path is not None

    def read(self) -> TokenSounds:
        """Read the sounds.

        Raises
        ------
        AudioMetamerError
            If a file cannot be read or is silent, the recording does not have two channels but should, or the masker ends before
            the word.
        """
        samples, rate = read_samples(self.path, mixed=not self.two_channels)
        if self.two_channels and samples.shape[1] != 2:
            raise AudioMetamerError(f"{self.path} has {samples.shape[1]} channel(s); it must have two, the word and its masker")
        word = checked(samples[:, 0].astype(np.float32), str(self.path))
        if self.masker_path is not None:
            return TokenSounds(mix(word, self._masker(len(word), rate), self.snr), word, rate)
        if not self.two_channels:
            return TokenSounds(word, None, rate)
        heard = checked(samples.sum(1).astype(np.float32), str(self.path))
        return TokenSounds(heard, word, rate)

    def _masker(self, n_samples: int, rate: int) -> Samples:
        assert self.masker_path is not None
        seconds = n_samples / rate
        samples, own_rate = read_samples(self.masker_path, start=self.onset, length=seconds + 2 / rate, mixed=True)
        masker = resample(checked(samples[:, 0].astype(np.float32), str(self.masker_path)), own_rate, rate)
        if len(masker) < n_samples:
            raise AudioMetamerError(
                f"{self.masker_path} has {len(masker) / rate:.3f} s from {self.onset:g} s on; {self.path} needs {seconds:.3f} s"
            )
        return masker[:n_samples]


@dataclass(frozen=True)
class Corpus:
    """Tokens, and which words sound alike.

    Parameters
    ----------
    path : path
        The table.
    tokens : sequence of Token
    homophones : mapping of str to str
        For each word with a published pronunciation, the first word that has the same. Default: none.
    """

    path: Path
    tokens: Sequence[Token]
    homophones: Mapping[str, str] = field(default_factory=dict)

    def of_talkers(self, talkers: Iterable[str]) -> "Corpus":
        """The tokens of some talkers.

        Raises
        ------
        AudioMetamerError
            If there is no such talker.
        """
        wanted, known = set(talkers), sorted({token.talker for token in self.tokens})
        if unknown := sorted(wanted.difference(known)):
            raise AudioMetamerError(f"{self.path} has no talker {unknown[0]!r}; it has {', '.join(known)}")
        return Corpus(self.path, [token for token in self.tokens if token.talker in wanted], self.homophones)


def read_corpus(path: str | os.PathLike[str]) -> Corpus:
    r"""Read the English Consistent Confusion Corpus, or another table of tokens.

    Parameters
    ----------
    path : path
        The folder of the corpus, with ``confusionCorpus_v1.2.csv`` and ``confusionWavs/``; or that table. Or a table of another
        name, with the columns ``path`` (relative to the table), ``target`` and ``responses``, as in ``boat:9;both:4``; perhaps
        ``talker``, ``confusion``, ``snr`` in dB, and ``masker``, the path of a sound that is added at that SNR, from ``onset``
        seconds on.

    Raises
    ------
    AudioMetamerError
        If there is no such table, or a row of it is wrong.

    Examples
    --------
    >>> import audiometamer as am, tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> am.write_wav(folder / "boat.wav", np.full(8, 0.1, np.float32), 8000)
    >>> table = folder / "tokens.tsv"
    >>> _ = table.write_text("path\ttarget\tresponses\nboat.wav\tboat\topen:6;over:4\n")
    >>> (token,) = read_corpus(table).tokens
    >>> token.confusion, token.responses["over"]
    ('open', 4)
    """
    table = _table_of(Path(path))
    published = table.match(_PUBLISHED_TABLE)
    rows = read_table(table, required=_PUBLISHED if published else _PLAIN)
    tokens = [_published_token(table, row) if published else _plain_token(table, row) for row in rows]
    if missing := [token.path for token in tokens if not token.path.is_file()]:
        raise AudioMetamerError(
            f"{len(missing)} of {pluralize(len(tokens), 'sound')} of {table} do not exist (first: {missing[0]})"
        )
    return Corpus(table, tokens, _homophones(rows) if published else {})


def _table_of(path: Path) -> Path:
    if not path.is_dir():
        return path
    found = sorted(path.glob(_PUBLISHED_TABLE))
    if len(found) != 1:
        what = f"has {len(found)} tables {_PUBLISHED_TABLE}" if found else f"holds no {_PUBLISHED_TABLE}"
        raise AudioMetamerError(f"{path} {what}; name the folder of the corpus, or a table")
    return found[0]


def _published_token(table: Path, row: TableRow) -> Token:
    words, counts = row["Responses"].split("|"), row["Counts"].split()
    if len(words) != len(counts) or not all(re.fullmatch(_COUNT, count) for count in counts):
        raise AudioMetamerError(
            f"{table}, line {row.line}: {len(words)} Responses have the Counts {row['Counts']!r}; each needs a number"
        )
    return Token(
        row["ID"], table.parent / "confusionWavs" / f"T_{row['ID']}.wav", _word(row["Target"]),
        _summed(zip(words, map(int, counts), strict=True)), _word(row["Confusion"]), row["Speaker"], row["Masker"],
        _number(table, row, "SNR", _DECIBELS), two_channels=True,
    )  # fmt: skip


def _plain_token(table: Path, row: TableRow) -> Token:
    parts = [part for part in row["responses"].split(";") if part.strip()]
    found = [_RESPONSE.fullmatch(part.strip()) for part in parts]
    if not parts or not all(found):
        raise AudioMetamerError(
            f"{table}, line {row.line}: the responses are {row['responses']!r}; they must be words with numbers of listeners, as "
            "in boat:9;both:4"
        )
    responses = _summed((match[1], int(match[2])) for match in found if match)
    target, masker = _word(row["target"]), row.get("masker", "").strip()
    snr = _number(table, row, "snr", _DECIBELS) if row.get("snr") else math.nan
    if masker and math.isnan(snr):
        raise AudioMetamerError(f"{table}, line {row.line}: a masker without an snr; give the dB at which it is added")
    masker_path = table.parent / masker if masker else None
    return Token(
        row["path"], table.parent / row["path"], target, responses,
        _word(row.get("confusion", "")) or _most_frequent_error(target, responses), row.get("talker", ""),
        masker_path.stem if masker_path else "", snr, masker_path=masker_path,
        onset=_number(table, row, "onset", (0.0, MAX_SECONDS)) if row.get("onset") else 0.0,
    )  # fmt: skip


def _summed(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Counts by word; the same word may occur several times."""
    counts: Counter[str] = Counter()
    for word, count in pairs:
        counts[_word(word)] += count
    return dict(counts)


def _word(text: str) -> str:
    return text.strip().casefold()


def _number(table: Path, row: TableRow, column: str, limits: tuple[float, float]) -> float:
    try:
        number = float(row[column])
    except ValueError:
        number = math.nan
    if not limits[0] <= number <= limits[1]:
        low, high = limits
        raise AudioMetamerError(f"{table}, line {row.line}: {column} is {row[column]!r}; it must be from {low:g} to {high:g}")
    return number


def _most_frequent_error(target: str, responses: Mapping[str, int]) -> str:
    """The wrong word that most listeners heard; empty if there is none, or several tie."""
    wrong = Counter({word: count for word, count in responses.items() if word != target}).most_common(2)
    tied = len(wrong) == 2 and wrong[0][1] == wrong[1][1]
    return wrong[0][0] if wrong and not tied else ""


def _homophones(rows: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """For each word, the first word with the same pronunciation, where a word has several the most frequent one."""
    pronunciations: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        for kind in ("Target", "Confusion"):
            pronunciations[_word(row[kind])][row[f"{kind}-Arpabet"]] += 1
    first: dict[str, str] = {}
    return {word: first.setdefault(counts.most_common(1)[0][0], word) for word, counts in pronunciations.items()}
