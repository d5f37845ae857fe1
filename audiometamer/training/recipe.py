"""The recipe that trains a network: a TOML file, checked."""

from pathlib import Path
from typing import Any

import msgspec

from audiometamer.errors import AudioMetamerError
from audiometamer.models import FrontEndCard, NetworkCard
from audiometamer.training.data import Augmentation


class Recipe(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What is trained, on what, and how.

    Parameters
    ----------
    name : str
        Of the model.
    words : list of str
        Its classes, in order; clips of other words are left out.
    network, front_end : NetworkCard, FrontEndCard
        As in a model's card.
    sample_rate : int
        Hz.
    duration : float
        Seconds.
    level : float
        RMS of every excerpt.
    seed : int
        Of the initial weights, the order of clips and every augmentation.
    epochs, batch_size : int
    learning_rate, weight_decay : float
        Of AdamW; the rate rises for a tenth of the steps and then falls along a cosine.
    held_out_backgrounds : float
        Share of each background source, from its end, kept for testing.
    null_pairs : int
        Random pairs of training excerpts in the null distribution, at least.
    training_front_end : dict
        Options of the front end that differ in training only.
    augmentation : Augmentation
    description, licence : str
    data : dict of str to str
        Source and licence of each part of the data.
    limits : list of str
    """

    name: str
    words: list[str]
    network: NetworkCard
    front_end: FrontEndCard
    sample_rate: int = 20_000
    duration: float = 2.0
    level: float = 0.1
    seed: int = 0
    epochs: int = 30
    batch_size: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    held_out_backgrounds: float = 0.2
    null_pairs: int = 100_000
    training_front_end: dict[str, Any] = {}
    augmentation: Augmentation = Augmentation()
    description: str = ""
    licence: str = ""
    data: dict[str, str] = {}
    limits: list[str] = []


def read_recipe(path: Path) -> Recipe:
    """Read and check a recipe.

    Raises
    ------
    AudioMetamerError
        If the file is missing, is not TOML, or has a wrong key or type.
    """
    try:
        return msgspec.toml.decode(path.read_bytes(), type=Recipe)
    except (OSError, msgspec.MsgspecError, ValueError) as error:
        raise AudioMetamerError(f"{path} is not a recipe: {error}") from error
