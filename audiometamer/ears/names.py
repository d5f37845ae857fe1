"""Ears by name: ``msbg:N3``, ``vocoder:ci24``, ``nerve:ihc3000``, with options after the name."""

import inspect
import math
from collections.abc import Callable
from typing import Any, get_args, get_origin

import torch
from torch import Tensor, nn

from audiometamer.ears.audiograms import find_audiogram
from audiometamer.ears.drnl import DRNL
from audiometamer.ears.ear import Ear
from audiometamer.ears.gammatone import Gammatone
from audiometamer.ears.msbg import MSBG
from audiometamer.ears.nerve import Nerve
from audiometamer.ears.vocoder import Vocoder
from audiometamer.errors import AudioMetamerError
from audiometamer.io.registry import Registry

LEVEL = 65.0  # dB SPL, of conversational speech: what a clip has where nothing else is said


class BothEars(nn.Module):
    """A left and a right ear, for two-channel sounds.

    Parameters
    ----------
    left, right : Ear
        For the first and the second channel.
    """

    def __init__(self, left: Ear, right: Ear) -> None:
        super().__init__()
        self.left, self.right = left, right
        self.gives_sound, self.sample_rate, self.full_scale = left.gives_sound, left.sample_rate, left.full_scale

    def forward(self, sound: Tensor) -> Tensor:
        """Sounds [shape=(..., 2, samples)] to sounds, or channels and frames, of either ear at dimension −2 or −3."""
        return torch.stack([self.left(sound[..., 0, :]), self.right(sound[..., 1, :])], dim=sound.ndim - 2)


def _msbg(choice: str, *, side: str | None = None, channels: int = 1, **options: Any) -> nn.Module:
    """Hearing loss of an audiogram; of both ears for sounds of two channels, unless a side is chosen."""
    if not choice:
        raise AudioMetamerError("msbg needs an audiogram: msbg:N3, msbg:flat40 or msbg:FILE.toml")
    ears = find_audiogram(choice)
    if side is not None:
        if side not in ears:
            raise AudioMetamerError(f"side is {side!r}; the audiogram {choice} has {' and '.join(ears)}")
        ears = {side: ears[side]}
    distinct = set(ears.values())
    if len(distinct) == 1:
        return MSBG(distinct.pop(), **options)
    if channels == 2:
        return BothEars(MSBG(ears["left"], **options), MSBG(ears["right"], **options))
    raise AudioMetamerError(f"the ears of {choice} differ, and the sounds have one channel: choose one, msbg:{choice}/side=left")


def _vocoder(choice: str, **options: Any) -> nn.Module:
    """A vocoder with the bands of a device, or with so many bands."""
    if choice.isdecimal():
        return Vocoder(n_bands=int(choice), **options)
    return Vocoder(device=choice or None, **options)


def _gammatone(choice: str, **options: Any) -> nn.Module:
    _check_no_choice("gammatone", choice)
    return Gammatone(**options)


def _drnl(choice: str, **options: Any) -> nn.Module:
    _check_no_choice("drnl", choice)
    return DRNL(**options)


def _nerve(choice: str, **options: Any) -> nn.Module:
    """The auditory nerve behind hair cells with a cut-off: ``nerve:ihc3000``."""
    if not choice:
        return Nerve(**options)
    if not (choice.lower().startswith("ihc") and choice[3:].isdecimal()) or "cutoff" in options:
        raise AudioMetamerError(f"there is no nerve:{choice}; give the cut-off of its hair cells in Hz, nerve:ihc3000")
    return Nerve(cutoff=float(choice[3:]), **options)


def _check_no_choice(name: str, choice: str) -> None:
    if choice:
        raise AudioMetamerError(f"there is no {name}:{choice}; give {name}, and its options after a /")


EARS = Registry(
    "audiometamer.ears", "ear", {"msbg": _msbg, "vocoder": _vocoder, "gammatone": _gammatone, "nerve": _nerve, "drnl": _drnl}
)

_CLASSES: dict[str, type[Ear]] = {
    "msbg": MSBG,
    "vocoder": Vocoder,
    "gammatone": Gammatone,
    "nerve": Nerve,
    "drnl": DRNL,
}  # whose keywords are the options of a name


