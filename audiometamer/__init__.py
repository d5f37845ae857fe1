"""Model metamers: sounds that a layer of a neural network cannot tell from a natural one.

>>> import audiometamer as am
>>> model = am.load_model("cochcnn-word")
>>> clip = am.read_clip("speech.wav")
>>> metamers = am.synthesize(model, clip, ["relu2", "final"])
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from audiometamer.errors import AudioMetamerError, AudioMetamerWarning
from audiometamer.version import __version__

if TYPE_CHECKING:
    from audiometamer import networks
    from audiometamer.cochleagram import Cochleagram
    from audiometamer.matching import match
    from audiometamer.metamers.criteria import NullDistribution, similarity
    from audiometamer.metamers.metamer import Metamer
    from audiometamer.metamers.synthesis import synthesize
    from audiometamer.metamers.targets import GivenTarget
    from audiometamer.models.adapters.image_networks import image_model
    from audiometamer.models.adapters.joined import joined
    from audiometamer.models.loading import load_model
    from audiometamer.models.model import Model, record
    from audiometamer.signals.audio import Clip, read_clip, write_wav
    from audiometamer.signals.images import ImageTransform, read_image, write_png

__all__ = [
    "AudioMetamerError",
    "AudioMetamerWarning",
    "Clip",
    "Cochleagram",
    "GivenTarget",
    "Metamer",
    "Model",
    "NullDistribution",
    "ImageTransform",
    "__version__",
    "image_model",
    "joined",
    "load_model",
    "match",
    "networks",
    "read_clip",
    "read_image",
    "record",
    "similarity",
    "synthesize",
    "write_png",
    "write_wav",
]

# Names are brought when they are first used: what only reads files, as `audiometamer status`, need not wait for torch.
_WHERE = {
    "image_model": "audiometamer.models.adapters.image_networks",
    "joined": "audiometamer.models.adapters.joined",
    "Clip": "audiometamer.signals.audio",
    "read_clip": "audiometamer.signals.audio",
    "write_wav": "audiometamer.signals.audio",
    "Cochleagram": "audiometamer.cochleagram",
    "NullDistribution": "audiometamer.metamers.criteria",
    "similarity": "audiometamer.metamers.criteria",
    "ImageTransform": "audiometamer.signals.images",
    "read_image": "audiometamer.signals.images",
    "write_png": "audiometamer.signals.images",
    "load_model": "audiometamer.models.loading",
    "match": "audiometamer.matching",
    "Metamer": "audiometamer.metamers.metamer",
    "synthesize": "audiometamer.metamers.synthesis",
    "GivenTarget": "audiometamer.metamers.targets",
    "Model": "audiometamer.models.model",
    "record": "audiometamer.models.model",
}


def __getattr__(name: str) -> Any:
    if name == "networks":
        return import_module("audiometamer.networks")
    if name in _WHERE:
        return getattr(import_module(_WHERE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
