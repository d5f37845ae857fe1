"""Model metamers: sounds that a layer of a neural network cannot tell from a natural one.

>>> import audiometamer as am
>>> model = am.load_model("cochcnn-word")
>>> clip = am.read_clip("speech.wav")
>>> metamers = am.synthesize(model, clip, ["relu2", "final"])
"""

from audiometamer import networks
from audiometamer.audio import Clip, read_clip, write_wav
from audiometamer.cochleagram import Cochleagram
from audiometamer.criteria import NullDistribution, similarity
from audiometamer.errors import AudioMetamerError, AudioMetamerWarning
from audiometamer.matching import match
from audiometamer.metamers import Metamer, synthesize
from audiometamer.models import Model, load_model, record
from audiometamer.version import __version__

__all__ = [
    "AudioMetamerError",
    "AudioMetamerWarning",
    "Clip",
    "Cochleagram",
    "Metamer",
    "Model",
    "NullDistribution",
    "__version__",
    "load_model",
    "match",
    "networks",
    "read_clip",
    "record",
    "similarity",
    "synthesize",
    "write_wav",
]
