"""Damaged and hostile files of every kind that is read: each is read, or refused in one line.

    python tests/endurance/fuzz_bytes.py KIND N SEED

KIND is one of those that ``--help`` lists, or ``all``, which shares N among them. Every case is a small valid file with bytes
flipped, cut, inserted, moved or spliced in from another kind, or with numbers in it set to extremes; check sums (PNG, Ogg) are
mended in half of the cases. The same KIND, N and SEED give the same cases. They are read in child processes, so that a crash of a
library is seen too. At the end a line for each kind says how many were read and how many refused. A fault is an exception other
than AudioMetamerError, a message of several lines or more than 400 characters, a case of more than 40 s or 2 GB, and a process
that dies: each is reported with the file, which is kept in ``fuzz_bytes_faults/``, and the exit status is 1.
"""

import argparse
import io
import itertools
import json
import os
import pickle
import random
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import png
import soundfile
import torch
from PIL import Image
from safetensors.torch import save

from audiometamer.errors import AudioMetamerError
from audiometamer.io.label_files import read_label_file
from audiometamer.metamers.targets import read_target
from audiometamer.models.checkpoints import read_checkpoint
from audiometamer.models.state_dicts import network_state
from audiometamer.signals.audio import file_duration, read_clip, read_samples
from audiometamer.signals.files import read_signal
from audiometamer.signals.images import ImageTransform, read_image
from audiometamer.training.published_hdf5 import open_published_hdf5

LONGEST_LINE, LONGEST_WAIT, MOST_MEMORY = 400, 40, 2 << 30  # characters, s, bytes
AT_ONCE = 50  # cases of a child process
RATE = 8000
WEIGHTS = {"conv.weight": torch.arange(60.0).reshape(3, 4, 5), "conv.bias": torch.zeros(3), "n": torch.tensor(7)}


class Kind(NamedTuple):
    """How small valid files of a kind are made, how the files are called, and what reads them."""

    valid: Callable[[], list[bytes]]
    name: str
    read: Callable[[Path], object]


def _noise(n_frames: int, channels: int) -> Any:
    return np.random.default_rng(0).uniform(-0.3, 0.3, (n_frames, channels))


def _sounds(container: str, *subtypes: str, rate: int = RATE) -> list[bytes]:
    found = []
    for subtype, channels in itertools.product(subtypes, (1, 2)):
        file = io.BytesIO()
        soundfile.write(file, _noise(1200, channels), rate, format=container, subtype=subtype)
        found.append(file.getvalue())
    return found


def _by_ffmpeg(ending: str) -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder, "x.wav"), Path(folder, f"x.{ending}")
        soundfile.write(source, _noise(1200, 1), RATE)
        subprocess.run(["ffmpeg", "-v", "error", "-i", source, made], check=True)
        return [made.read_bytes()]


def _read_sound(path: Path) -> None:
    read_clip(path, sample_rate=RATE, duration=0.25, start=0.01)
    read_samples(path)
    file_duration(path)


def _images(container: str) -> list[bytes]:
    values = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    found = []
    for image in (Image.fromarray(values), Image.fromarray(values[..., 0]), Image.fromarray(values).quantize(16).convert("RGB")):
        file = io.BytesIO()
        image.save(file, container)
        found.append(file.getvalue())
    return found


def _pngs() -> list[bytes]:
    found = _images("PNG")
    for planes, interlaced in itertools.product((1, 2, 3, 4), (False, True)):
        file = io.BytesIO()
        values = np.random.default_rng(0).integers(0, 65536, (20, 30, planes))
        values[..., -1] |= 0 if planes % 2 else 65535
        writer = png.Writer(30, 20, bitdepth=16, greyscale=planes < 3, alpha=planes % 2 == 0, interlace=interlaced)
        writer.write(file, values.reshape(20, -1).tolist())
        found.append(file.getvalue())
    return found


