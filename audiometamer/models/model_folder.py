"""A model's folder: the model of a card and a weight file, and the weights of a network as a file."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from audiometamer.ears import make_ear, make_front_end
from audiometamer.errors import AudioMetamerError, first_few, first_line
from audiometamer.io.files import atomic_write
from audiometamer.models.cards import Card, WeightsDtype, read_card
from audiometamer.models.checking import check_weights
from audiometamer.models.ear_front_end import EarFrontEnd
from audiometamer.models.layer_info import declared_layers
from audiometamer.models.model import Model
from audiometamer.networks.registry import make_network

_FRONT_END = ("ear", "cochleagram", "front_end")  # layers, which every model lists first
_SMALL = 10**8  # weights of a network that fits anywhere


def load_folder(folder: Path) -> Model:
    """The model of a folder with a ``model.toml``, on the CPU, ready for use.

    Raises
    ------
    AudioMetamerError
        If the card or the weights are not as they should be.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    card = read_card(folder)
    path = folder / card.weights.file
    if not path.is_file():
        raise AudioMetamerError(f"{path} does not exist; {folder / 'model.toml'} names it as the weights")
    content = path.read_bytes()
    try:
        weights = load(content)
    except SafetensorError as error:
        raise AudioMetamerError(f"{path} is not a safetensors file (a pickle, perhaps?): {error}") from error
    if (found := hashlib.sha256(content).hexdigest()) != card.weights.sha256:
        raise AudioMetamerError(f"{path} has SHA-256 {found}, but its card says {card.weights.sha256}: a changed file?")
    model = model_with_weights(card, weights, path)
    model.folder = folder
    return model


def model_with_weights(card: Card, weights: Mapping[str, Tensor], source: str | os.PathLike[str]) -> Model:
    """The model of a card with a state dict, ready for use; not checked.

    Raises
    ------
    AudioMetamerError
        If the state dict, which came from `source`, does not fit; see `load_state`.
    """
    _check_size(card, weights, source)
    with torch.random.fork_rng(devices=[]):  # the weights it is built with do not matter
        model = build_model(card)
    load_state(model.network, weights, source)
    model.eval().requires_grad_(False)
    return model


def build_model(card: Card) -> Model:
    """The model of a card, with random weights; not checked."""
    network = _network(card)
    try:
        front_end = make_front_end(card.front_end.preset, **card.front_end.options)
    except (TypeError, ValueError, ArithmeticError, RuntimeError) as error:  # options that make no network
        raise AudioMetamerError(f"the card of {card.name}: {first_line(error)}") from error
    if (rate := getattr(front_end, "sample_rate", card.sample_rate)) != card.sample_rate:
        raise AudioMetamerError(
            f"the card of {card.name}: the front end takes {rate} Hz and the model {card.sample_rate}; set sample_rate in the "
            "front end's options too"
        )
    model = Model(
        network,
        front_end=_heard(front_end, card),
        sample_rate=card.sample_rate,
        duration=card.duration,
        level=card.level,
        labels=card.labels,
        layers=_listed(card, network),
        name=card.name,
        check=False,
    )
    model.card = card
    return model


def _heard(front_end: nn.Module, card: Card) -> nn.Module:
    """The front end of a card behind the ear of the card, if it names one."""
    if not card.front_end.ear:
        return front_end
    ear = make_ear(card.front_end.ear, sample_rate=card.sample_rate, clip_level=card.level)
    if not getattr(ear, "gives_sound", False):
        raise AudioMetamerError(
            f"the card of {card.name}: the ear {card.front_end.ear} gives no sound for {card.front_end.preset}; name it as preset"
        )
    return EarFrontEnd(ear, front_end)


def _listed(card: Card, network: nn.Module) -> dict[str, str] | None:
    """The modules of the layers that a card lists, but that of its front end; None if it lists none."""
    own = declared_layers(network) or {}
    return {name: own.get(name, name) for name in card.layers if name not in _FRONT_END} or None


def _network(card: Card) -> nn.Module:
    outputs = {task: len(labels) for task, labels in card.labels.items()}
    try:
        return make_network(
            card.network.name, next(iter(outputs.values())) if len(outputs) == 1 else outputs, **card.network.options
        )
    except (TypeError, ValueError, ArithmeticError, RuntimeError) as error:  # options that make no network
        raise AudioMetamerError(f"the card of {card.name}: {first_line(error)}") from error


def _check_size(card: Card, weights: Mapping[str, Tensor], source: str | os.PathLike[str]) -> None:
    """Raise if a card's network, built without memory for its weights, is much larger: it might not fit into memory."""
    with torch.device("meta"):
        network = _network(card)
    needed, given = (sum(tensor.numel() for tensor in tensors.values()) for tensors in (network.state_dict(), weights))
    if needed > max(10 * given, _SMALL):
        raise AudioMetamerError(
            f"{source} holds {given} numbers, but the network of its card has {needed}; another card's weights?"
        )


def load_state(network: nn.Module, weights: Mapping[str, Tensor], source: str | os.PathLike[str]) -> None:
    """Load a network's weights, of any precision; counters of batches may be missing: they matter only in training.

    Raises
    ------
    AudioMetamerError
        If they do not fit, with up to three of the tensors that are missing, left over or of another shape, or if weights are not
        finite.
    """
    own = network.state_dict()
    state = {key: weights.get(key, tensor) for key, tensor in own.items()}
    wrong = {
        "missing": [key for key in own if key not in weights and not key.endswith("num_batches_tracked")],
        "left over": [key for key in weights if key not in own],
        "of another shape": [key for key in own if state[key].shape != own[key].shape],
    }
    if problems := "; ".join(f"{what}: {first_few(keys)}" for what, keys in wrong.items() if keys):
        raise AudioMetamerError(f"{source} does not fit {type(network).__name__}: {problems}")
    network.load_state_dict(state)
    check_weights(network, os.fspath(source))


def stored_state(network: nn.Module, dtype: WeightsDtype) -> dict[str, Tensor]:
    """A network's state dict as a file holds it.

    In ``float16``, the matrices and kernels are rounded; biases and the statistics of normalisation, a thousandth of the numbers
    but spread over many orders of magnitude, are not.
    """
    state = {key: tensor.detach().cpu().contiguous() for key, tensor in network.state_dict().items()}
    if dtype == "float32":
        return state
    return {key: tensor.half() if tensor.dtype == torch.float32 and tensor.ndim > 1 else tensor for key, tensor in state.items()}


def save_weights(network: nn.Module, path: Path, *, dtype: WeightsDtype = "float32") -> str:
    """Write a network's state dict as safetensors; returns the SHA-256 of the file."""
    from safetensors.torch import save

    content = save(stored_state(network, dtype))
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)
    return hashlib.sha256(content).hexdigest()
