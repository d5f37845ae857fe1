"""Published checkpoints (Feather et al. 2023): from their files to the folder of a model."""

import os
import pickle
import re
import shutil
import struct
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor

from audiometamer.cards import Card, FrontEndCard, NetworkCard, WeightsCard
from audiometamer.errors import AudioMetamerError, first_line
from audiometamer.loading import fitted, save_weights

NETWORKS = {"cochcnn9": "CochCNN9", "cochresnet50": "CochResNet50", "spectemp": "SpecTemp"}

_KEPT = re.compile(r"module\.model\.")
_DROPPED = re.compile(r"preproc|full_rep|\.all_Hts$")  # front ends and filters, which are rebuilt
_READ_OUT = re.compile(r"(?:classification|fc)(\.(?P<task>.+))?\.weight")
_PUBLISHED_TASK = re.compile(r"signal/(?P<task>.+)_int")
_SEVERAL_LABELS = re.compile(r"noise|.*labels_binary_via_int")  # tasks whose sounds can have several
_BEGINNINGS = (b"PK\x03\x04", b"\x80")  # of what torch.save writes: a zip, or before torch 1.6 a pickle
# What a reader of pickles stumbles over in other bytes.
_NO_PICKLE = (RuntimeError, EOFError, OSError, ValueError, LookupError, AttributeError, TypeError, struct.error)


def read_checkpoint(path: str | os.PathLike[str], *, trust: bool = False) -> dict[str, Tensor]:
    """The tensors of a checkpoint, by the names they have there.

    Parameters
    ----------
    path : path
        A file that `torch.save` wrote: a state dict, or a dict with one under ``model``.
    trust : bool
        Whether the file may run programs of its own while it is read. Only for files whose maker you trust. Default False.

    Raises
    ------
    AudioMetamerError
        If the file cannot be read, holds no state dict, or needs more than tensors and plain containers and is not trusted: then
        with the names that it asks for.
    """
    path = Path(path)
    if not path.is_file():
        raise AudioMetamerError(f"{path} is not a file")
    try:
        with path.open("rb") as file:
            beginning = file.read(20)
    except OSError as error:
        raise AudioMetamerError(f"{path} cannot be read: {error.strerror}") from error
    if not beginning.startswith(_BEGINNINGS):
        why = f"it begins with {beginning!r}" if beginning else "it is empty (0 bytes)"
        raise AudioMetamerError(f"{path} is not a file that torch.save wrote: {why}")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        asked_for = _names_asked_for(path, error)
        if not asked_for:
            raise AudioMetamerError(f"{path} is not a file that torch.save wrote: {_reason(error)}") from error
        if not trust:
            raise AudioMetamerError(
                f"{path} asks for more than tensors and plain containers: {asked_for}. Reading it would run what it names; if "
                "you trust whoever made it, say so with --trust"
            ) from error
        content = _read_trusted(path)
    except _NO_PICKLE as error:
        raise AudioMetamerError(f"{path} is not a file that torch.save wrote: {_reason(error)}") from error
    if isinstance(content, Mapping) and isinstance(content.get("model"), Mapping):
        content = content["model"]
    tensors = {str(k): v for k, v in content.items() if isinstance(v, Tensor)} if isinstance(content, Mapping) else {}
    if not tensors:
        raise AudioMetamerError(f"{path} holds no state dict, neither by itself nor under 'model'")
    return tensors


def _read_trusted(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=False)
    except ModuleNotFoundError as error:
        raise AudioMetamerError(f"{path} needs the Python module {error.name}, which is not installed") from error
    except (pickle.UnpicklingError, *_NO_PICKLE) as error:
        raise AudioMetamerError(f"{path} cannot be read, even trusted: {_reason(error)}") from error


def _names_asked_for(path: Path, error: Exception) -> str:
    """What a checkpoint needs beyond tensors and plain containers; empty for a pickle that needs nothing and is no checkpoint."""
    try:
        return ", ".join(torch.serialization.get_unsafe_globals_in_checkpoint(path)) or _reason(error)
    except (ValueError, RuntimeError):  # not of torch's newer format: only the first name is known
        return ", ".join(re.findall(r"GLOBAL ([\w.]+)", str(error)))


def _reason(error: Exception) -> str:
    reason = str(error).partition("WeightsUnpickler error:")[2].strip()  # torch begins with advice on weights_only
    return reason.split("\n")[0] or first_line(error)


def network_state(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The network's own part of a published state dict, by the names of the bare network.

    Keeps ``module.model.…`` and ``module.model.1.…``; drops the front end, rebuilt filters, and ``module.attacker``, which holds
    all of it once more. A state dict without any such name is taken as that of a bare network.
    """
    if not any(_KEPT.match(key) for key in tensors):
        return dict(tensors)
    state = {key[len("module.model.") :]: t for key, t in tensors.items() if _KEPT.match(key) and not _DROPPED.search(key)}
    numbered = all(key.startswith("1.") for key in state)
    return {key.removeprefix("1.") if numbered else key: tensor for key, tensor in state.items()}


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
    if network not in NETWORKS:
        raise AudioMetamerError(f"there is no network {network!r}; there are {', '.join(NETWORKS)}")
    out = Path(out)
    if out.exists():
        raise AudioMetamerError(f"{out} exists already; name a new folder")
    state = network_state(read_checkpoint(path, trust=trust))
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
    model = fitted(card, state, Path(path))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    except OSError as error:
        raise AudioMetamerError(f"could not make the folder {out}: {error.filename}: {error.strerror}") from error
    try:
        card.weights.sha256 = save_weights(model.network, folder / card.weights.file)
        (folder / "model.toml").write_bytes(msgspec.toml.encode(card))
        folder.chmod(0o755)
        folder.rename(out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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
