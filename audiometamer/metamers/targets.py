"""Targets that are given as activations, not by a natural signal."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from audiometamer.errors import AudioMetamerError
from audiometamer.io.files import atomic_write, content_of


@dataclass(frozen=True)
class GivenTarget:
    """Activations to match, in the place of a clip: from elsewhere, averaged over clips, changed by hand.

    There is no natural signal, so the label and the other layers have nothing to be compared with.

    Parameters
    ----------
    name : str
        Names the folder of its metamers.
    activations : mapping of str to Tensor [shape=(...)]
        By layer, of one signal, without the batch's dimension.
    notices : tuple of str
        Kept with the evidence.
    """

    name: str
    activations: Mapping[str, Tensor]
    notices: tuple[str, ...] = ()

    def rename_layers(self, canonical: Callable[[str], str]) -> "GivenTarget":
        """The same, each layer by another name; see `Model.canonical`."""
        return replace(self, activations={canonical(layer): tensor for layer, tensor in self.activations.items()})

    def at(self, layer: str) -> Tensor:
        """The activations of one layer.

        Raises
        ------
        AudioMetamerError
            If there are none.
        """
        if layer not in self.activations:
            raise AudioMetamerError(
                f"target {self.name!r} has no activations of layer {layer!r}; it has {', '.join(self.activations)}"
            )
        return self.activations[layer]


def save_activations(path: str | os.PathLike[str], activations: Mapping[str, Tensor]) -> None:
    """Write activations [shape=(...)] of one signal, by layer, as safetensors."""
    from safetensors.torch import save

    content = save({layer: tensor.detach().cpu().contiguous() for layer, tensor in activations.items()})
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)


def read_target(path: str | os.PathLike[str]) -> GivenTarget:
    """Activations from a file: any safetensors with a tensor for each layer, such as ``audiometamer record`` writes.

    Raises
    ------
    AudioMetamerError
        If it is no such file, is empty, or holds numbers that are not finite.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    path = Path(path)
    try:
        activations = load(content_of(path))
    except OSError as error:
        raise AudioMetamerError(f"{path} cannot be read: {error.strerror}") from error
    except SafetensorError as error:
        raise AudioMetamerError(f"{path} is not a safetensors file of activations: {error}") from error
    if not activations:
        raise AudioMetamerError(f"{path} holds no activations")
    for layer, tensor in activations.items():
        if not tensor.is_floating_point() or not bool(torch.isfinite(tensor).all()):
            raise AudioMetamerError(f"{path}: the activations of {layer} are not all finite numbers ({tensor.dtype})")
    return GivenTarget(path.stem, activations)
