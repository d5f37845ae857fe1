"""Moments of spectrotemporal modulation, a model of hearing without training (Norman-Haignere & McDermott 2018)."""

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from audiometamer.errors import AudioMetamerError
from audiometamer.matching.losses import Activations, relative_l2
from audiometamer.networks.modulation_filters import (
    CONDITIONS,
    SCALES_CYCLES_PER_OCTAVE,
    ModulationFilter,
    ModulationFilterbank,
    padding_of,
    published_filters,
    rates_from,
)

MOMENTS = ("mean", "variance", "skewness", "kurtosis")
_SILENCE_RMS = 1e-6  # −80 dB from the level of the model's sounds
GROUPS = ("cochlear", "temporal", "spectral", "spectrotemporal")
# Groups of filters whose moments are matched in each condition; all match the cochleagram's, as published.
GROUPS_OF: Mapping[str, tuple[str, ...]] = {
    "cochlear": ("cochlear",),
    "temporal": ("cochlear", "temporal"),
    "spectral": ("cochlear", "spectral"),
    "full": GROUPS,
}


def moments(maps: Tensor) -> Tensor:
    """Mean, variance, skewness and kurtosis over the last dimension, [shape=(..., 4)], as MATLAB's functions have them.

    The variance is divided by N − 1; skewness and kurtosis are of moments divided by N, the kurtosis not less 3. Where values are
    constant, up to rounding, there is neither skewness nor kurtosis: both are 0.

    Parameters
    ----------
    maps : Tensor [shape=(..., frames)]

    Examples
    --------
    >>> moments(torch.tensor([0.0, 0.0, 0.0, 1.0])).tolist()
    [0.25, 0.25, 1.1547006368637085, 2.3333332538604736]
    """
    n = maps.shape[-1]
    mean = maps.mean(-1, keepdim=True)
    centred = maps - mean
    square = centred.square()
    second = square.mean(-1)
    rounding = (16 * torch.finfo(maps.dtype).eps * maps.detach().abs().amax(-1)).square()
    varies = second > rounding
    safe = torch.where(varies, second, torch.ones_like(second))
    zero = torch.zeros_like(second)
    skewness = torch.where(varies, (square * centred).mean(-1) / safe**1.5, zero)
    kurtosis = torch.where(varies, square.square().mean(-1) / safe**2, zero)
    return torch.stack([mean.squeeze(-1), second * n / max(n - 1, 1), skewness, kurtosis], dim=-1)


def measured_filters(group: str, *, lowest_rate: float = 0.0) -> list[ModulationFilter]:
    """The filters of whose maps moments are measured, for one of the groups beside the cochlear one; those of rate 0 have none.

    Nine temporal filters, seven spectral ones, or 126 spectrotemporal ones: each scale at each rate, downward and upward. Fewer
    if there is a lowest rate in Hz.
    """
    rates = rates_from(lowest_rate)
    return {
        "temporal": [ModulationFilter(rate, None) for rate in rates],
        "spectral": [ModulationFilter(None, scale) for scale in SCALES_CYCLES_PER_OCTAVE],
        "spectrotemporal": [
            ModulationFilter(sign * rate, scale) for scale in SCALES_CYCLES_PER_OCTAVE for sign in (1, -1) for rate in rates
        ],
    }[group]


def moment_loss(activations: Activations, target: Activations) -> Tensor:
    """How far moments are from their target, each filter and channel counting alike, [shape=(batch,)].

    The root of the mean over filters and channels of the sum of ((μ − μₜ) / σₜ)², (ln σ − ln σₜ)², (asinh s − asinh sₜ)² and
    (ln(1 + k) − ln(1 + kₜ))², with the skewness s and the kurtosis k. A hundredth of the filter's largest σₜ is added to each σ,
    so that nearly silent channels do not dominate. Ours; the published synthesis matches histograms and minimises nothing.

    Parameters
    ----------
    activations, target : Tensor [shape=(batch, filters, channels, 4)]
        As `moments` gives them. Anything else, such as the cochleagram, is compared by `relative_l2`.
    """
    if not isinstance(activations, Tensor) or not isinstance(target, Tensor):
        raise AudioMetamerError("the loss of modulation moments takes one layer")
    if target.ndim != 4 or target.shape[-1] != len(MOMENTS):
        return relative_l2(activations, target)
    (mean, variance, skewness, kurtosis), (mean_t, variance_t, skewness_t, kurtosis_t) = activations.unbind(-1), target.unbind(-1)
    tiny = torch.finfo(target.dtype).tiny  # keeps the gradient of the root finite
    deviation, deviation_t = (each.clamp(min=tiny).sqrt() for each in (variance, variance_t))
    floor = 0.01 * deviation_t.amax(-1, keepdim=True)
    terms = (
        (mean - mean_t) / (deviation_t + floor),
        torch.log((deviation + floor) / (deviation_t + floor)),
        torch.asinh(skewness) - torch.asinh(skewness_t),
        torch.log((1 + kurtosis) / (1 + kurtosis_t)),
    )
    squares = torch.stack([term.square() for term in terms]).sum(0)
    return squares.flatten(1).mean(1).clamp(min=tiny).sqrt()


