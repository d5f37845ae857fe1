"""Checkpoints: the weights of a network in whatever was saved, and a published file (Feather et al. 2023) as a model's folder."""

import argparse
import io
import os
import pickle
import re
import struct
import warnings
import zipfile
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from textwrap import shorten
from typing import Any, BinaryIO, NamedTuple

import msgspec
import torch
from torch import Tensor, nn

from audiometamer.errors import AudioMetamerError, AudioMetamerWarning, first_few, first_line
from audiometamer.io.files import atomic_folder
from audiometamer.io.plain_pickle import NUMPY_VALUES, check_hash_cost
from audiometamer.models.cards import Card, FrontEndCard, NetworkCard, WeightsCard
from audiometamer.models.loading import make_network, model_with_weights, save_weights

NETWORKS = {"cochcnn9": "CochCNN9", "cochresnet50": "CochResNet50", "spectemp": "SpecTemp"}
ALIASES = {"kell2018": "cochcnn9", "resnet50": "cochresnet50", "spectemp_filts_time_average_coch1": "spectemp"}  # published

BARE = "load it yourself and save its state dict alone with torch.save"  # where there is no way to say that a file is trusted

_WRAPPER = re.compile(r"(?<=\.)(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")  # torch's, around a module within
_COPIES = re.compile(r"(^|[._])(attacker|ema|teacher|momentum|swa)", re.IGNORECASE)  # of the network that is meant
_DROPPED = re.compile(r"preproc|full_rep|\.all_Hts$")  # front ends and filters, which are rebuilt
_READ_OUT = re.compile(r"(?:classification|fc)(\.(?P<task>.+))?\.weight")
_PUBLISHED_TASK = re.compile(r"signal/(?P<task>.+)_int")
_SEVERAL_LABELS = re.compile(r"noise|.*labels_binary_via_int")  # tasks whose sounds can have several
_ZIP, _PICKLE = b"PK\x03\x04", b"\x80\x02"  # how what torch.save writes begins: now, and before torch 1.6
_OLD_PICKLES = 4  # with which a file from before torch 1.6 begins; behind them are the keys of what follows
_LONGEST_REASON = 160  # characters


def read_checkpoint(path: str | os.PathLike[str], *, trust: bool = False, way_out: str = "say so with --trust") -> Any:
    """What a file of weights holds.

    Parameters
    ----------
    path : path
        A file that `torch.save` wrote, or one that ends in ``.safetensors``. Scalars and arrays of numpy in it become numbers and
        lists.
    trust : bool
        Whether the file may run programs of its own while it is read. Only for files whose maker you trust. Default False.
    way_out : str
        Advice, in an error, for callers who trust the file's maker.

    Raises
    ------
    AudioMetamerError
        If the file cannot be read, or needs more than tensors and plain values and is not trusted: then with the names that it
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
        asked_for = _names_asked_for(path, error)
        if not asked_for:
            raise AudioMetamerError(f"{path} is not a file that torch.save wrote: {_reason(error)}") from error
        if not trust:
            raise AudioMetamerError(
                f"{path} asks for more than tensors and plain containers: {asked_for}. Reading it would run what it names; if "
                f"you trust whoever made it, {way_out}"
            ) from error
        return _read_trusted(path)
    except Exception as error:  # no list of what torch raises at other bytes would be complete
        raise AudioMetamerError(f"{path} is not a file that torch.save wrote: {_reason(error)}") from error
    _check_sizes(content, path)
    return content


def _check_pickles(path: Path, *, newer: bool) -> None:
    """Raise if a file would unpack to more than it is, as `torch.save` compresses nothing, or has keys without end."""
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
    """A part of an archive; `torch.save` may have been told to leave out its check sum, which zipfile insists on."""
    if part.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"its {part.filename} is compressed")
    file.seek(part.header_offset + 26)
    lengths = struct.unpack("<HH", file.read(4))
    file.seek(sum(lengths), os.SEEK_CUR)
    return file.read(part.file_size)


def _check_sizes(content: Any, path: Path) -> None:
    """Raise if a tensor is larger than the file: a view of one number can have any shape."""
    most = path.stat().st_size
    for _, tensors in _state_dicts(content):
        for key, t in tensors.items():
            if t.layout != torch.strided or t.is_meta or t.numel() * t.element_size() > most:
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
    except Exception as error:  # the file runs what it likes
        raise AudioMetamerError(f"{path} cannot be read, even trusted: {_reason(error)}") from error


def _names_asked_for(path: Path, error: Exception) -> str:
    """What a checkpoint needs beyond tensors and plain containers; empty for a pickle that needs nothing and is no checkpoint."""
    try:
        return first_few(sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))) or _reason(error)
    except Exception:  # noqa: BLE001 (broken, or not of the newer format: only the first name is known)
        return ", ".join(re.findall(r"GLOBAL ([\w.]+)", str(error)))


def _reason(error: Exception) -> str:
    reason = str(error).partition("WeightsUnpickler error:")[2].strip()  # torch begins with advice on weights_only
    return shorten(reason.split("\n")[0] or first_line(error), _LONGEST_REASON, placeholder=" …")


class _Found(NamedTuple):
    """Tensors whose keys, after a prefix, are a network's."""

    place: str
    prefix: str
    fitting: int
    tensors: Mapping[str, Tensor]

    @property
    def name(self) -> str:
        return ".".join(filter(None, (self.place, self.prefix.rstrip("."))))

    @property
    def is_copy(self) -> bool:
        return _COPIES.search(self.name) is not None

    def state(self) -> dict[str, Tensor]:
        """All that is under the prefix, by the names of the bare network."""
        return {key.removeprefix(self.prefix): t for key, t in self.tensors.items() if key.startswith(self.prefix)}


