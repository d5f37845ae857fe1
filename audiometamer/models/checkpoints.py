"""Read a file of weights without running anything in it, unless the user trusts its maker."""

import argparse
import io
import os
import pickle
import re
import struct
import zipfile
from pathlib import Path
from textwrap import shorten
from typing import Any, BinaryIO

import torch
from torch import Tensor

from audiometamer.errors import AudioMetamerError, first_few, first_line
from audiometamer.io.plain_pickle import NUMPY_VALUES, check_hash_cost
from audiometamer.models.state_dicts import state_dicts

BARE = "load it yourself and save its state dict alone with torch.save"  # advice where no option declares a file trusted

_ZIP, _PICKLE = b"PK\x03\x04", b"\x80\x02"  # first bytes of files of torch.save: now, and before torch 1.6
_OLD_PICKLES = 4  # at the beginning of a file from before torch 1.6; then come the keys of the storages
_LONGEST_REASON = 160  # characters


def read_checkpoint(path: str | os.PathLike[str], *, trust: bool = False, way_out: str = "say so with --trust") -> Any:
    """The content of a file of weights.

    Parameters
    ----------
    path : path
        A file written by `torch.save`, or one that ends in ``.safetensors``. Scalars and arrays of numpy in it become numbers and
        lists.
    trust : bool
        Whether the file may run code of its own while it is read. Only for files whose maker you trust. Default False.
    way_out : str
        Advice in the error for users who trust the file's maker.

    Raises
    ------
    AudioMetamerError
        If the file cannot be read, or needs more than tensors and plain values and is not trusted; then with the names that it
        asks for.
    """
    path = Path(path)
    if not path.is_file():
        raise AudioMetamerError(f"{path} is not a file")
    try:
        with path.open("rb") as file:
            beginning = file.read(20)
    except OSError as error:
        raise AudioMetamerError(f"{path} cannot be read: {error.strerror}") from error
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if not beginning.startswith((_ZIP, _PICKLE)):
        why = f"it begins with {beginning!r}" if beginning else "it is empty (0 bytes)"
        raise AudioMetamerError(f"{path} is not a file that torch.save wrote: {why}")
    try:
        if beginning.startswith(_ZIP) and not zipfile.is_zipfile(path):
            raise AudioMetamerError(f"{path} is truncated, or not a file that torch.save wrote: its zip archive has no end")
        _check_pickles(path, newer=beginning.startswith(_ZIP))
    except AudioMetamerError:
        raise
    except Exception as error:  # no list of what zipfile raises at other bytes would be complete
        raise AudioMetamerError(f"{path} is not a file that torch.save wrote: {_reason(error)}") from error
    try:
        with torch.serialization.safe_globals([argparse.Namespace, *((make, name) for name, make in NUMPY_VALUES.items())]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        names = _requested_names(path, error)
        if not names:
            raise AudioMetamerError(f"{path} is not a file that torch.save wrote: {_reason(error)}") from error
        if not trust:
            raise AudioMetamerError(
                f"{path} asks for more than tensors and plain containers: {names}. Reading it would run what it names; if "
                f"you trust its source, {way_out}"
            ) from error
        return _read_trusted(path)
    except Exception as error:  # no list of what torch raises at other bytes would be complete
        raise AudioMetamerError(f"{path} is not a file that torch.save wrote: {_reason(error)}") from error
    _check_sizes(content, path)
    return content


def _check_pickles(path: Path, *, newer: bool) -> None:
    """Raise if a file would unpack to more than its size (`torch.save` compresses nothing), or has keys without end."""
    if not newer:
        with path.open("rb") as file:
            for _ in range(_OLD_PICKLES):
                check_hash_cost(file)
        return
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(part.file_size for part in archive.infolist())
        if unpacked > path.stat().st_size:
            raise ValueError(f"it would unpack to {unpacked:,} bytes, more than its own size")
        pickles = [part for part in archive.infolist() if part.filename.endswith(".pkl")]
    with path.open("rb") as file:
        for part in pickles:
            check_hash_cost(io.BytesIO(_stored(file, part)))


def _stored(file: BinaryIO, part: zipfile.ZipInfo) -> bytes:
    """A part of an archive; `torch.save` can leave out check sums, which zipfile insists on."""
    if part.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"its {part.filename} is compressed")
    file.seek(part.header_offset + 26)
    lengths = struct.unpack("<HH", file.read(4))
    file.seek(sum(lengths), os.SEEK_CUR)
    return file.read(part.file_size)


def _check_sizes(content: Any, path: Path) -> None:
    """Raise if a tensor is larger than the file: a view of one number can have any shape."""
    max_bytes = path.stat().st_size
    for _, tensors in state_dicts(content):
        for key, t in tensors.items():
            if t.layout != torch.strided or t.is_meta or t.numel() * t.element_size() > max_bytes:
                raise AudioMetamerError(f"{path} holds fewer numbers than the shape of {key}, {tuple(t.shape)}; save it dense")


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise AudioMetamerError(f"{path} is not a safetensors file: {first_line(error)}") from error


def _read_trusted(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=False)
    except ModuleNotFoundError as error:
        raise AudioMetamerError(f"{path} needs the Python module {error.name}, which is not installed") from error
    except Exception as error:  # the file can run anything
        raise AudioMetamerError(f"{path} cannot be read, even trusted: {_reason(error)}") from error


def _requested_names(path: Path, error: Exception) -> str:
    """Names that a checkpoint needs beyond tensors and plain containers; empty for a pickle that is no checkpoint."""
    try:
        return first_few(sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))) or _reason(error)
    except Exception:  # noqa: BLE001 (broken, or not of the newer format: only the first name is known)
        return ", ".join(re.findall(r"GLOBAL ([\w.]+)", str(error)))


def _reason(error: Exception) -> str:
    reason = str(error).partition("WeightsUnpickler error:")[2].strip()  # torch begins with advice on weights_only
    return shorten(reason.split("\n")[0] or first_line(error), _LONGEST_REASON, placeholder=" …")