def make_ear(spec: str, *, sample_rate: int, clip_level: float | None = None, channels: int = 1) -> nn.Module:
    """An ear by name.

    Parameters
    ----------
    spec : str
        ``NAME`` or ``NAME:CHOICE``, and options after it, each with a ``/`` before it:

        - ``msbg:N3``: hearing loss, see `audiometamer.ears.MSBG`; the choice is a standard audiogram, ``flat40`` (dB HL), the
          path of a TOML or CSV file, or ``250=10,1000=20,4000=60``;
        - ``vocoder:8`` or ``vocoder:ci24``, see `audiometamer.ears.Vocoder`: a number of bands, or a device;
        - front ends of their own: ``gammatone``, see `audiometamer.ears.Gammatone`; ``drnl``, see `audiometamer.ears.DRNL`; and
          ``nerve:ihc3000``, with a cut-off of the hair cells in Hz, see `audiometamer.ears.Nerve`;
        - the name of an entry point in the group ``audiometamer.ears``.

        Options are the keywords of the ear, and ``level=70``, the level of clips in dB SPL, by default 65; or
        ``full_scale=120``, that of a sound whose RMS is 1.
    sample_rate : int
        Sample rate in Hz.
    clip_level : float, optional
        RMS that has that level. Default: 1.
    channels : {1, 2}
        Number of channels of the sounds. Default 1.

    Returns
    -------
    Module

    Raises
    ------
    AudioMetamerError
        If there is no such ear or option, or a value is outside its range.

    Examples
    --------
    >>> from audiometamer.ears import make_ear
    >>> ear = make_ear("msbg:N3/level=70", sample_rate=20_000, clip_level=0.1)
    >>> ear.degree, round(ear.full_scale)
    ('severe', 90)
    """
    name, choice, options = split_spec(spec)
    given = {key: _value(name, key, text) for key, text in options.items()}
    if "level" in given and "full_scale" in given:
        raise AudioMetamerError(f"{spec}: give level, of clips, or full_scale, of an RMS of 1, not both")
    level = given.pop("level", LEVEL)
    if not isinstance(level, int | float) or not 0 <= level <= 120:
        raise AudioMetamerError(f"{spec}: level is {options['level']!r}; it must be a level of 0 to 120 dB SPL, such as 65")
    given.setdefault("full_scale", level - 20 * math.log10(clip_level or 1.0))
    given["sample_rate"] = sample_rate
    if name == "msbg":
        given["channels"] = channels
    ear = EARS.make(name, choice, **given)
    if not isinstance(ear, nn.Module):
        raise AudioMetamerError(f"the ear {name!r} is {ear!r:.50}, not a torch.nn.Module")
    return ear


def split_spec(spec: str) -> tuple[str, str, dict[str, str]]:
    """Name, choice and options of an ear: ``msbg:a/b.toml/side=left`` is ``msbg``, ``a/b.toml`` and side left."""
    whole, *parts = spec.split("/")
    options: dict[str, str] = {}
    while parts and "=" in parts[-1]:
        key, _, value = parts.pop().partition("=")
        if key in options:
            raise AudioMetamerError(f"{spec}: the option {key} is given twice")
        options[key] = value
    name, _, choice = "/".join([whole, *parts]).partition(":")
    return name, choice, options


def _value(name: str, key: str, text: str) -> Any:
    """An option's text as the type that the ear's keyword has."""
    if key in ("level", "full_scale"):
        return _number(key, text)
    if name not in _CLASSES or key in _OWN_OPTIONS.get(name, ()):
        return text
    parameters = inspect.signature(_CLASSES[name]).parameters
    known = [k for k, p in parameters.items() if p.kind is p.KEYWORD_ONLY and k != "sample_rate"]
    if key not in known:
        listed = ", ".join([*_OWN_OPTIONS.get(name, ()), *known, "level"])
        raise AudioMetamerError(f"the ear {name} has no option {key!r}; it has {listed}")
    return _PARSERS.get(_kind(parameters[key].annotation), _word)(key, text)


_OWN_OPTIONS = {"msbg": ("side",)}


def _kind(annotation: Any) -> Any:
    """The type of an option: the first of a union, `str` for one of several words."""
    arguments = [a for a in get_args(annotation) if a is not type(None)]
    if get_origin(annotation) is None or not arguments:
        return annotation
    return arguments[0] if isinstance(arguments[0], type) else type(arguments[0])


def _word(_key: str, text: str) -> str:
    return text


def _number(key: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise AudioMetamerError(f"{key} is {text!r}; it must be a number")
    return number


def _integer(key: str, text: str) -> int:
    number = _number(key, text)
    if number != int(number):
        raise AudioMetamerError(f"{key} is {text!r}; it must be a whole number")
    return int(number)


def _truth(key: str, text: str) -> bool:
    words = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
    if text.lower() not in words:
        raise AudioMetamerError(f"{key} is {text!r}; it must be true or false")
    return words[text.lower()]


_PARSERS: dict[Any, Callable[[str, str], Any]] = {float: _number, int: _integer, bool: _truth}