def robust_moment_loss(activations: Activations, target: Activations) -> Tensor:
    """How far moments are from their target, in relative terms and group by group, [shape=(batch,)].

    With the errors e = (μ − μₜ) / (|μₜ| + 0.03 σₜ), ln(σ / σₜ), (s − sₜ) / (|sₜ| + 0.1), ln(k / kₜ) of each filter and channel,
    where s is the skewness and k the kurtosis: the mean over filters and channels of ½ ln(1 + 4 e²), ln(1 + 4 e²),
    ⅛ ln(1 + 4 e²) and ¼ ln(1 + 4 e²), summed over the groups of filters, of which the cochleagram counts twice. A hundredth of a
    filter's largest σₜ is added to σ and σₜ. Few large errors, which cannot be mended, do not hold up the many small ones. Ours.

    Parameters
    ----------
    activations, target : Tensor [shape=(batch, filters, channels, 4)]
        Of a condition, as `ModulationMoments` has them. Anything else is compared by the square of `relative_l2`.
    """
    if not isinstance(activations, Tensor) or not isinstance(target, Tensor) or target.shape[3:] != (len(MOMENTS),):
        return moment_loss(activations, target).square()
    sizes = _group_sizes(target.shape[1])
    pairs = zip(activations.split(sizes, dim=1), target.split(sizes, dim=1), strict=True)
    cochlear, *maps = (_robust_distance(found, wanted) for found, wanted in pairs)
    return torch.stack([2 * cochlear, *maps]).sum(0)


def _robust_distance(found: Tensor, wanted: Tensor) -> Tensor:
    """What one group of filters adds to `robust_moment_loss`, [shape=(batch,)]."""
    (mean, variance, skewness, kurtosis), (mean_t, variance_t, skewness_t, kurtosis_t) = found.unbind(-1), wanted.unbind(-1)
    tiny = torch.finfo(wanted.dtype).tiny
    floor = 0.01 * variance_t.amax(-1, keepdim=True).sqrt() + tiny
    deviation, deviation_t = variance.clamp(min=tiny).sqrt() + floor, variance_t.sqrt() + floor
    errors = (
        (0.5, (mean - mean_t) / (mean_t.abs() + 0.03 * deviation_t)),
        (1.0, torch.log(deviation / deviation_t)),
        (0.125, (skewness - skewness_t) / (skewness_t.abs() + 0.1)),
        (0.25, torch.log(kurtosis.clamp(min=1) / kurtosis_t.clamp(min=1))),  # no kurtosis is below 1
    )
    return torch.stack([weight * torch.log1p(4 * e.square()) for weight, e in errors]).sum(0).mean((1, 2))


def _group_sizes(n_filters: int) -> list[int]:
    """Numbers of filters by group in the activations of a condition, from that of all of them."""
    n_scales = len(SCALES_CYCLES_PER_OCTAVE)
    n_rates = (n_filters - 1 - n_scales) // (1 + 2 * n_scales)
    if n_rates > 0:
        return [1, n_rates, n_scales, 2 * n_rates * n_scales]
    return [1, n_filters - 1] if n_filters > 1 else [1]


