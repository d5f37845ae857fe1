"""Methods for modulation models: gradients on moments, and the published matching of histograms."""

from torch import Tensor

from audiometamer.errors import AudioMetamerError
from audiometamer.matching.optimizers import CautiousLBFGS, Optimizer, Whitened
from audiometamer.models.model import Model
from audiometamer.networks.histogram_matching import HistogramMatching
from audiometamer.networks.modulation import ModulationMoments
from audiometamer.networks.modulation_filters import CONDITIONS

ITERATIONS = 100  # as published
# Of the refining method: more iterations gain little. A step down the gradient takes a third of the time of one.
REFINED_ITERATIONS, STEPS_FACTOR = 20, 6


def refining(steps: int) -> Optimizer:  # noqa: ARG001 (an attempt's optimiser is a function of its steps)
    """L-BFGS where the matched sound is white, in steps that are small beside it."""
    return Whitened(CautiousLBFGS(max_step=0.1, memory=20))


def histogram_matching(model: Model, layer: str, sounds: Tensor) -> HistogramMatching:
    """The published synthesis for a condition, the layer, of sounds [shape=(batch, samples)].

    Raises
    ------
    AudioMetamerError
        If the model is not one of modulation, or the layer not one of its conditions.
    """
    network = model.network
    if not isinstance(network, ModulationMoments):
        raise AudioMetamerError(
            f"the method normanhaignere2018 matches histograms of modulation maps, which {model.name} has not: give a model such "
            "as modulation:normanhaignere2018"
        )
    condition = next((name for name in CONDITIONS if name == layer), None)
    if condition is None:
        raise AudioMetamerError(
            f"the method normanhaignere2018 has no layer {layer!r} to match; its conditions are {', '.join(CONDITIONS)}"
        )
    octaves, seconds = network.padding
    return HistogramMatching(sounds, condition, padding_octaves=octaves, padding_seconds=seconds, lowest_rate=network.lowest_rate)
