"""Networks of images as models.

The image is resized and cropped once, as in the network's training; standardisation by mean and standard deviation is the front
end, through which the gradient reaches the pixels.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from audiometamer.errors import AudioMetamerError, one_line
from audiometamer.io.label_files import disambiguated
from audiometamer.matching.domains import Image
from audiometamer.models.checkpoints import BARE, read_checkpoint
from audiometamer.models.layer_info import declared_layers
from audiometamer.models.model import Model
from audiometamer.models.model_folder import load_state
from audiometamer.models.state_dicts import network_state
from audiometamer.signals.images import ImageTransform


class Standardised(nn.Module):
    """(pixel − mean) / std, by channel.

    Parameters
    ----------
    mean, std : sequence of float
        Mean and standard deviation of each channel.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean)[:, None, None])
        self.register_buffer("std", torch.tensor(std)[:, None, None])

    def forward(self, images: Tensor) -> Tensor:
        """Images [shape=(batch, channels, height, width)] in [0, 1] to standardised ones of the same shape."""
        return (images - self.mean) / self.std


def image_model(
    network: nn.Module,
    picture: ImageTransform,
    *,
    mean: Sequence[float] = (0.485, 0.456, 0.406),
    std: Sequence[float] = (0.229, 0.224, 0.225),
    labels: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
    layers: Mapping[str, str] | None = None,
    untrained: Callable[[], nn.Module] | None = None,
    name: str | None = None,
    deviation: Sequence[float] | None = None,
) -> Model:
    """A network of images as a model.

    Parameters
    ----------
    network : Module
        Takes images [shape=(batch, *picture.shape)], standardised.
    picture : ImageTransform
        How images are resized and cropped for it.
    mean, std : sequence of float
        Mean and standard deviation of the pixels in [0, 1] that it was trained on, by channel. Defaults: ImageNet's.
    labels, layers, untrained, name
        See `Model`; the default layers are the network's children, and those of its lists and dicts of modules.
    deviation : sequence of float, optional
        Former name of `std`; goes away in version 0.3.
    """
    if deviation is not None:
        warnings.warn("deviation= is now std=; the old name goes away in version 0.3", DeprecationWarning, stacklevel=2)
        std = deviation
    return Model(
        network.eval().requires_grad_(False),
        front_end=Standardised(mean, std),
        signal_shape=picture.shape,
        bounds=(0.0, 1.0),
        domain=Image(),
        picture=picture,
        labels={"image": disambiguated(labels)} if labels is not None and not isinstance(labels, Mapping) else labels,
        layers=layers or declared_layers(network) or list(_children(network)),
        untrained=untrained,
        name=name,
    )


def _children(network: nn.Module) -> Iterator[str]:
    for name, child in network.named_children():
        if isinstance(child, nn.ModuleList | nn.ModuleDict):
            yield from (f"{name}.{inner}" for inner in _children(child))
        else:
            yield name


def name_of(name: str, file: str) -> str:
    """Name of a model with the weights of a file, or with its own."""
    return f"{name}-{Path(file).stem}" if file else name


def downloaded(make: Callable[[], Any], name: str) -> Any:
    """A network whose weights are downloaded the first time, and then read from a cache."""
    try:
        return make()
    except (OSError, RuntimeError) as error:  # urllib and the hub raise the first, a broken file the second
        reason = one_line(error)
        raise AudioMetamerError(
            f"the weights of {name} cannot be downloaded: {reason}; give a file of them as {name}@FILE"
        ) from error


def with_weights(make: Callable[[int], nn.Module], file: str, usual: int) -> tuple[nn.Module, int]:
    """A network with the weights of a file, and its number of classes, of which most files have `usual`."""
    content = read_checkpoint(file, way_out=BARE)
    network = make(usual)
    weights, source = network_state(content, network.state_dict(), file)
    classes = _classes(network, weights, usual)
    if classes != usual:
        network = make(classes)
    load_state(network, weights, source)
    return network, classes


def _classes(network: nn.Module, weights: Mapping[str, Tensor], usual: int) -> int:
    """The number of classes of some weights, from tensors that differ from those for `usual` classes only in length."""
    shapes = [(tensor.shape, weights[key].shape) for key, tensor in network.state_dict().items() if key in weights]
    others = {new[0] for own, new in shapes if own and new and own[0] == usual != new[0] and own[1:] == new[1:]}
    return others.pop() if len(others) == 1 else usual
