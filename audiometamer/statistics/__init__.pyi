# The main names of this room, loaded when they are first used.

from .anova import Effect as Effect
from .anova import anova as anova
from .bootstrap import Bootstrap as Bootstrap
from .bootstrap import IntervalEstimate as IntervalEstimate
from .contrasts import FRatio as FRatio
from .contrasts import f_ratio as f_ratio
from .intervals import ListenerMeans as ListenerMeans
from .intervals import mean_over_listeners as mean_over_listeners
from .pairing import PairingTest as PairingTest
from .pairing import pairing_test as pairing_test
from .permutation import permutation_p as permutation_p
from .reliability import SplitHalf as SplitHalf
from .reliability import split_half as split_half