def network_state(
    content: Any, keys: Collection[str], source: str | os.PathLike[str] = "the checkpoint"
) -> tuple[dict[str, Tensor], str]:
    """The tensors of a network in whatever was saved, by the names that the bare network has for them.

    State dicts are looked for at any depth of dicts, and behind any prefix that their keys share (``module.`` of DataParallel,
    ``model.`` of Lightning, ``_orig_mod.`` of compiled networks, …), and the one with most of the network's keys is taken; a copy
    (``attacker``, ``ema``, …) only if there is nothing else. What is beside it (a normalizer, an optimizer, a best accuracy) is
    left out; other tensors under the same prefix are kept.

    Parameters
    ----------
    content : object
        See `read_checkpoint`.
    keys : collection of str
        Keys of the network's state dict.
    source : path
        For messages.

    Returns
    -------
    dict of str to Tensor
    str
        The source, and where in it they were found; for messages.

    Raises
    ------
    AudioMetamerError
        If none of the keys is there.

    Warns
    -----
    AudioMetamerWarning
        If there are several such sets of different values, naming the one that is taken.
    """
    found = [one for place, tensors in _state_dicts(content) for one in _behind_prefixes(place, tensors, set(keys))]
    if not found:
        held = [key for _, tensors in _state_dicts(content) for key in tensors]
        what = f"its tensors are {first_few(held)}" if held else "it holds no tensors by name"
        raise AudioMetamerError(
            f"{source} holds no state dict of this network: {what}; the network's are {first_few(list(keys))}"
        )
    most = max(one.fitting for one in found)
    best = min((one for one in found if one.fitting > most / 2), key=lambda one: (one.is_copy, -one.fitting))
    state = best.state()
    equals = [one for one in found if one.fitting == best.fitting and one is not best and not one.is_copy]
    if twins := [one.name for one in equals if not _equal(one.state(), state)]:
        warnings.warn(
            f"{source} holds the weights of several such networks; those under {best.name!r} are taken, not {first_few(twins)}",
            AudioMetamerWarning,
            stacklevel=2,
        )
    stray = [key for key, t in state.items() if key not in keys and t.ndim == 0 and "." not in key]  # an epoch, an accuracy
    place = f"{source} (under {best.name!r})" if best.name else str(source)
    return {key: t for key, t in state.items() if key not in stray}, place


def _state_dicts(content: Any) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Everything in nested containers that holds tensors by name, and where it is first; a whole module has its state dict."""
    waiting: list[tuple[str, Any]] = [("", content)]
    seen: set[int] = set()  # a container can hold itself, or the same one at every depth
    while waiting:
        place, held = waiting.pop()
        if id(held) in seen or not isinstance(held, (nn.Module, list, tuple, Mapping)):
            continue
        seen.add(id(held))
        if isinstance(held, nn.Module):
            held = held.state_dict()
        if isinstance(held, (list, tuple)):
            held = dict(enumerate(held))
        if tensors := {_WRAPPER.sub("", key): t for key, t in held.items() if isinstance(key, str) and isinstance(t, Tensor)}:
            yield place, tensors
        inner = [(str(key if isinstance(key, (str, int)) else type(key).__name__), value) for key, value in held.items()]
        waiting += reversed([(f"{place}.{name}" if place else name, value) for name, value in inner])


def _behind_prefixes(place: str, tensors: Mapping[str, Tensor], keys: set[str]) -> list[_Found]:
    """All prefixes behind which some of the network's keys are found."""
    counts: Counter[str] = Counter()
    for key in tensors:
        parts = key.split(".")
        counts.update(key[: len(key) - len(rest)] for i in range(len(parts)) if (rest := ".".join(parts[i:])) in keys)
    return [_Found(place, prefix, n, tensors) for prefix, n in counts.items()]


