# The main names of this room, loaded when they are first used.

from .audio import Clip as Clip
from .audio import ClipSource as ClipSource
from .audio import read_clip as read_clip
from .audio import read_samples as read_samples
from .audio import set_level as set_level
from .audio import write_wav as write_wav
from .images import ImageTransform as ImageTransform
from .images import read_image as read_image
from .images import write_png as write_png
from .presentation import PresentationSettings as PresentationSettings
from .presentation import presentation_copy as presentation_copy
from .resampling import resample as resample
from .speech import find_speech as find_speech