def _hdf5() -> list[bytes]:
    found = []
    for options in ({}, {"chunks": True, "compression": "gzip"}, {"chunks": True, "shuffle": True, "fletcher32": True}):
        content = io.BytesIO()
        with h5py.File(content, "w") as file:
            for name in ("sources/signal/signal", "sources/noise/signal"):
                file.create_dataset(name, data=_noise(3, 200).astype("f4"), **options)
            for name in ("sources/signal/word_int", "sources/signal/speaker_int"):
                file.create_dataset(name, data=np.arange(3), **options)
            file.create_dataset("sources/noise/labels_binary_via_int", data=np.eye(3, 20, dtype="u1"), **options)
        found.append(content.getvalue())
    return found


def _read_hdf5(path: Path) -> None:
    folder = path.with_name("train_1")
    folder.mkdir(exist_ok=True)
    path.replace(folder / "JSIN_all__run_0.h5")
    for recording in open_published_hdf5(folder.parent)[:4]:
        recording.read(), recording.labels, recording.background.labels  # type: ignore[union-attr]


def _arrays() -> list[bytes]:
    found = []
    for array in (
        np.arange(12.0).reshape(3, 4),
        np.asfortranarray(np.ones((3, 4), "f4")),
        np.arange(5),
        np.array([{}, []], object),
    ):
        file = io.BytesIO()
        np.save(file, array)
        found.append(file.getvalue())
    return found


def _zipped_arrays() -> list[bytes]:
    found = []
    for write in (np.savez, np.savez_compressed):
        file = io.BytesIO()
        write(file, a=np.arange(12.0))
        found.append(file.getvalue())
    return found


def _checkpoints(*, newer: bool) -> list[bytes]:
    found = []
    for content in (WEIGHTS, {"model": WEIGHTS, "epoch": 3, "list": [1, (2.0, "x")], "numpy": np.float64(1)}):
        file = io.BytesIO()
        torch.save(content, file, _use_new_zipfile_serialization=newer)
        found.append(file.getvalue())
    return found


def _read_weights(path: Path) -> None:
    network_state(read_checkpoint(path), WEIGHTS.keys(), path)


def _label_pickles() -> list[bytes]:
    names = {"word_idx_to_word": {0: "a", 1: "b", 2: "c"}, "n": np.arange(3), "s": {1, 2}}
    return [pickle.dumps(names, protocol=protocol) for protocol in range(6)]


