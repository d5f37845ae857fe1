"""Ladders whose signals nobody has moved: what is known of them is made up."""

import torch
from msgspec.structs import replace

from audiometamer.exploration.dimensions import Dimension
from audiometamer.exploration.ladder import Rung
from audiometamer.exploration.moving import MovedRecord
from audiometamer.exploration.physical import Physical
from audiometamer.files import write_json
from audiometamer.metamers.files import safe_name, write_signal

RATE = 4000


def record(dimension="relu0/0/+", clip="vowel", wished=0.2, **known):
    """Of a signal that went exactly where it was wished to."""
    component, sign = Dimension.parse(dimension)[1:]
    after = [sign * wished if k == component else 0.0 for k in range(component + 1)]
    whole = MovedRecord(
        clip, dimension, "tiny", "weights", f"dimensions of {Dimension.parse(dimension).layer}", wished, wished, 0.0,
        [0.0] * len(after), after, Physical(10 / wished, wished / 10, 0.0, 0.5), "default", 50, [wished], 0.1,
    )  # fmt: skip
    return replace(whole, **known)


def write_rung(folder, known):
    """A moved signal, its record and its reference: noise with the wished change as its first sample."""
    path = folder / safe_name(known.clip) / f"{safe_name(known.dimension)}{known.wished:g}.wav"
    reference = 0.1 * torch.randn(1000, generator=torch.Generator().manual_seed(sum(known.clip.encode())))
    write_signal(path.with_name("original.wav"), reference, RATE)
    write_signal(path, torch.cat([torch.tensor([known.wished]), reference[1:]]), RATE)
    write_json(path.with_suffix(".json"), known)
    return Rung(known, path)


def write_ladder(folder, dimensions=("relu0/0/+", "relu0/0/-"), clips=("vowel", "noise"), changes=(0.1, 0.2, 0.4)):
    """All of all."""
    return [
        write_rung(folder, record(dimension, clip, change)) for dimension in dimensions for clip in clips for change in changes
    ]
