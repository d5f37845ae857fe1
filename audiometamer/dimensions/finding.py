"""Finding dimensions: components of the Gram matrices of a layer's activations over a bank of natural signals."""

import hashlib
import tempfile
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiometamer.dimensions.components import Components, independent_components, principal_components
from audiometamer.dimensions.dimensions import Dimensions, DimensionsRecord, gram_matrices
from audiometamer.errors import AudioMetamerError, AudioMetamerWarning
from audiometamer.io.hashes import sha256_of
from audiometamer.models.model import Model
from audiometamer.models.recording import record
from audiometamer.signals.audio import Clip
from audiometamer.statistics.pairwise import RowStore
from audiometamer.statistics.pairwise import gram_matrix as inner_products

COMPONENT_METHODS = ("ica", "pca")
_ROUNDING = 8 * float(np.finfo(np.float32).eps)  # relative difference of the same activations at other positions of a batch
_MAX_SHARE = 0.5  # of a component's variance, by one signal of the bank, without a warning
_SIGNALS_PER_COMPONENT = 5  # at least, for independent components


@dataclass(frozen=True, kw_only=True)
class ComponentSettings:
    """Which components are looked for.

    Parameters
    ----------
    method : {"ica", "pca"}
        FastICA on the principal components, or these alone. Default ``ica``.
    components : int
        How many to look for; fewer if the bank is smaller: a fifth of the signals for ``ica``, one less than the signals for
        ``pca``. Default 100.
    kept : int
        How many of the strongest are kept; all of them are held when one is moved. Default 10.
    keep_frequency : bool, optional
        See `gram_matrices`. Default: True for sounds.
    seed : int
        Random seed of FastICA. Default 0.

    Raises
    ------
    AudioMetamerError
        If there is no such method, or a number is below 1.
    """

    method: str = "ica"
    components: int = 100
    kept: int = 10
    keep_frequency: bool | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.method not in COMPONENT_METHODS:
            raise AudioMetamerError(f"there is no method {self.method!r}; there are {', '.join(COMPONENT_METHODS)}")
        for name in ("components", "kept"):
            if (value := getattr(self, name)) < 1:
                raise AudioMetamerError(f"{name} is {value}; it must be at least 1")

    def keeps_frequency(self, model: Model) -> bool:
        """Whether frequencies are kept for this model."""
        return model.sample_rate is not None if self.keep_frequency is None else self.keep_frequency

    def number(self, signals: int) -> int:
        """Number of components to look for in a bank of this many signals.

        Raises
        ------
        AudioMetamerError
            If there are too few signals.
        """
        most = signals // _SIGNALS_PER_COMPONENT if self.method == "ica" else signals - 1
        if most < 1:
            needed = _SIGNALS_PER_COMPONENT if self.method == "ica" else 2
            raise AudioMetamerError(f"the bank has {signals} signal(s); {self.method} needs at least {needed}")
        return min(self.components, most)


def find_dimensions(
    model: Model,
    bank: Iterable[Clip],
    layers: Sequence[str],
    settings: ComponentSettings = ComponentSettings(),
    *,
    batch_size: int = 8,
    memory: float = 1e9,
    progress: Callable[[int], None] | None = None,
    found: Callable[[Dimensions], None] | None = None,
) -> dict[str, Dimensions]:
    """Find dimensions of layers from a bank of natural signals.

    Gram matrices are computed once for each signal; those that exceed `memory` lie in a temporary file. Independent components of
    few signals are single signals (Särelä & Vigário 2003, on overlearning), so there is at most one for every five signals.

    Parameters
    ----------
    model : Model
    bank : iterable of Clip
    layers : sequence of str
    settings : ComponentSettings
    batch_size : int
        Signals in one forward pass. Default 8.
    memory : float
        Bytes for Gram matrices at most. Default 1e9.
    progress : callable, optional
        Called with the number of signals done.
    found : callable, optional
        Called with the dimensions of each layer as soon as they are found.

    Returns
    -------
    dict of str to Dimensions
        Dimensions by layer.

    Raises
    ------
    AudioMetamerError
        If the bank has too few signals, or all are the same at a layer; if a layer is unknown, gives a single number, or gives
        Gram matrices with NaN or infinity.

    Warns
    -----
    AudioMetamerWarning
        If a component is mostly one signal of the bank, or FastICA did not settle.
    """
    dimensions = {}
    with tempfile.TemporaryDirectory() as folder:
        stores = {layer: RowStore(Path(folder) / str(i), memory / 2 / len(layers)) for i, layer in enumerate(layers)}
        keep = settings.keeps_frequency(model)
        contents = _store_grams(model, bank, stores, keep_frequency=keep, batch_size=batch_size, progress=progress)
        origin = _origin(model, contents, settings)
        for layer, store in stores.items():
            own_origin = msgspec.structs.replace(origin, layer=layer)
            dimensions[layer] = _dimensions(own_origin, store, settings.kept, memory / 2)
            if found is not None:
                found(dimensions[layer])
    return dimensions