SOUNDS = {
    "wav": ("WAV", "PCM_U8", "PCM_16", "PCM_24", "FLOAT", "DOUBLE", "ULAW", "IMA_ADPCM", "MS_ADPCM"),
    "flac": ("FLAC", "PCM_16", "PCM_24"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "aiff": ("AIFF", "PCM_16", "FLOAT", "IMA_ADPCM"),
    "au": ("AU", "PCM_16", "ALAW"),
    "caf": ("CAF", "PCM_16", "ALAC_16"),
    "w64": ("W64", "PCM_16", "MS_ADPCM"),
    "rf64": ("RF64", "PCM_16", "FLOAT"),
    "nist": ("NIST", "PCM_16"),
    "voc": ("VOC", "PCM_16"),
    "ircam": ("IRCAM", "FLOAT"),
    "mat5": ("MAT5", "DOUBLE"),
}
IMAGES = {"jpg": "JPEG", "tif": "TIFF", "bmp": "BMP", "webp": "WEBP", "gif": "GIF", "ppm": "PPM", "jp2": "JPEG2000"}
KINDS: dict[str, Kind] = {
    **{kind: Kind(partial(_sounds, *form), f"x.{kind}", _read_sound) for kind, form in SOUNDS.items()},
    "png": Kind(_pngs, "x.png", partial(read_image, picture=ImageTransform((3, 16, 16)))),
    **{
        kind: Kind(partial(_images, form), f"x.{kind}", partial(read_image, picture=ImageTransform((3, 16, 16))))
        for kind, form in IMAGES.items()
    },
    "hdf5": Kind(_hdf5, "x.h5", _read_hdf5),
    "npy": Kind(_arrays, "x.npy", read_signal),
    "npz": Kind(_zipped_arrays, "x.npy", read_signal),
    "signal": Kind(partial(_sounds, "WAV", "FLOAT"), "x.wav", read_signal),
    "safetensors": Kind(lambda: [save(WEIGHTS)], "x.safetensors", _read_weights),
    "target": Kind(lambda: [save({"relu0": torch.ones(2, 3)})], "x.safetensors", read_target),
    "pt": Kind(partial(_checkpoints, newer=True), "x.pt", _read_weights),
    "tar": Kind(partial(_checkpoints, newer=False), "x.pt.tar", _read_weights),
    "pckl": Kind(_label_pickles, "x.pckl", read_label_file),
}
SPLICED = list(KINDS)
if shutil.which("ffmpeg"):
    KINDS["m4a"] = Kind(partial(_by_ffmpeg, "m4a"), "x.m4a", _read_sound)

EXTREMES = [0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 40, (1 << 63) - 1, (1 << 64) - 1]


@cache
def valid(kind: str) -> list[bytes]:
    """The files that are damaged."""
    return KINDS[kind].valid()


def damaged(kind: str, rng: random.Random) -> bytes:
    """A file of a kind with one to twenty faults in it, most of them near its beginning."""
    content = bytearray(rng.choice(valid(kind)))
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        at = rng.randrange(min(len(content), rng.choice((64, 512, len(content)))) or 1)
        fault = rng.randrange(8)
        if fault == 0 and content:
            content[at] ^= 1 << rng.randrange(8)
        elif fault == 1 and content:
            content[at] = rng.randrange(256)
        elif fault == 2:
            del content[at : at + rng.randrange(1, 50)]
        elif fault == 3:
            content[at:at] = rng.randbytes(rng.randrange(1, 50))
        elif fault == 4:
            width = rng.choice((2, 4, 8))
            number = rng.choice(EXTREMES) & ((1 << 8 * width) - 1)
            content[at : at + width] = number.to_bytes(width, rng.choice(("little", "big")))
        elif fault == 5:
            other = rng.choice(valid(rng.choice(SPLICED if rng.random() < 0.2 else [kind])))
            content[at:] = other[rng.randrange(len(other)) :]
        elif fault == 6:
            source = rng.randrange(len(content) or 1)
            content[at:at] = content[source : source + rng.randrange(1, 500)]
        elif rng.random() < 0.3:
            del content[at:]
    mend = SUMS.get(kind)
    return mend(bytes(content)) if mend and rng.random() < 0.5 else bytes(content)


def _mended_png(content: bytes) -> bytes:
    found, at = bytearray(content), 8
    while at + 12 <= len(found):
        end = at + 8 + int.from_bytes(found[at : at + 4])
        if end + 4 > len(found):
            break
        found[end : end + 4] = zlib.crc32(found[at + 4 : end]).to_bytes(4)
        at = end + 4
    return bytes(found)


def _mended_ogg(content: bytes) -> bytes:
    found, at = bytearray(content), 0
    while found[at : at + 4] == b"OggS" and at + 27 <= len(found):
        end = at + 27 + found[at + 26] + sum(found[at + 27 : at + 27 + found[at + 26]])
        found[at + 22 : at + 26] = bytes(4)
        found[at + 22 : at + 26] = _ogg_sum(found[at:end]).to_bytes(4, "little")
        at = end
    return bytes(found)


def _ogg_sum(page: bytes) -> int:
    """CRC-32 without reflection, of polynomial 0x04C11DB7 (RFC 3533, section 6)."""
    total = 0
    for byte in page:
        total = (total << 8 & 0xFFFFFFFF) ^ _OGG[total >> 24 ^ byte]
    return total


def _ogg_entry(byte: int) -> int:
    total = byte << 24
    for _ in range(8):
        total = total << 1 & 0xFFFFFFFF ^ (0x04C11DB7 if total >> 31 else 0)
    return total


_OGG = [_ogg_entry(byte) for byte in range(256)]
SUMS = {"png": _mended_png, "ogg": _mended_ogg, "opus": _mended_ogg}


def cases(kind: str, n: int, seed: int) -> Iterator[bytes]:
    """The same files for the same arguments."""
    rng = random.Random(f"{kind} {seed}")
    return (damaged(kind, rng) for _ in range(n))


def outcome(kind: str, content: bytes, folder: Path) -> str:
    """``read``, ``refused``, or the fault."""
    path = folder / KINDS[kind].name
    path.write_bytes(content)
    try:
        with warnings.catch_warnings(action="ignore"):
            KINDS[kind].read(path)
    except AudioMetamerError as error:
        line = str(error)
        return "refused" if len(line) <= LONGEST_LINE and "\n" not in line else f"a long message: {line[:500]!r}"
    except BaseException as error:  # noqa: BLE001 (a fault, whatever it is)
        return f"{type(error).__name__}: {error}"[:300]
    return "read"


def _child(kind: str, contents: list[bytes], pipe: int) -> None:
    """Read files, and write a line about each into a pipe: its outcome and the growth of the peak of memory, in bytes."""
    space = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (space + 4 * MOST_MEMORY, space + 4 * MOST_MEMORY))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # decoders report there
    with tempfile.TemporaryDirectory() as folder:
        for content in contents:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            found = outcome(kind, content, Path(folder))
            grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
            os.write(pipe, json.dumps([found, grown]).encode() + b"\n")


