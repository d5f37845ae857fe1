"""Small changes of a sound: which a layer notices most and least, which tell models apart, and scales along a path of them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
