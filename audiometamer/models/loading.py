"""Models by name: of the zoo, a folder, another library, a function; controls of any of them."""

import difflib
import hashlib
import importlib
import importlib.util
import inspect
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from audiometamer import networks
from audiometamer.ears import front_end
from audiometamer.errors import AudioMetamerError, first_few, first_line, one_line
from audiometamer.io.files import atomic_write
from audiometamer.io.resources import zoo_folder
from audiometamer.models.cards import Card, read_card
from audiometamer.models.checking import check_weights
from audiometamer.models.controls import control
from audiometamer.models.model import Model
from audiometamer.networks.heads import Outputs

# the module of audiometamer.models.adapters whose load(REST) gives the model PREFIX:REST
_ADAPTERS = {
    "silero-vad": "silero_vad_model",
    "timm": "timm_models",
    "torchaudio": "torchaudio_models",
    "torchcrepe": "torchcrepe_model",
    "torchvision": "torchvision_models",
    "transformers": "transformers_models",
}
_SMALL = 10**8  # weights of a network that fits anywhere
_CONTROL = re.compile(r"(?P<kind>random|permuted):(?P<name>.+):(?P<seed>\d{1,40})")


def load_model(name: str | os.PathLike[str]) -> Model:
    """A model by name.

    Parameters
    ----------
    name : str or path
        A model of the zoo (``cochcnn-word``), or a folder with a ``model.toml``. One of another library:
        ``torchvision:resnet50``, ``timm:NAME``, either perhaps with ``@FILE`` of weights, ``torchaudio:HUBERT_BASE``,
        ``transformers:FOLDER``, ``torchcrepe:tiny``, ``silero-vad:16k``. ``package.module:function``, a function without
        arguments that returns a `Model`, or a module with attributes `sample_rate` and `duration` (of two-channel sounds also
        `channels`), or `signal_shape`. A control made of any of these (Feather et al. 2023): ``random:NAME:SEED``, initialised
        anew, or ``permuted:NAME:SEED``, with every tensor of the state dict permuted within itself; see
        `audiometamer.models.controls`. Several at once: ``NAME+NAME``, see
        `audiometamer.models.adapters.joined`.

    Returns
    -------
    Model
        On the CPU.

    Raises
    ------
    AudioMetamerError
        If there is none of that name, or its card, weights or function are not as they should be.
    """
    text = os.fspath(name)
    if found := _CONTROL.fullmatch(text):
        return control(found["kind"], load_model(found["name"]), int(found["seed"]))
    if text and os.path.isdir(text):  # noqa: PTH112 (a name of 300 letters is none, which Path raises at)
        return _load_folder(Path(text))
    if text in zoo():
        return _load_folder(zoo_folder() / text)
    if "+" in text:
        return _adapted("joined", text)
    prefix, colon, rest = text.partition(":")
    if colon and prefix in _ADAPTERS:
        return _adapted(_ADAPTERS[prefix], rest)
    if re.fullmatch(r"[\w.]+:\w+", text):
        return _load_function(text)
    nearest = difflib.get_close_matches(text, zoo(), n=1)
    meant = f" (did you mean {nearest[0]!r}?)" if nearest else ""
    raise AudioMetamerError(
        f"there is no model {text!r}{meant}: it is not in the zoo ({', '.join(zoo())}), not a folder, and none "
        "of the other names that `audiometamer synth --help` lists"
    )


def _adapted(adapter: str, text: str) -> Model:
    found: Model = importlib.import_module(f"audiometamer.models.adapters.{adapter}").load(text)
    return found


def zoo() -> list[str]:
    """Names of the models that come with audiometamer."""
    return sorted(card.parent.name for card in zoo_folder().glob("*/model.toml"))


def make_network(name: str, outputs: Outputs, **options: Any) -> nn.Module:
    """A network of `audiometamer.networks` by the name of its class, with random weights."""
    if name not in networks.__all__:
        raise AudioMetamerError(f"there is no network {name!r}; there are {', '.join(networks.__all__)}")
    network_class: Callable[..., nn.Module] = getattr(networks, name)
    return network_class(outputs, **options)


def _network(card: Card) -> nn.Module:
    outputs = {task: len(labels) for task, labels in card.labels.items()}
    try:
        return make_network(
            card.network.name, next(iter(outputs.values())) if len(outputs) == 1 else outputs, **card.network.options
        )
    except (TypeError, ValueError, ArithmeticError, RuntimeError) as error:  # options that make no network
        raise AudioMetamerError(f"the card of {card.name}: {first_line(error)}") from error


def build_model(card: Card) -> Model:
    """The model of a card, with random weights, not yet checked."""
    network = _network(card)
    try:
        ears = front_end(card.front_end.preset, **card.front_end.options)
    except (TypeError, ValueError, ArithmeticError, RuntimeError) as error:  # options that make no network
        raise AudioMetamerError(f"the card of {card.name}: {first_line(error)}") from error
    if (rate := getattr(ears, "sample_rate", card.sample_rate)) != card.sample_rate:
        raise AudioMetamerError(
            f"the card of {card.name}: the front end takes {rate} Hz and the model {card.sample_rate}; set sample_rate in the "
            "front end's options too"
        )
    model = Model(
        network,
        front_end=ears,
        sample_rate=card.sample_rate,
        duration=card.duration,
        level=card.level,
        labels=card.labels,
        name=card.name,
        check=False,
    )
    model.card = card
    return model


