"""Record activations at layers of a model, or of any module, in one forward pass."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import overload

from torch import Tensor, nn

from audiometamer.errors import AudioMetamerError
from audiometamer.matching.complex_values import as_real
from audiometamer.matching.straight_through import straight_through_relu
from audiometamer.models.activations import Tap, record_taps, split_layer, split_place, unknown_layer
from audiometamer.models.checking import check_hookable
from audiometamer.models.layer_info import declared_layers
from audiometamer.models.model import Model


@overload
def record(module: nn.Module, inputs: Tensor, layers: str, *, straight_through: bool = False) -> Tensor: ...  # type: ignore[overload-overlap]  # str is a Sequence[str]


@overload
def record(module: nn.Module, inputs: Tensor, layers: Sequence[str], *, straight_through: bool = False) -> dict[str, Tensor]: ...


def record(
    module: nn.Module, inputs: Tensor, layers: str | Sequence[str], *, straight_through: bool = False
) -> Tensor | dict[str, Tensor]:
    """Activations at layers of a model or of any other module; gradients flow through them.

    Parameters
    ----------
    module : Module
        A `Model`, or any `torch.nn.Module`, which is run once, as it is and in the mode that it is in.
    inputs : Tensor [shape=(batch, ...)]
        For a `Model`, signals [shape=(batch, *signal_shape)]; the forward pass then stops after the last of the layers.
    layers : str or sequence of str
        One layer, or several. Layers of a plain module are dotted names of its submodules, or the names that its attribute
        `layers` maps to them, with ``@k``, ``[key]`` and parts after them as in a `Model`.
    straight_through : bool
        Whether the ReLUs at these layers, and only those, pass the gradient unchanged. Default False.

    Returns
    -------
    Tensor [shape=(batch, ...)], or dict of str to Tensor
        The activations of the one layer; of several, by name. Complex activations are pairs of real and imaginary parts,
        [shape=(batch, ..., 2)]. The batch of a plain module is taken to be the first dimension.

    Raises
    ------
    AudioMetamerError
        If a layer is unknown, with the nearest names, or does not say which of several calls or outputs it means; or if the
        inputs are no tensor.
    """
    if not isinstance(inputs, Tensor):
        example = "clip.samples[None]" if hasattr(inputs, "samples") else "torch.as_tensor(…)"
        raise AudioMetamerError(f"inputs is a {type(inputs).__name__}; it must be a tensor with a batch dimension: {example}")
    names = [layers] if isinstance(layers, str) else list(layers)
    if isinstance(module, Model):
        tap_of, run = module.tap, module.activations
    else:
        check_hookable(module)
        tap_of, run = partial(_tap, module), partial(_activations, module)
    taps = {layer: tap_of(layer) for layer in names}
    relus = {
        layer: tap for layer, tap in taps.items() if straight_through and isinstance(module.get_submodule(tap.path), nn.ReLU)
    }
    found = run(inputs, taps | {layer: tap.input_tap() for layer, tap in relus.items()})
    found |= {layer: tap.part(straight_through_relu(found[layer])) for layer, tap in relus.items()}
    return found[layers] if isinstance(layers, str) else found


def _tap(module: nn.Module, layer: str) -> Tap:
    """Location of a layer of a plain module."""
    name, rest = split_place(layer)
    suffix, part = split_layer(rest)
    declared = declared_layers(module) or {}
    tap = Tap.parse(declared.get(name, name) + suffix).narrowed(part)
    paths = dict(module.named_modules(remove_duplicate=False))
    if tap.path not in paths:
        raise unknown_layer(layer, dict.fromkeys([*declared, *filter(None, paths)]), where=type(module).__name__)
    return tap


def _activations(module: nn.Module, inputs: Tensor, taps: Mapping[str, Tap]) -> dict[str, Tensor]:
    """Activations of a plain module: of one whole forward pass, so that layers that are called several times are seen."""
    found = record_taps(module, lambda: module(inputs), taps, stop_early=False)
    return {layer: as_real(taps[layer].part(output)) for layer, output in found.items()}
