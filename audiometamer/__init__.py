"""Model metamers: sounds that a layer of a neural network cannot distinguish from a natural one.

>>> import audiometamer as am
>>> model = am.load_model("cochcnn-word")
>>> clip = am.read_clip("speech.wav")
>>> metamers = am.synthesize(model, clip, ["relu2", "final"])

All names are listed in the stub beside this file, and loaded when they are first used: `import audiometamer` itself loads neither
torch nor any other large library.
"""

import lazy_loader

from audiometamer import _moved
from audiometamer.version import __version__ as __version__

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
_moved.install()
__getattr__ = _moved.with_old_names(__name__, _load)
