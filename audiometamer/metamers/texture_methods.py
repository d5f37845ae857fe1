"""Methods for sound textures: quasi-Newton steps on the waveform, from noise with the target's spectrum."""

from collections.abc import Callable

from audiometamer.matching.losses import Loss, half_squared_error, relative_fourth_power, relative_l2
from audiometamer.matching.optimizers import CautiousLBFGS, Optimizer, Whitened
from audiometamer.matching.stopping import Below, StoppingRule

STEPS = 2000  # at most: 4 s of fire reach the halt after about 200, of modulated noise after about 500
# Dips of envelopes, below a tenth of a band's RMS, change at the smallest steps and take the lead of the true gradient: of 2 s of
# fire, 200 steps without a limit reach 15.6 dB in the worst class, with this one 23.5 dB, with 2.3 (at 0.3 of the RMS) 22.4 dB.
GRADIENT_CLIP = 5.0
# The published halt, 30 dB in every class, and 2 dB for the bands that count in the loss but not in the SNR.
_HALT = 10**-6.4


def quasi_newton(steps: int) -> Optimizer:  # noqa: ARG001 (an attempt's optimiser is a function of its steps)
    """L-BFGS where the starting noise is white: bands differ by 60 dB in level, and so in the slope of the compression."""
    return Whitened(CautiousLBFGS(max_step=0.5, memory=20))


def at_halt(steps: int) -> StoppingRule:  # noqa: ARG001 (a stopping rule, too, is a function of the steps)
    """Stop where every class has reached the published 30 dB, as good as certainly."""
    return Below(_HALT)


# Loss, stopping rule and description by name.
TEXTURES: dict[str, tuple[Loss, Callable[[int], StoppingRule] | None, str]] = {
    "textures": (
        relative_fourth_power,
        at_halt,
        "L-BFGS from noise with the target's spectrum, until every class of statistics has an SNR of 30 dB; classes count by the "
        "fourth power of their relative error, so that the one matched worst counts most",
    ),
    "textures-unweighted": (
        half_squared_error,
        None,
        "the same with the cost of McDermott & Simoncelli (2011): the sum of squared errors of all statistics",
    ),
    "textures-normalised": (relative_l2, None, "the same with the sum over classes of the error relative to the target's norm"),
}
