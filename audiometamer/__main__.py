"""``python -m audiometamer`` is ``audiometamer``."""

import sys

from audiometamer.cli import main

sys.exit(main())
