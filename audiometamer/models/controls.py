"""Controls (Feather et al. 2023): the same network with meaningless weights, reinitialised or permuted."""

import inspect
import re
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from audiometamer.errors import AudioMetamerError
from audiometamer.io.integers import as_seed
from audiometamer.models.model import Model

_RESETS = ("reset_parameters", "_reset_parameters", "init_weights")  # names of methods by which modules initialise themselves
_EMBEDDINGS = re.compile(r"(cls|class|dist|mask|reg|register)_?tokens?|pos\w*_?emb\w*|relative_position_bias_table")
_EMBEDDINGS_SD = 0.02  # of a normal distribution truncated at ±2 SD (Dosovitskiy et al. 2021, and later transformers)
_POWER_ITERATIONS = 50


def control(kind: str, model: Model, seed: int) -> Model:
    """Replace a model's weights, and drop its null distribution.

    Parameters
    ----------
    kind : {"random", "permuted"}
        ``random``: the network as it is before training: from the model's `untrained`, the configuration of a transformers
        network, or else module by module by `reset_parameters` (`_reset_parameters`, `init_weights`). Class tokens, position
        embeddings and tables of position biases that no such method sets are drawn from the truncated normal distribution of
        standard deviation 0.02 that is usual for them. ``permuted``: the values of every tensor of the state dict shuffled.
    model : Model
        It is changed in place.
    seed : int
        Random seed; it gives the same weights on every device.

    Returns
    -------
    Model
        The model.

    Raises
    ------
    AudioMetamerError
        If a trained tensor would remain, or cannot be changed, with its name.
    """
    if frozen := [name for name, tensor in _tensors(model).items() if tensor.is_inference()]:
        raise AudioMetamerError(
            f"{model.name} was made under torch.inference_mode(), so {frozen[0]} cannot be changed; make it under torch.no_grad()"
        )
    generator = torch.Generator().manual_seed(as_seed(seed))
    device = model.device
    model.cpu()
    with torch.no_grad():
        if kind == "random":
            _initialise(model, int(torch.randint(2**62, (), generator=generator)))
        else:
            _permute(model, generator)
    model.to(device)
    model.name, model.card, model.folder = f"{kind}-{model.name}-{seed}", None, None
    return model


def _tensors(model: Model) -> dict[str, Tensor]:
    """All that training may have set: the network's saved tensors and its parameters, and the front end's parameters."""
    front_end = {} if model.front_end is None else {f"front_end.{name}": p for name, p in model.front_end.named_parameters()}
    return model.network.state_dict(keep_vars=True) | dict(model.network.named_parameters()) | front_end


def _permute(model: Model, generator: torch.Generator) -> None:
    for tensor in _tensors(model).values():
        before, values = tensor.clone(), tensor.flatten()
        while True:  # a permutation of two values leaves their order every other time
            tensor.copy_(values[torch.randperm(tensor.numel(), generator=generator)].view_as(tensor))
            if _is_constant(before) or not torch.equal(tensor, before):
                break
    for module in model.network.modules():
        _settle_power_iteration(module)


def _initialise(model: Model, seed: int) -> None:
    """Draw all weights again; the state of torch's own generators is restored."""
    before = {name: (tensor, tensor.clone(), tensor._version) for name, tensor in _tensors(model).items()}
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.default_generator.manual_seed(seed)
        initialiser = _Initialiser()
        initialiser.initialise(model)
    for name, tensor in _tensors(model).items():
        old, value, version = before[name]
        untouched = tensor is old and tensor._version == version
        if id(tensor) not in initialiser.fixed and torch.equal(tensor, value) and not _may_be_equal(tensor, untouched=untouched):
            raise AudioMetamerError(
                f"{model.name} cannot be reinitialised: nothing resets its {name}, which would stay as trained; give its module "
                "a method reset_parameters, or give am.Model untrained=…, which makes the network"
            )


def _may_be_equal(tensor: Tensor, *, untouched: bool) -> bool:
    """Whether an unchanged tensor could be the same in an untrained network, as counts, indices, zeros and ones are."""
    if not (tensor.is_floating_point() or tensor.is_complex()):
        return True
    return _is_constant(tensor) and not (untouched and tensor.numel() == 1 and tensor.item() not in (0, 1))


def _is_constant(tensor: Tensor) -> bool:
    return bool((tensor == tensor.flatten()[:1]).all())


