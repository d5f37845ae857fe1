"""The other front ends: mel spectrograms; and any front end by the name of its preset."""

from typing import Any

from audiometamer.cochleagram import Cochleagram
from audiometamer.ears.mel import MelSpectrogram

__all__ = ["MelSpectrogram", "front_end"]


def front_end(preset: str, **overrides: Any) -> Cochleagram | MelSpectrogram:
    """A front end by the name of its preset: ``feather2023``, ``feather2019``, ``mel`` or ``logmel``."""
    return MelSpectrogram.from_preset(preset, **overrides) if "mel" in preset else Cochleagram.from_preset(preset, **overrides)
