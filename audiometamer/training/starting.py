"""Initial weights, drawn at random or those of another model, and the parameters that leave them."""

import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from audiometamer.errors import AudioMetamerError
from audiometamer.models.loading import load_model

_READ_OUT = re.compile(r"(?:classification|fc)(?:\.(?P<task>.+))?\.(?P<kind>weight|bias)")


def draw_weights(network: nn.Module) -> None:
    """Draw the weights of all convolutions and linear layers as He et al. (2015, equation 10) did; biases become zero.

    The variance is 2 / fan-in, so that signals neither grow nor shrink from one ReLU layer to the next. PyTorch's own is
    1 / (3 fan-in): without normalisation signals shrink by 0.4 at every layer, and many classes take long to learn.

    Examples
    --------
    >>> layer = nn.Linear(1000, 1000)
    >>> draw_weights(layer)
    >>> bool(0.99 < layer.weight.detach().var() * 500 < 1.01), bool(layer.bias.any())
    (True, False)
    """
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def start_from(network: nn.Module, name: str, labels: Mapping[str, Sequence[str]]) -> list[str]:
    """Copy the weights of another model's network, where names and shapes agree; in read-outs, those of the classes of both.

    Parameters
    ----------
    network : Module
    name : str
        Name or folder of the other model.
    labels : dict of str to list of str
        Classes of the network, by task.

    Returns
    -------
    list of str
        Keys of the state dict that keep their own initial weights, such as those of a read-out of other classes; if only some
        classes of a read-out do, with their number.

    Raises
    ------
    AudioMetamerError
        If there is no such model, or no tensor fits.
    """
    other, own = load_model(name), network.state_dict()
    others = other.network.state_dict()
    other_labels = {} if other.card is None else other.card.labels
    other_read_outs = {found: key for key in others if (found := _read_out(key, other_labels))}
    fitting: dict[str, Tensor] = {}
    random: list[str] = []
    for key, tensor in own.items():
        read_out = _read_out(key, labels)
        there = others.get(other_read_outs.get(read_out, "") if read_out else key)
        if there is None or there.shape[read_out is not None :] != tensor.shape[read_out is not None :]:
            random.append(key)
        elif read_out is None:
            fitting[key] = there
        else:
            task = read_out[0]
            rows = dict(zip(other_labels[task], there, strict=True))
            fitting[key] = torch.stack([rows.get(label, row) for label, row in zip(labels[task], tensor, strict=True)])
            if new := [label for label in labels[task] if label not in rows]:
                random.append(f"{key} ({len(new)} of {len(labels[task])} classes)")
    if not any(tensor.ndim > 1 for tensor in fitting.values()):  # single numbers fit anywhere
        raise AudioMetamerError(f"start_from is {name}, whose network has no weights that fit this one's: other names or shapes")
    network.load_state_dict(own | fitting)
    return random


def _read_out(key: str, labels: Mapping[str, Sequence[str]]) -> tuple[str, str] | None:
    """Task and kind (weight, bias) of a read-out's tensor; None for other tensors."""
    if not (match := _READ_OUT.fullmatch(key)):
        return None
    task = match["task"] or next(iter(labels), "")
    return (task, match["kind"]) if task in labels else None


def trained_parameters(network: nn.Module, frozen: Sequence[str]) -> list[nn.Parameter]:
    """The parameters that training may change: all but those of the frozen modules.

    Parameters
    ----------
    network : Module
    frozen : sequence of str
        Names of modules.

    Raises
    ------
    AudioMetamerError
        If a module does not exist or has no parameters, or if all parameters are frozen.

    Examples
    --------
    >>> network = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> [tuple(parameter.shape) for parameter in trained_parameters(network, ["0"])]
    [(1, 3), (1,)]
    """
    modules = {name: module for name, module in network.named_modules() if any(True for _ in module.parameters())}
    if unknown := set(frozen) - modules.keys():
        known = ", ".join(name for name in modules if name)
        raise AudioMetamerError(f"frozen is {', '.join(sorted(unknown))}, not a module with parameters; those are {known}")
    fixed = {id(parameter) for name in frozen for parameter in modules[name].parameters()}
    trained = [parameter for parameter in network.parameters() if id(parameter) not in fixed]
    if not trained:
        raise AudioMetamerError(f"frozen is {', '.join(frozen)}: nothing is left to train")
    return trained
