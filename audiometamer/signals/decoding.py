"""Decode sound files block by block: only the requested part, and to the true end if the header does not state it.

libsndfile decodes what it can; the program ``ffmpeg``, if installed, the rest: AAC, video files and others.
"""

import os
import re
import shlex
import shutil
import stat
import struct
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, BinaryIO, cast

import numpy as np
import soundfile
from numpy.typing import NDArray

from audiometamer.errors import AudioMetamerError
from audiometamer.io.paths import printable
from audiometamer.io.reading import pipe_is_ready
from audiometamer.signals.containers import FaultyFileError, complete_streams, is_placeholder

Samples = NDArray[np.float64]

MAX_RATE = 1_000_000  # Hz; ultrasonic recorders reach half of it
MAX_CHANNELS = 1024  # as in libsndfile
MAX_VALUES = 1 << 29  # samples of all channels together in memory, 4 GiB: three hours at 48 kHz

_BLOCK = 1 << 16  # samples at a time, of all channels together
_MAX_PIPE = 4 << 30  # bytes
_PATIENCE = 30  # seconds
_HEADERLESS = {
    ".raw", ".pcm", ".dat", ".vox", ".g722", ".s8", ".u8", ".s16", ".s24", ".s32", ".f32", ".f64", ".sw", ".sb", ".uw", ".ub",
    ".ul", ".al",
}  # fmt: skip
_MAX_PER_BYTE = 1 << 16  # samples of each channel: FLAC of a constant is the densest
_NO_LENGTH = 1 << 40  # samples; libsndfile reports more if a header has no length
_ROUNDED = {"MPEG_LAYER_III", "SDS"}  # formats and codecs whose length libsndfile rounds up to packets
_SYSTEM, _MALFORMED = 2, 3  # libsndfile error codes with which no other decoder helps
_PLAYLIST = re.compile(rb"(\xef\xbb\xbf)?\s*(#EXTM3U|ffconcat|<\?xml|<MPD)")  # which ffmpeg would follow anywhere
_N_FRAMES = re.compile(r"^\s*Frames\s*: (\d+)$", re.MULTILINE)
_EXACT = re.compile("PCM_.*|FLOAT|DOUBLE|ULAW|ALAW")  # subtypes in which libsndfile seeks without decoding
_SHORTFALL = re.compile(  # libsndfile corrects lengths beyond the end of the file and reports that only in its log
    r"^\s*(?:data|SSND|BODY|Data Size|Data length)\s*:?\s*(-?\w+)\s*\(?should be|^riff : (-?\d+) \(should be"
    r"|seems to be truncated. \d+ <--> (\d+)|does not match value from 'ds64' chunk of (\d+)",
    re.MULTILINE,
)


