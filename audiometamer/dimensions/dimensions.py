"""Dimensions of a layer: components of the Gram matrices of its activations over a bank of natural signals.

A Gram matrix holds the inner products between channels over time: the texture of a layer's activations, without when things
happen. Components are found over a bank (Kamao et al. 2025), and a signal's coordinate along one is the score of its Gram
matrix, in standard deviations of the bank.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

import msgspec
import torch
from torch import Tensor

from audiometamer.errors import AudioMetamerError
from audiometamer.io.files import atomic_folder, json_text
from audiometamer.io.hashes import sha256_of
from audiometamer.io.names import safe_name
from audiometamer.matching.losses import gram
from audiometamer.models.model import Model
from audiometamer.models.recording import record

_RECORD, _TENSORS = "dimensions.json", "dimensions.safetensors"


class Dimension(NamedTuple):
    """A direction in which to move a signal: a component of a layer, counted from 0, and a sign.

    Written ``layer/component/sign``, as in ``relu2/3/+``.
    """

    layer: str
    component: int
    sign: int

    @classmethod
    def parse(cls, text: str) -> "Dimension":
        """A dimension from its written form.

        Raises
        ------
        AudioMetamerError
            If the text does not have that form.
        """
        layer, *rest = text.rsplit("/", 2)
        if not layer or len(rest) != 2 or not rest[0].isdecimal() or rest[1] not in ("+", "-"):
            raise AudioMetamerError(f"{text!r} is no dimension; it would be layer/component/sign, as in relu2/3/+")
        return cls(layer, int(rest[0]), 1 if rest[1] == "+" else -1)

    @property
    def order(self) -> tuple[list[int | str], int, int]:
        """Sort key: layers with numbers in numerical order, then components, then + before -."""
        parts = re.split(r"(\d+)", self.layer)
        return [int(part) if part.isdecimal() else part for part in parts], self.component, -self.sign

    def __str__(self) -> str:
        return f"{self.layer}/{self.component}/{'+' if self.sign > 0 else '-'}"


class DimensionsRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The provenance of dimensions.

    Parameters
    ----------
    model, weights_sha256 : str
    layer : str
    keep_frequency : bool
        See `gram_matrices`.
    method : str
        ``ica`` or ``pca``.
    seed : int
        Random seed of FastICA.
    components : int
        Number of components found.
    explained : list of float
        Share of the bank's variance explained by each kept component, from the largest down.
    explained_by_all : float
        Share explained by all components found.
    bank : list of str
        Names of its signals.
    bank_sha256 : str
        Hash of their samples.
    tensors_sha256 : str
        Hash of directions, offsets and the bank's coordinates.
    looked_for : int, optional
        Number of components looked for; fewer are found if the bank has a lower rank. None in folders of earlier versions.
    """

    model: str
    weights_sha256: str
    layer: str
    keep_frequency: bool
    method: str
    seed: int
    components: int
    explained: list[float]
    explained_by_all: float
    bank: list[str]
    bank_sha256: str
    tensors_sha256: str
    looked_for: int | None = None


