"""Types of arrays."""

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
GroupCodes = NDArray[np.intp]  # the group of each listener, counted from 0
