"""The cochleagram on an octave axis of Norman-Haignere & McDermott (2018), and sounds from it."""

import copy
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from audiometamer.cochleagram.compression import PowerCompression
from audiometamer.cochleagram.filters import CosineFilterbank
from audiometamer.errors import AudioMetamerError
from audiometamer.networks.modulation_filters import CHANNELS_PER_OCTAVE, FRAME_RATE_HZ
from audiometamer.networks.texture_envelopes import EXPONENT, PowerEnvelopes, decimated, filter_blocks, knee_of
from audiometamer.networks.texture_filters import decimation_filter
from audiometamer.networks.texture_measures import magnitude, one_sided

SAMPLE_RATE_HZ = 20_000
LEVEL = 0.01  # RMS of the sounds, as published
_STRIDE = round(SAMPLE_RATE_HZ / FRAME_RATE_HZ)
_BANK = CosineFilterbank(n_filters=30, low_limit=20.0, high_limit=10_000.0, overcompleteness=4)
_LEFT_OUT = 3  # filters at either end, whose nominal frequency is outside of 20 to 10,000 Hz
# PowerCompression's largest derivative, 5 for sounds of RMS 0.1, at the level of these: proportional to level ** (power − 1).
_GRADIENT_CLIP = 5 * (LEVEL / 0.1) ** (EXPONENT - 1)


