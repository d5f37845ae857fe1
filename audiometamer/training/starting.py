"""Initial weights, drawn at random or those of another model, and the parameters that leave them."""

from collections.abc import Sequence

from torch import nn

from audiometamer.errors import AudioMetamerError
from audiometamer.models.loading import load_model


def draw_weights(network: nn.Module) -> None:
    """Draw the weights of all convolutions and linear layers as He et al. (2015, equation 10) did; biases become zero.

    The variance is 2 / fan-in, so that signals neither grow nor shrink from one ReLU layer to the next. PyTorch's own is
    1 / (3 fan-in): without normalisation signals shrink by 0.4 at every layer, and many classes take long to learn.

    Examples
    --------
    >>> layer = nn.Linear(1000, 1000)
    >>> draw_weights(layer)
    >>> bool(0.99 < layer.weight.detach().var() * 500 < 1.01), bool(layer.bias.any())
    (True, False)
    """
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def start_from(network: nn.Module, name: str) -> list[str]:
    """Copy the weights of another model's network, where names and shapes agree.

    Parameters
    ----------
    network : Module
    name : str
        Name or folder of the other model.

    Returns
    -------
    list of str
        Keys of the state dict that keep their own initial weights, such as those of a read-out of other classes.

    Raises
    ------
    AudioMetamerError
        If there is no such model, or no tensor fits.
    """
    others, own = load_model(name).network.state_dict(), network.state_dict()
    fitting = {key: tensor for key, tensor in others.items() if key in own and own[key].shape == tensor.shape}
    if not any(tensor.ndim > 1 for tensor in fitting.values()):  # single numbers fit anywhere
        raise AudioMetamerError(f"start_from is {name}, whose network has no weights that fit this one's: other names or shapes")
    network.load_state_dict(own | fitting)
    return [key for key in own if key not in fitting]


def trained_parameters(network: nn.Module, frozen: Sequence[str]) -> list[nn.Parameter]:
    """The parameters that training may change: all but those of the frozen modules.

    Parameters
    ----------
    network : Module
    frozen : sequence of str
        Names of modules.

    Raises
    ------
    AudioMetamerError
        If a module does not exist or has no parameters, or if all parameters are frozen.

    Examples
    --------
    >>> network = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> [tuple(parameter.shape) for parameter in trained_parameters(network, ["0"])]
    [(1, 3), (1,)]
    """
    modules = {name: module for name, module in network.named_modules() if any(True for _ in module.parameters())}
    if unknown := set(frozen) - modules.keys():
        known = ", ".join(name for name in modules if name)
        raise AudioMetamerError(f"frozen is {', '.join(sorted(unknown))}, not a module with parameters; those are {known}")
    fixed = {id(parameter) for name in frozen for parameter in modules[name].parameters()}
    trained = [parameter for parameter in network.parameters() if id(parameter) not in fixed]
    if not trained:
        raise AudioMetamerError(f"frozen is {', '.join(frozen)}: nothing is left to train")
    return trained
