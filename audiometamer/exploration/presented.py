"""What a trial of an exploration compares."""

from typing import Literal

import msgspec

Way = Literal["ladder", "online", "fallback"]


class Presented(msgspec.Struct, frozen=True):
    """What was played or shown in a trial, as the store keeps it.

    Parameters
    ----------
    number : int
        Of the listener's list, from 1.
    dimension : str
        As in ``relu2/3/+``.
    reference : str
        Name of the clip.
    wished : float
        The change that the procedure asked for, in standard deviations of the bank, as all changes here.
    made : float
        The wished change of the sound that was played: the nearest of the ladder, unless it was made on-line.
    reached : float
        The change that this sound came to.
    leakage : float
    snr_db : float or None
    modulation : float
    level_db : float
        See `audiometamer.dimensions.moving.MovedRecord` and `audiometamer.dimensions.physical.Physical`.
    way : {"ladder", "online", "fallback"}
        A fallback is of the ladder: the sound was to be made on-line and was not there in time.
    waited : float
        How long the listener waited for the sound, in s.
    arrangement : int
        Which of the possible orders of the sounds; see `audiometamer.listening.trials.interval_order`.
    rove_db : list of float
        Gain of each interval, in dB; 0 of images.
    original, moved : str
        Files of the reference and of the moved signal, as seen from the experiment's folder.
    """

    number: int
    dimension: str
    reference: str
    wished: float
    made: float
    reached: float
    leakage: float
    snr_db: float | None
    modulation: float
    level_db: float
    way: Way
    waited: float
    arrangement: int
    rove_db: list[float]
    original: str
    moved: str