def _equal(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def import_checkpoint(
    path: str | os.PathLike[str],
    *,
    network: str,
    labels: Mapping[str, list[str]],
    out: str | os.PathLike[str],
    trust: bool = False,
) -> None:
    """Make the folder of a model, which `load_model` takes, from a published checkpoint.

    Parameters
    ----------
    path : path
        The checkpoint.
    network : {"cochcnn9", "cochresnet50", "spectemp"}
        Or as the published code names them: kell2018, resnet50, spectemp_filts_time_average_coch1.
    labels : mapping of str to list of str
        Names of classes, in order, by task: the one task, or each head's part of its key in the checkpoint, where ``word`` also
        fits ``signal/word_int``. More tasks than the checkpoint has are allowed where it is clear which ones are meant: for a
        checkpoint of one task, the only one with so many classes.
    out : path
        The folder; must not exist.
    trust : bool
        See `read_checkpoint`.

    Raises
    ------
    AudioMetamerError
        If the checkpoint cannot be read or does not fit the network, naming what is missing, left over or of another shape; if
        labels do not fit; if `out` exists or cannot be made.
    """
    network = ALIASES.get(network, network)
    if network not in NETWORKS:
        raise AudioMetamerError(f"there is no network {network!r}; there are {', '.join(NETWORKS)}")
    out = Path(out)
    if out.exists():
        raise AudioMetamerError(f"{out} exists already; name a new folder")
    with torch.device("meta"):
        keys = make_network(NETWORKS[network], 1).state_dict().keys()
    found, source = network_state(read_checkpoint(path, trust=trust), keys, path)
    state = {key: tensor for key, tensor in found.items() if not _DROPPED.search(key)}
    labels = _fitting_labels(path, state, labels)
    card = Card(
        name=out.name,
        sample_rate=20_000,
        duration=2.0,
        level=0.1,
        network=NetworkCard(NETWORKS[network], _options(network, state)),
        front_end=FrontEndCard("feather2023"),
        weights=WeightsCard("weights.safetensors", ""),
        labels=labels,
        multi_label=[task for task in labels if _SEVERAL_LABELS.fullmatch(task)],
        description=f"{NETWORKS[network]}, imported from {Path(path).name}",
        limits=["Imported: its accuracy has not been measured here."],
    )
    model = model_with_weights(card, state, source)
    with atomic_folder(out) as folder:
        card.weights.sha256 = save_weights(model.network, folder / card.weights.file)
        (folder / "model.toml").write_bytes(msgspec.toml.encode(card))


def _options(network: str, state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Keywords of the network's class that its tensors tell."""
    if network == "cochcnn9" and "fullyconnected.bias" in state:
        return {"width": len(state["fullyconnected.bias"]) / 4096}
    if network == "cochresnet50" and "conv1.weight" in state:
        blocks = [len({key.split(".")[1] for key in state if key.startswith(f"layer{i}.")}) for i in range(1, 5)]
        return {"width": len(state["conv1.weight"]) / 64, "blocks": blocks}
    return {}


def _fitting_labels(
    path: str | os.PathLike[str], state: Mapping[str, Tensor], labels: Mapping[str, list[str]]
) -> dict[str, list[str]]:
    """The labels of each read-out of the checkpoint, by the name that it has there."""
    heads = {found["task"]: len(t) for key, t in state.items() if (found := _READ_OUT.fullmatch(key))}
    if not heads:
        raise AudioMetamerError(f"{path} holds no read-out (classification or fc)")
    if None in heads:  # one task, which has no name there
        tasks = [task for task, names in labels.items() if len(names) == heads[None]]
        heads = {" or ".join(tasks) or "word": heads[None]}
    fitting = {head: labels.get(head) or labels.get(_PUBLISHED_TASK.sub(r"\g<task>", head), []) for head in heads}
    if heads != {head: len(names) for head, names in fitting.items()}:
        given = {task: len(names) for task, names in labels.items()}
        raise AudioMetamerError(f"{path} has outputs {_counts(heads)}; the labels are {_counts(given)}")
    return fitting


def _counts(classes: Mapping[str, int]) -> str:
    return ", ".join(f"{task}: {n}" for task, n in classes.items())