@dataclass(frozen=True)
class Dimensions:
    """Components of a layer, which give signals coordinates.

    Parameters
    ----------
    record : DimensionsRecord
    directions : Tensor [shape=(components, n, n)]
        Symmetric; a coordinate is the inner product of a direction with a Gram matrix, minus the offset.
    offsets : Tensor [shape=(components,)]
        Inner products with the bank's mean.
    bank : Tensor [shape=(signals, components)]
        Coordinates of the bank: mean 0, standard deviation 1.
    """

    record: DimensionsRecord
    directions: Tensor
    offsets: Tensor
    bank: Tensor

    def __len__(self) -> int:
        return len(self.directions)

    @property
    def names(self) -> list[Dimension]:
        """All dimensions: each component with both signs."""
        return [Dimension(self.record.layer, component, sign) for component in range(len(self)) for sign in (1, -1)]

    def coordinates(self, activations: Tensor) -> Tensor:
        """Coordinates of signals from their activations at the layer [shape=(batch, ...)], differentiable.

        Returns
        -------
        Tensor [shape=(batch, components)]
            In standard deviations of the bank.
        """
        grams = gram_matrices(activations, keep_frequency=self.record.keep_frequency)
        return grams.flatten(1) @ self.directions.flatten(1).T - self.offsets

    def coordinates_of(self, model: Model, signals: Tensor) -> Tensor:
        """Coordinates [shape=(batch, components)] of signals [shape=(batch, *signal_shape)] of the model, in its dtype."""
        layer = self.record.layer
        with torch.no_grad():
            return self.to_model(model).coordinates(record(model, signals, layer))

    def to_model(self, model: Model) -> Self:
        """These dimensions in the dtype and on the device of a model."""
        moved = (t.to(dtype=model.dtype, device=model.device) for t in (self.directions, self.offsets, self.bank))
        return type(self)(self.record, *moved)

    def check(self, model: Model) -> None:
        """Raise if the dimensions were not found for this model.

        Raises
        ------
        AudioMetamerError
            If the model has other weights, or no such layer.
        """
        if (found := model.weights_sha256()) != self.record.weights_sha256:
            raise AudioMetamerError(
                f"the dimensions of {self.record.layer} are of {self.record.model} with weights "
                f"{self.record.weights_sha256[:12]}…, and {model.name} has weights {found[:12]}…: find its own"
            )
        model.tap(self.record.layer)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write a record and tensors into a new folder.

        Raises
        ------
        AudioMetamerError
            If the folder exists or cannot be written.
        """
        from safetensors.torch import save_file

        if (out := Path(folder)).exists():
            raise AudioMetamerError(f"{out} exists already; name a new folder")
        with atomic_folder(out) as temporary:
            save_file(self._tensors(), temporary / _TENSORS)
            (temporary / _RECORD).write_text(json_text(self.record) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        AudioMetamerError
            If it does not exist, cannot be read, or the tensors were changed.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        path = Path(folder)
        try:
            found = msgspec.json.decode((path / _RECORD).read_bytes(), type=DimensionsRecord)
            tensors = load_file(path / _TENSORS)
            read = cls(found, tensors["directions"], tensors["offsets"], tensors["bank"])
        except (OSError, msgspec.MsgspecError, SafetensorError, KeyError) as error:
            raise AudioMetamerError(f"{path} is not a folder of dimensions: {error}") from error
        if sha256_of(*read._tensors().values()) != found.tensors_sha256:
            raise AudioMetamerError(f"{path / _TENSORS} is not what {_RECORD} says: a changed file?")
        return read

    def _tensors(self) -> dict[str, Tensor]:
        return {"directions": self.directions, "offsets": self.offsets, "bank": self.bank}


def load_all(folder: str | os.PathLike[str]) -> dict[str, Dimensions]:
    """Load the dimensions of all layers in a folder, by layer.

    Raises
    ------
    AudioMetamerError
        If there are none, or some cannot be read.
    """
    found = [Dimensions.load(path.parent) for path in sorted(Path(folder).glob(f"*/{_RECORD}"))]
    if not found:
        raise AudioMetamerError(f"{folder} holds no dimensions: find them with explore dimensions")
    return {dimensions.record.layer: dimensions for dimensions in found}


def chosen_dimensions(dimensions: Mapping[str, Dimensions], names: Sequence[str], *, strongest: int) -> list[Dimension]:
    """Dimensions by name.

    Parameters
    ----------
    dimensions : mapping of str to Dimensions
        Dimensions by layer.
    names : sequence of str
        ``layer/component/sign``, or ``layer/component`` for both signs. Empty: the strongest components of each layer.
    strongest : int
        Number of components of each layer if none are named.

    Raises
    ------
    AudioMetamerError
        If there is no such dimension.
    """
    if not names:
        return [name for found in dimensions.values() for name in found.names[: 2 * strongest]]
    found = [dimension for name in names for dimension in sides(name)]
    for dimension in found:
        check_dimension(dimensions, dimension)
    return found


def sides(name: str) -> list[Dimension]:
    """The dimensions that a name stands for: one, or both of a component.

    Raises
    ------
    AudioMetamerError
        If it does not name a dimension.
    """
    if name.endswith(("/+", "/-")):
        return [Dimension.parse(name)]
    try:
        return [Dimension.parse(f"{name}/{sign}") for sign in "+-"]
    except AudioMetamerError as error:
        raise AudioMetamerError(
            f"{name!r} names no dimension; it would be layer/component, as in relu2/3, or relu2/3/+"
        ) from error


def check_dimension(dimensions: Mapping[str, Dimensions], dimension: Dimension) -> None:
    """Raise if a dimension is not among those of some layers."""
    layer, component, _ = dimension
    if layer not in dimensions:
        raise AudioMetamerError(f"there are no dimensions of layer {layer!r}; there are some of {', '.join(dimensions)}")
    if component >= len(dimensions[layer]):
        raise AudioMetamerError(f"layer {layer!r} has {len(dimensions[layer])} components, numbered from 0, so no {component}")


def folder_of_layer(out: Path, layer: str) -> Path:
    """The folder of a layer's dimensions within a folder of several layers."""
    return out / safe_name(layer)


def gram_matrices(activations: Tensor, *, keep_frequency: bool) -> Tensor:
    """Inner products between channels, averaged over time.

    Parameters
    ----------
    activations : Tensor [shape=(batch, channels, ..., time)]
        A layer without time, [shape=(batch, units)], counts as one time step.
    keep_frequency : bool
        Whether channels at different frequencies (the dimensions between channels and time) are separate entries, or products
        are averaged over frequency too.

    Returns
    -------
    Tensor [shape=(batch, n, n)]
        n is the number of channels, times the number of frequencies if they are kept.
    """
    if activations.ndim == 2:
        return gram(activations[..., None])
    return gram(activations.flatten(1, -2) if keep_frequency else activations)
