"""Statistics: bootstrap, permutation, analysis of variance, contrasts, intervals, reliability.

Data come first, as arrays with listeners (or sounds) along the first axis; everything else is keyword-only: ``resamples`` of a
bootstrap, ``permutations`` of a test, ``seed``. Results are named tuples.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
