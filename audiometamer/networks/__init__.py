"""Networks that take cochleagrams: plain modules with the published state-dict keys, one file each."""

from audiometamer.networks.cochcnn9 import CochCNN9
from audiometamer.networks.cochresnet50 import CochResNet50
from audiometamer.networks.spectemp import SpecTemp

__all__ = ["CochCNN9", "CochResNet50", "SpecTemp"]
