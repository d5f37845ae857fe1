"""The other ears: hearing loss, vocoders, gammatones, DRNL, auditory nerve, mel spectrograms; and any front end by name."""

from audiometamer.ears.audiograms import Audiogram, find_audiogram, flat, read_audiogram, standard
from audiometamer.ears.drnl import DRNL
from audiometamer.ears.ear import Ear
from audiometamer.ears.gammatone import Gammatone
from audiometamer.ears.mel import MelSpectrogram
from audiometamer.ears.msbg import MSBG
from audiometamer.ears.names import make_ear
from audiometamer.ears.nerve import Nerve
from audiometamer.ears.registry import make_front_end
from audiometamer.ears.vocoder import Vocoder

__all__ = [
    "DRNL",
    "MSBG",
    "Audiogram",
    "Ear",
    "Gammatone",
    "MelSpectrogram",
    "Nerve",
    "Vocoder",
    "find_audiogram",
    "flat",
    "make_ear",
    "make_front_end",
    "read_audiogram",
    "standard",
]
