"""Dimensions of a layer: components of the Gram matrices of its activations over a bank of natural signals.

A Gram matrix holds the inner products between channels over time: what of a layer's activations is texture, without when it
happens. Components are found over a bank (Kamao et al. 2025), and a signal's coordinate along one is the score of its Gram
matrix, in standard deviations of the bank.
"""

import hashlib
import os
import re
import tempfile
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple, Self

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiometamer.audio import Clip
from audiometamer.errors import AudioMetamerError, AudioMetamerWarning
from audiometamer.exploration.components import Components, independent_components, principal_components
from audiometamer.files import json_text, whole_folder
from audiometamer.matching.losses import gram
from audiometamer.metamers.evidence import sha256_of
from audiometamer.metamers.files import safe_name
from audiometamer.models import Model, record
from audiometamer.pairwise import RowStore
from audiometamer.pairwise import gram as inner_products

COMPONENT_METHODS = ("ica", "pca")
_RECORD, _TENSORS = "dimensions.json", "dimensions.safetensors"
_ROUNDING = 8 * float(np.finfo(np.float32).eps)  # of the same activations, in another place of a batch
_MOST_OF_ONE = 0.5  # of a component's variance, by one signal of the bank, before that is told
_PER_COMPONENT = 5  # signals of the bank, at least, for each independent component
_SETTINGS = {  # what is told of dimensions that were found otherwise
    "weights_sha256": "other weights",
    "keep_frequency": "frequencies averaged, or kept, otherwise",
    "method": "another method",
    "seed": "another seed",
    "bank": "another bank",
    "bank_sha256": "another bank",
    "looked_for": "another number of components",
    "kept": "another number of them kept",
}


class Dimension(NamedTuple):
    """One way to move a signal: a component of a layer, counted from 0, and which side of it.

    Written ``layer/component/sign``, as in ``relu2/3/+``.
    """

    layer: str
    component: int
    sign: int

    @classmethod
    def parse(cls, text: str) -> "Dimension":
        """Of its written form.

        Raises
        ------
        AudioMetamerError
            If it is not of that form.
        """
        layer, *rest = text.rsplit("/", 2)
        if not layer or len(rest) != 2 or not rest[0].isdecimal() or rest[1] not in ("+", "-"):
            raise AudioMetamerError(f"{text!r} is no dimension; it would be layer/component/sign, as in relu2/3/+")
        return cls(layer, int(rest[0]), 1 if rest[1] == "+" else -1)

    @property
    def order(self) -> tuple[list[int | str], int, int]:
        """To sort by: layers, whose numbers count as numbers, then components, then + before -."""
        parts = re.split(r"(\d+)", self.layer)
        return [int(part) if part.isdecimal() else part for part in parts], self.component, -self.sign

    def __str__(self) -> str:
        return f"{self.layer}/{self.component}/{'+' if self.sign > 0 else '-'}"


class DimensionsRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where dimensions come from.

    Parameters
    ----------
    model, weights_sha256 : str
    layer : str
    keep_frequency : bool
        See `gram_matrices`.
    method : str
        ``ica`` or ``pca``.
    seed : int
        Of FastICA.
    components : int
        How many were found.
    explained : list of float
        Share of the bank's variance of each that was kept, from the largest down.
    explained_by_all : float
        Share of all that were found.
    bank : list of str
        Names of its signals.
    bank_sha256 : str
        Of their samples.
    tensors_sha256 : str
        Of directions, offsets and the bank's coordinates.
    looked_for : int, optional
        How many were looked for: fewer are found where the bank has a lower rank. None in folders of versions that did not tell.
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
    """Components of a layer, and how to read a signal's coordinates along them.

    Parameters
    ----------
    record : DimensionsRecord
    directions : Tensor [shape=(components, n, n)]
        Symmetric; a coordinate is the inner product of one with a Gram matrix, less the offset.
    offsets : Tensor [shape=(components,)]
        Those of the bank's mean.
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
        """All dimensions: each component, up and down."""
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

    def of(self, model: Model, signals: Tensor) -> Tensor:
        """Coordinates [shape=(batch, components)] of signals [shape=(batch, *signal_shape)] of the model, in its dtype."""
        layer = self.record.layer
        with torch.no_grad():
            return self.like(model).coordinates(record(model, signals, layer)[layer])

    def like(self, model: Model) -> Self:
        """The same in the dtype and on the device of a model."""
        moved = (t.to(dtype=model.dtype, device=model.device) for t in (self.directions, self.offsets, self.bank))
        return type(self)(self.record, *moved)

    def check(self, model: Model) -> None:
        """Raise if they were not found for this model.

        Raises
        ------
        AudioMetamerError
            If its weights are others, or it has no such layer.
        """
        if (found := model.weights_sha256()) != self.record.weights_sha256:
            raise AudioMetamerError(
                f"the dimensions of {self.record.layer} are of {self.record.model} with weights "
                f"{self.record.weights_sha256[:12]}…, and {model.name} has weights {found[:12]}…: find its own"
            )
        model.tap(self.record.layer)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write into a new folder: a record for readers, and tensors.

        Raises
        ------
        AudioMetamerError
            If the folder exists or cannot be written.
        """
        from safetensors.torch import save_file

        if (out := Path(folder)).exists():
            raise AudioMetamerError(f"{out} exists already; name a new folder")
        out.parent.mkdir(parents=True, exist_ok=True)
        with whole_folder(out) as temporary:
            save_file(self._tensors(), temporary / _TENSORS)
            (temporary / _RECORD).write_text(json_text(self.record) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        AudioMetamerError
            If it is not there, cannot be read, or the tensors were changed.
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
    """All dimensions in the folders of a folder, by layer.

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
        By layer.
    names : sequence of str
        ``layer/component/sign``, or ``layer/component`` for both signs. None: the strongest components of each layer.
    strongest : int
        How many of each layer if none are named.

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
    """One dimension, or both of a component, by name.

    Raises
    ------
    AudioMetamerError
        If it names none.
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
    """Raise if a dimension is not among those of several layers."""
    layer, component, _ = dimension
    if layer not in dimensions:
        raise AudioMetamerError(f"there are no dimensions of layer {layer!r}; there are some of {', '.join(dimensions)}")
    if component >= len(dimensions[layer]):
        raise AudioMetamerError(f"layer {layer!r} has {len(dimensions[layer])} components, numbered from 0, so no {component}")


def folder_of_layer(out: Path, layer: str) -> Path:
    """Where the dimensions of a layer lie in a folder of several."""
    return out / safe_name(layer)


def gram_matrices(activations: Tensor, *, keep_frequency: bool) -> Tensor:
    """Inner products over time, averaged over it.

    Parameters
    ----------
    activations : Tensor [shape=(batch, channels, ..., time)]
        A layer without time, [shape=(batch, units)], counts as one moment.
    keep_frequency : bool
        Whether every channel at every frequency (what lies between channels and time) is an entry of its own, or the products of
        channels are averaged over frequency too.

    Returns
    -------
    Tensor [shape=(batch, n, n)]
        n is the number of channels, times that of frequencies if they are kept.
    """
    if activations.ndim == 2:
        return gram(activations[..., None])
    return gram(activations.flatten(1, -2) if keep_frequency else activations)


def find_dimensions(
    model: Model,
    bank: Iterable[Clip],
    layers: Sequence[str],
    *,
    method: str = "ica",
    components: int = 100,
    kept: int = 10,
    keep_frequency: bool | None = None,
    seed: int = 0,
    batch_size: int = 8,
    memory: float = 1e9,
    progress: Callable[[int], None] | None = None,
    found: Callable[[Dimensions], None] | None = None,
) -> dict[str, Dimensions]:
    """Find dimensions of layers from a bank of natural signals.

    Gram matrices are computed once for each signal, and what is larger than `memory` lies in a temporary file. Independent
    components of few signals are single signals (Särelä & Vigário 2003, on overlearning), so that there is one for every five
    signals at most.

    Parameters
    ----------
    model : Model
    bank : iterable of Clip
    layers : sequence of str
    method : {"ica", "pca"}
        FastICA on the principal components, or these alone. Default ``ica``.
    components : int
        How many to look for; fewer if the bank is smaller: a fifth of the signals for ``ica``, one less than them for ``pca``.
        Default 100.
    kept : int
        How many of the strongest are kept, and held when one of them is moved. Default 10.
    keep_frequency : bool, optional
        See `gram_matrices`. Default: of sounds.
    seed : int
        Of FastICA. Default 0.
    batch_size : int
        Signals in one forward pass. Default 8.
    memory : float
        Bytes for Gram matrices at most. Default 1e9.
    progress : callable, optional
        Told the number of signals done.
    found : callable, optional
        Given the dimensions of each layer as soon as they are found.

    Returns
    -------
    dict of str to Dimensions
        By layer.

    Raises
    ------
    AudioMetamerError
        If the bank has too few signals, or all are the same at a layer; if a layer is unknown, gives a single number, or gives
        Gram matrices with NaN or infinity; if a number or the method is not as above.

    Warns
    -----
    AudioMetamerWarning
        If a component is mostly one signal of the bank, or FastICA did not settle.
    """
    _check_numbers(method, components=components, kept=kept)
    keep = _keeps_frequency(model, keep_frequency)
    names, digests = [], []
    with tempfile.TemporaryDirectory() as folder:
        stores = {layer: RowStore(Path(folder) / str(i), memory / 2 / len(layers)) for i, layer in enumerate(layers)}
        remaining = iter(bank)
        while clips := list(islice(remaining, batch_size)):
            signals = torch.stack([clip.samples.view(model.signal_shape) for clip in clips])
            names += [clip.name for clip in clips]
            digests += [sha256_of(clip.samples) for clip in clips]
            for layer, rows in _gram_rows(model, signals, layers, keep_frequency=keep).items():
                stores[layer].append(rows)
            if progress is not None:
                progress(len(names))
        origin = DimensionsRecord(
            model=model.name,
            weights_sha256=model.weights_sha256(),
            layer="",
            keep_frequency=keep,
            method=method,
            seed=seed,
            components=0,
            explained=[],
            explained_by_all=0.0,
            bank=names,
            bank_sha256=_sha256_of_bank(digests),
            tensors_sha256="",
            looked_for=_number(len(names), components, method),
        )
        all_found = {}
        for layer in layers:
            all_found[layer] = _found(origin, layer, stores[layer], kept, memory / 2)
            if found is not None:
                found(all_found[layer])
        return all_found


def check_found(
    found: Iterable[Dimensions],
    model: Model,
    bank: Iterable[Clip],
    *,
    method: str = "ica",
    components: int = 100,
    kept: int = 10,
    keep_frequency: bool | None = None,
    seed: int = 0,
) -> None:
    """Raise if `find_dimensions` would find others than were found before: what is there need not be found again.

    Parameters
    ----------
    found : iterable of Dimensions
    model, bank, method, components, kept, keep_frequency, seed
        As of `find_dimensions`. The bank is read only if all else is the same.

    Raises
    ------
    AudioMetamerError
        If so, telling what differs first.
    """
    _check_numbers(method, components=components, kept=kept)
    records = [each.record for each in found]
    settings = {
        "weights_sha256": model.weights_sha256(),
        "keep_frequency": _keeps_frequency(model, keep_frequency),
        "method": method,
        "seed": seed,
    }
    for there in records:
        _check_same(there, settings)
    names, digests = [], []
    for clip in bank:
        names.append(clip.name)
        digests.append(sha256_of(clip.samples))
    settings = {
        "bank": names,
        "bank_sha256": _sha256_of_bank(digests),
        "looked_for": _number(len(names), components, method),
    }
    for there in records:
        _check_same(msgspec.structs.replace(there, looked_for=there.looked_for or there.components), settings)
        if len(there.explained) != min(kept, there.components):
            raise _found_otherwise(there, "kept")


def _check_same(there: DimensionsRecord, settings: Mapping[str, object]) -> None:
    for name, wanted in settings.items():
        if getattr(there, name) != wanted:
            raise _found_otherwise(there, name)


def _found_otherwise(there: DimensionsRecord, setting: str) -> AudioMetamerError:
    return AudioMetamerError(f"dimensions of {there.layer} are there, found with {_SETTINGS[setting]}; choose another --out")


def _check_numbers(method: str, **numbers: int) -> None:
    if method not in COMPONENT_METHODS:
        raise AudioMetamerError(f"there is no method {method!r}; there are {', '.join(COMPONENT_METHODS)}")
    for name, value in numbers.items():
        if value < 1:
            raise AudioMetamerError(f"{name} is {value}; it must be at least 1")


def _keeps_frequency(model: Model, asked: bool | None) -> bool:
    return model.sample_rate is not None if asked is None else asked


def _sha256_of_bank(digests: Sequence[str]) -> str:
    """Of its signals' own."""
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def _number(signals: int, components: int, method: str) -> int:
    """How many components are looked for in a bank of so many signals."""
    most = signals // _PER_COMPONENT if method == "ica" else signals - 1
    if most < 1:
        needed = _PER_COMPONENT if method == "ica" else 2
        raise AudioMetamerError(f"the bank has {signals} signal(s); {method} needs at least {needed}")
    return min(components, most)


def _found(origin: DimensionsRecord, layer: str, store: RowStore, kept: int, memory: float) -> Dimensions:
    """Dimensions of one layer, from the Gram matrices of the bank as rows."""
    assert origin.looked_for is not None
    rows = store.matrix()
    found = principal_components(inner_products(rows, memory), origin.looked_for, rounding=_ROUNDING)
    if origin.method == "ica":
        found = independent_components(found, seed=origin.seed)
    strongest = found.strongest(kept)
    directions, offsets = _directions(rows, strongest, memory)
    if (share := float((strongest.scores**2).max()) / len(rows)) > _MOST_OF_ONE:
        warnings.warn(
            f"{layer}: a component is {100 * share:.0f} % one signal of the bank; take fewer components, a larger bank, or pca",
            AudioMetamerWarning,
            stacklevel=3,
        )
    side = round(rows.shape[1] ** 0.5)
    tensors = (
        torch.from_numpy(directions).view(-1, side, side),
        torch.from_numpy(offsets),
        torch.from_numpy(np.ascontiguousarray(strongest.scores)),
    )
    told = msgspec.structs.replace(
        origin,
        layer=layer,
        components=len(found.explained),
        explained=strongest.explained.tolist(),
        explained_by_all=float(found.explained.sum()),
        tensors_sha256=sha256_of(*tensors),
    )
    return Dimensions(told, *tensors)


def _directions(rows: NDArray[np.float32], found: Components, memory: float) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Directions [shape=(components, width)] and their inner products with the mean row, from slices of columns."""
    width, weights = rows.shape[1], found.weights - found.weights.mean(0)  # then rows need not be centred
    directions, offsets = np.empty((weights.shape[1], width), np.float32), np.zeros(weights.shape[1])
    step = max(int(memory / (8 * len(rows))), 1)
    for first in range(0, width, step):
        block = rows[:, first : first + step].astype(np.float64)
        piece = directions[:, first : first + step] = (weights.T @ block).astype(np.float32)
        offsets += piece.astype(np.float64) @ block.mean(0)
    return directions, offsets


def _gram_rows(model: Model, signals: Tensor, layers: Sequence[str], *, keep_frequency: bool) -> dict[str, NDArray[np.float32]]:
    """Gram matrices of a batch of signals as rows, by layer."""
    with torch.no_grad():
        activations = record(model, signals.to(dtype=model.dtype, device=model.device), layers)
    found = {}
    for layer, a in activations.items():
        grams = gram_matrices(a, keep_frequency=keep_frequency)
        if grams.shape[1] == 1:
            more = "" if keep_frequency or a.ndim < 4 else ": keep frequency"
            raise AudioMetamerError(f"layer {layer!r} has one channel, so its Gram matrix is a single number{more}")
        if not torch.isfinite(grams).all():
            raise AudioMetamerError(f"activations at layer {layer!r} are not finite for a signal of the bank")
        found[layer] = grams.flatten(1).float().cpu().numpy()
    return found
