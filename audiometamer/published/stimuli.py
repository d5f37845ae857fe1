"""The published recordings whose metamers Feather et al. (2023) made: their pickle to a folder of clips."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from audiometamer.errors import AudioMetamerError, first_few, pluralize
from audiometamer.io.array_pickle import read_array_pickle, record_of
from audiometamer.io.files import atomic_folder
from audiometamer.io.names import check_distinct_paths, safe_name
from audiometamer.io.tables import write_table

# psychophysics_wsj400_jsintest of the paper's input_helpers.py reads the pickle: by word, and the words in their order.
_ORDER, _METADATA, _CLIPS = "Dataset_Word_Order", "dataframe_metadata", "audio_clips"
_NEEDED = ("word", "sr")
WORDS, SECONDS, RATE = 400, 2.0, 20_000
COLUMNS = ("path", "word", "source", "recording", "licence", "attribution", "split", "gain_db")
_RIGHTS = {
    "source": "Wall Street Journal, in the Word-Speaker-Noise test set of Feather et al. (2023)",
    "licence": "licensed by the Linguistic Data Consortium; not to be passed on",
    "attribution": "Wall Street Journal corpus (Linguistic Data Consortium); excerpts of Feather et al. (2023)",
    "split": "test",
}
_PEAKS = 2.0**-6, 1.0  # what a FLAC of 24 bits holds well


class _Stimulus(NamedTuple):
    """One recording: its word, rate in Hz, the name of what it was cut from ("" if not stated), samples of full scale 1."""

    word: str
    rate: int
    recording: str
    samples: NDArray[np.float64]


def published_stimuli(path: Path, out: Path, *, overwrite: bool = False) -> list[str]:
    """Convert the published pickle of recordings to a folder of clips: FLAC files and ``clips.csv``.

    Nothing that the pickle names is run. Recordings keep their rates, lengths and levels; one that a FLAC cannot hold (peak above
    1) or holds badly (below 1/64) is scaled to a peak of one half, by the decibels in the column ``gain_db``. To models levels do
    not matter: they set their own.

    Parameters
    ----------
    path : path
        ``word_WSJ_validation_jsin_400words_1samplesperword_with_metadata.pckl``.
    out : path
        Folder for the clips.
    overwrite : bool
        Replace the folder. Default False.

    Returns
    -------
    list of str
        What differs from the published description (400 words, 2 s, 20 kHz), and what was scaled, a line each.

    Raises
    ------
    AudioMetamerError
        If the file is not that pickle, a recording is not what it should be, or `out` exists.
    """
    stimuli = list(_stimuli(path))
    files = {each.word: f"{safe_name(each.word)}.flac" for each in stimuli}
    check_distinct_paths(files.items())
    rows = []
    with atomic_folder(out, replace=overwrite) as folder:
        for each in stimuli:
            gain = _gain(each.samples)
            _write_flac(folder / files[each.word], each.samples * gain, each.rate)
            row = {"path": files[each.word], "word": each.word, "recording": each.recording, "gain_db": 20 * np.log10(gain)}
            rows.append(_RIGHTS | row)
        write_table(folder / "clips.csv", COLUMNS, rows)
    return [*_differences(stimuli), *_scaled(rows)]


def _stimuli(path: Path) -> Iterator[_Stimulus]:
    try:
        content = read_array_pickle(path)
    except OSError as error:
        raise AudioMetamerError(f"{path} cannot be read: {error.strerror or error}") from error
    if not isinstance(content, dict) or _ORDER not in content:
        raise AudioMetamerError(f"{path} is not the pickle of stimuli: it has no {_ORDER}")
    words = [str(word) for word in np.asarray(content[_ORDER]).ravel()]
    if repeated := [word for word, n in Counter(words).items() if n > 1]:
        raise AudioMetamerError(f"{path}: {repeated[0]!r} is several times in {_ORDER}")
    for word in words:
        try:
            yield _stimulus(word, content.get(word))
        except (AudioMetamerError, TypeError, ValueError, LookupError) as error:
            raise AudioMetamerError(f"{path}: {word!r}: {error}") from error


def _stimulus(word: str, entry: Any) -> _Stimulus:
    """One recording; raises if it is not what it should be."""
    if not isinstance(entry, dict) or not {_METADATA, _CLIPS} <= {*entry}:
        raise AudioMetamerError(f"should have {_METADATA} and {_CLIPS}")
    metadata = record_of(entry[_METADATA], _NEEDED)
    if missing := [name for name in _NEEDED if name not in metadata]:
        raise AudioMetamerError(f"its {_METADATA} should have {missing[0]}")
    if metadata["word"] != word:
        raise AudioMetamerError(f"its {_METADATA} says {metadata['word']!r}")
    rate = float(metadata["sr"])
    if not (rate.is_integer() and 1000 <= rate <= 200_000):
        raise AudioMetamerError(f"its rate is {metadata['sr']}; it should be a number of Hz")
    return _Stimulus(word, int(rate), str(metadata.get("source", "")), _samples(entry[_CLIPS]))


def _samples(clips: Any) -> NDArray[np.float64]:
    """Samples of the first of a word's clips, of which the paper took this one; integers relative to full scale."""
    if len(clips) == 0:
        raise AudioMetamerError("it has no clip")
    stored = np.asarray(clips[0])
    if stored.dtype.kind not in "fi" or stored.size != max(stored.shape, default=0):
        raise AudioMetamerError(f"its clip is of {stored.dtype} and shape {stored.shape}; it should be one row of samples")
    samples = stored.ravel().astype(np.float64)
    if stored.dtype.kind == "i":
        samples /= 2.0 ** (8 * stored.dtype.itemsize - 1)
    if not np.isfinite(samples).all() or not samples.any():
        raise AudioMetamerError("its samples are all zero, or some are NaN or infinite")
    return samples


def _gain(samples: NDArray[np.float64]) -> float:
    """1, or what brings the peak to one half if it is outside what the file holds well."""
    peak = float(np.abs(samples).max())
    return 1.0 if _PEAKS[0] <= peak <= _PEAKS[1] else 0.5 / peak


def _write_flac(path: Path, samples: NDArray[np.float64], rate: int) -> None:
    """Write 24 bits, in steps of 2⁻²³; libsndfile's own steps, 1 / (2²³ - 1), would change recordings of 16 bits."""
    import soundfile

    steps = np.clip(np.rint(samples * 2**23), -(2**23), 2**23 - 1).astype(np.int32)
    soundfile.write(path, steps << 8, rate, format="FLAC", subtype="PCM_24")


def _differences(stimuli: list[_Stimulus]) -> Iterator[str]:
    if len(stimuli) != WORDS:
        yield f"{len(stimuli)} words instead of {WORDS}"
    for n, (rate, seconds) in sorted((n, what) for what, n in _forms(stimuli).items() if what != (RATE, SECONDS)):
        yield f"{pluralize(n, 'clip')} of {seconds:.4g} s at {rate} Hz instead of {SECONDS:g} s at {RATE} Hz"


def _forms(stimuli: list[_Stimulus]) -> Counter[tuple[int, float]]:
    return Counter((each.rate, len(each.samples) / each.rate) for each in stimuli)


def _scaled(rows: list[dict[str, Any]]) -> Iterator[str]:
    if scaled := [row["word"] for row in rows if row["gain_db"]]:
        yield f"{pluralize(len(scaled), 'clip')} scaled, as in the column gain_db of clips.csv: {first_few(scaled)}"
