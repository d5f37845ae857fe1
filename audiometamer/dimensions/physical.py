"""Physical distances of a moved signal from its reference, whatever the layer."""

import math

import msgspec
import torch
from torch import Tensor

from audiometamer.metamers.criteria import snr_db
from audiometamer.metamers.figure import display_cochleagram
from audiometamer.models.model import Model


class Physical(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Differences between a signal and its reference.

    Parameters
    ----------
    snr_db : float or None
        SNR of the cochleagram of a sound, or of any other signal itself; None if it is infinite.
    modulation : float
        `modulation_distance` between the same.
    level_db : float
        RMS of the signal relative to that of the reference, in dB.
    peak : float
        Largest magnitude in the signal.
    """

    snr_db: float | None
    modulation: float
    level_db: float
    peak: float


def physical_distances(model: Model, references: Tensor, signals: Tensor) -> list[Physical]:
    """Distances between signals and their references, both [shape=(batch, *signal_shape)]."""
    with torch.no_grad():
        before, after = displayed(model, references), displayed(model, signals)
    return [
        Physical(
            snr_db=None if math.isinf(snr := snr_db(*pair)) and snr > 0 else snr,
            modulation=modulation_distance(*pair),
            level_db=20 * math.log10(float(signal.double().norm() / reference.double().norm())),
            peak=float(signal.abs().max()),
        )
        for *pair, reference, signal in zip(before, after, references, signals, strict=True)
    ]


def displayed(model: Model, signals: Tensor) -> Tensor:
    """Cochleagrams [shape=(batch, ..., frequency, time)] of sounds; other signals unchanged."""
    if model.sample_rate is None:
        return signals
    cochleagrams: Tensor = display_cochleagram(model)(signals)
    return cochleagrams


def modulation_distance(reference: Tensor, signal: Tensor) -> float:
    """Relative difference ‖|M| − |M₀|‖ / ‖M₀‖ of modulation spectra: amplitudes, without phase, over spectral and temporal rates.

    The modulation spectrum is the two-dimensional Fourier transform of a cochleagram less its mean (Singh & Theunissen 2003,
    there of spectrograms): it does not contain when or at which frequency something happens.

    Parameters
    ----------
    reference, signal : Tensor [shape=(..., frequency, time)]
        The transform is over the last two dimensions, or the last one if there are no two. A reference without any modulation
        gives 0 if the signal has none either, and infinity if it has.
    """
    before, after = (_modulations(x) for x in (reference, signal))
    difference, size = float((after - before).norm()), float(before.norm())
    return difference / size if size else math.inf if difference else 0.0


def _modulations(x: Tensor) -> Tensor:
    dims = (-2, -1) if x.ndim > 1 else (-1,)
    x = x.double()
    return torch.fft.fftn(x - x.mean(dims, keepdim=True), dim=dims).abs()