class _Initialiser:
    """Gives modules the weights that they have before training; `fixed`: the `id` of tensors that training does not set."""

    def __init__(self) -> None:
        self.fixed: set[int] = set()
        self.done: set[int] = set()

    def initialise(self, module: nn.Module) -> None:
        if id(module) in self.done:
            return
        self.done.add(id(module))
        if isinstance(module, Model):
            self._initialise_model(module)
        elif (made := _by_its_library(module)) is not None:
            self._copy(made, module)
        else:
            for name, child in module.named_children():
                if not (name == "parametrizations" and parametrize.is_parametrized(module)):
                    self.initialise(child)
            self._reset(module)

    def _initialise_model(self, model: Model) -> None:
        if model.front_end is not None and next(model.front_end.parameters(), None) is not None:
            self.initialise(model.front_end)
        if model.untrained is None:
            self.initialise(model.network)
        elif not isinstance(made := model.untrained(), nn.Module) or not _fits(made, model.network):
            raise AudioMetamerError(f"untrained of {model.name} makes a {type(made).__name__} of other tensors than its network")
        else:
            self._copy(made, model.network)

    def _copy(self, made: nn.Module, module: nn.Module) -> None:
        """Copy all tensors of a new network; those that it does not train are fixed."""
        fresh, own = made.state_dict(keep_vars=True), module.state_dict(keep_vars=True)
        module.load_state_dict({key: fresh[key] for key in own})
        trains = any(tensor.requires_grad for tensor in fresh.values())
        self.fixed |= {
            id(own[key]) for key in own if not fresh[key].requires_grad and (trains or key not in dict(made.named_parameters()))
        }

    def _reset(self, module: nn.Module) -> None:
        own = dict(module.named_parameters(recurse=False))
        versions = {name: tensor._version for name, tensor in own.items()}
        if wrapped := _wrapped(module):
            _reset_wrapped(module, wrapped)
        elif (reset := _reset_method(module)) is not None:
            reset()
        for name, tensor in own.items():
            if tensor._version == versions[name] and _EMBEDDINGS.fullmatch(name):
                nn.init.trunc_normal_(tensor, std=_EMBEDDINGS_SD, a=-2 * _EMBEDDINGS_SD, b=2 * _EMBEDDINGS_SD)
        if type(module).__module__.startswith("torchaudio.transforms"):
            self.fixed |= {id(buffer) for buffer in module.buffers(recurse=False)}


def _reset_method(module: nn.Module) -> Callable[[], Any] | None:
    """A module's own method of initialisation, if it can be called without arguments."""
    for name in _RESETS:
        reset = getattr(module, name, None)
        if callable(reset) and all(p.default is not p.empty for p in inspect.signature(reset).parameters.values()):
            return reset
    return None


def _by_its_library(module: nn.Module) -> nn.Module | None:
    """A new network of transformers or timm with the same configuration, or None."""
    if (transformers := sys.modules.get("transformers")) and isinstance(module, transformers.PreTrainedModel):
        made: nn.Module = type(module)(module.config)
    elif (timm := sys.modules.get("timm")) and timm.is_model(
        name := getattr(module, "pretrained_cfg", {}).get("architecture", "")
    ):
        made = timm.create_model(name, pretrained=False, num_classes=module.num_classes)
    else:
        return None
    return made if _fits(made, module) else None


def _fits(made: nn.Module, module: nn.Module) -> bool:
    fresh = made.state_dict()
    return all(key in fresh and fresh[key].shape == tensor.shape for key, tensor in module.state_dict().items())


def _wrapped(module: nn.Module) -> list[str]:
    """Names of parameters that a module computes from others: by weight_norm, spectral_norm and other parametrizations."""
    legacy = [hook.name for hook in module._forward_pre_hooks.values() if isinstance(hook, WeightNorm | SpectralNorm)]
    return legacy + (list(module.parametrizations) if parametrize.is_parametrized(module) else [])  # type: ignore[arg-type]


def _reset_wrapped(module: nn.Module, names: list[str]) -> None:
    """Initialise the parameters that are computed, and set those that they are computed from."""
    plain = _unwrapped(module, names)
    if (reset := _reset_method(plain)) is None:
        return
    reset()
    for name in names:
        _set_wrapped(module, name, getattr(plain, name).detach())
    _settle_power_iteration(module)


def _unwrapped(module: nn.Module, names: list[str]) -> nn.Module:
    """The module as it was before it was wrapped; all that is not wrapped is shared."""
    parametrized = parametrize.is_parametrized(module)
    kind = type(module).__bases__[0] if parametrized else type(module)  # torch derives a class for each
    plain: nn.Module = object.__new__(kind)
    values = {name: nn.Parameter(getattr(module, name).detach().clone(), requires_grad=False) for name in names}
    plain.__dict__ |= {key: value for key, value in module.__dict__.items() if key not in names}
    plain._parameters = {**module._parameters, **values}
    plain._modules = {name: child for name, child in module._modules.items() if not (parametrized and name == "parametrizations")}
    return plain


def _set_wrapped(module: nn.Module, name: str, value: Tensor) -> None:
    for hook in module._forward_pre_hooks.values():
        if isinstance(hook, WeightNorm) and hook.name == name:
            module.get_parameter(f"{name}_g").copy_(torch.norm_except_dim(value, 2, hook.dim))
            module.get_parameter(f"{name}_v").copy_(value)
            setattr(module, name, hook.compute_weight(module))
            return
        if isinstance(hook, SpectralNorm) and hook.name == name:
            module.get_parameter(f"{name}_orig").copy_(value)
            return
    parametrization = module.get_submodule(f"parametrizations.{name}")
    if all(hasattr(step, "right_inverse") for step in parametrization.children()):
        setattr(module, name, value)  # the parametrization decomposes it
    else:
        parametrization.get_parameter("original").copy_(value)


def _settle_power_iteration(module: nn.Module) -> None:
    """Let spectral norms converge to the norm of the current weights."""
    for hook in module._forward_pre_hooks.values():
        if isinstance(hook, SpectralNorm):
            for _ in range(_POWER_ITERATIONS):
                setattr(module, hook.name, hook.compute_weight(module, do_power_iteration=True))
    if parametrize.is_parametrized(module):
        for name, parametrization in module.parametrizations.items():  # type: ignore[operator, union-attr]
            was = parametrization.training
            parametrization.train()
            for _ in range(_POWER_ITERATIONS if list(parametrization.buffers()) else 0):
                getattr(module, name)
            parametrization.train(was)
