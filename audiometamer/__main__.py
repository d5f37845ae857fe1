"""``python -m audiometamer`` is ``audiometamer``."""

import os
import sys

if sys.path[:1] == [os.getcwd()] and not sys.flags.safe_path:  # noqa: PTH109 (what Python itself calls)
    del sys.path[0]  # Python puts the current folder first: a file ./random.py or ./torch.py is not what we mean

from audiometamer.cli import run

run()
