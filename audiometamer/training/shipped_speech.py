"""The clips of ``stimuli/speech``: words of natural speech, a recording of each, chosen among the test clips of a corpus.

``python -m audiometamer.training.shipped_speech CORPUS stimuli/speech`` makes them anew: CORPUS has a ``clips.csv`` with the
columns path, split, word and source; ``left_out.csv`` in the folder names recordings in which the word was not found.
"""

import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
import soundfile
from numpy.typing import NDArray

from audiometamer.errors import AudioMetamerWarning
from audiometamer.io.tables import read_table, write_table
from audiometamer.signals.audio import pad_or_crop, read_clip, read_samples

LEFT_OUT = "left_out.csv"
SECONDS = 2.0
LEVEL = 0.1  # RMS, of the models
MAX_PEAK = 0.98  # at that level: 16 bits hold up to 1, and models limit what is beyond
_MIN_RANGE = 20.0  # dB between loud and soft moments of running speech; less is noisy or reverberant
_MAX_SILENCE = 0.5  # s of digital silence in running speech, where a recording began within the clip
_NAMES = frozenset(
    (
        "alice", "andy", "bill", "billy", "david", "jack", "jayme", "kate", "layla", "lilly", "lucy", "lynda", "mandy", "mark",
        "marvin", "mary", "mike", "peter", "sandy", "sheila", "tina",
    )
)  # fmt: skip
_SAME_SOUND = frozenset(("there", "here", "know"))  # as their, hear and no, which are kept
_COLUMNS = ("path", "word", "speaker", "speech", "style", "source", "recording", "licence", "attribution", "split")


class Source(NamedTuple):
    """A corpus: what its speakers are called, how it names them in its files, and its rights."""

    name: str
    speaker: str
    speaker_in_path: str
    speech: str
    style: str
    licence: str
    attribution: str


SOURCES = {  # the most natural first: a word comes from the first that has it
    "librispeech-train-clean-100": Source(
        "LibriSpeech, train-clean-100", "LibriSpeech reader {}", r"/(\d+)-\d+-\d+_\d+\.", "natural", "sentence", "CC BY 4.0",
        "LibriSpeech ASR corpus (Panayotov, Chen, Povey and Khudanpur 2015), from LibriVox audiobooks; cut to 2 s, level changed",
    ),
    "eccc": Source(
        "English Consistent Confusion Corpus 1.2", "ECCC talker {}", r"_s(\d+)\.", "natural", "isolated", "CC BY 4.0",
        "English Consistent Confusion Corpus (Marxer, Barker, Cooke and Garcia Lecumberri 2016); padded to 2 s, level changed",
    ),
    "kokoro-82m": Source(
        "Kokoro-82M", "Kokoro voice {}", r"/(\w+)/[^/]*$", "synthetic", "isolated", "Apache 2.0 (the model; its speech is free)",
        "Kokoro-82M (hexgrad 2025); padded to 2 s",
    ),
}  # fmt: skip


class Recording(NamedTuple):
    """A recording that can be shipped."""

    path: str
    word: str
    source: str
    speaker: str


def candidates(rows: Iterable[Mapping[str, str]], words: Iterable[str], left_out: Iterable[str]) -> Iterator[Recording]:
    """The test clips of words, without names, abbreviations, and recordings that are left out."""
    wanted, unwanted = {*words} - _NAMES - _SAME_SOUND, {*left_out}
    for row in rows:
        source = SOURCES.get(row["source"])
        if source is None or row["split"] != "test" or row["word"] not in wanted or row["path"] in unwanted:
            continue
        if "'" not in row["word"] and (found := re.search(source.speaker_in_path, row["path"])):
            yield Recording(row["path"], row["word"], row["source"], source.speaker.format(found[1]))


