"""Statistics of envelopes: moments, correlations, modulation power, autocorrelation, histograms; windowed, in any dtype.

Envelopes are [shape=(batch, bands, frames)], and a window [shape=(frames,)] has a sum of 1. The formulas are those of McDermott &
Simoncelli (2011) as their toolbox computes them. Where a band is constant, what would be 0 / 0 is 0, with a gradient of 0.
"""

import torch
from torch import Tensor

from audiometamer.networks.texture_filters import AUTOCORRELATION_LAGS


def variance(spectra: Tensor, gains: Tensor, length: int) -> Tensor:
    """Variances, N − 1 in the denominator, of bands [shape=(batch, bands)] from spectra [shape=(batch, bins)] and their gains.

    By Parseval's theorem; the mean is left out with the bin at 0 Hz.
    """
    power = torch.view_as_real(spectra).square().sum(-1) * 2
    power = torch.cat([torch.zeros_like(power[:, :1]), power[:, 1:]], -1)
    if length % 2 == 0:
        power = torch.cat([power[:, :-1], power[:, -1:] / 2], -1)
    return power @ gains.square().T / (length * (length - 1))


def envelope_moments(envelopes: Tensor, window: Tensor) -> dict[str, Tensor]:
    """Mean, coefficient of variation, skewness and kurtosis of envelopes, [shape=(batch, bands)] each.

    Σ w e, √(Σ w (e − μ)²) / μ, Σ w (e − μ)³ / m₂^1.5 and Σ w (e − μ)⁴ / m₂², which is 3 for a Gaussian.
    """
    mean = envelopes @ window
    centered = envelopes - mean[..., None]
    m2, m3, m4 = (centered**power @ window for power in (2, 3, 4))
    deviation = _root(m2)
    return {
        "envelope_mean": mean,
        "envelope_cv": _ratio(deviation, mean),
        "envelope_skewness": _ratio(m3, deviation**3),
        "envelope_kurtosis": _ratio(m4, m2.square()),
    }


def correlation(bands: Tensor, window: Tensor, *, local: bool = False) -> Tensor:
    """Correlations between bands [shape=(..., bands, frames)], [shape=(..., bands, bands)].

    Means and standard deviations ignore the window, as published, so that under one the diagonal is not 1; unless they are
    `local`, those under the window.
    """
    weights = window if local else torch.full_like(window, 1 / len(window))
    centered = bands - (bands @ weights)[..., None]
    standardised = _ratio(centered, _root(centered.square() @ weights)[..., None])
    return (standardised * window) @ standardised.transpose(-1, -2)


def filtered(spectra: Tensor, gains: Tensor, length: int) -> Tensor:
    """Signals [shape=(batch, bands, filters, length)] of spectra [shape=(batch, bands, bins)] after circular filters."""
    return torch.fft.irfft(spectra[..., None, :] * gains, n=length)


def modulation_power(modulations: Tensor, envelopes: Tensor, window: Tensor) -> Tensor:
    """Power of modulation bands [shape=(batch, bands, filters, frames)] relative to the envelope's variance."""
    centered = envelopes - (envelopes @ window)[..., None]
    return _ratio(modulations.square() @ window, (centered.square() @ window)[..., None])


def analytic(spectra: Tensor, gains: Tensor, length: int) -> Tensor:
    """Analytic signals, complex [shape=(batch, bands, filters, length)], after circular filters."""
    return torch.fft.ifft(one_sided(gains, length) * spectra[..., None, :], n=length)


def one_sided(gains: Tensor, length: int) -> Tensor:
    """Gains [shape=(..., length // 2 + 1)] that make the analytic signal: twice all but those at 0 and at the Nyquist bin."""
    doubled = torch.full_like(gains[..., :1, :] if gains.ndim > 1 else gains, 2.0)
    doubled[..., 0] = 1.0
    if length % 2 == 0:
        doubled[..., -1] = 1.0
    return gains * doubled


def phase_correlation(coarse: Tensor, fine: Tensor, window: Tensor) -> Tensor:
    """C2: correlation of a band, its phase doubled, with the band an octave above it, [shape=(..., 2)].

    With c = a² / |a| of the lower analytic band a and the upper one b: Σ w Re c · Re b and Σ w Re c · Im b, divided by
    √(Σ w (Re c)²) · √(Σ w (Re b)²).
    """
    doubled = _ratio(coarse.real.square() - coarse.imag.square(), magnitude(coarse))
    norm = _root((doubled.square() @ window) * (fine.real.square() @ window))
    products = torch.stack([(doubled * part) @ window for part in (fine.real, fine.imag)], -1)
    return _ratio(products, norm[..., None])


def autocorrelation(spectra: Tensor, gains: Tensor, window: Tensor) -> Tensor:
    """Autocorrelation of envelopes at the published lags, [shape=(batch, bands, lags)], from their spectra.

    Each lag has its own low-pass filter. Both copies are shifted, in opposite directions, and filled with zeros; products are
    divided by the filtered envelope's variance. Its mean and variance ignore the window.
    """
    values, length = [], len(window)
    for lag, gain in zip(AUTOCORRELATION_LAGS, gains, strict=True):
        smooth = torch.fft.irfft(spectra * gain, n=length)
        smooth = smooth - smooth.mean(-1, keepdim=True)
        variance = smooth.square().mean(-1)
        if 2 * lag >= length:
            values.append(torch.zeros_like(variance))
            continue
        products = smooth[..., : length - 2 * lag] * smooth[..., 2 * lag :]
        values.append(_ratio(products @ window[lag : length - lag], variance))
    return torch.stack(values, -1)


def histogram(values: Tensor, *, bins: int = 128, limits: tuple[float, float] | None = None) -> tuple[Tensor, Tensor]:
    """Relative frequencies [shape=(rows, bins)] and bin centres [shape=(rows, bins)] of rows [shape=(rows, samples)].

    Parameters
    ----------
    values : Tensor [shape=(rows, samples)]
    bins : int
        Default 128.
    limits : tuple of float, optional
        Range of the bins; what lies outside counts in the first and the last. Default: that of each row.
    """
    low, high = (values.amin(1, keepdim=True), values.amax(1, keepdim=True)) if limits is None else limits
    low, high = (torch.as_tensor(v, dtype=values.dtype, device=values.device).expand(len(values), 1) for v in (low, high))
    width = (high - low) / bins
    indices = _ratio(values - low, width.expand_as(values)).long().clamp(0, bins - 1)
    counts = torch.zeros(len(values), bins, dtype=values.dtype, device=values.device)
    counts.scatter_add_(1, indices, torch.ones_like(values))
    centers = low + width * (torch.arange(bins, dtype=values.dtype, device=values.device) + 0.5)
    return counts / values.shape[1], centers


def magnitude(z: Tensor) -> Tensor:
    """|z|, with a gradient of 0 at 0."""
    return _root(torch.view_as_real(z).square().sum(-1))


def _root(x: Tensor) -> Tensor:
    """Square root with a gradient of 0 at 0."""
    positive = x > 0
    return torch.where(positive, torch.where(positive, x, torch.ones_like(x)).sqrt(), torch.zeros_like(x))


def _ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """A quotient, 0 with a gradient of 0 where the denominator is 0 (or so small that it would overflow)."""
    usable = denominator.abs() > torch.finfo(denominator.dtype).tiny
    safe = torch.where(usable, denominator, torch.ones_like(denominator))
    return torch.where(usable, numerator / safe, torch.zeros_like(numerator))
