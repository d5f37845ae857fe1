"""Models by name: of the zoo, a folder, another library or package, a function; controls of any of them."""

import difflib
import importlib
import importlib.util
import inspect
import os
import re
import sys
from functools import partial
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from audiometamer.errors import AudioMetamerError
from audiometamer.io.foreign_code import run_foreign
from audiometamer.io.registry import Registry
from audiometamer.io.resources import zoo_folder
from audiometamer.models.controls import control
from audiometamer.models.heard import split_ear, through_ear
from audiometamer.models.model import Model
from audiometamer.models.model_folder import load_folder
from audiometamer.models.published import is_published, published_entry, published_folder
from audiometamer.models.shipped import GONE, zoo

_CONTROL = re.compile(r"(?P<kind>random|permuted):(?P<name>.+):(?P<seed>\d{1,40})")


def load_model(name: str | os.PathLike[str]) -> Model:
    """A model by name.

    Parameters
    ----------
    name : str or path
        One of:

        - a model of the zoo (``cochcnn-word``), or a folder with a ``model.toml``;
        - a published network (``feather2023/cochresnet50``) that `audiometamer.published.get` has fetched;
        - a model of another library: ``torchvision:resnet50``, ``timm:NAME`` (either optionally with ``@FILE`` of weights),
          ``torchaudio:HUBERT_BASE``, ``transformers:FOLDER``, ``hub:OWNER/NAME``, ``torchcrepe:tiny``,
          ``silero-vad:16k``;
        - spectrotemporal modulation: ``modulation:normanhaignere2018``, with options after it, such as
          ``modulation:normanhaignere2018/seconds=2``; see `audiometamer.models.adapters.modulation_models`;
        - sound-texture statistics: ``texture:mcdermott2011`` or ``texture:toolbox``, with options after it, such as
          ``texture:toolbox/seconds=30/without=envelope_correlation``; see `audiometamer.models.adapters.textures`;
        - ``NAME`` or ``NAME:CHOICE``, where an installed package registers NAME as an entry point in the group
          ``audiometamer.models``: a function, called without arguments or with the choice, that returns a model as below;
        - ``package.module:function``, a function without arguments that returns a `Model`, or a module with attributes
          `sample_rate` and `duration` (and `channels` for two-channel sounds), or `signal_shape`;
        - a control made from any of these (Feather et al. 2023): ``random:NAME:SEED``, reinitialised, or
          ``permuted:NAME:SEED``, with every tensor of the state dict permuted; see `audiometamer.models.controls`;
        - several at once, ``NAME+NAME``; see `audiometamer.models.adapters.joined`;
        - any of these that takes sounds, through an ear: ``cochcnn-word~msbg:N3``; see `audiometamer.models.heard`.

    Returns
    -------
    Model
        On the CPU.

    Raises
    ------
    AudioMetamerError
        If there is no such model, or its card, weights or function are not as they should be.
    """
    if not isinstance(name, str | os.PathLike):
        raise AudioMetamerError(f"the name of a model is a {type(name).__name__}; it must be a string or a path")
    text = os.fspath(name)
    is_folder = bool(text) and os.path.isdir(text)  # noqa: PTH112 (a name of 300 letters is none, which Path raises at)
    if not is_folder and (heard := split_ear(text)) is not None:
        return through_ear(load_model(heard[0]), heard[1])
    if found := _CONTROL.fullmatch(text):
        return control(found["kind"], load_model(found["name"]), int(found["seed"]))
    if is_folder:
        return load_folder(Path(text))
    if text in zoo():
        return load_folder(zoo_folder() / text)
    if is_published(text):
        return _published(text)
    if text in GONE:
        raise AudioMetamerError(f"{text} {GONE[text]}")
    if "+" in text:
        return _adapted("joined", text)
    prefix, colon, rest = text.partition(":")
    if colon and prefix in MODELS.own:
        return _model_of(MODELS.make(prefix, rest), text, prefix)
    if prefix in MODELS.registered():
        return _model_of(MODELS.make(prefix, *([rest] if colon else [])), text, prefix)
    if re.fullmatch(r"[\w.]+:\w+", text):
        return _load_function(text)
    nearest = difflib.get_close_matches(text, zoo(), n=1)
    hint = f" (did you mean {nearest[0]!r}?)" if nearest else ""
    raise AudioMetamerError(
        f"there is no model {text!r}{hint}: it is not in the zoo ({', '.join(zoo())}), not a folder, and none "
        "of the other names that `audiometamer synth --help` lists"
    )


def _published(name: str) -> Model:
    """A published network, or its control, from where it was fetched to."""
    folder = published_folder(name)
    seed = published_entry(name).permuted_seed
    if seed is None:
        return load_folder(folder)
    model = control("permuted", load_folder(folder), seed)
    model.name = name
    return model


def _adapted(adapter: str, text: str) -> Model:
    model: Model = importlib.import_module(f"audiometamer.models.adapters.{adapter}").load(text)
    return model


MODELS = Registry(
    "audiometamer.models",
    "model",
    {
        "hub": partial(_adapted, "hub_models"),
        "modulation": partial(_adapted, "modulation_models"),
        "texture": partial(_adapted, "textures"),
        "silero-vad": partial(_adapted, "silero_vad_model"),
        "timm": partial(_adapted, "timm_models"),
        "torchaudio": partial(_adapted, "torchaudio_models"),
        "torchcrepe": partial(_adapted, "torchcrepe_model"),
        "torchvision": partial(_adapted, "torchvision_models"),
        "transformers": partial(_adapted, "transformers_models"),
    },
)


def _imported(name: str) -> ModuleType:
    """A module by name; if its package is found only in the current folder, that is added to the end of the search path."""
    package, here = name.partition(".")[0], str(Path.cwd())
    elsewhere = package in sys.modules or importlib.util.find_spec(package) is not None
    if not elsewhere and PathFinder.find_spec(package, [here]) is not None:
        sys.path.append(here)
    return importlib.import_module(name)


def _load_function(text: str) -> Model:
    module_name, function_name = text.split(":")
    module = run_foreign(f"model {text!r}: {module_name} cannot be imported", _imported, module_name)
    function = getattr(module, function_name, None)
    if not callable(function) or inspect.isbuiltin(function):  # none of these makes a model; os.abort is one
        where = getattr(module, "__file__", None) or "built in"
        raise AudioMetamerError(f"model {text!r}: {module_name} ({where}) has no function {function_name} that returns a model")
    failure = f"model {text!r}: the function failed"
    return run_foreign(failure, _model_of, run_foreign(failure, function), text, function_name)


def _model_of(made: Any, text: str, name: str) -> Model:
    """The result of a function as a model of that name."""
    if isinstance(made, Model):
        return made
    if not isinstance(made, nn.Module):
        raise AudioMetamerError(f"model {text!r}: {name} returns {made!r:.50}; it must return an am.Model or a module")
    known = {key: getattr(made, key) for key in ("sample_rate", "duration", "signal_shape", "labels") if hasattr(made, key)}
    if getattr(made, "channels", None) == 2:  # many networks use this name for the width of their layers
        known["channels"] = 2
    if not {"sample_rate", "duration"} <= known.keys() and "signal_shape" not in known:
        raise AudioMetamerError(
            f"model {text!r}: the {type(made).__name__} says neither sample_rate and duration nor signal_shape; give it these "
            "attributes, or return an am.Model"
        )
    return Model(made, **known, name=name)