def chosen(recordings: Iterable[Recording]) -> list[Recording]:
    """One recording of each word, of the first source that has one, with the speakers as evenly often as words allow.

    Words with fewer recordings choose first, each the speaker who was chosen least often so far.
    """
    by_word: dict[str, list[Recording]] = {}
    for recording in recordings:
        by_word.setdefault(recording.word, []).append(recording)
    order = [*SOURCES]
    first = {word: min(order.index(one.source) for one in found) for word, found in by_word.items()}
    choices = {word: [one for one in found if order.index(one.source) == first[word]] for word, found in by_word.items()}
    times: Counter[str] = Counter()
    taken = []
    for word in sorted(choices, key=lambda word: (first[word], len(choices[word]), word)):
        best = min(choices[word], key=lambda one: (times[one.speaker], one.path))
        times[best.speaker] += 1
        taken.append(best)
    return sorted(taken, key=lambda one: one.word)


def is_good(path: Path, *, style: str) -> bool:
    """Whether a recording stays below full scale at the models' level and, in running speech, is neither noisy nor cut short."""
    samples, rate = read_samples(path, mixed=True)
    with warnings.catch_warnings(
        action="ignore", category=AudioMetamerWarning
    ):  # of padding, and of peaks, which are checked here
        clip = read_clip(path)
    peak = max(float(clip.samples.abs().max()), float(np.abs(_levelled(samples[:, 0], rate)).max()))
    if peak > MAX_PEAK:
        return False
    return style != "sentence" or (
        level_range(samples[:, 0], rate) >= _MIN_RANGE and silence(samples[:, 0], rate) <= _MAX_SILENCE
    )


def level_range(samples: NDArray[np.float64], rate: int) -> float:
    """Range from the 5th to the 95th percentile of the levels of 20 ms, dB: a lower bound of the SNR."""
    frames = samples[: len(samples) // (rate // 50) * (rate // 50)].reshape(-1, rate // 50)
    levels = 10 * np.log10(np.square(frames).mean(axis=1) + 1e-12)
    low, high = np.percentile(levels, [5, 95])
    return float(high - low)


def silence(samples: NDArray[np.float64], rate: int) -> float:
    """Seconds of digital silence, in stretches of 10 ms or more."""
    zeros = np.convolve(np.abs(samples) < 1e-6, np.ones(rate // 100), "valid")
    return float((zeros > rate // 100 - 0.5).sum() / rate)


def _levelled(samples: NDArray[np.float64], rate: int) -> NDArray[np.float32]:
    """Samples of 2 s at the models' level, the word in the middle."""
    padded = pad_or_crop((samples - samples.mean()).astype(np.float32), round(SECONDS * rate))
    return np.asarray(padded * (LEVEL / np.sqrt(np.mean(np.square(padded, dtype=np.float64)))), dtype=np.float32)


def write(recording: Recording, corpus: Path, out: Path) -> dict[str, str]:
    """Write a clip, at the rate of its recording, and return its row of ``clips.csv``."""
    samples, rate = read_samples(corpus / recording.path, mixed=True)
    path, source = f"{recording.word}.flac", SOURCES[recording.source]
    soundfile.write(out / path, _levelled(samples[:, 0], rate), rate, subtype="PCM_16")
    own = {"path": path, "word": recording.word, "speaker": recording.speaker, "recording": recording.path, "split": "test"}
    return own | {name: getattr(source, name) for name in ("speech", "style", "licence", "attribution")} | {"source": source.name}


@click.command()
@click.argument("corpus", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--words", default="words_usable.txt", show_default=True, help="File in CORPUS with a word on each line.")
def main(corpus: Path, out: Path, words: str) -> None:
    """Make the clips of the folder OUT, and their clips.csv, from the test recordings of CORPUS."""
    out.mkdir(parents=True, exist_ok=True)
    left_out = [row["recording"] for row in read_table(out / LEFT_OUT)] if (out / LEFT_OUT).exists() else []
    wanted = (corpus / words).read_text(encoding="utf-8").split()
    found = candidates(read_table(corpus / "clips.csv"), wanted, left_out)
    good = [one for one in found if is_good(corpus / one.path, style=SOURCES[one.source].style)]
    rows = [write(one, corpus, out) for one in chosen(good)]
    write_table(out / "clips.csv", _COLUMNS, rows)
    click.echo(f"{len(rows)} words of {len({row['speaker'] for row in rows})} speakers: {out}")


if __name__ == "__main__":
    main()
