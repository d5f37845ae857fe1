"""Models: a front end, a network and what is needed to use them; hooks, loading, published checkpoints, graphs."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
