# The main names of this room, loaded when they are first used.

from .criteria import NullDistribution as NullDistribution
from .criteria import judge as judge
from .criteria import similarity as similarity
from .evidence import Evidence as Evidence
from .figure import draw_figure as draw_figure
from .figure import plot_metamers as plot_metamers
from .metamer import Metamer as Metamer
from .metamer import Progress as Progress
from .methods import Attempt as Attempt
from .methods import Method as Method
from .synthesis import iterate_metamers as iterate_metamers
from .synthesis import synthesize as synthesize
from .targets import GivenTarget as GivenTarget
from .verdicts import Verdict as Verdict