class OctaveCochleagram(nn.Module):
    """Compressed envelopes of 125 cochlear filters at 400 Hz, interpolated to 217 channels at 24 per octave from 20 Hz.

    The half-cosine filters are those of McDermott & Simoncelli (2011), with n = 30 from 20 to 10,000 Hz and four times
    overcomplete, without the six whose nominal frequency is outside of this range. Envelopes are raised to the power of 0.3, then
    decimated by MATLAB's `resample` and interpolated by its `pchip` over log₂ f; negative values become 0.

    Attributes
    ----------
    gradient_clip : float or None
        Largest derivative of the compression, relative to that at a band's RMS; see `with_gradient_clip`. None: one for all.
    """

    def __init__(self) -> None:
        super().__init__()
        centers = np.log2(_BANK.center_frequencies()[_LEFT_OUT:-_LEFT_OUT])
        count = math.floor((centers[-1] - centers[0]) * CHANNELS_PER_OCTAVE + 1e-9) + 2  # one step beyond the last
        self.register_buffer("centers", torch.from_numpy(centers), persistent=False)
        self.register_buffer("octaves", torch.from_numpy(centers[0] + np.arange(count) / CHANNELS_PER_OCTAVE), persistent=False)
        self.register_buffer("taps", torch.from_numpy(decimation_filter(_STRIDE)), persistent=False)
        self.compress = PowerCompression(power=EXPONENT, offset=1e-30, gradient_clip=_GRADIENT_CLIP)
        self.gradient_clip: float | None = None
        self._gains: tuple[int, Tensor] | None = None

    @property
    def frequencies(self) -> Tensor:
        """Frequencies of the channels in Hz, [shape=(channels,)]."""
        return torch.exp2(self.get_buffer("octaves").double())

    def gains(self, n_samples: int) -> Tensor:
        """Gains of the kept filters, [shape=(filters, n_samples // 2 + 1)], in double precision.

        Raises
        ------
        AudioMetamerError
            If the number of samples is odd, or so small that a filter passes none of its bins.
        """
        if n_samples % 2:
            raise AudioMetamerError(f"the sound has {n_samples} samples; an even number is needed")
        if self._gains is None or self._gains[0] != n_samples:
            bands = _BANK.bands(np.fft.rfftfreq(n_samples, 1 / SAMPLE_RATE_HZ))[_LEFT_OUT:-_LEFT_OUT]
            gains = np.zeros((len(bands), n_samples // 2 + 1))
            for row, band in zip(gains, bands, strict=True):
                row[band.first_bin : band.last_bin + 1] = band.gains
            self._gains = n_samples, torch.from_numpy(gains)
        return self._gains[1]

    def analytic(self, sound: Tensor) -> Tensor:
        """Analytic signals of the bands, complex [shape=(batch, filters, samples)]."""
        n_samples = sound.shape[-1]
        gains = self.gains(n_samples).to(sound)
        spectra = torch.fft.rfft(sound)[:, None] * gains
        spectra = torch.cat([spectra[..., :1], 2 * spectra[..., 1:-1], spectra[..., -1:]], dim=-1)
        return torch.fft.ifft(spectra, n=n_samples)

    def forward(self, sound: Tensor) -> Tensor:
        """Cochleagram [shape=(batch, 217, frames)] of sounds [shape=(batch, samples)], as at 20 kHz.

        Raises
        ------
        AudioMetamerError
            As of `gains`.
        """
        if self.gradient_clip is None:
            return self.to_grid(magnitude(self.analytic(sound)))
        n_samples = sound.shape[-1]
        gains, taps = one_sided(self.gains(n_samples).to(sound), n_samples), filter_blocks(_STRIDE).to(sound)
        return self._interpolated(
            PowerEnvelopes.apply(torch.fft.rfft(sound), gains, n_samples, taps, False, knee_of(self.gradient_clip))
        )

    def with_gradient_clip(self, factor: float) -> "OctaveCochleagram":
        """The same cochleagram with a bounded derivative of the compression, for steps of a synthesis.

        Parameters
        ----------
        factor : float
            Largest derivative, relative to that at a band's RMS: the dips of an envelope, where it is steepest, change at the
            smallest steps and would take the lead.
        """
        clipped = copy.copy(self)
        clipped.gradient_clip = factor
        return clipped

    def to_grid(self, envelopes: Tensor) -> Tensor:
        """Envelopes [shape=(batch, filters, samples)] to the cochleagram [shape=(batch, 217, frames)]."""
        return self._interpolated(decimated(self.compress(envelopes), filter_blocks(_STRIDE).to(envelopes)))

    def _interpolated(self, frames: Tensor) -> Tensor:
        return pchip(frames, self.get_buffer("centers"), self.get_buffer("octaves")).clamp(min=0)

    def from_grid(self, cochleagram: Tensor, n_samples: int) -> Tensor:
        """The way back: envelopes [shape=(batch, filters, n_samples)] of a cochleagram [shape=(batch, 217, frames)]."""
        centers, octaves = self.get_buffer("centers"), self.get_buffer("octaves")
        full = interpolate(cochleagram, self.get_buffer("taps"), _STRIDE)[..., :n_samples]
        pieces = [pchip(piece, octaves, centers) for piece in full.split(SAMPLE_RATE_HZ, dim=-1)]  # a second at once
        return torch.cat(pieces, dim=-1).clamp(min=0) ** (1 / EXPONENT)

    def collapse(self, bands: Tensor) -> Tensor:
        """The sum of bands [shape=(batch, filters, samples)], each filtered again: [shape=(batch, samples)]."""
        n_samples = bands.shape[-1]
        spectrum = (torch.fft.rfft(bands) * self.gains(n_samples).to(bands)).sum(1)
        return torch.fft.irfft(spectrum, n=n_samples)


@dataclass(frozen=True)
class Carrier:
    """What a cochleagram lacks of its sound: the phases of the bands, and what decimated envelopes lose of them.

    Parameters
    ----------
    phases : Tensor [shape=(batch, filters, samples)], complex
        Analytic signals divided by their magnitudes.
    error : Tensor [shape=(batch, filters, samples)]
        Envelopes after the way to the cochleagram and back, less those of the sound.
    """

    phases: Tensor
    error: Tensor


@torch.no_grad()
def take_apart(cochlea: OctaveCochleagram, sound: Tensor) -> tuple[Tensor, Carrier]:
    """Cochleagram [shape=(batch, 217, frames)] of sounds [shape=(batch, samples)], and what puts them together again."""
    analytic = cochlea.analytic(sound)
    envelopes = analytic.abs()
    cochleagram = cochlea.to_grid(envelopes)
    phases = torch.where(envelopes > 0, analytic / envelopes, torch.ones_like(analytic))
    return cochleagram, Carrier(phases, cochlea.from_grid(cochleagram, sound.shape[-1]) - envelopes)


@torch.no_grad()
def put_together(cochlea: OctaveCochleagram, cochleagram: Tensor, carrier: Carrier) -> Tensor:
    """Sounds [shape=(batch, samples)] of a cochleagram with the phases of a carrier, less its error.

    With its own carrier, a cochleagram gives its sound again, up to the gains of the filters: Σ gain² is 1 but near the edges.
    """
    envelopes = cochlea.from_grid(cochleagram, carrier.error.shape[-1]) - carrier.error
    return cochlea.collapse(envelopes * carrier.phases.real)


def interpolate(signals: Tensor, taps: Tensor, factor: int) -> Tensor:
    """Signals [shape=(batch, rows, samples)] at `factor` times their rate; zeros around them."""
    reach = len(taps) // (2 * factor)  # of the taps on either side, in samples
    padded_taps = nn.functional.pad(taps.to(signals), (0, factor - 1))
    phases = factor * padded_taps.view(2 * reach + 1, factor).flip(0)  # the taps at each place between two samples
    windows = nn.functional.pad(signals, (reach, reach)).unfold(-1, 2 * reach + 1, 1)
    return (windows @ phases).flatten(-2)


def pchip(values: Tensor, positions: Tensor, wanted: Tensor) -> Tensor:
    """Shape-preserving cubic interpolation along the rows, as MATLAB's `interp1(..., 'pchip', 'extrap')`.

    Slopes after Fritsch & Butland (1984); beyond the ends, the first and the last cubic go on.

    Parameters
    ----------
    values : Tensor [shape=(batch, rows, frames)]
    positions : Tensor [shape=(rows,)]
        Rising.
    wanted : Tensor [shape=(wanted,)]

    Returns
    -------
    Tensor [shape=(batch, wanted, frames)]
    """
    x, at = positions.to(values), wanted.to(values)
    step = x.diff()[:, None]
    secant = values.diff(dim=1) / step
    slopes = _slopes(secant, step)
    index = (torch.searchsorted(x, at, right=True) - 1).clamp(0, len(x) - 2)
    h, s = step[index], (at - x[index])[:, None]
    left, right, chord = slopes[:, index], slopes[:, index + 1], secant[:, index]
    quadratic, cubic = (3 * chord - 2 * left - right) / h, (left + right - 2 * chord) / h**2
    return values[:, index] + s * (left + s * (quadratic + s * cubic))


def _slopes(secant: Tensor, step: Tensor) -> Tensor:
    """Slopes at the points: a weighted harmonic mean of the neighbouring secants, 0 where their signs differ."""
    before, after = secant[:, :-1], secant[:, 1:]
    w_before, w_after = step[:-1] + 2 * step[1:], 2 * step[:-1] + step[1:]
    monotone = before * after > 0
    one = torch.ones_like(before)
    safe_before, safe_after = torch.where(monotone, before, one), torch.where(monotone, after, one)
    mean = (w_before + w_after) / (w_before / safe_before + w_after / safe_after)
    inner = torch.where(monotone, mean, torch.zeros_like(mean))
    first = _end_slope(secant[:, :1], secant[:, 1:2], step[0], step[1])
    last = _end_slope(secant[:, -1:], secant[:, -2:-1], step[-1], step[-2])
    return torch.cat([first, inner, last], dim=1)


def _end_slope(nearest: Tensor, second: Tensor, h0: Tensor, h1: Tensor) -> Tensor:
    """The three-point slope at an end, limited so that the curve keeps its shape."""
    slope = ((2 * h0 + h1) * nearest - h0 * second) / (h0 + h1)
    slope = torch.where(slope * nearest > 0, slope, torch.zeros_like(slope))
    overshoots = (nearest * second < 0) & (slope.abs() > 3 * nearest.abs())
    return torch.where(overshoots, 3 * nearest, slope)
