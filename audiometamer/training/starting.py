"""Initial weights from another model."""

from torch import nn

from audiometamer.errors import AudioMetamerError
from audiometamer.models.loading import load_model


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
