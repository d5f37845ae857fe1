"""Models of spectrotemporal modulation by name: ``modulation:normanhaignere2018``, with options in the name."""

import math
import os

from audiometamer.errors import AudioMetamerError
from audiometamer.matching.domains import Waveform
from audiometamer.models.model import Model
from audiometamer.networks.modulation import ModulationMoments
from audiometamer.networks.modulation_filters import rates_from
from audiometamer.networks.octave_cochleagram import LEVEL, SAMPLE_RATE_HZ, OctaveCochleagram
from audiometamer.signals.audio import Clip

_NAME = "normanhaignere2018"
_OPTIONS = ("seconds", "padding_seconds", "padding_octaves", "lowest_rate")
_SECONDS = 4.0
_SHORTEST, _LONGEST = 0.1, 60.0  # seconds; below, no FFT bin falls into the lowest cochlear filters
_CYCLES = 0.5  # of the lowest rate that a sound must last: its 0.5 Hz were published with sounds of a second
_STEP = 100  # samples: two frames


class ModulationModel(Model):
    """A model of modulation: recordings shorter than half a cycle of its lowest rate are refused, others padded with silence."""

    def read_clip(
        self,
        path: str | os.PathLike[str],
        *,
        level: float | None = None,
        start: float | None = None,
        length: float | None = None,
    ) -> Clip:
        """Read a recording; see `Model.read_clip`."""
        clip = super().read_clip(path, level=level, start=start, length=length)
        assert isinstance(self.network, ModulationMoments)
        assert clip.source is not None
        assert clip.source.duration is not None
        _check_duration(clip.source.duration, self.network.lowest_rate, clip.name)
        return clip


def _check_duration(seconds: float, lowest_rate: float, name: str) -> None:
    rate = rates_from(lowest_rate)[0]
    if seconds < _CYCLES / rate:
        raise AudioMetamerError(
            f"{name}: {seconds:g} s are too short for the lowest modulation filter, at {rate:g} Hz: give at least "
            f"{_CYCLES / rate:g} s, or the model a higher /lowest_rate"
        )


def load(text: str) -> Model:
    """The moments of modulation maps as a model of sounds at 20 kHz and an RMS of 0.01.

    Layers: the cochleagram, ``front_end``, and the four conditions, ``cochlear``, ``temporal``, ``spectral`` and ``full``.

    Parameters
    ----------
    text : str
        ``normanhaignere2018``, and any of these options after it, each with a ``/`` before it:

        - ``seconds=2``: duration of the sounds, by default 4;
        - ``padding_seconds=3``, ``padding_octaves=4``: padding in front of cochleagrams, by default the published 24 s and 8
          octaves; less is quicker;
        - ``lowest_rate=4``: rate in Hz below which filters are left out. Sounds, and recordings, last half of its cycle or more:
          a second with the published 0.5 Hz.

    Returns
    -------
    Model

    Raises
    ------
    AudioMetamerError
        If there is no such model, option or value.

    Examples
    --------
    >>> load("normanhaignere2018/seconds=0.2/padding_seconds=1/lowest_rate=4").layers
    ('front_end', 'cochlear', 'temporal', 'spectral', 'full')
    """
    name, *given = text.split("/")
    if name != _NAME:
        raise AudioMetamerError(f"there is no model modulation:{name}; there is modulation:{_NAME}")
    options = dict(map(_parsed, given))
    seconds = options.pop("seconds", _SECONDS)
    if not _SHORTEST <= seconds <= _LONGEST:
        raise AudioMetamerError(
            f"a sound of {seconds:g} s is too {'short' if seconds < _SHORTEST else 'long'} for modulation:{_NAME}: give "
            f"{_SHORTEST:g} to {_LONGEST:g} s"
        )
    _check_duration(seconds, options.get("lowest_rate", 0.0), f"modulation:{text}")
    return ModulationModel(
        ModulationMoments(**options).eval(),
        front_end=OctaveCochleagram().eval(),
        sample_rate=SAMPLE_RATE_HZ,
        duration=round(seconds * SAMPLE_RATE_HZ / _STEP) * _STEP / SAMPLE_RATE_HZ,
        level=LEVEL,
        domain=Waveform(deviation=LEVEL),
        name=f"modulation:{text}",
        check=False,  # many passes, and nothing of it is the user's
    )


def _parsed(option: str) -> tuple[str, float]:
    name, _, value = option.partition("=")
    if name not in _OPTIONS:
        raise AudioMetamerError(f"modulation:{_NAME} has no option {name!r}; it has {', '.join(_OPTIONS)}")
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise AudioMetamerError(f"the option {name} of modulation:{_NAME} is {value!r}; it must be a number of 0 or more")
    return name, number
