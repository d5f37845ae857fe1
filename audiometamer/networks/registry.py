"""Networks by name: our own, and those that installed packages register."""

from typing import Any

from torch import nn

from audiometamer.errors import AudioMetamerError
from audiometamer.io.registry import Registry
from audiometamer.networks import CochCNN9, CochResNet50, SpecTemp
from audiometamer.networks.heads import Outputs

NETWORKS = Registry(
    "audiometamer.networks", "network", {network.__name__: network for network in (CochCNN9, CochResNet50, SpecTemp)}
)


def make_network(name: str, outputs: Outputs, **options: Any) -> nn.Module:
    """A network by name, with random weights.

    Parameters
    ----------
    name : str
        The class of one of ours, or the name of an entry point in the group ``audiometamer.networks``, a class or function
        that takes the same arguments.
    outputs : int or mapping of str to int
        Number of classes, or numbers of classes by task.
    **options
        Its other keywords.

    Raises
    ------
    AudioMetamerError
        If there is no such network, or what is registered makes none.
    """
    network = NETWORKS.make(name, outputs, **options)
    if not isinstance(network, nn.Module):
        raise AudioMetamerError(f"the network {name!r} is {network!r:.50}, not a torch.nn.Module")
    return network
