"""Published data sets in their usual layouts, unpacked under any name.

``speechcommands``
    Speech Commands, version 0.01 or 0.02, recognised by ``validation_list.txt`` and ``testing_list.txt``, or without these lists
    by names like ``yes/0a7c2a8d_nohash_0.wav``: then a speaker's split is computed with the hash that generated the lists (Warden
    2018). Tasks ``word`` and ``speaker``; ``_background_noise_`` is background.
``commonvoice``
    Common Voice: ``clips/`` beside ``train.tsv``, ``dev.tsv`` and ``test.tsv``; or one such table. Task ``speaker``
    (client_id), and ``word`` for sentences of one word.
``librispeech``, ``vctk``, ``timit``
    Read sentences by speaker; task ``speaker``, for TIMIT also ``sentence`` (sa1, sx217, …). Their own splits share no speakers,
    so speakers could not be both learned and tested: here, of each speaker's utterances in order, every tenth from the tenth is
    test and every tenth from the fifth is valid; with two to nine utterances, the last is test.
``timit.word``
    The words of TIMIT, cut out by its .WRD files; its own splits, with every tenth speaker of TRAIN in valid.
"""

import csv
import hashlib
import io
import re
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from audiometamer.errors import AudioMetamerError, AudioMetamerWarning
from audiometamer.io.reading import read_unicode
from audiometamer.training.listing import audio_files
from audiometamer.training.recordings import AudioFile, AudioPart, Recording

_LISTS = {"valid": "validation_list.txt", "test": "testing_list.txt"}
_NOHASH = re.compile(r"(?P<speaker>.+)_nohash_\d+\.\w+")
_TABLES = {"train": "train.tsv", "valid": "dev.tsv", "test": "test.tsv"}
_COLUMNS = {"client_id", "path", "sentence"}
_TIMIT_RATE = 16_000  # Hz, of the sample numbers in .WRD files

# The end of an utterance's path; the parts of its name after the speaker order the utterances.
_UTTERANCE = {
    "librispeech": re.compile(r"/(?P<speaker>\d+)/(?P<chapter>\d+)/(?P=speaker)[-_](?P=chapter)[-_](?P<number>[\d_]+)\.\w+$"),
    "vctk": re.compile(r"/wav48[^/]*/(?P<speaker>[a-z]\d+)/(?P=speaker)_(?P<number>\d+)(_mic\d)?\.\w+$", re.IGNORECASE),
    "timit": re.compile(
        r"/(?P<split>train|test)/dr\d/(?P<speaker>[fm]\w{3}\d)/(?P<sentence>s[aix]\d+)\.\w+(\.wav)?$", re.IGNORECASE
    ),
}

_EXAMPLES = {
    "librispeech": "1272/128104/1272-128104-0000.flac",
    "vctk": "wav48/p225/p225_001.wav",
    "timit": "TRAIN/DR1/FCJF0/SA1.WAV",
}


def recognised_layout(path: Path, files: Sequence[Path]) -> str | None:
    """The layout of the data set at a path with these audio files, or None."""
    if common_voice_tables(path):
        return "commonvoice"
    if speech_commands_folder(path):
        return "speechcommands"
    return next((kind for kind, form in _UTTERANCE.items() if any(form.search(_absolute(file)) for file in files)), None)


def speech_commands(path: Path) -> list[Recording]:
    """The recordings of Speech Commands."""
    folder = speech_commands_folder(path)
    if folder is None:
        raise AudioMetamerError(
            f"{path} is not Speech Commands: it holds neither {' and '.join(_LISTS.values())} nor files like "
            "yes/0a7c2a8d_nohash_0.wav"
        )
    splits = _listed_splits(folder)
    recordings: list[Recording] = []
    for file in audio_files(folder):
        word, *rest = file.relative_to(folder).parts
        if word == "_background_noise_":
            recordings.append(AudioFile(file, "background"))
        elif len(rest) == 1 and not word.startswith("_"):
            speaker = found["speaker"] if (found := _NOHASH.fullmatch(file.name)) else file.stem
            split = _split_by_hash(speaker) if splits is None else splits.get(f"{word}/{file.name}", "train")
            recordings.append(AudioFile(file, split, {"word": (word,), "speaker": (speaker,)}))
    _warn_of_shared_speakers(folder, recordings)
    return recordings


