"""A forward pass whose network is compiled by torch: fewer, fused kernels, after a minute or so of compilation for each layer."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from audiometamer.activations import Rectifier, Tap
from audiometamer.errors import AudioMetamerError
from audiometamer.models import Model


@contextmanager
def compiled(
    model: Model, taps: Mapping[str, Tap], relus: Mapping[Tap, Rectifier]
) -> Iterator[Callable[[Tensor], dict[str, Tensor]]]:
    """While this lasts, a function from signals to the activations at some places by layer, its network compiled.

    What the network does after them is not computed: nothing depends on it, so the compiler leaves it out.

    Parameters
    ----------
    model : Model
    taps : mapping of str to Tap
        By layer, places in the network whose modules return one tensor, and are called once.
    relus : mapping of Tap to callable
        What to put for the `torch.nn.ReLU`s at some places; see `audiometamer.activations.record_taps`.

    Raises
    ------
    AudioMetamerError
        If the place cannot be compiled, or torch's compiler fails, for want of a C++ compiler for instance.
    """
    for tap in taps.values():
        if not tap.path.startswith("network."):
            raise AudioMetamerError(f"{tap.path} is a layer of the front end, before the network: there is nothing to compile")
        if tap.call or tap.key is not None:
            raise AudioMetamerError(f"a layer that is one of several calls or outputs ({tap.path}) cannot be compiled")
    found: dict[str, Tensor] = {}

    def hook(at: Tap) -> Callable[[nn.Module, tuple[Any, ...], Any], Any]:
        def take(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
            if at in relus and isinstance(module, nn.ReLU):
                output = relus[at](args[0])
            found[at.path] = output
            return output

        return take

    def network(heard: Tensor) -> dict[str, Tensor]:
        model.network(heard)
        return {layer: found[tap.path] for layer, tap in taps.items()}

    with ExitStack() as after:
        for at in {*taps.values(), *relus}:
            module = model.get_submodule(at.path)
            after.callback(module.register_forward_hook(hook(at)).remove)
            if isinstance(module, nn.ReLU) and module.inplace:  # it would overwrite what another function is given
                module.inplace = False
                after.callback(setattr, module, "inplace", True)
        fast = torch.compile(network, dynamic=False)

        def forward(signals: Tensor) -> dict[str, Tensor]:
            heard = model.limited(signals)
            try:
                with warnings.catch_warnings():
                    # The compiler looks at .grad of all it is given, and torch warns that what the front end gave has none.
                    warnings.filterwarnings("ignore", message="The .grad attribute of a Tensor that is not a leaf")
                    whole: dict[str, Tensor] = fast(heard if model.front_end is None else model.front_end(heard))
            except torch._dynamo.exc.TorchDynamoException as error:
                reason = str(error).strip().splitlines()[0]
                raise AudioMetamerError(f"torch cannot compile {model.name} here: {reason}") from error
            return {layer: model.of_each_signal(layer, taps[layer], whole[layer], len(signals)) for layer in taps}

        yield forward
