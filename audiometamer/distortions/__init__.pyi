# The main names of this room, loaded when they are first used.

from .invariance import Invariance as Invariance
from .invariance import draw_curves as draw_curves
from .invariance import effective_rank as effective_rank
from .invariance import measure_invariance as measure_invariance
