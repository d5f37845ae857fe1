"""Networks that take cochleagrams, with the published state-dict keys, and statistics of textures: plain modules."""

from audiometamer.networks.cochcnn9 import CochCNN9
from audiometamer.networks.cochresnet50 import CochResNet50
from audiometamer.networks.spectemp import SpecTemp
from audiometamer.networks.texture_statistics import TextureStatistics

__all__ = ["CochCNN9", "CochResNet50", "SpecTemp", "TextureStatistics"]
