"""Finding dimensions: components of the Gram matrices of a layer's activations over a bank of natural signals."""

import hashlib
import tempfile
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
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
from audiometamer.statistics.pairwise import gram as inner_products

COMPONENT_METHODS = ("ica", "pca")
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
