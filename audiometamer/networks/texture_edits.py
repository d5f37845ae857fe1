"""What is changed in the statistics of natural sounds before they are matched: low variance, pink noise, signs."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from audiometamer.errors import AudioMetamerError
from audiometamer.networks.texture_statistics import CLASSES, TextureStatistics

_UNSTABLE = ("envelope_skewness", "envelope_kurtosis", "modulation_power")
_FLIPS = ("envelope_skewness", "modulation_c2", "modulation_c2_real", "modulation_c2_imaginary")
_PINK_SECONDS, _PINK_RMS = 20, 0.01


@dataclass(frozen=True)
class Edits:
    """Changes to the statistics of natural sounds (McDermott & Simoncelli 2011, toolbox).

    Parameters
    ----------
    least_cv : float
        Bands whose envelope's coefficient of variation is below this get the skewness, kurtosis and modulation power of pink
        noise, since their own would be those of rounding errors. Default 0.02, as published.
    pink : tuple of str
        Classes that are those of pink noise. Default: none.
    flip : tuple of str
        What changes its sign: ``envelope_skewness``, ``modulation_c2``, or only its real or imaginary part. Default: none.

    Raises
    ------
    AudioMetamerError
        If a class is unknown.
    """

    least_cv: float = 0.02
    pink: tuple[str, ...] = ()
    flip: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for what, names, known in (("pink", self.pink, CLASSES), ("flip", self.flip, _FLIPS)):
            if unknown := [name for name in names if name not in known]:
                raise AudioMetamerError(f"{what} is {unknown[0]!r}; it must be one of {', '.join(known)}")

    def __call__(self, found: Mapping[str, Tensor], measure: TextureStatistics) -> dict[str, Tensor]:
        """Edited statistics by class.

        Parameters
        ----------
        found : mapping of str to Tensor [shape=(batch, bands, ...)]
            Statistics of natural sounds, with ``envelope_cv``.
        measure : TextureStatistics
            What measured them; pink noise is measured alike.
        """
        edited = dict(found)
        low = found["envelope_cv"] < self.least_cv
        unstable = [name for name in _UNSTABLE if name in found] if bool(low.any()) else []
        if unstable or self.pink:
            noise = _of_pink_noise(measure, found["envelope_cv"])
            for name in unstable:
                values = edited[name]
                edited[name] = torch.where(low.view(*low.shape, *[1] * (values.ndim - 2)), noise[name].to(values), values)
        for name in self.flip:
            edited |= _flipped(name, edited)
        for name in self.pink:
            if name in edited:
                edited[name] = noise[name].to(edited[name]).expand_as(edited[name])
        return edited


def _flipped(name: str, found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The class that a flip changes; the real part of C2 only where envelopes have power (toolbox)."""
    if name == "envelope_skewness":
        return {name: -found[name]} if name in found else {}
    if "modulation_c2" not in found:
        return {}
    values = found["modulation_c2"].clone()
    if not name.endswith("real"):
        values[..., 1] *= -1
    if not name.endswith("imaginary"):
        for band in range(values.shape[1]):
            values[:, band, : 6 if band > 8 else 5 if band > 1 else 4, 0] *= -1
    return {"modulation_c2": values}


def _of_pink_noise(measure: TextureStatistics, like: Tensor) -> dict[str, Tensor]:
    if not isinstance(measure.window, str):
        raise AudioMetamerError("statistics of pink noise are needed, and the window is of another length: use 'ones' or 'ramps'")
    sound = torch.from_numpy(_pink_noise(measure.sample_rate)).to(like)
    with torch.no_grad():
        return measure(sound[None])


@lru_cache(maxsize=2)
def _pink_noise(sample_rate: int) -> np.ndarray:
    """20 s of noise whose power falls as 1 / f, RMS 0.01, always the same; ours, where the toolbox reads a file."""
    n_samples = _PINK_SECONDS * sample_rate
    spectrum = np.fft.rfft(np.random.default_rng(0).standard_normal(n_samples))
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    spectrum[0] = 0
    noise = np.fft.irfft(spectrum, n_samples)
    return noise * (_PINK_RMS / np.sqrt(np.mean(noise**2)))
