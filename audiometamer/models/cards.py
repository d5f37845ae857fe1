"""The card of a model, its ``model.toml``: everything needed to build it and to judge it."""

from pathlib import Path
from typing import Any, Literal

import msgspec

from audiometamer.errors import AudioMetamerError, first_line
from audiometamer.io.files import atomic_write
from audiometamer.io.label_files import checked_labels
from audiometamer.io.paths import is_safe_relative_path
from audiometamer.io.reading import read_unicode
from audiometamer.io.toml_files import check_number_range, parse_toml

WeightsDtype = Literal["float32", "float16"]  # on disk; networks compute in float32


class FrontEndCard(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The front end in a model.toml: the name of a preset or of a registered front end, and its keywords.

    Parameters
    ----------
    preset : str
        Name.
    options : dict
        Keywords. Default: none.
    ear : str
        Name of an ear before it, from sound to sound; see `audiometamer.ears.make_ear`. Default: none.
    """

    preset: str
    options: dict[str, Any] = {}
    ear: str = ""


class NetworkCard(msgspec.Struct, forbid_unknown_fields=True):
    """The network in a model.toml: a class of `audiometamer.networks` or a registered network, and its keywords."""

    name: str
    options: dict[str, Any] = {}


class WeightsCard(msgspec.Struct, forbid_unknown_fields=True):
    """The weight file in a model.toml, a safetensors file beside it, and the SHA-256 of its bytes."""

    file: str
    sha256: str


class DoubtCard(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """When a label of a task is doubtful, in a model.toml.

    Parameters
    ----------
    below : float
        Probability; 5th percentile over test clips labelled correctly, in quiet.
    others : int
        Number of test clips of other classes. Default 0.
    percent : float, optional
        Percentage of these whose label has a lower probability, so that they get a notice.
    interval_95 : tuple of float, optional
        Its interval, in percent.
    """

    below: float
    others: int = 0
    percent: float | None = None
    interval_95: tuple[float, float] | None = None


class Card(msgspec.Struct, forbid_unknown_fields=True):
    """A model.toml: everything needed to build a model and to judge it."""

    name: str
    sample_rate: int
    duration: float
    level: float
    network: NetworkCard
    front_end: FrontEndCard
    weights: WeightsCard
    labels: dict[str, list[str]]
    description: str = ""
    data: dict[str, str] = {}
    licence: str = ""
    training: dict[str, Any] = {}
    accuracy: dict[str, Any] = {}  # by task and condition
    accuracy_by_group: dict[str, Any] = {}  # in quiet, by task, column of the data sets' tables, and value
    accuracy_by_class: dict[str, str] = {}  # by task: the table of each class's clips, in quiet, beside the card
    doubt: dict[str, DoubtCard] = {}  # by task
    multi_label: list[str] = []  # tasks whose sounds can have several labels
    limits: list[str] = []
    paper: str = ""
    layers: list[str] = []  # to list, from input to output; default: those that the network names


def read_card(folder: Path) -> Card:
    """Read and check the ``model.toml`` of a model's folder."""
    path = folder / "model.toml"
    if not path.is_file():
        raise AudioMetamerError(f"{folder} holds no model.toml")
    try:
        content = parse_toml(read_unicode(path))
        check_number_range(content)
        card = msgspec.convert(content, Card)
    except (OSError, msgspec.MsgspecError, ValueError) as error:
        raise AudioMetamerError(f"{path}: {first_line(error)}") from error
    for key, file in {"weights.file": card.weights.file, **_tables(card)}.items():
        if not is_safe_relative_path(file):
            raise AudioMetamerError(f"{path}: {key} is {file!r}; it must be the name of a file in {folder}")
    checked_labels(card.labels, path)
    return card


def write_card(folder: Path, card: Card) -> None:
    """Write the ``model.toml`` of a model's folder."""
    with atomic_write(folder / "model.toml") as temporary:
        temporary.write_bytes(msgspec.toml.encode(card))


def _tables(card: Card) -> dict[str, str]:
    return {f"accuracy_by_class.{task}": file for task, file in card.accuracy_by_class.items()}
