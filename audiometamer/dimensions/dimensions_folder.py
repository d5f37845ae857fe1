"""A folder of dimensions, a subfolder for each layer, that is filled layer by layer and can be resumed."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from audiometamer.dimensions.dimensions import Dimensions, DimensionsRecord, folder_of_layer
from audiometamer.dimensions.finding import BankContents, ComponentSettings, find_dimensions
from audiometamer.errors import AudioMetamerError
from audiometamer.models.excerpts import Excerpt, read_excerpts
from audiometamer.models.model import Model
from audiometamer.signals.audio import Clip

_DIFFERENCES = {  # how a difference of a record's field is described
    "weights_sha256": "other weights",
    "keep_frequency": "frequencies averaged, or kept, otherwise",
    "method": "another method",
    "seed": "another seed",
    "bank": "another bank",
    "bank_sha256": "another bank",
    "looked_for": "another number of components",
    "kept": "another number of them kept",
}


def find_dimensions_into(
    out: Path,
    model: Model,
    excerpts: Sequence[Excerpt],
    layers: Sequence[str],
    settings: ComponentSettings = ComponentSettings(),  # noqa: B008 (frozen)
    *,
    batch_size: int = 8,
    memory: float = 1e9,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Dimensions]:
    """Fill a folder with the dimensions of layers; layers that are in it already are checked and loaded.

    Parameters
    ----------
    out : path
        Each layer is written as soon as it is found.
    model : Model
    excerpts : sequence of Excerpt
        The bank.
    layers, settings, batch_size, memory, progress
        See `find_dimensions`.

    Returns
    -------
    dict of str to Dimensions
        Dimensions by layer.

    Raises
    ------
    AudioMetamerError
        As `check_existing`, `find_dimensions`, `Dimensions.load` and `Dimensions.save`.
    """
    folders = {layer: folder_of_layer(out, layer) for layer in layers}
    found = {layer: Dimensions.load(folder) for layer, folder in folders.items() if folder.exists()}
    if found:
        check_existing(found.values(), model, read_excerpts(model, excerpts), settings)
    if missing := [layer for layer in layers if layer not in found]:
        found |= find_dimensions(
            model, read_excerpts(model, excerpts), missing, settings, batch_size=batch_size, memory=memory, progress=progress,
            found=lambda dimensions: dimensions.save(folders[dimensions.record.layer]),
        )  # fmt: skip
    return {layer: found[layer] for layer in layers}


def check_existing(
    existing: Iterable[Dimensions],
    model: Model,
    bank: Iterable[Clip],
    settings: ComponentSettings = ComponentSettings(),  # noqa: B008 (frozen)
) -> None:
    """Raise if `find_dimensions` would not find these dimensions.

    Parameters
    ----------
    existing : iterable of Dimensions
    model, bank, settings
        As of `find_dimensions`. The bank is read only if all else is the same.

    Raises
    ------
    AudioMetamerError
        If so; it states the first difference.
    """
    records = [each.record for each in existing]
    expected = {
        "weights_sha256": model.weights_sha256(),
        "keep_frequency": settings.keeps_frequency(model),
        "method": settings.method,
        "seed": settings.seed,
    }
    for record in records:
        _check_same(record, expected)
    contents = BankContents([], [])
    contents.add(bank)
    expected = {
        "bank": contents.names,
        "bank_sha256": contents.sha256,
        "looked_for": settings.number(len(contents.names)),
    }
    for record in records:
        _check_same(msgspec.structs.replace(record, looked_for=record.looked_for or record.components), expected)
        if len(record.explained) != min(settings.kept, record.components):
            raise _found_otherwise(record, "kept")


def _check_same(record: DimensionsRecord, expected: Mapping[str, object]) -> None:
    for name, value in expected.items():
        if getattr(record, name) != value:
            raise _found_otherwise(record, name)


def _found_otherwise(record: DimensionsRecord, field: str) -> AudioMetamerError:
    return AudioMetamerError(f"dimensions of {record.layer} are there, found with {_DIFFERENCES[field]}; choose another --out")
