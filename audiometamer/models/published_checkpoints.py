"""A published checkpoint (Feather et al. 2023) as a model's folder."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor

from audiometamer.errors import AudioMetamerError
from audiometamer.io.files import atomic_folder
from audiometamer.models.cards import Card, FrontEndCard, NetworkCard, WeightsCard
from audiometamer.models.checkpoints import read_checkpoint
from audiometamer.models.model_folder import model_with_weights, save_weights
from audiometamer.models.published import ALIASES, NETWORKS
from audiometamer.models.state_dicts import network_state
from audiometamer.networks.registry import make_network

_DROPPED = re.compile(r"preproc|full_rep|\.all_Hts$")  # front ends and filters, which are rebuilt
_READ_OUT = re.compile(r"(?:classification|fc)(\.(?P<task>.+))?\.weight")
_PUBLISHED_TASK = re.compile(r"signal/(?P<task>.+)_int")
_SEVERAL_LABELS = re.compile(r"noise|.*labels_binary_via_int")  # tasks whose sounds can have several


def import_checkpoint(
    path: str | os.PathLike[str],
    *,
    network: str,
    labels: Mapping[str, list[str]],
    out: str | os.PathLike[str],
    trust: bool = False,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Make the folder of a model, which `load_model` takes, from a published checkpoint.

    Parameters
    ----------
    path : path
        File of the checkpoint.
    network : {"cochcnn9", "cochresnet50", "spectemp"}
        Or the names in the published code: kell2018, resnet50, spectemp_filts_time_average_coch1.
    labels : mapping of str to list of str
        Names of the classes, in order, by task. A task is named as its head in the keys of the checkpoint, where ``word`` also
        matches ``signal/word_int``; the only task of a checkpoint can have any name. Further tasks are ignored where it is clear
        which ones are meant: for a checkpoint of one task, the only one with that number of classes.
    out : path
        The new folder; it must not exist.
    trust : bool
        See `read_checkpoint`.
    details : mapping of str to object, optional
        Further fields of its `Card`, such as ``paper``. Default: none.

    Raises
    ------
    AudioMetamerError
        If the checkpoint cannot be read or does not fit the network, with the tensors that are missing, left over or of another
        shape; if labels do not fit; if `out` exists or cannot be made.
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
    labels = _labels_by_head(path, state, labels)
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
    card = msgspec.structs.replace(card, **(details or {}))
    model = model_with_weights(card, state, source)
    with atomic_folder(out) as folder:
        card.weights.sha256 = save_weights(model.network, folder / card.weights.file)
        (folder / "model.toml").write_bytes(msgspec.toml.encode(card))


def _options(network: str, state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Keywords of the network's class, from the shapes of its tensors."""
    if network == "cochcnn9" and "fullyconnected.bias" in state:
        return {"width": len(state["fullyconnected.bias"]) / 4096}
    if network == "cochresnet50" and "conv1.weight" in state:
        blocks = [len({key.split(".")[1] for key in state if key.startswith(f"layer{i}.")}) for i in range(1, 5)]
        return {"width": len(state["conv1.weight"]) / 64, "blocks": blocks}
    return {}


def _labels_by_head(
    path: str | os.PathLike[str], state: Mapping[str, Tensor], labels: Mapping[str, list[str]]
) -> dict[str, list[str]]:
    """The labels of each read-out of the checkpoint, by its name there."""
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
