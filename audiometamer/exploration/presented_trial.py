"""A presented trial of an exploration."""

from typing import Literal

import msgspec

StimulusSource = Literal["ladder", "online", "fallback"]


class PresentedTrial(msgspec.Struct, frozen=True):
    """The stimuli of a trial, as stored.

    Parameters
    ----------
    number : int
        Number of the listener's list, from 1.
    dimension : str
        Name of the dimension, as in ``relu2/3/+``.
    reference : str
        Name of the clip.
    requested : float
        The change that the procedure requested, in standard deviations of the bank, as all changes here; stored as ``wished``.
    made : float
        The requested change of the stimulus that was presented: the nearest of the ladder, unless it was made online.
    reached : float
        The change that this stimulus reached.
    leakage : float
    snr_db : float or None
    modulation : float
    level_db : float
        See `audiometamer.dimensions.moved.MovedRecord` and `audiometamer.dimensions.physical.Physical`.
    way : {"ladder", "online", "fallback"}
        Source of the stimulus; a fallback is of the ladder, as none was made online in time.
    waited : float
        How long the listener waited for the stimulus, in s.
    arrangement : int
        Which of the possible orders of the sounds; see `audiometamer.listening.trials.interval_order`.
    rove_db : list of float
        Gain of each interval, in dB; 0 for images.
    original, moved : str
        Files of the reference and of the moved signal, relative to the experiment's folder.
    """

    number: int
    dimension: str
    reference: str
    requested: float = msgspec.field(name="wished")
    made: float
    reached: float
    leakage: float
    snr_db: float | None
    modulation: float
    level_db: float
    way: StimulusSource
    waited: float
    arrangement: int
    rove_db: list[float]
    original: str
    moved: str
