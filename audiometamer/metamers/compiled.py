"""Forward passes whose network is compiled by torch: fewer, fused kernels, after about a minute of compilation for each layer."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from audiometamer.errors import AudioMetamerError, first_line
from audiometamer.models.activations import Tap, first_input
from audiometamer.models.model import Model


@contextmanager
def compiled(model: Model, taps: Mapping[str, Tap]) -> Iterator[Callable[[Tensor], dict[str, Tensor]]]:
    """Within the block, a function from signals to activations by layer whose network is compiled.

    Nothing depends on what the network does after the layers, so the compiler leaves it out.

    Parameters
    ----------
    model : Model
    taps : mapping of str to Tap
        Places in the network by layer, whose modules take or return one tensor and are called once.

    Raises
    ------
    AudioMetamerError
        If a layer cannot be compiled, or torch's compiler fails, for lack of a C++ compiler for instance.
    """
    for tap in taps.values():
        if not tap.path.startswith("network."):
            raise AudioMetamerError(f"{tap.path} is a layer of the front end, before the network: there is nothing to compile")
        if tap.call or tap.key is not None:
            raise AudioMetamerError(f"a layer that is one of several calls or outputs ({tap.path}) cannot be compiled")
    found: dict[str, Tensor] = {}

    def take(layer: str, value: Any, *, copy: bool = False) -> None:
        found[layer] = value.clone() if copy else value

    def hook(layer: str, tap: Tap) -> RemovableHandle:
        module = model.get_submodule(tap.path)
        if tap.capture_input:
            overwritten = bool(getattr(module, "inplace", False))
            return module.register_forward_pre_hook(
                lambda _module, args, kwargs: take(layer, first_input(args, kwargs), copy=overwritten), with_kwargs=True
            )
        return module.register_forward_hook(lambda _module, _args, output: take(layer, output))

    def network(inputs: Tensor) -> dict[str, Tensor]:
        model.network(inputs)
        return dict(found)

    with ExitStack() as after:
        for layer, tap in taps.items():
            after.callback(hook(layer, tap).remove)
        fast = torch.compile(network, dynamic=False)

        def forward(signals: Tensor) -> dict[str, Tensor]:
            inputs = model.clamp(signals)
            try:
                with warnings.catch_warnings():
                    # The compiler reads .grad of all its inputs, and torch warns that the front end's output has none.
                    warnings.filterwarnings("ignore", message="The .grad attribute of a Tensor that is not a leaf")
                    whole: dict[str, Tensor] = fast(inputs if model.front_end is None else model.front_end(inputs))
            except torch._dynamo.exc.TorchDynamoException as error:
                raise AudioMetamerError(f"torch cannot compile {model.name} here: {first_line(error)}") from error
            return {layer: model.unflatten_items(layer, taps[layer], whole[layer], len(signals)) for layer in taps}

        yield forward