class ModulationMoments(nn.Module):
    """Cochleagrams on an octave axis to the moments of their modulation maps, by condition.

    Layers: ``cochlear``, ``temporal``, ``spectral`` and ``full``, the four conditions of Norman-Haignere & McDermott (2018), each
    [shape=(batch, filters, channels, 4)] with the cochleagram first: 1, 10, 8 and 143 filters, without those of rate 0, whose
    maps are constant, and without the two slowest, which only the histogram matching needs.

    Parameters
    ----------
    padding_octaves, padding_seconds : float, optional
        See `ModulationFilterbank`. Defaults: 8 octaves and 24 s, as published.
    lowest_rate : float
        Rate in Hz below which filters are left out, for short sounds. Default 0: none, as published.

    Attributes
    ----------
    lowest_rate : float
    padding : tuple of float
        Octaves and seconds.
    method : str
        Name of the method that matches it unless another one is chosen.
    """

    layers: ClassVar[Mapping[str, str]] = {condition: condition for condition in CONDITIONS}
    method = "modulation"

    def __init__(
        self, *, padding_octaves: float | None = None, padding_seconds: float | None = None, lowest_rate: float = 0.0
    ) -> None:
        super().__init__()
        self.lowest_rate = lowest_rate
        self.padding = octaves, seconds = padding_of(padding_octaves, padding_seconds, published_filters(lowest_rate=lowest_rate))
        self.banks = nn.ModuleDict(
            {
                group: ModulationFilterbank(
                    measured_filters(group, lowest_rate=lowest_rate), padding_octaves=octaves, padding_seconds=seconds
                )
                for group in GROUPS[1:]
            }
        )
        self.cochlear, self.temporal, self.spectral, self.full = (nn.Identity() for _ in CONDITIONS)

    def targets(self, waveforms: Tensor) -> dict[str, Tensor]:
        """Nothing in place of the moments of natural sounds [shape=(batch, samples)], which are checked.

        Raises
        ------
        AudioMetamerError
            If one has no modulation to match: it is silent, or has the same value in every sample.
        """
        deviation = waveforms.std(-1).min().item()
        if deviation < _SILENCE_RMS:
            raise AudioMetamerError(
                f"a sound has no modulation to match: it is silent or constant, with a standard deviation of {deviation:.1g}"
            )
        return {}

    def groups(self, cochleagram: Tensor) -> dict[str, Tensor]:
        """Moments of a cochleagram [shape=(batch, channels, frames)] by group, [shape=(batch, filters, channels, 4)]."""
        found = {"cochlear": moments(cochleagram)[:, None]}
        for group, bank in self.banks.items():
            found[group] = _moments_of_maps(bank, cochleagram)
        return found

    def forward(self, cochleagram: Tensor) -> Tensor:
        """The moments of the condition ``full``; each condition is computed from the one before, for what is recorded only."""
        cochlear = self.cochlear(moments(cochleagram)[:, None])
        temporal = self.temporal(torch.cat([cochlear, _moments_of_maps(self.banks["temporal"], cochleagram)], dim=1))
        spectral = self.spectral(torch.cat([cochlear, _moments_of_maps(self.banks["spectral"], cochleagram)], dim=1))
        both = _moments_of_maps(self.banks["spectrotemporal"], cochleagram)
        full: Tensor = self.full(torch.cat([temporal, spectral[:, 1:], both], dim=1))
        return full


def compare_moments(target: Tensor, found: Tensor) -> dict[str, list[float | None]]:
    """How well moments match those of an original, moment by moment, as published.

    ``snr_db`` is the median over filters and channels of 20 · log10(|mₜ| / |m − mₜ|), ``signed_r2`` their squared correlation
    with its sign. What is not a number is left out; what is not finite, as of a perfect match, is None.

    Parameters
    ----------
    target, found : Tensor [shape=(..., 4)]

    Returns
    -------
    dict of str to list of float or None
        Four numbers each: mean, variance, skewness, kurtosis.
    """
    t, m = (each.detach().cpu().double().reshape(-1, len(MOMENTS)) for each in (target, found))
    snr = 20 * (torch.log10(t.abs()) - torch.log10((m - t).abs()))
    t, m = t - t.nanmean(0), m - m.nanmean(0)
    r = (t * m).nansum(0) / (t.square().nansum(0) * m.square().nansum(0)).sqrt()
    measured = {"snr_db": snr.nanquantile(0.5, dim=0), "signed_r2": r.sign() * r.square()}
    return {name: [v if math.isfinite(v) else None for v in values.tolist()] for name, values in measured.items()}


def _moments_of_maps(bank: nn.Module, cochleagram: Tensor) -> Tensor:
    assert isinstance(bank, ModulationFilterbank)
    return torch.stack([moments(filtered) for filtered in bank.maps(cochleagram)], dim=1)
