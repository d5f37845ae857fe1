# The main names of this room, loaded when they are first used.

from .checking import check as check
from .fetching import clean as clean
from .fetching import get as get
from .fetching import get_all as get_all
from .fetching import sizes as sizes