class Sound(ABC):
    """An open sound file, to be read once.

    Attributes
    ----------
    rate : int
        Hz.
    channels : int
    n_frames : int or None
        Samples of each channel; None while unknown.
    """

    def __init__(self, *, rate: int, channels: int, n_frames: int | None) -> None:
        if not 0 < rate <= MAX_RATE:
            raise FaultyFileError(f"has a sample rate of {rate} Hz; it must be between 1 and {MAX_RATE}")
        if not 0 < channels <= MAX_CHANNELS:
            raise FaultyFileError(f"has {channels} channels; it must have between 1 and {MAX_CHANNELS}")
        self.rate, self.channels, self.n_frames = rate, channels, n_frames

    def read(self, first: int = 0, count: int | None = None, *, mixed: bool = False) -> Samples:
        """Read samples, in memory that grows with what the file really holds; if it ends first, `n_frames` is known afterwards.

        Parameters
        ----------
        first : int
            Index of the first sample. Default 0.
        count : int, optional
            Maximum number of samples. Default: all.
        mixed : bool
            Whether to mix all channels down to one. Default False.

        Returns
        -------
        array [shape=(frames, channels)]
            One channel if mixed.

        Raises
        ------
        FaultyFileError
            If there are more than `MAX_VALUES` in all.
        """
        found = np.empty((0, 1 if mixed else self.channels))
        n_found, max_frames = 0, MAX_VALUES // found.shape[1]
        for block in self._wanted(first, sys.maxsize if count is None else count):
            after = n_found + len(block)
            if after > max_frames:
                raise FaultyFileError(f"holds more than {MAX_VALUES} samples, the most that is read; cut it, or take a part")
            if after > len(found):
                found.resize((max(after, len(found) * 5 // 4), found.shape[1]), refcheck=False)
            found[n_found:after] = block.mean(axis=1, keepdims=True) if mixed else block
            n_found = after
        found.resize((n_found, found.shape[1]), refcheck=False)
        return found

    def _wanted(self, first: int, count: int) -> Iterator[Samples]:
        """Blocks of `count` samples from `first` on; samples before it are discarded if they must be decoded."""
        position, blocks = self._from(first)
        for block in blocks:
            wanted = block[max(first - position, 0) :][:count]
            position += len(block)
            count -= len(wanted)
            if len(wanted):
                yield wanted
            if not count:
                return
        self.n_frames = position

    def count(self) -> int:
        """Samples of each channel, counted by decoding all of them if necessary."""
        if self.n_frames is None:
            position, blocks = self._from(0)
            self.n_frames = position + sum(map(len, blocks))
        return self.n_frames

    @abstractmethod
    def _from(self, first: int) -> tuple[int, Iterator[Samples]]:
        """A position not after `first`, and the blocks from there to the end."""


class _Forward(soundfile.SoundFile):
    """A file that is read without seeking, which fails in some formats, and beyond the length that its header states."""

    def seekable(self) -> bool:
        return False


class _Decoded(Sound):
    """Decoded by libsndfile: files with one sound after the other."""

    def __init__(self, files: list[soundfile.SoundFile]) -> None:
        first = files[0]
        if any((file.samplerate, file.channels) != (first.samplerate, first.channels) for file in files):
            raise FaultyFileError("changes its sample rate or its number of channels in the middle")
        announced = sum(_announced(file) for file in files)
        super().__init__(rate=first.samplerate, channels=first.channels, n_frames=announced if announced < _NO_LENGTH else None)
        self._files = files

    def _from(self, first: int) -> tuple[int, Iterator[Samples]]:
        file, *more = self._files
        if self.n_frames is None or more or not _EXACT.fullmatch(file.subtype):
            return 0, self._blocks(0)
        position = file.seek(min(first, self.n_frames))
        return position, self._blocks(position)

    def _blocks(self, position: int) -> Iterator[Samples]:
        for file in self._files:
            while len(block := self._block(file, position)):
                yield block
                position += len(block)
        if self.n_frames is not None and position < self.n_frames and _ROUNDED.isdisjoint((file.format, file.subtype)):
            raise _truncated(position)

    def _block(self, file: soundfile.SoundFile, position: int) -> Samples:
        try:
            block: Samples = file.read(out=np.empty((max(_BLOCK // self.channels, 1), self.channels)))
        except soundfile.LibsndfileError as error:
            raise FaultyFileError(
                f"cannot be read as audio beyond {position / self.rate:.3f} s: {_reason(error)} (damaged or truncated)"
            ) from error
        return block


def _announced(file: soundfile.SoundFile) -> int:
    """The number of samples that a header states; raises if the file is shorter."""
    for length in (next(filter(None, match)) for match in _SHORTFALL.findall(file.extra_info)):
        if not is_placeholder(int(length, 0)):
            raise _truncated(file.frames)
    if _MAX_PER_BYTE * os.fstat(file.name).st_size < file.frames < _NO_LENGTH:
        raise FaultyFileError(f"is truncated: its header announces {file.frames} samples, more than its bytes can hold")
    for field in _N_FRAMES.findall(file.extra_info):
        if file.frames < int(field) and _ROUNDED.isdisjoint((file.format, file.subtype)):
            raise _truncated(file.frames)
    return int(file.frames)


def _truncated(n_frames: int) -> FaultyFileError:
    return FaultyFileError(f"is truncated: its header announces more samples than it holds ({n_frames})")


class _Piped(Sound):
    """Decoded by ``ffmpeg``, for files that libsndfile does not know; `stream` is not buffered."""

    def __init__(self, stream: IO[bytes], failure: Callable[[], str]) -> None:
        self._stream, self._failure = stream, failure
        header = self._bytes(24)
        if len(header) < 24:
            raise EOFError
        _, offset, _, _, rate, channels = struct.unpack(">6I", header)  # an AU file
        self._bytes(offset - 24)
        super().__init__(rate=rate, channels=channels, n_frames=None)

    def _bytes(self, count: int) -> bytes:
        """As many bytes, or fewer at the end; raises if the decoder stalls."""
        found = bytearray()
        while len(found) < count:
            if not pipe_is_ready(self._stream, _PATIENCE):
                raise FaultyFileError(f"cannot be read as audio: ffmpeg decodes nothing of it within {_PATIENCE} s")
            if not (piece := self._stream.read(count - len(found))):
                break
            found += piece
        return bytes(found)

    def _from(self, first: int) -> tuple[int, Iterator[Samples]]:  # noqa: ARG002 (a pipe has only its beginning)
        return 0, self._blocks()

    def _blocks(self) -> Iterator[Samples]:
        n_bytes = 4 * self.channels
        while block := self._bytes(n_bytes * max(_BLOCK // self.channels, 1)):
            frames = block[: len(block) // n_bytes * n_bytes]
            yield np.frombuffer(frames, ">f4").astype(np.float64).reshape(-1, self.channels)
        if failure := self._failure():
            raise FaultyFileError(f"cannot be read to its end: {failure}")


@contextmanager
def open_sound(path: str | os.PathLike[str]) -> Iterator[Sound]:
    """Open a sound file or a pipe for reading; any fault is reported in one line.

    Parameters
    ----------
    path : path
        ``-`` is the standard input.

    Raises
    ------
    AudioMetamerError
        If it is missing, empty, a folder or a device; if no installed decoder reads it; or if it is detectably truncated.
    """
    name = printable(path) or "''"
    try:
        with ExitStack() as stack:
            yield _decoder(stack, stack.enter_context(_file(os.fspath(path))), name)
    except AudioMetamerError:
        raise
    except FaultyFileError as fault:
        raise AudioMetamerError(f"{name} {fault}") from fault
    except Exception as error:  # libsndfile, soundfile and the operating system raise many kinds
        raise AudioMetamerError(f"{name} cannot be read as audio: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    text = getattr(error, "error_string", None) or getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split()).removesuffix(".")


@contextmanager
def _file(path: str) -> Iterator[BinaryIO]:
    """The file, opened; the content of a pipe as a temporary file."""
    if path == "-":
        if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():
            raise FaultyFileError("is the standard input, into which nothing is piped; give a file")
        with _spooled(sys.stdin.buffer) as file:
            yield file
        return
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 (the path of a pipe may be no Path)
    except FileNotFoundError as error:
        raise FaultyFileError("does not exist") from error
    if stat.S_ISDIR(mode):
        raise FaultyFileError("is a folder; name an audio file in it")
    if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        raise FaultyFileError("is a device; name an audio file or a pipe")
    if stat.S_ISREG(mode):
        with Path(path).open("rb") as file:
            yield file
        return
    with _opened_pipe(path) as pipe, _spooled(pipe) as copy:
        yield copy


@contextmanager
def _opened_pipe(path: str) -> Iterator[BinaryIO]:
    """A pipe that has data: one without a writer would block forever."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with open(descriptor, "rb") as pipe:  # noqa: PTH123 (a descriptor)
        if not pipe_is_ready(pipe, _PATIENCE):
            raise FaultyFileError(f"is a pipe into which nothing was written for {_PATIENCE} s")
        yield pipe


@contextmanager
def _spooled(pipe: BinaryIO) -> Iterator[BinaryIO]:
    """The content of a pipe as a temporary file."""
    with tempfile.NamedTemporaryFile() as copy:
        while block := pipe.read(1 << 20):
            copy.write(block)
            if copy.tell() > _MAX_PIPE:
                raise FaultyFileError(f"is a pipe of more than {_MAX_PIPE >> 30} GiB; give a file")
        copy.flush()
        yield cast("BinaryIO", copy)


def _decoder(stack: ExitStack, file: BinaryIO, name: str) -> Sound:
    if not os.fstat(file.fileno()).st_size:
        raise FaultyFileError("is empty (0 bytes)")
    file.seek(0)
    if _PLAYLIST.match(file.read(100)):
        raise FaultyFileError("cannot be read as audio: it is a playlist; name one of its files")
    files = [stack.enter_context(part) for part in complete_streams(file)]
    try:
        return _Decoded([stack.enter_context(_forward(part)) for part in files])
    except soundfile.LibsndfileError as error:
        if "psf_fseek" in error.error_string:  # of FLAC
            raise FaultyFileError("is truncated: it ends before its header says") from error
        if error.code in (_SYSTEM, _MALFORMED):
            raise
        reason = _reason(error)
    if Path(name).suffix.lower() in _HEADERLESS:
        raise FaultyFileError(
            f"has no header with its sample rate and format; convert it first: "
            f"sox -r RATE -e signed -b 16 -c 1 -t raw {shlex.quote(name)} {shlex.quote(str(Path(name).with_suffix('.wav')))}"
        )
    if shutil.which("ffmpeg") is None:
        converted = shlex.quote(str(Path(name).with_suffix(".converted.wav")))
        raise FaultyFileError(
            f"cannot be read as audio: {reason}; install ffmpeg, or convert it: ffmpeg -i {shlex.quote(name)} {converted}"
        )
    return stack.enter_context(_by_ffmpeg(file.name, reason))


def _forward(file: BinaryIO) -> _Forward:
    os.lseek(file.fileno(), 0, os.SEEK_SET)
    return _Forward(file.fileno(), closefd=False)


@contextmanager
def _by_ffmpeg(path: str, reason: str) -> Iterator[Sound]:
    command = ["ffmpeg", "-v", "error", "-nostdin", "-protocol_whitelist", "file", "-i", f"file:{Path(path).absolute()}"]
    command += ["-map", "0:a:0", "-c:a", "pcm_f32be", "-f", "au", "-"]
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, bufsize=0) as process,
    ):

        def failure() -> str:
            status = process.wait()
            errors.seek(0)
            lines = errors.read().decode(errors="replace").split("\n")
            return next((line.strip() for line in lines if line.strip()), f"status {status}" if status else "")

        assert process.stdout is not None
        try:
            yield _Piped(process.stdout, failure)
        except EOFError as error:
            raise FaultyFileError(
                f"cannot be read as audio: {reason}; ffmpeg: {failure() or 'there is no sound in it'}"
            ) from error
        finally:
            process.kill()