@dataclass(frozen=True)
class BankContents:
    """The names and hashes of a bank's signals.

    Parameters
    ----------
    names : list of str
    digests : list of str
        SHA-256 of each signal's samples.
    """

    names: list[str]
    digests: list[str]

    @property
    def sha256(self) -> str:
        """SHA-256 of the digests."""
        return hashlib.sha256("".join(self.digests).encode()).hexdigest()

    def add(self, clips: Iterable[Clip]) -> None:
        """Append signals."""
        for clip in clips:
            self.names.append(clip.name)
            self.digests.append(sha256_of(clip.samples))


def _store_grams(
    model: Model,
    bank: Iterable[Clip],
    stores: Mapping[str, RowStore],
    *,
    keep_frequency: bool,
    batch_size: int,
    progress: Callable[[int], None] | None,
) -> BankContents:
    """Append the Gram matrices of all signals to the stores of their layers; what the bank holds."""
    contents, remaining = BankContents([], []), iter(bank)
    while clips := list(islice(remaining, batch_size)):
        signals = torch.stack([clip.samples.view(model.signal_shape) for clip in clips])
        contents.add(clips)
        for layer, rows in _gram_rows(model, signals, list(stores), keep_frequency=keep_frequency).items():
            stores[layer].append(rows)
        if progress is not None:
            progress(len(contents.names))
    return contents


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


def _origin(model: Model, contents: BankContents, settings: ComponentSettings) -> DimensionsRecord:
    """A record without its layer and what is found there."""
    return DimensionsRecord(
        model=model.name,
        weights_sha256=model.weights_sha256(),
        layer="",
        keep_frequency=settings.keeps_frequency(model),
        method=settings.method,
        seed=settings.seed,
        components=0,
        explained=[],
        explained_by_all=0.0,
        bank=contents.names,
        bank_sha256=contents.sha256,
        tensors_sha256="",
        looked_for=settings.number(len(contents.names)),
    )


def _dimensions(origin: DimensionsRecord, store: RowStore, kept: int, memory: float) -> Dimensions:
    """Dimensions of one layer, from the Gram matrices of the bank as rows."""
    assert origin.looked_for is not None
    rows = store.matrix()
    found = principal_components(inner_products(rows, memory), origin.looked_for, rounding=_ROUNDING)
    if origin.method == "ica":
        found = independent_components(found, seed=origin.seed)
    strongest = found.strongest(kept)
    directions, offsets = _directions(rows, strongest, memory)
    if (share := float((strongest.scores**2).max()) / len(rows)) > _MAX_SHARE:
        warnings.warn(
            f"{origin.layer}: a component is {100 * share:.0f} % one signal of the bank; take fewer components, a larger bank, "
            "or pca",
            AudioMetamerWarning,
            stacklevel=3,
        )
    side = round(rows.shape[1] ** 0.5)
    tensors = (
        torch.from_numpy(directions).view(-1, side, side),
        torch.from_numpy(offsets),
        torch.from_numpy(np.ascontiguousarray(strongest.scores)),
    )
    complete = msgspec.structs.replace(
        origin,
        components=len(found.explained),
        explained=strongest.explained.tolist(),
        explained_by_all=float(found.explained.sum()),
        tensors_sha256=sha256_of(*tensors),
    )
    return Dimensions(complete, *tensors)


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
