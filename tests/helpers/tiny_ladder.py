"""Ladders whose signals nobody has moved: what is known of them is made up."""

import torch
from msgspec.structs import replace

from audiometamer.dimensions.dimensions import Dimension
from audiometamer.dimensions.moved import MovedRecord, MovedStimulus
from audiometamer.dimensions.physical import Physical
from audiometamer.io.files import write_json
from audiometamer.io.names import safe_name
from audiometamer.signals.files import write_signal

RATE = 4000


def record(dimension="relu0/0/+", clip="vowel", requested=0.2, **known):
    """The record of a signal that went exactly where it was to go."""
    component, sign = Dimension.parse(dimension)[1:]
    after = [sign * requested if k == component else 0.0 for k in range(component + 1)]
    whole = MovedRecord(
        clip, dimension, "tiny", "weights", f"dimensions of {Dimension.parse(dimension).layer}", requested, requested, 0.0,
        [0.0] * len(after), after, Physical(10 / requested, requested / 10, 0.0, 0.5), "default", 50, [requested], 0.1,
    )  # fmt: skip
    return replace(whole, **known)


def sound(clip):
    """Noise."""
    return 0.1 * torch.randn(1000, generator=torch.Generator().manual_seed(sum(clip.encode())))


def image(clip, channels=1):
    """Noise of 3 rows and 4 columns, in 16 bits."""
    generator = torch.Generator().manual_seed(sum(clip.encode()))
    return torch.randint(2**16, (channels, 3, 4), generator=generator) / (2**16 - 1)


def write_moved_stimulus(folder, known, reference=None):
    """A moved signal, its record and its reference, noise by default: moved, it has the requested change as its first value."""
    reference = sound(known.clip) if reference is None else reference
    ending = ".wav" if reference.ndim == 1 else ".png"
    path = folder / safe_name(known.clip) / f"{safe_name(known.dimension)}{known.requested:g}{ending}"
    moved = reference.clone()
    moved.view(-1)[0] = known.requested
    write_signal(path.with_name(f"original{ending}"), reference, RATE)
    write_signal(path, moved, RATE)
    write_json(path.with_suffix(".json"), known)
    return MovedStimulus(known, path)


def write_ladder(folder, dimensions=("relu0/0/+", "relu0/0/-"), clips=("vowel", "noise"), changes=(0.1, 0.2, 0.4), signal=sound):
    """All of all."""
    return [
        write_moved_stimulus(folder, record(dimension, clip, change), signal(clip))
        for dimension in dimensions
        for clip in clips
        for change in changes
    ]
