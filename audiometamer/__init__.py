"""Model metamers: sounds that a layer of a neural network cannot tell from a natural one.

>>> import audiometamer as am
>>> model = am.load_model("cochcnn-word")
>>> clip = am.read_clip("speech.wav")
>>> metamers = am.synthesize(model, clip, ["relu2", "final"])
"""

from audiometamer import networks
from audiometamer.adapters.image_networks import image_model
from audiometamer.adapters.joined import joined
from audiometamer.audio import Clip, read_clip, write_wav
from audiometamer.cochleagram import Cochleagram
from audiometamer.criteria import NullDistribution, similarity
from audiometamer.errors import AudioMetamerError, AudioMetamerWarning
from audiometamer.images import Picture, read_image, write_png
from audiometamer.loading import load_model
from audiometamer.matching import match
from audiometamer.metamers import GivenTarget, Metamer, synthesize
from audiometamer.models import Model, record
from audiometamer.version import __version__

__all__ = [
    "AudioMetamerError",
    "AudioMetamerWarning",
    "Clip",
    "Cochleagram",
    "GivenTarget",
    "Metamer",
    "Model",
    "NullDistribution",
    "Picture",
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
