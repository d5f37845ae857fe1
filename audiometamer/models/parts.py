"""Parts of a layer: some of its channels, frames or units, or its mean over time."""

import re
from dataclasses import dataclass, fields
from itertools import pairwise

import torch
from torch import Tensor

from audiometamer.errors import AudioMetamerError

_SLICE = re.compile(r"(-?\d+)?:(-?\d+)?(:(\d+))?")
_LIST = re.compile(r"\d+(\.\d+)*")


@dataclass(frozen=True)
class Part:
    """A selection from a layer's activations.

    Each of the first three is a Python slice (``0:32``, ``::2``) or numbers separated by points (``3.5.9``), from 0.

    Parameters
    ----------
    channels : str, optional
        Entries of the first dimension after the batch. Default: all.
    frames : str, optional
        Entries of the last dimension, time. Default: all.
    units : str, optional
        Entries of the flattened channels and frames that are selected. Default: all.
    average : str, optional
        ``time``: the mean over the last dimension, of the channels and frames chosen. Default: none.
    """

    channels: str | None = None
    frames: str | None = None
    units: str | None = None
    average: str | None = None

    @classmethod
    def parse(cls, text: str) -> "Part":
        """The part of ``channels=0:32/frames=10:20/units=3.5.9/average=time``: any of them, in any order.

        Raises
        ------
        AudioMetamerError
            If the text does not have this form.
        """
        found: dict[str, str] = {}
        for item in text.split("/") if text else ():
            key, _, value = item.partition("=")
            if key not in {field.name for field in fields(cls)}:
                raise AudioMetamerError(f"{item!r} is no part of a layer; it would be channels=, frames=, units= or average=time")
            if key in found:
                raise AudioMetamerError(f"{text!r} says {key}= twice")
            fits = value == "time" if key == "average" else _SLICE.fullmatch(value) or _LIST.fullmatch(value)
            if not fits:
                form = "time" if key == "average" else "a slice like 0:32 or ::2, or numbers like 3.5.9"
                raise AudioMetamerError(f"{item!r}: {key}= takes {form}")
            found[key] = value
        return cls(**found)

    def __str__(self) -> str:
        return "".join(f"/{each.name}={value}" for each in fields(self) if (value := getattr(self, each.name)) is not None)

    def __call__(self, activations: Tensor) -> Tensor:
        """The part of activations [shape=(batch, channels, ..., time)], differentiable.

        Raises
        ------
        AudioMetamerError
            If they have no such dimension, or nothing remains.
        """
        x = activations
        if (self.frames or self.average) and x.ndim < 3:
            raise AudioMetamerError(f"activations of shape {tuple(x.shape)} have no time: frames= and average= need 3 dimensions")
        if self.channels and x.ndim < 2:
            raise AudioMetamerError(f"activations of shape {tuple(x.shape)} have no channels")
        if self.channels:
            x = _select(x, 1, self.channels, "channels")
        if self.frames:
            x = _select(x, x.ndim - 1, self.frames, "frames")
        if self.average:
            x = x.mean(-1)
        return _select(x.flatten(1), 1, self.units, "units") if self.units else x


def _select(x: Tensor, dim: int, text: str, kind: str) -> Tensor:
    """Some entries of one dimension, by slices only: a tensor of indices would have to be sent to the device."""
    size = x.shape[dim]
    if found := _SLICE.fullmatch(text):
        first, last, step = (int(found[k]) if found[k] else None for k in (1, 2, 4))
        if step == 0:
            raise AudioMetamerError(f"{kind}={text}: the step of a slice is at least 1")
        ranges = [slice(first, last, step)]
        beyond = [end for end in (first, last) if end is not None and not -size <= end <= size]
    else:
        numbers = [int(number) for number in text.split(".")]
        if too_large := [number for number in numbers if number >= size]:
            raise AudioMetamerError(f"{kind}={text}: there are {size} {kind}, numbered from 0, so no {too_large[0]}")
        ranges, beyond = _runs(numbers), []
    pieces = [x[(slice(None),) * dim + (chosen,)] for chosen in ranges]
    out = pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim)
    if out.shape[dim] == 0:
        raise AudioMetamerError(f"{kind}={text} leaves none of {size} {kind}")
    if beyond:
        raise AudioMetamerError(f"{kind}={text}: there are {size} {kind}, so no slice ends at {beyond[0]}")
    return out


def _runs(numbers: list[int]) -> list[slice]:
    """Slices of the runs of consecutive numbers."""
    breaks = [k for k, (a, b) in enumerate(pairwise(numbers), start=1) if b != a + 1]
    return [slice(numbers[i], numbers[j - 1] + 1) for i, j in pairwise([0, *breaks, len(numbers)])]
