"""The folder that a model's metamers of one clip share: whether it is this clip's, and the original in it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import torch

from audiometamer.errors import AudioMetamerError
from audiometamer.io.files import set_aside
from audiometamer.io.hashes import sha256_of
from audiometamer.io.names import check_distinct_paths, check_no_case_twin
from audiometamer.io.reading import JSON_ERRORS
from audiometamer.metamers.layout import TARGET, clip_folder, find_clip_records, record_path, suffix_of
from audiometamer.metamers.settings import Settings
from audiometamer.metamers.targets import GivenTarget, read_target, save_activations
from audiometamer.models.model import Model
from audiometamer.signals.audio import Clip
from audiometamer.signals.clip_names import clip_name
from audiometamer.signals.files import read_signal, write_signal
from audiometamer.signals.integrity import is_intact

_ROUNDING = 1e-5  # of pixels, which image files hold in 16 bits


class _Record(msgspec.Struct):
    """The part of a metamer's record that says whose it is."""

    settings: Settings


_records = msgspec.json.Decoder(_Record)


def with_saved_name(out: Path, model: Model, clip: Clip) -> Clip:
    """A clip under the name that its metamers in `out` have: earlier versions named every excerpt after its file alone."""
    if clip.source is None or clip.sample_rate is None:
        return clip
    name = clip_name(clip.source.path)
    original = clip_folder(out, name, model.name) / "original.wav"
    return replace(clip, name=name) if is_intact(original) and torch.equal(read_signal(original), clip.samples) else clip


def check_file_names(out: Path, settings: Sequence[Settings]) -> None:
    """Raise if two metamers would share a file in `out`, or a new one has the file of another on some file systems."""
    check_distinct_paths(((f"clip {each.clip!r}", clip_folder(out, each.clip, each.model)) for each in settings), "folder")
    check_distinct_paths((f"layer {each.layer!r}", record_path(out, each)) for each in settings)
    by_record: dict[Path, Settings] = {}
    for each in settings:
        if by_record.setdefault(record_path(out, each), each).clip_sha256 != each.clip_sha256:
            raise AudioMetamerError(f"two different clips are called {each.clip!r}; rename one of them")
    for record in by_record:
        check_no_case_twin(record.parent, record.name)


def check_clip_folder(out: Path, clip: Clip | GivenTarget, model: str, domain: str) -> None:
    """Raise if the folder for a clip's metamers of a model holds those of another clip or model.

    Parameters
    ----------
    out : path
        The folder of metamers.
    clip : Clip or GivenTarget
    model : str
        The model's name.
    domain : str
        Kind of the signals; see `Evidence`.

    Raises
    ------
    AudioMetamerError
        If it holds metamers of a clip or a model of another name, or of another clip or target of the same name; or if its name
        is that of another folder on some file systems.
    """
    folder = check_folder(out, clip, model, domain)
    clip_sha256 = sha256_of(clip.samples) if isinstance(clip, Clip) else ""
    for record in find_clip_records(folder):
        check_record(record, clip.name, model, clip_sha256)


def check_folder(out: Path, clip: Clip | GivenTarget, model: str, domain: str) -> Path:
    """The folder for a clip's metamers of a model; raises, as `check_clip_folder`, by its name and its original alone."""
    folder = clip_folder(out, clip.name, model)
    check_no_case_twin(out, folder.parent.name)
    check_no_case_twin(folder.parent, folder.name)
    _check_original(folder, clip, domain)
    return folder


def check_record(record: Path, clip: str, model: str, clip_sha256: str) -> None:
    """Raise if a record exists and is of another clip or model; with an empty `clip_sha256`, only names are compared."""
    try:
        found = _records.decode(record.read_bytes()).settings
    except (OSError, *JSON_ERRORS):  # reported where that metamer is read or made again
        return
    if (found.clip, found.model) != (clip, model):
        raise AudioMetamerError(
            f"{record} is of {found.clip!r} and {found.model!r}, not of {clip!r} and {model!r}; rename one of them or choose "
            "another --out"
        )
    if clip_sha256 and found.clip_sha256 != clip_sha256:
        raise AudioMetamerError(f"{record} is of another clip called {clip!r}; rename one or choose another --out")


def _check_original(folder: Path, clip: Clip | GivenTarget, domain: str) -> None:
    """Raise if the original in a folder is another clip or target."""
    original = original_path(folder, clip, domain)
    if not is_intact(original):  # it is written again
        return
    if isinstance(clip, GivenTarget):
        saved = read_target(original).activations
        same = saved.keys() == clip.activations.keys() and all(saved[k].equal(a.cpu()) for k, a in clip.activations.items())
        kind = "target"
    else:
        same, kind = file_holds_clip(original, clip), "clip"
    if not same:
        raise AudioMetamerError(f"{original} is another {kind} called {clip.name!r}; rename one of them or choose another --out")


def file_holds_clip(path: Path, clip: Clip) -> bool:
    """Whether a file holds a clip, as `write_signal` writes it."""
    saved, samples = read_signal(path).reshape(-1), clip.samples.to("cpu").reshape(-1)
    if saved.numel() != samples.numel():
        return False
    return torch.allclose(saved, samples, rtol=0, atol=_ROUNDING) if path.suffix == ".png" else saved.equal(samples.to(saved))


def original_path(folder: Path, clip: Clip | GivenTarget, domain: str) -> Path:
    """Path of the natural signal, or of the given target, in the folder of its metamers."""
    return folder / (TARGET if isinstance(clip, GivenTarget) else f"original{suffix_of(domain)}")


def restore_original(out: Path, clip: Clip | GivenTarget, model: str, domain: str, sample_rate: int | None) -> None:
    """Write the original of a clip's metamers in `out` again if it is missing or truncated."""
    folder = clip_folder(out, clip.name, model)
    if original_path(folder, clip, domain).exists() or find_clip_records(folder):
        save_original(folder, clip, domain, sample_rate)


def save_original(folder: Path, clip: Clip | GivenTarget, domain: str, sample_rate: int | None) -> Path:
    """Write the natural signal, or the given target, into the folder of its metamers, unless it is there and whole."""
    path = original_path(folder, clip, domain)
    if is_intact(path):
        return path
    set_aside(path)
    if isinstance(clip, GivenTarget):
        save_activations(path, clip.activations)
    else:
        write_signal(path, clip.samples, sample_rate)
    return path
