"""Methods of moving signals: the step sizes and rounds of the method developed here, and of the published one."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from audiometamer.errors import AudioMetamerError
from audiometamer.matching.optimizers import Adam, Cosine, NormalizedDescent, Optimizer

STEPS = 50  # as published (Kamao et al. 2025)


@dataclass(frozen=True)
class MovingMethod:
    """A method of moving signals.

    Parameters
    ----------
    name : str
    optimizer : callable
        From the number of steps in a round to an optimiser, for steps in units of `rate`.
    rate : callable
        From the requested change [shape=(batch,)], in standard deviations, and the distance to it if coordinates were linear
        [shape=(batch,)], in units of the signal, to the unit of steps [shape=(batch,)].
    linear : bool
        Whether the error of coordinates is the distance that the signal would have to go if coordinates were linear, or the
        difference of the coordinates themselves.
    rounds : int
        How often the optimiser restarts, with coordinates linearised again: with steps three times as large as before where the
        last round came nearer, or a quarter where it did not.
    nearest : bool
        Whether the nearest of all signals on the way is kept, or the last.
    description : str
    """

    name: str
    optimizer: Callable[[int], Optimizer]
    rate: Callable[[Tensor, Tensor], Tensor]
    linear: bool
    rounds: int
    nearest: bool
    description: str


METHODS = {
    method.name: method
    for method in (
        MovingMethod(
            "default",
            lambda steps: NormalizedDescent(Cosine(0.05 / steps, steps), momentum=0.9),
            lambda _, distance: distance,
            True,
            3,
            True,
            "three rounds of momentum on the normalised gradient of the distance, were coordinates linear: small steps first, as "
            "most signals need less than this distance, then for what remains three times as large in proportion, or a quarter "
            "where no step came nearer; of all signals on the way the nearest is kept",
        ),
        MovingMethod(
            "adam",
            lambda steps: Adam(Cosine(2e-4, steps)),
            lambda change, _: change,
            False,
            1,
            False,
            "Adam, whose rate grows with the change, as in Kamao et al. (2025): 0.0002 for one standard deviation, falling along "
            "a cosine",
        ),
    )
}


def find_method(name: str) -> MovingMethod:
    """A method by its name.

    Raises
    ------
    AudioMetamerError
        If there is none.
    """
    if name not in METHODS:
        raise AudioMetamerError(f"there is no method {name!r} of moving; there are {', '.join(METHODS)}")
    return METHODS[name]
