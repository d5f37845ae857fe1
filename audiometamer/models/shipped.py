"""The models that come with audiometamer, and the folders of cards; read without torch."""

from pathlib import Path

from audiometamer.errors import AudioMetamerError
from audiometamer.io.resources import zoo_folder
from audiometamer.models.cards import read_card
from audiometamer.models.published import is_published, published_folder

GONE = {  # networks of version 0.1 that no longer ship
    "cochcnn-word-hann": "came with version 0.1; models/cochcnn-digits/recipe.toml, with reduced_aliasing = true in the options "
    "of its network, trains it"
}
UNTRAINED = ("texture:mcdermott2011", "texture:toolbox", "modulation:normanhaignere2018")  # models without weights


def zoo() -> list[str]:
    """Names of the models that come with audiometamer."""
    return sorted(card.parent.name for card in zoo_folder().glob("*/model.toml"))


def card_folder(name: str) -> Path:
    """The folder of a model of the zoo, of a published network, or the folder of this name.

    Raises
    ------
    AudioMetamerError
        If there is none.
    """
    if name in zoo():
        return zoo_folder() / name
    if Path(name).is_dir():
        return Path(name)
    if is_published(name):
        return published_folder(name)
    raise AudioMetamerError(f"there is no card of {name!r}: it is not in the zoo ({', '.join(zoo())}), and not a folder")


def name_of_weights(sha256: str) -> str | None:
    """Name of the model of the zoo whose weight file has this SHA-256, if there is one."""
    return next((name for name in zoo() if read_card(zoo_folder() / name).weights.sha256 == sha256), None)
