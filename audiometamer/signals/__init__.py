"""What is heard or seen: read, resample, cut, set the level, write; images; presentation copies."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
