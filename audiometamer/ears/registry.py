"""Front ends by name: published presets, and those that installed packages register."""

from functools import partial
from typing import Any

from torch import nn

from audiometamer.cochleagram import Cochleagram
from audiometamer.cochleagram.cochleagram import PRESETS as COCHLEAGRAMS
from audiometamer.ears.drnl import DRNL
from audiometamer.ears.gammatone import Gammatone
from audiometamer.ears.mel import PRESETS as MEL_SPECTROGRAMS
from audiometamer.ears.mel import MelSpectrogram
from audiometamer.ears.nerve import Nerve
from audiometamer.errors import AudioMetamerError
from audiometamer.io.registry import Registry

FRONT_ENDS = Registry(
    "audiometamer.front_ends",
    "front end",
    {name: partial(Cochleagram.from_preset, name) for name in COCHLEAGRAMS}
    | {name: partial(MelSpectrogram.from_preset, name) for name in MEL_SPECTROGRAMS}
    | {"gammatone": Gammatone, "nerve": Nerve, "drnl": DRNL},
)


def make_front_end(name: str, **options: Any) -> nn.Module:
    """A front end by name.

    Parameters
    ----------
    name : str
        A preset, ``feather2023``, ``feather2019``, ``mel``, ``logmel``, ``gammatone``, ``nerve`` or ``drnl``; or the name of an
        entry point in the group ``audiometamer.front_ends``, a class or function that returns a module.
    **options
        Its keywords.

    Raises
    ------
    AudioMetamerError
        If there is no such front end, or what is registered makes none.
    """
    front_end = FRONT_ENDS.make(name, **options)
    if not isinstance(front_end, nn.Module):
        raise AudioMetamerError(f"the front end {name!r} is {front_end!r:.50}, not a torch.nn.Module")
    return front_end
