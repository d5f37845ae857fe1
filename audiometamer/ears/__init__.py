"""The other front ends: mel spectrograms; and any front end by name."""

from audiometamer.ears.mel import MelSpectrogram
from audiometamer.ears.registry import make_front_end

__all__ = ["MelSpectrogram", "make_front_end"]