def speech_commands_folder(path: Path) -> Path | None:
    """The folder of words of the newest version at a path."""
    versions = "speech_commands_v0.02", "speech_commands_v0.01"
    below = [folder / version for version in versions for folder in (path / "SpeechCommands", path)]
    folders = [folder for folder in (*below, path, *sorted(path.glob("*/"))) if folder.is_dir()]
    with_lists = (folder for folder in folders if any((folder / name).is_file() for name in _LISTS.values()))
    with_names = (folder for folder in folders if next(folder.glob("*/*_nohash_*"), None))
    return next(with_lists, None) or next(with_names, None)


def _listed_splits(folder: Path) -> dict[str, str] | None:
    """The split of each file that a list names, as ``word/file``; None if there are no lists."""
    lists = {split: folder / name for split, name in _LISTS.items()}
    missing = [path.name for path in lists.values() if not path.is_file()]
    if len(missing) == len(lists):
        return None
    if missing:
        raise AudioMetamerError(f"{folder} has the other list of Speech Commands but no {missing[0]}")
    splits = {}
    for split, path in lists.items():
        for line in path.read_text(encoding="utf-8-sig").splitlines():
            name = line.strip().replace("\\", "/")
            if name and (folder / name).parent.is_dir() and not (folder / name).is_file():  # whole words may be left out
                raise AudioMetamerError(f"{folder / name} does not exist, but {path.name} names it")
            splits[name] = split
    return splits


def _split_by_hash(speaker: str) -> str:
    """The split of a speaker according to Speech Commands' own ``which_set``, with 10 % each for valid and test."""
    largest = 2**27 - 1
    percent = int(hashlib.sha1(speaker.encode(), usedforsecurity=False).hexdigest(), 16) % (largest + 1) * (100 / largest)
    return "valid" if percent < 10 else "test" if percent < 20 else "train"


def _warn_of_shared_speakers(folder: Path, recordings: Sequence[Recording]) -> None:
    splits: dict[str, set[str]] = defaultdict(set)
    for recording in recordings:
        for speaker in recording.labels.get("speaker", ()):
            splits[speaker].add(recording.split)
    if shared := sorted(speaker for speaker, where in splits.items() if len(where) > 1):
        warnings.warn(
            f"{folder}: by its lists, {len(shared)} speakers are in several splits (first: {shared[0]}), so scores are too high",
            AudioMetamerWarning,
            stacklevel=4,
        )


def common_voice_tables(path: Path) -> dict[str, Path]:
    """The tables of Common Voice at a path, by split; empty if there are none."""
    if path.is_file():
        split = next((split for split, name in _TABLES.items() if path.name == name), "train")
        return {split: path} if path.suffix.lower() == ".tsv" and _header(path) >= _COLUMNS else {}
    folders = {table.parent for depth in ("", "*/", "*/*/") for table in path.glob(f"{depth}*.tsv") if _header(table) >= _COLUMNS}
    if len(folders) > 1:
        names = ", ".join(sorted(str(folder.relative_to(path)) for folder in folders))
        raise AudioMetamerError(f"{path} holds several data sets of Common Voice ({names}); name one of these folders")
    if not folders:
        return {}
    (folder,) = folders
    tables = {split: folder / name for split, name in _TABLES.items() if (folder / name).is_file()}
    if not tables:
        raise AudioMetamerError(
            f"{folder} holds tables of Common Voice, but none of {', '.join(_TABLES.values())}; name one, as in "
            f"commonvoice:{folder / 'validated.tsv'}"
        )
    return tables


def common_voice(path: Path) -> list[Recording]:
    """The recordings of Common Voice that its tables list and that exist."""
    tables = common_voice_tables(path)
    if not tables:
        raise AudioMetamerError(f"{path} is not Common Voice: no table with the columns {', '.join(sorted(_COLUMNS))}")
    recordings: list[Recording] = []
    absent: list[Path] = []
    for split, table in tables.items():
        clips = table.parent / "clips"
        for row in _rows(table):
            file = clips / (row["path"] if Path(row["path"]).suffix else f"{row['path']}.mp3")
            if not file.is_file():
                absent.append(file)
                continue
            labels = {"speaker": (row["client_id"],)}
            if word := _only_word(row["sentence"]):
                labels["word"] = (word,)
            recordings.append(AudioFile(file, split, labels))
    if absent and recordings:
        total = len(absent) + len(recordings)
        warnings.warn(
            f"{len(absent)} of {total} clips listed in {path} do not exist: {absent[0]}", AudioMetamerWarning, stacklevel=3
        )
    elif absent:
        raise AudioMetamerError(f"none of the {len(absent)} clips listed in {path} exists: {absent[0]}")
    return recordings


