"""Move signals to given coordinates along components, from wherever each of them is."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import msgspec
import torch

from audiometamer.dimensions.calibration import CalibrationRow, calibrate
from audiometamer.dimensions.dimensions import Dimension, Dimensions, check_dimension
from audiometamer.dimensions.moved import Move, Moved, MovedRecord
from audiometamer.dimensions.moving import as_presented, move
from audiometamer.dimensions.moving_methods import STEPS
from audiometamer.dimensions.physical import Physical
from audiometamer.models.model import Model
from audiometamer.signals.audio import Clip

_CLOSE = 0.01  # standard deviations; a signal this close to a coordinate is not moved


def move_to(
    model: Model,
    dimensions: Mapping[str, Dimensions],
    clips: Sequence[Clip],
    along: Sequence[Dimension],
    coordinates: Sequence[float],
    *,
    method: str = "default",
    steps: int = STEPS,
    batch_size: int = 8,
    progress: Callable[[int], None] | None = None,
) -> list[Moved]:
    """Move every signal to every coordinate, along every component.

    A signal less than 0.01 away from its coordinate takes the place of the moved signal, with a requested change of 0.

    Parameters
    ----------
    model : Model
    dimensions : mapping of str to Dimensions
        Dimensions by layer.
    clips : sequence of Clip
    along : sequence of Dimension
        Only their components matter; the side follows from where a signal is.
    coordinates : sequence of float
        In standard deviations of the bank, from its mean.
    method, steps, batch_size, progress
        See `audiometamer.dimensions.moving.move`.

    Returns
    -------
    list of Moved
        Moved signals with their `coordinate`.

    Raises
    ------
    AudioMetamerError
        As `move`.
    """
    for dimension in along:
        check_dimension(dimensions, dimension)
    clips = [as_presented(model, clip) for clip in clips]
    moves = list(_moves(clips, along, coordinates, _coordinates_now(model, dimensions, clips, along, batch_size)))
    unmoved = {
        i: _unmoved(model, dimensions, requested, now, method)
        for i, (requested, now, _) in enumerate(moves)
        if requested.change < _CLOSE
    }
    others = [i for i in range(len(moves)) if i not in unmoved]
    moved = move(
        model, dimensions, [moves[i][0] for i in others], method=method, steps=steps, batch_size=batch_size,
        progress=None if progress is None else lambda done: progress(done + len(unmoved)),
    )  # fmt: skip
    found = unmoved | dict(zip(others, moved, strict=True))
    return [replace(found[i], coordinate=coordinate) for i, (_, _, coordinate) in enumerate(moves)]


def calibrate_coordinates(moved: Iterable[Moved]) -> list[CalibrationRow]:
    """The results of requested coordinates: like `calibrate`, with components and coordinates for dimensions and changes."""
    return calibrate(
        msgspec.structs.replace(
            each.record, dimension="/".join(map(str, each.component)), requested=each.coordinate, reached=each.after
        )
        for each in moved
    )


def _coordinates_now(
    model: Model, dimensions: Mapping[str, Dimensions], clips: Sequence[Clip], along: Sequence[Dimension], batch_size: int
) -> dict[str, list[list[float]]]:
    """All coordinates of every signal, by layer."""
    signals = torch.stack([clip.samples.view(model.signal_shape) for clip in clips]).to(dtype=model.dtype, device=model.device)
    return {
        layer: torch.cat([dimensions[layer].coordinates_of(model, batch) for batch in signals.split(batch_size)]).tolist()
        for layer in dict.fromkeys(dimension.layer for dimension in along)
    }


def _moves(
    clips: Sequence[Clip], along: Sequence[Dimension], coordinates: Sequence[float], now: Mapping[str, list[list[float]]]
) -> Iterator[tuple[Move, list[float], float]]:
    """Moves, with the coordinates that their signals have and the coordinate that they are to have."""
    components = dict.fromkeys((dimension.layer, dimension.component) for dimension in along)
    for (layer, component), (k, clip), coordinate in itertools.product(components, enumerate(clips), coordinates):
        change = coordinate - now[layer][k][component]
        yield Move(clip, Dimension(layer, component, 1 if change > 0 else -1), abs(change)), now[layer][k], coordinate


def _unmoved(model: Model, dimensions: Mapping[str, Dimensions], requested: Move, now: list[float], method: str) -> Moved:
    """A reference in the place of a signal that would be moved to where it is."""
    samples, origin = requested.clip.samples.view(model.signal_shape), dimensions[requested.dimension.layer].record
    record = MovedRecord(
        clip=requested.clip.name,
        dimension=str(requested.dimension),
        model=model.name,
        weights_sha256=origin.weights_sha256,
        dimensions_sha256=origin.tensors_sha256,
        requested=0.0,
        reached=0.0,
        leakage=0.0,
        before=now,
        after=now,
        physical=Physical(snr_db=None, modulation=0.0, level_db=0.0, peak=float(samples.abs().max())),
        method=method,
        steps=0,
        errors=[],
        seconds=0.0,
    )
    return Moved(samples, requested.clip, record)