def _outcomes(kind: str, contents: list[bytes]) -> Iterator[str]:
    """The outcome of each file; a child that dies or hangs is followed by another, for the rest."""
    while contents:
        reading, writing = os.pipe()
        if not (process := os.fork()):
            try:
                _child(kind, contents, writing)
            finally:
                os._exit(0)
        os.close(writing)
        n_done = 0
        with os.fdopen(reading, "rb", buffering=0) as lines:
            rest = b""
            while n_done < len(contents):
                if not select.select([lines], [], [], LONGEST_WAIT)[0]:
                    yield f"no end within {LONGEST_WAIT} s"
                    break
                if not (piece := lines.read(1 << 16)):
                    yield "the process died"
                    break
                *whole, rest = (rest + piece).split(b"\n")
                for found, grown in map(json.loads, whole):
                    yield found if grown <= MOST_MEMORY else f"{grown >> 20} MB ({found})"
                n_done += len(whole)
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        contents = contents[n_done + 1 :] if n_done < len(contents) else []


def fuzz(kind: str, n: int, seed: int, kept: Path) -> bool:
    """Read the damaged files of a kind, print what became of them, and keep those with a fault; whether there was none."""
    counts: Counter[str] = Counter()
    faults: dict[str, Path] = {}
    begun, generated = time.monotonic(), cases(kind, n, seed)
    while contents := list(itertools.islice(generated, AT_ONCE)):
        for content, found in zip(contents, _outcomes(kind, contents), strict=True):
            counts[found] += 1
            if found not in ("read", "refused") and found not in faults:
                kept.mkdir(exist_ok=True)
                faults[found] = kept / f"{kind}-{seed}-{len(faults)}-{KINDS[kind].name}"
                faults[found].write_bytes(content)
    bad = n - counts["read"] - counts["refused"]
    print(
        f"{kind:12s} {n:6d} files: {counts['read']} read, {counts['refused']} refused, {bad} faults"
        f" ({time.monotonic() - begun:.0f} s)", flush=True,
    )  # fmt: skip
    for found, path in faults.items():
        print(f"    {counts[found]} × {found}\n      {path}", flush=True)
    return not bad


def main() -> int:
    """Fuzz what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("kind", choices=["all", *KINDS])
    parser.add_argument("n", type=int)
    parser.add_argument("seed", type=int)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    kinds = list(KINDS) if asked.kind == "all" else [asked.kind]
    each = -(-asked.n // len(kinds))
    good = [fuzz(kind, each, asked.seed, Path("fuzz_bytes_faults")) for kind in kinds]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
