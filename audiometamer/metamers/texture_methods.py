"""Methods for sound textures: quasi-Newton steps on the waveform, from noise with the target's spectrum."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from audiometamer.io.fingerprints import fingerprint_of
from audiometamer.matching.losses import Activations, Loss, half_squared_error, relative_fourth_power, relative_l2
from audiometamer.matching.optimizers import CautiousLBFGS, Optimizer, Whitened

STEPS = 2000  # at most: 4 s of fire reach the halt after about 180, of modulated noise after about 280
# Dips of envelopes, below a tenth of a band's RMS, change at the smallest steps and take the lead of the true gradient: of 2 s of
# fire, 200 steps without a limit reach 15.6 dB in the worst class, with this one 23.5 dB, with 2.3 (at 0.3 of the RMS) 22.4 dB.
GRADIENT_CLIP = 5.0


@dataclass(frozen=True)
class Audible:
    """A loss of statistics in which faint bands count less, as they do not count in the verdict.

    A network with a method ``loud_shares(layer, targets)`` says which bands are loud; for others this is `loss` itself. Of 4 s of
    insects, whose power is in 5 of 32 bands, 200 steps reach 22.9 dB in the worst class if all bands count alike, with a tenth
    for faint ones 32.0 dB; the faint ones are matched no worse by it.

    Parameters
    ----------
    loss : callable
    faint : float
        Weight of the squared error of a faint band, relative to that of a loud one. Default 0.1.
    """

    loss: Loss
    faint: float = 0.1

    def __call__(self, activations: Activations, target: Activations) -> Tensor:
        return self.loss(activations, target)

    def __str__(self) -> str:
        return f"{fingerprint_of(self.loss)}, faint bands {self.faint:g}"

    def over(self, loss: Loss, shares: Callable[[Tensor], Tensor]) -> Loss:
        """A loss of values [shape=(batch, entries)] whose squares are weighted by the shares of loud bands for the targets."""

        def audible_loss(activations: Activations, target: Activations) -> Tensor:
            assert isinstance(activations, Tensor)
            assert isinstance(target, Tensor)
            t = target.flatten(1)
            weights = (self.faint + (1 - self.faint) * shares(t)).sqrt()
            return loss(weights * activations.flatten(1), weights * t)

        return audible_loss


def quasi_newton(steps: int) -> Optimizer:  # noqa: ARG001 (an attempt's optimiser is a function of its steps)
    """L-BFGS where the starting noise is white: bands differ by 60 dB in level, and so in the slope of the compression."""
    return Whitened(CautiousLBFGS(max_step=0.5, memory=20))


# Loss, whether to stop at the published 30 dB in every class, and description by name.
TEXTURES: dict[str, tuple[Loss, bool, str]] = {
    "textures": (
        Audible(relative_fourth_power),
        True,
        "L-BFGS from noise with the target's spectrum, until every class of statistics has an SNR of 30 dB; classes count by the "
        "fourth power of their relative error, so that the one matched worst counts most, and faint bands a tenth",
    ),
    "textures-unweighted": (
        half_squared_error,
        False,
        "the same with the cost of McDermott & Simoncelli (2011): the sum of squared errors of all statistics",
    ),
    "textures-normalised": (relative_l2, False, "the same with the sum over classes of the error relative to the target's norm"),
}