def _load_folder(folder: Path) -> Model:
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
    """The model of a card with a state dict, ready for use; not yet checked.

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


def _check_size(card: Card, weights: Mapping[str, Tensor], source: str | os.PathLike[str]) -> None:
    """Raise if a card's network, built without room for its weights, is much larger than these: it might not fit into memory."""
    with torch.device("meta"):
        network = _network(card)
    needed, given = (sum(tensor.numel() for tensor in tensors.values()) for tensors in (network.state_dict(), weights))
    if needed > max(10 * given, _SMALL):
        raise AudioMetamerError(
            f"{source} holds {given} numbers, but the network of its card has {needed}; another card's weights?"
        )


def load_state(network: nn.Module, weights: Mapping[str, Tensor], source: str | os.PathLike[str]) -> None:
    """Give a network its weights; the counters of batches, which nothing depends on in use, may be missing.

    Raises
    ------
    AudioMetamerError
        If they do not fit, with up to three of the tensors that are missing, left over or of another shape, or are not finite.
    """
    own = network.state_dict()
    state = {key: weights.get(key, tensor) for key, tensor in own.items()}
    wrong = {
        "missing": [key for key in own if key not in weights and not key.endswith("num_batches_tracked")],
        "left over": [key for key in weights if key not in own],
        "of another shape": [key for key in own if state[key].shape != own[key].shape],
    }
    if told := "; ".join(f"{what}: {first_few(keys)}" for what, keys in wrong.items() if keys):
        raise AudioMetamerError(f"{source} does not fit {type(network).__name__}: {told}")
    network.load_state_dict(state)
    check_weights(network, os.fspath(source))


def save_weights(network: nn.Module, path: Path) -> str:
    """Write a network's state dict as safetensors; returns the SHA-256 of the file."""
    from safetensors.torch import save

    content = save({key: tensor.detach().cpu().contiguous() for key, tensor in network.state_dict().items()})
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def _imported(name: str) -> ModuleType:
    """A module; its package may also lie in the current folder, which is then searched after all others, now and later."""
    package, here = name.partition(".")[0], str(Path.cwd())
    elsewhere = package in sys.modules or importlib.util.find_spec(package) is not None
    if not elsewhere and PathFinder.find_spec(package, [here]) is not None:
        sys.path.append(here)
    return importlib.import_module(name)


@contextmanager
def _foreign(failure: str) -> Iterator[None]:
    """Report in one line, with its place, whatever somebody else's code raises, and its attempts to end the process.

    Standard input is empty for it: code that asks a person there, as a debugger does, must not wait for an answer.
    """
    before, error = sys.stdin, None
    with Path(os.devnull).open() as sys.stdin:
        try:
            yield
        except (AudioMetamerError, KeyboardInterrupt):  # also that of a handler of SIGTERM
            raise
        except BaseException as raised:  # noqa: BLE001 (anything can be in it)
            error = raised
        finally:
            sys.stdin = before
    if error is not None:
        kind = "" if isinstance(error, ImportError) else type(error).__name__
        told = ": ".join(filter(None, (kind, one_line(error))))
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = "" if last.filename == __file__ or last.filename.startswith("<") else f", {last.filename}:{last.lineno}"
        raise AudioMetamerError(f"{failure} ({told}{where})") from error


def _load_function(text: str) -> Model:
    module_name, function_name = text.split(":")
    with _foreign(f"model {text!r}: {module_name} cannot be imported"):
        module = _imported(module_name)
    function = getattr(module, function_name, None)
    if not callable(function) or inspect.isbuiltin(function):  # of those, os.abort among them, none makes a model
        where = getattr(module, "__file__", None) or "built in"
        raise AudioMetamerError(f"model {text!r}: {module_name} ({where}) has no function {function_name} that returns a model")
    with _foreign(f"model {text!r}: the function failed"):
        return _model_of(function(), text, function_name)


def _model_of(made: Any, text: str, name: str) -> Model:
    """What somebody's function returned, as a model of that name."""
    if isinstance(made, Model):
        return made
    if not isinstance(made, nn.Module):
        raise AudioMetamerError(f"model {text!r}: {name} returns {made!r:.50}; it must return an am.Model or a module")
    known = {key: getattr(made, key) for key in ("sample_rate", "duration", "signal_shape", "labels") if hasattr(made, key)}
    if getattr(made, "channels", None) == 2:  # many a network calls the width of its layers so
        known["channels"] = 2
    if not {"sample_rate", "duration"} <= known.keys() and "signal_shape" not in known:
        raise AudioMetamerError(
            f"model {text!r}: the {type(made).__name__} says neither sample_rate and duration nor signal_shape; give it these "
            "attributes, or return an am.Model"
        )
    return Model(made, **known, name=name)