def _header(table: Path) -> set[str]:
    with table.open(encoding="utf-8-sig", errors="replace") as file:
        return set(file.readline().rstrip("\r\n").split("\t"))


def _rows(table: Path) -> Iterator[Mapping[str, str]]:
    try:
        for row in csv.DictReader(io.StringIO(read_unicode(table)), delimiter="\t", quoting=csv.QUOTE_NONE, restval=""):
            if row["path"]:
                yield row
    except (OSError, ValueError, csv.Error) as error:
        raise AudioMetamerError(f"{table} cannot be read as a table of Common Voice: {error}") from error


def _only_word(sentence: str) -> str | None:
    """The word of a one-word sentence, in lower case and without punctuation; None for other sentences."""
    words = re.findall(r"[\w'’-]+", sentence.lower())
    return words[0] if len(words) == 1 else None


def read_speech(kind: str, path: Path) -> list[Recording]:
    """The utterances of LibriSpeech, VCTK or TIMIT."""
    recordings: list[Recording] = []
    for speaker, utterances in _speakers(kind, path).items():
        for i, (found, file) in enumerate(utterances):
            labels = {"speaker": (speaker,)} | ({"sentence": (found["sentence"].lower(),)} if kind == "timit" else {})
            recordings.append(AudioFile(file, _split_by_order(i, len(utterances)), labels))
    return recordings


def timit_words(path: Path) -> list[Recording]:
    """The words of TIMIT, as its .WRD files cut its sentences."""
    recordings: list[Recording] = []
    n_train_speakers = 0
    for utterances in _speakers("timit", path).values():
        split = utterances[0][0]["split"].lower()
        if split == "train":
            n_train_speakers += 1
            split = "train" if n_train_speakers % 10 else "valid"
        for _, file in utterances:
            recordings += [
                AudioPart(file, split, {"word": (word,)}, first / _TIMIT_RATE, last / _TIMIT_RATE)
                for first, last, word in _cuts(file)
            ]
    return recordings


def _cuts(file: Path) -> list[tuple[int, int, str]]:
    """First sample, end sample and text of each word of a sentence."""
    stem = file.name.partition(".")[0]
    table = next((path for ending in (".WRD", ".wrd") if (path := file.with_name(stem + ending)).is_file()), None)
    if table is None:
        raise AudioMetamerError(f"{file} has no {stem}.WRD beside it, which says where its words are")
    try:
        rows = [line.split() for line in table.read_text(encoding="utf-8").splitlines() if line.strip()]
        return [(int(first), int(last), word.lower()) for first, last, word in rows]
    except ValueError as error:
        raise AudioMetamerError(f"{table} is not a list of first sample, last sample and word: {error}") from error


def _speakers(kind: str, path: Path) -> dict[str, list[tuple[re.Match[str], Path]]]:
    """The utterances of each speaker in order, each once even if there are files of two microphones or formats."""
    found: dict[str, dict[tuple[int | str, ...], tuple[re.Match[str], Path]]] = defaultdict(dict)
    for file in audio_files(path):
        if match := _UTTERANCE[kind].search(_absolute(file)):
            utterance = "/".join(match[name] for name in ("chapter", "number", "sentence") if name in match.re.groupindex)
            found[match["speaker"].lower()].setdefault(_natural(utterance), (match, file))
    if not found:
        raise AudioMetamerError(f"{path} holds no files with names as in {kind}, {_EXAMPLES[kind]}")
    return {speaker: [found[speaker][key] for key in sorted(found[speaker])] for speaker in sorted(found, key=_natural)}


def _natural(text: str) -> tuple[int | str, ...]:
    """A key that sorts names of one form by their numbers."""
    return tuple(int(part) if part.isdigit() else part for part in re.findall(r"\d+|[a-z]+", text.lower()))


def _absolute(file: Path) -> str:
    return file.absolute().as_posix()


def _split_by_order(i: int, n: int) -> str:
    if i % 10 == 9 or (1 < n < 10 and i == n - 1):
        return "test"
    return "valid" if i % 10 == 4 else "train"
