"""Models of spectrotemporal modulation by name: ``modulation:normanhaignere2018``, with options in the name."""

import math

from audiometamer.errors import AudioMetamerError
from audiometamer.matching.domains import Waveform
from audiometamer.models.model import Model
from audiometamer.networks.modulation import ModulationMoments
from audiometamer.networks.octave_cochleagram import LEVEL, SAMPLE_RATE_HZ, OctaveCochleagram

_NAME = "normanhaignere2018"
_DEFAULTS = {"seconds": 4.0, "padding_seconds": 24.0, "padding_octaves": 8.0}
_SHORTEST, _LONGEST = 0.1, 60.0  # seconds; below, no FFT bin falls into the lowest cochlear filters
_STEP = 100  # samples: two frames


def load(text: str) -> Model:
    """The moments of modulation maps as a model of sounds at 20 kHz and an RMS of 0.01.

    Layers: the cochleagram, ``front_end``, and the four conditions, ``cochlear``, ``temporal``, ``spectral`` and ``full``.

    Parameters
    ----------
    text : str
        ``normanhaignere2018``, and any of these options after it, each with a ``/`` before it:

        - ``seconds=2``: duration of the sounds, by default 4;
        - ``padding_seconds=3``, ``padding_octaves=4``: padding in front of cochleagrams, by default the published 24 s and 8
          octaves; less is quicker.

    Returns
    -------
    Model

    Raises
    ------
    AudioMetamerError
        If there is no such model, option or value.

    Examples
    --------
    >>> load("normanhaignere2018/seconds=0.2/padding_seconds=1").layers
    ('front_end', 'cochlear', 'temporal', 'spectral', 'full')
    """
    name, *given = text.split("/")
    if name != _NAME:
        raise AudioMetamerError(f"there is no model modulation:{name}; there is modulation:{_NAME}")
    options = _DEFAULTS | dict(map(_parsed, given))
    seconds = options.pop("seconds")
    if not _SHORTEST <= seconds <= _LONGEST:
        raise AudioMetamerError(
            f"a sound of {seconds:g} s is too {'short' if seconds < _SHORTEST else 'long'} for modulation:{_NAME}: give "
            f"{_SHORTEST:g} to {_LONGEST:g} s"
        )
    return Model(
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
    if name not in _DEFAULTS:
        raise AudioMetamerError(f"modulation:{_NAME} has no option {name!r}; it has {', '.join(_DEFAULTS)}")
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise AudioMetamerError(f"the option {name} of modulation:{_NAME} is {value!r}; it must be a number of 0 or more")
    return name, number
