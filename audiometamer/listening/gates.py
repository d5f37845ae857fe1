"""Checks that a listener must pass before the main trials: headphones, and a demonstration of the task."""

import math
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

from audiometamer.listening.tables import NonNegativeInt

DEMONSTRATION_TRIALS = 12  # of 400 main trials, with a minimum of 5 (Feather et al. 2023)


class Gate(NamedTuple):
    """A check that a listener must pass to continue: its trials, the right answers it needs, and what else happens."""

    trials: int
    minimum: int
    otherwise: Literal["stop", "continue"]


class Headphones(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The headphone check, before everything else.

    Parameters
    ----------
    test : {"huggins", "antiphase", "none"}
        Huggins pitch (Milne et al. 2021), or tones in antiphase (Woods et al. 2017). Default "huggins".
    trials : int
        Number of trials, at most 1000. Default 6.
    minimum : int
        Number of right answers needed to pass. Default 5.
    otherwise : {"stop", "continue"}
        Action for a listener with fewer. Default "stop".
    """

    test: Literal["huggins", "antiphase", "none"] = "huggins"
    trials: Annotated[int, Meta(ge=1, le=1000)] = 6
    minimum: NonNegativeInt = 5
    otherwise: Literal["stop", "continue"] = "stop"

    @property
    def gate(self) -> Gate:
        """What a listener must reach."""
        return Gate(self.trials, self.minimum, self.otherwise)


class Demonstration(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Trials without feedback, which show whether the listener has understood the task.

    Parameters
    ----------
    trials : int, optional
        Number of trials. Default: 12, as in Feather et al. (2023), or fewer where words are few.
    conditions : {"natural", "all"}
        Conditions of its trials. Default "natural".
    minimum : int, optional
        Number of right answers needed to pass. Default: five of twelve.
    otherwise : {"stop", "continue"}
        Action for a listener with fewer. Default "stop".
    """

    trials: NonNegativeInt | None = None
    conditions: Literal["natural", "all"] = "natural"
    minimum: NonNegativeInt | None = None
    otherwise: Literal["stop", "continue"] = "stop"

    @property
    def gate(self) -> Gate:
        """What a listener must reach; of twelve trials, where their number is open."""
        trials = DEMONSTRATION_TRIALS if self.trials is None else self.trials
        minimum = math.ceil(trials * 5 / DEMONSTRATION_TRIALS) if self.minimum is None else self.minimum
        return Gate(trials, minimum, self.otherwise)
