"""A model at another sample rate: its sounds are resampled, and the gradient passes through the resampling."""

from torch import Tensor, nn
from torch.nn import functional as F

from audiometamer.errors import AudioMetamerError
from audiometamer.models.model import Model
from audiometamer.signals.resampling import resample_by_sinc


class Resampled(nn.Module):
    """A front end that takes sounds at another sample rate.

    Parameters
    ----------
    front_end : Module or None
        Takes the resampled sounds.
    rate, new_rate : int
        Sample rates in Hz of the sounds and of the front end.
    samples : int
        Number of samples that the front end takes; a length that differs by rounding is cropped or padded to it.
    """

    def __init__(self, front_end: nn.Module | None, *, rate: int, new_rate: int, samples: int) -> None:
        super().__init__()
        self.front_end = front_end
        self.rate, self.new_rate, self.samples = rate, new_rate, samples

    def forward(self, sounds: Tensor) -> Tensor:
        """Sounds [shape=(batch, ..., samples)] to the front end's output."""
        resampled_sounds = resample_by_sinc(sounds, self.rate, self.new_rate)
        resampled_sounds = F.pad(resampled_sounds, (0, self.samples - resampled_sounds.shape[-1]))
        return resampled_sounds if self.front_end is None else self.front_end(resampled_sounds)


def resampled(model: Model, sample_rate: int | None) -> Model:
    """The same network for sounds at another sample rate.

    Parameters
    ----------
    model : Model
        A model of sounds.
    sample_rate : int or None
        Sample rate in Hz; None is the model's own.

    Returns
    -------
    Model
        Model with the same duration, level, labels and layers; the same model if the rate is its own.

    Raises
    ------
    AudioMetamerError
        If the model does not take sounds or the rate is not above 0.
    """
    if sample_rate in (None, model.sample_rate):
        return model
    if model.sample_rate is None or model.duration is None:
        raise AudioMetamerError(f"{model.name} takes no sounds: it has no sample rate to change to {sample_rate} Hz")
    if sample_rate <= 0:
        raise AudioMetamerError(f"sample_rate is {sample_rate} Hz; it must be above 0")
    return Model(
        model.network,
        front_end=Resampled(model.front_end, rate=sample_rate, new_rate=model.sample_rate, samples=model.signal_shape[-1]),
        sample_rate=sample_rate,
        duration=model.duration,
        signal_shape=(*model.signal_shape[:-1], round(sample_rate * model.duration)),
        level=model.level,
        bounds=model.bounds,
        labels=model.labels,
        layers={
            layer: str(tap).removeprefix("network.")
            for layer, tap in model.named_taps().items()
            if tap.path.startswith("network.")
        },
        domain=model.domain,
        untrained=model.untrained,
        name=model.name,
    )
