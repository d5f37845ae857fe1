"""Networks that take cochleagrams, with the published state-dict keys; statistics of textures and modulation: plain modules."""

from audiometamer.networks.cochcnn9 import CochCNN9
from audiometamer.networks.cochresnet50 import CochResNet50
from audiometamer.networks.histogram_matching import HistogramMatching
from audiometamer.networks.modulation import ModulationMoments
from audiometamer.networks.modulation_filters import ModulationFilterbank
from audiometamer.networks.octave_cochleagram import OctaveCochleagram
from audiometamer.networks.spectemp import SpecTemp
from audiometamer.networks.texture_statistics import TextureStatistics

__all__ = [
    "CochCNN9", "CochResNet50", "HistogramMatching", "ModulationFilterbank", "ModulationMoments", "OctaveCochleagram", "SpecTemp",
    "TextureStatistics",
]  # fmt: skip
