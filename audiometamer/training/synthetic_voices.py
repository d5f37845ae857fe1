"""Words spoken by the synthetic voices of Debian's `flite` and `espeak-ng`.

``python -m audiometamer.training.synthetic_voices OUT`` makes training clips in many voices, speeds and pitches, of the words in
``--words FILE``; after an interruption the same command resumes. ``--shipped`` makes the clips of ``stimuli/words``: two flite
voices at their default speed, absent from the training clips.
"""

import random
import re
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import click
import soundfile

from audiometamer.io.files import atomic_write
from audiometamer.io.reading import read_unicode
from audiometamer.io.tables import write_table
from audiometamer.signals.audio import read_clip

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
KEYWORDS = ("alexa", "computer", "jarvis", "smart_mirror", "snowboy", "view_glass")
WORDS = DIGITS + KEYWORDS

SHIPPED_VOICES = ("slt", "rms")
_FLITE_VOICES = ("awb", "kal16", "rms", "slt")
_ESPEAK_ACCENTS = ("en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbclan", "en-029")
_ESPEAK_VARIANTS = ("m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f3", "f4", "f5", "croak")
_WORD = re.compile(r"\w+(['’-]\w+)*['’]?")  # nothing that a program takes for an option, or a file system for a folder
_COLUMNS = ("path", "word", "voice", "program", "licence", "split", "source")
# The programs' licences according to Debian; the speech that they produce is unrestricted.
_LICENCES = {"flite": "BSD-like (Carnegie Mellon University)", "espeak-ng": "GPL-3+"}


class Utterance(NamedTuple):
    """One word in one voice, and the command line that speaks it into a file."""

    name: str
    word: str
    voice: str
    program: str
    options: tuple[str, ...]

    def speak(self, path: Path) -> None:
        text = self.word.replace("_", " ")
        flags = ("-t", text, "-o", str(path)) if self.program == "flite" else ("-w", str(path), text)
        subprocess.run([self.program, *self.options, *flags], check=True, capture_output=True)


def shipped_utterances() -> Iterator[Utterance]:
    """The words of ``stimuli/words``: two voices at their default speed and pitch."""
    for word in WORDS:
        for voice in SHIPPED_VOICES:
            yield Utterance(f"{word}_{voice}", word, voice, "flite", ("-voice", voice))


def training_utterances(seed: int = 0, *, words: Sequence[str] = WORDS, each: int | None = None) -> Iterator[Utterance]:
    """Utterances of each word in 4 flite and 84 espeak-ng voices; flite never at its default speed.

    Parameters
    ----------
    seed : int
        Random seed of speeds and pitches, and of the choice. Default 0.
    words : sequence of str
        Default: the 16 words of `cochcnn-digits`.
    each : int, optional
        Number of utterances of each word, chosen at random. Default: all 108.
    """
    rng = random.Random(seed)  # noqa: S311 (nothing secret)
    for word in words:
        every = [*_flite_utterances(word, rng), *_espeak_utterances(word, rng)]
        yield from every if each is None else rng.sample(every, min(each, len(every)))


def _flite_utterances(word: str, rng: random.Random) -> Iterator[Utterance]:
    for voice in _FLITE_VOICES:
        for k in range(6):
            stretch = rng.choice((rng.uniform(0.75, 0.95), rng.uniform(1.05, 1.35)))
            options = ["-voice", voice, "--setf", f"duration_stretch={stretch:.3f}"]
            if k % 2:
                options += ["--setf", f"int_f0_target_mean={rng.uniform(85, 220):.0f}"]
            yield Utterance(f"{word}_{voice}{k}", word, voice, "flite", tuple(options))


def _espeak_utterances(word: str, rng: random.Random) -> Iterator[Utterance]:
    for accent in _ESPEAK_ACCENTS:
        for variant in _ESPEAK_VARIANTS:
            speed, pitch = rng.randint(110, 210), rng.randint(25, 75)
            voice = f"{accent}+{variant}"
            options = ("-v", voice, "-s", str(speed), "-p", str(pitch))
            yield Utterance(f"{word}_{voice}", word, voice, "espeak-ng", options)


@click.command()
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--shipped", is_flag=True, help="The clips of stimuli/words: 2 s, 20 kHz, word in the middle.")
@click.option("--seed", default=0, show_default=True, help="Random seed of the speeds and pitches of the training clips.")
@click.option(
    "--words",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A word a line.  [default: those of cochcnn-digits]",
)
@click.option(
    "--each", type=click.IntRange(1), help="Number of training clips of each word, in voices chosen at random.  [default: 108]"
)
def main(out: Path, shipped: bool, seed: int, words: Path | None, each: int | None) -> None:
    """Make clips of words in synthetic voices, and their clips.csv, in the folder OUT."""
    for program in ("flite", "espeak-ng"):
        if shutil.which(program) is None:
            raise click.ClickException(f"{program} is not installed; on Debian: apt-get install flite espeak-ng")
    chosen = WORDS if words is None else _read_words(words)
    out.mkdir(parents=True, exist_ok=True)
    rows, split = [], "test" if shipped else "train"
    with tempfile.TemporaryDirectory() as folder:
        for utterance in shipped_utterances() if shipped else training_utterances(seed, words=chosen, each=each):
            path = Path(f"{utterance.name}.flac") if shipped else Path(utterance.word) / f"{utterance.name}.flac"
            if not (out / path).exists():
                spoken = Path(folder) / "spoken.wav"
                utterance.speak(spoken)
                (out / path).parent.mkdir(exist_ok=True)
                with atomic_write(out / path) as temporary:
                    _convert(spoken, temporary, shipped=shipped)
            rows.append([path, utterance.word, utterance.voice, utterance.program, _LICENCES[utterance.program], split])
    columns = _COLUMNS[:-1] if shipped else _COLUMNS
    write_table(out / "clips.csv", columns, [dict(zip(columns, [*row, row[3]], strict=False)) for row in rows])


def _read_words(path: Path) -> list[str]:
    """The words in a file, each once."""
    words = list(dict.fromkeys(line.strip() for line in read_unicode(path).splitlines() if line.strip()))
    if not words:
        raise click.UsageError(f"{path} holds no words; write one a line")
    for word in words:
        if not _WORD.fullmatch(word):
            raise click.UsageError(
                f"{path} holds {word!r}; a word has letters, digits, and inside it - ' or _ (spoken as a space)"
            )
    return words


def _convert(spoken: Path, path: Path, *, shipped: bool) -> None:
    """Convert the program's WAV to FLAC; shipped clips in the form that the default model takes."""
    if not shipped:
        samples, rate = soundfile.read(spoken)
        soundfile.write(path, samples, rate, format="FLAC", subtype="PCM_16")
        return
    with warnings.catch_warnings(action="ignore"):  # every spoken word is shorter than 2 s and is padded
        clip = read_clip(spoken)
    # A short word may peak above 1 at RMS 0.1, which PCM would clip; reading sets the level again.
    samples = clip.samples * min(1.0, 0.9 / float(clip.samples.abs().max()))
    soundfile.write(path, samples.numpy(), clip.sample_rate, format="FLAC", subtype="PCM_16")


if __name__ == "__main__":
    main()
