"""Models that take the same sounds: all at the highest of their sample rates."""

from collections.abc import Sequence

from audiometamer.errors import AudioMetamerError
from audiometamer.models.adapters.resampled import resampled
from audiometamer.models.model import Model


def at_common_rate(models: Sequence[Model]) -> list[Model]:
    """The models for sounds at the highest of their sample rates; gradients pass through the resampling to each one's own.

    Raises
    ------
    AudioMetamerError
        If the models take no sounds of the same duration and number of channels, or other signals of different shapes.
    """
    first = models[0]
    if all(model.sample_rate is None for model in models):
        kinds = {model.name: f"signals of shape {model.signal_shape}" for model in models}
    else:
        kinds = {model.name: _sounds(model) for model in models}
    if len(set(kinds.values())) > 1:
        told = ", ".join(f"{name} {kind}" for name, kind in kinds.items())
        raise AudioMetamerError(f"the models take different signals: {told}; they must take the same")
    if first.sample_rate is None:
        return list(models)
    highest = max(model.sample_rate or 0 for model in models)
    return [resampled(model, highest) for model in models]


def _sounds(model: Model) -> str:
    if model.sample_rate is None or model.duration is None:
        return f"signals of shape {model.signal_shape}"
    return f"{model.duration:g} s of sound in {model.channels} channel{'s' * (model.channels > 1)}"
