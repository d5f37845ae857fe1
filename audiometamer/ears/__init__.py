"""The other front ends: hearing loss, vocoders, mel spectrograms; and any front end by name."""

from audiometamer.ears.audiograms import Audiogram, find_audiogram, flat, read_audiogram, standard
from audiometamer.ears.ear import Ear
from audiometamer.ears.mel import MelSpectrogram
from audiometamer.ears.msbg import MSBG
from audiometamer.ears.names import make_ear
from audiometamer.ears.registry import make_front_end
from audiometamer.ears.vocoder import Vocoder

__all__ = [
    "MSBG",
    "Audiogram",
    "Ear",
    "MelSpectrogram",
    "Vocoder",
    "find_audiogram",
    "flat",
    "make_ear",
    "make_front_end",
    "read_audiogram",
    "standard",
]
