"""Sound-texture statistics (McDermott & Simoncelli 2011): waveforms to classes of time-averaged statistics of envelopes."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from audiometamer.cochleagram.filters import CosineFilterbank
from audiometamer.errors import AudioMetamerError
from audiometamer.networks import texture_filters as filters
from audiometamer.networks import texture_measures as measures
from audiometamer.networks.texture_envelopes import EXPONENT, PowerEnvelopes, decimated, filter_blocks, knee_of

CLASSES = (
    "subband_variance", "envelope_mean", "envelope_cv", "envelope_skewness", "envelope_kurtosis", "envelope_correlation",
    "modulation_power", "modulation_c1", "modulation_c2", "envelope_autocorrelation",
)  # fmt: skip
_CONTENT = {
    "mcdermott2011": tuple(name for name in CLASSES if name != "envelope_autocorrelation"),
    "toolbox": tuple(n for n in CLASSES if n not in ("envelope_kurtosis", "modulation_c2", "envelope_autocorrelation")),
}
PRESETS = tuple(_CONTENT)
_ROUNDS = 8  # of filtering noise to given variances: to 0.1 %
_TINY = 1e-12  # the offset of the toolbox's logarithm


class TextureStatistics(nn.Module):
    """Waveforms to the classes of sound-texture statistics (McDermott & Simoncelli 2011).

    Cochlear bands by circular filters, their Hilbert envelopes, compressed and then resampled to 400 Hz; moments and correlations
    of these, and of their modulation bands. Every option has the published default; sounds may have any length that is a multiple
    of the decimation, 50 samples.

    Parameters
    ----------
    classes : sequence of str
        Classes to measure, in the order of `CLASSES`. Default: those of the preset ``mcdermott2011``.
    sample_rate, envelope_rate : int
        Hz. Defaults 20000 and 400.
    n_filters : int
        Number of cochlear band-pass filters; a low-pass and a high-pass filter are added. Default 30.
    limits : tuple of float
        Edges of the cochlear filters in Hz. Default (20, 10000).
    overcompleteness : {1, 2, 4}
        Density of the cochlear filters. Default 1.
    scale, modulation_scale : {"log", "linear"}
        Spacing of cochlear filters (``log`` is the ERB scale) and of those of modulation power and C1; linear ones are the
        lesions of the paper. Default "log".
    compression : {"power", "log", "none"}
        ``power``: e^0.3; ``log``: log10(e + 1e-12). Default "power".
    compress_first : bool
        Whether envelopes are compressed before they are resampled. Default True; the toolbox's figures do it after.
    edges : {"zero", "circular"}
        What the resampling of envelopes finds beyond the ends of a sound: nothing, as published, or the other end, for sounds
        that are loops. All other filters are circular. Default "zero".
    window : {"ones", "ramps"}, sequence of float, or Tensor
        Weight of the frames: all equal; a ramp of about a second at both ends (the toolbox's measurement default); or one weight
        for each frame. Default "ones", as for circular synthesis.

    Attributes
    ----------
    gradient_clip : float or None
        Largest derivative of the power compression relative to that at a band's RMS; None does not limit it. The gradient is then
        not the true one: the dips of an envelope, which steer most of that and change at the smallest steps, count less.

    Raises
    ------
    AudioMetamerError
        If a class or an option is unknown.

    Examples
    --------
    >>> import torch
    >>> noise = 0.01 * torch.randn(1, 40_000, generator=torch.Generator().manual_seed(0))
    >>> found = TextureStatistics(("envelope_mean", "modulation_power"))(noise)
    >>> {name: tuple(values.shape) for name, values in found.items()}
    {'envelope_mean': (1, 32), 'modulation_power': (1, 32, 20)}
    """

    classes_of: ClassVar[Mapping[str, tuple[str, ...]]] = _CONTENT

    def __init__(
        self,
        classes: Sequence[str] = _CONTENT["mcdermott2011"],
        *,
        sample_rate: int = 20_000,
        envelope_rate: int = 400,
        n_filters: int = 30,
        limits: tuple[float, float] = (20.0, 10_000.0),
        overcompleteness: int = 1,
        scale: filters.Scale = "log",
        modulation_scale: filters.Scale = "log",
        compression: Literal["power", "log", "none"] = "power",
        compress_first: bool = True,
        edges: Literal["zero", "circular"] = "zero",
        window: str | Sequence[float] | Tensor = "ones",
    ) -> None:
        super().__init__()
        for name in classes:
            if name not in CLASSES:
                raise AudioMetamerError(f"there is no class of texture statistics {name!r}; there are {', '.join(CLASSES)}")
        for what, value, known in (
            ("scale", scale, ("log", "linear")),
            ("modulation_scale", modulation_scale, ("log", "linear")),
            ("edges", edges, ("zero", "circular")),
            ("compression", compression, tuple(_COMPRESSIONS)),
        ):
            if value not in known:
                raise AudioMetamerError(f"{what} is {value!r}; it must be one of {', '.join(known)}")
        if sample_rate % envelope_rate:
            raise AudioMetamerError(f"envelopes of {envelope_rate} Hz are no whole fraction of a sample rate of {sample_rate} Hz")
        self.classes = tuple(name for name in CLASSES if name in classes)
        bank = CosineFilterbank(n_filters, *limits, overcompleteness, "erb" if scale == "log" else "linear")
        self.register_buffer("centers_hz", torch.from_numpy(bank.center_frequencies()).float(), persistent=False)
        self.sample_rate, self.envelope_rate, self.factor = sample_rate, envelope_rate, sample_rate // envelope_rate
        self.overcompleteness, self.modulation_scale, self.compress_first = overcompleteness, modulation_scale, compress_first
        self._cochlear = {
            "n_filters": n_filters, "limits": tuple(limits), "overcompleteness": overcompleteness, "scale": scale,
        }  # fmt: skip
        self.compression, self.edges = compression, edges
        self.gradient_clip: float | None = None
        self.window = window if isinstance(window, str) else torch.as_tensor(window, dtype=torch.float64)

    @classmethod
    def from_preset(cls, preset: str, **options: Any) -> "TextureStatistics":
        """The classes of a preset.

        Parameters
        ----------
        preset : {"mcdermott2011", "toolbox"}
            The set of the paper, or the default of the toolbox: without kurtosis and C2.
        **options
            Other options of the class.
        """
        if preset not in PRESETS:
            raise AudioMetamerError(f"there are no texture statistics {preset!r}; there are {', '.join(PRESETS)}")
        return cls(_CONTENT[preset], **options)

    @property
    def n_bands(self) -> int:
        """Number of cochlear bands."""
        return len(self.get_buffer("centers_hz"))

    def forward(self, waveforms: Tensor) -> dict[str, Tensor]:
        """Statistics by class, of waveforms [shape=(batch, samples)].

        Vectors of bands are [shape=(batch, 32)], ``envelope_correlation`` is [shape=(batch, 32, 32)], ``modulation_power``
        [shape=(batch, 32, 20)], ``modulation_c1`` [shape=(batch, 32, 32, 6)], ``modulation_c2`` [shape=(batch, 32, 6, 2)] and
        ``envelope_autocorrelation`` [shape=(batch, 32, 23)].

        Raises
        ------
        AudioMetamerError
            If the waveforms are too short, or no multiple of the decimation.
        """
        n_samples = self._checked_length(waveforms)
        spectra, gains = torch.fft.rfft(waveforms), self._gains(n_samples, waveforms)
        found: dict[str, Tensor] = {}
        if "subband_variance" in self.classes:
            found["subband_variance"] = measures.variance(spectra, gains, n_samples)
        if set(self.classes) != {"subband_variance"}:
            found |= self.of_envelopes(self._envelopes(spectra, gains, n_samples))
        return {name: found[name] for name in self.classes}

    def _checked_length(self, waveforms: Tensor) -> int:
        n_samples = waveforms.shape[-1]
        if waveforms.ndim != 2 or n_samples % self.factor or not n_samples:
            raise AudioMetamerError(
                f"waveforms have shape {tuple(waveforms.shape)}; they must be (batch, samples), with a multiple of {self.factor} "
                "samples"
            )
        return n_samples

    def _gains(self, n_samples: int, like: Tensor) -> Tensor:
        return _cochlear(n_samples, self.sample_rate, **self._cochlear).to(like)

    def shaped(self, waveforms: Tensor, variances: Tensor) -> Tensor:
        """Waveforms filtered such that their cochlear bands have given variances.

        Parameters
        ----------
        waveforms : Tensor [shape=(batch, samples)]
        variances : Tensor [shape=(batch, bands)]
        """
        n_samples = self._checked_length(waveforms)
        gains, spectra = self._gains(n_samples, waveforms), torch.fft.rfft(waveforms)
        for _ in range(_ROUNDS):  # each band's neighbours overlap it
            ratio = variances / measures.variance(spectra, gains, n_samples).clamp(min=torch.finfo(waveforms.dtype).tiny)
            spectra = spectra * (ratio @ gains.square()).sqrt()
        return torch.fft.irfft(spectra, n=n_samples)

    def subbands(self, waveforms: Tensor) -> Tensor:
        """Cochlear bands of waveforms [shape=(batch, samples)], [shape=(batch, bands, samples)]."""
        n_samples = self._checked_length(waveforms)
        return torch.fft.irfft(torch.fft.rfft(waveforms)[:, None] * self._gains(n_samples, waveforms), n=n_samples)

    def envelopes(self, waveforms: Tensor) -> Tensor:
        """Compressed envelopes at the envelope rate of waveforms [shape=(batch, samples)], [shape=(batch, bands, frames)]."""
        n_samples = self._checked_length(waveforms)
        return self._envelopes(torch.fft.rfft(waveforms), self._gains(n_samples, waveforms), n_samples)

    def _envelopes(self, spectra: Tensor, gains: Tensor, n_samples: int) -> Tensor:
        gains, taps = measures.one_sided(gains, n_samples), filter_blocks(self.factor).to(gains)
        circular = self.edges == "circular"
        if self.compression == "power" and self.compress_first:
            frames: Tensor = PowerEnvelopes.apply(spectra, gains, n_samples, taps, circular, knee_of(self.gradient_clip))
            return frames.clamp(min=0)
        envelopes = measures.magnitude(torch.fft.ifft(spectra[:, None] * gains, n=n_samples))
        if self.compress_first:
            envelopes = decimated(_COMPRESSIONS[self.compression](envelopes), taps, circular=circular)
        else:
            envelopes = decimated(envelopes, taps, circular=circular).clamp(min=0)
            envelopes = _COMPRESSIONS[self.compression](envelopes)
        return envelopes.clamp(min=0)

    def weights(self, n_frames: int) -> Tensor:
        """Weights of the frames, [shape=(frames,)], with a sum of 1.

        Raises
        ------
        AudioMetamerError
            If the window is unknown, of another length, negative or zero everywhere.
        """
        if isinstance(self.window, str):
            if self.window not in ("ones", "ramps"):
                raise AudioMetamerError(f"the window is {self.window!r}; it must be 'ones', 'ramps' or a weight for each frame")
            ramps = self.window == "ramps"
            window = torch.from_numpy(filters.measurement_window(n_frames, self.envelope_rate) if ramps else np.ones(n_frames))
        else:
            window = self.window
        if window.shape != (n_frames,):
            raise AudioMetamerError(f"the window has shape {tuple(window.shape)}; the sound has {n_frames} frames")
        if not bool((window >= 0).all()) or not float(window.sum()) > 0:
            raise AudioMetamerError("the window covers nothing: its weights must be at least 0, and some above")
        return window / window.sum()

    def of_envelopes(self, envelopes: Tensor) -> dict[str, Tensor]:
        """Statistics by class of envelopes [shape=(batch, bands, frames)]; all but ``subband_variance``."""
        window = self.weights(envelopes.shape[-1]).to(envelopes)
        return self._under(window, envelopes, self.modulations(envelopes))

    def of_segments(self, waveforms: Tensor, windows: Tensor) -> list[dict[str, Tensor]]:
        """Statistics by class of parts of waveforms [shape=(batch, samples)], as `forward` gives them of the whole.

        Bands are filtered as a whole, modulation bands after the mean of each segment is taken off, which would ring from one
        into the next. Under each window everything is measured by itself: unlike the published correlations, its means and
        standard deviations too, and also the variance of cochlear bands.

        Parameters
        ----------
        waveforms : Tensor [shape=(batch, samples)]
        windows : Tensor [shape=(segments, frames)]
            Weights of the frames in each segment.
        """
        n_samples = self._checked_length(waveforms)
        spectra, gains = torch.fft.rfft(waveforms), self._gains(n_samples, waveforms)
        envelopes = self._envelopes(spectra, gains, n_samples)
        windows = windows.to(envelopes)
        averaging = windows / windows.sum(1, keepdim=True)
        means = envelopes @ averaging.T @ (windows / windows.sum(0).clamp(min=torch.finfo(windows.dtype).tiny))
        bands = self.modulations(envelopes - means)
        segments = []
        for window in averaging:
            found = self._under(window, envelopes, bands, local=True)
            if "subband_variance" in self.classes:
                part = torch.fft.rfft(waveforms * (window * len(window)).repeat_interleave(self.factor).sqrt())
                found["subband_variance"] = measures.variance(part, gains, n_samples)
            segments.append({name: found[name] for name in self.classes})
        return segments

    def modulations(self, envelopes: Tensor) -> dict[str, Tensor]:
        """What modulation filters make of envelopes [shape=(batch, bands, frames)], by the class that is measured there."""
        spectra, bands = torch.fft.rfft(envelopes), {}
        n_frames, rate = envelopes.shape[-1], self.envelope_rate
        if "modulation_power" in self.classes:
            gains = _modulation(n_frames, rate, self.modulation_scale).to(envelopes)
            bands["modulation_power"] = measures.filtered(spectra, gains, n_frames)
        if "modulation_c1" in self.classes:
            gains = _correlated(n_frames, rate, self.modulation_scale).to(envelopes)
            bands["modulation_c1"] = measures.filtered(spectra, gains, n_frames).transpose(1, 2)
        if "modulation_c2" in self.classes:
            bands["modulation_c2"] = measures.analytic(spectra, _octaves(n_frames, rate).to(envelopes), n_frames)
        if "envelope_autocorrelation" in self.classes:
            bands["envelope_autocorrelation"] = spectra
        return bands

    def _under(self, window: Tensor, envelopes: Tensor, bands: Mapping[str, Tensor], *, local: bool = False) -> dict[str, Tensor]:
        """Statistics of envelopes and modulation bands under a window [shape=(frames,)] with a sum of 1."""
        found = measures.envelope_moments(envelopes, window)
        if "envelope_correlation" in self.classes:
            found["envelope_correlation"] = measures.correlation(envelopes, window, local=local)
        if "modulation_power" in bands:
            found["modulation_power"] = measures.modulation_power(bands["modulation_power"], envelopes, window)
        if "modulation_c1" in bands:
            found["modulation_c1"] = measures.correlation(bands["modulation_c1"], window, local=local).movedim(1, -1)
        if "modulation_c2" in bands:
            octaves = bands["modulation_c2"]
            found["modulation_c2"] = measures.phase_correlation(octaves[:, :, :-1], octaves[:, :, 1:], window)
        if "envelope_autocorrelation" in bands:
            gains = _lags(len(window), self.envelope_rate).to(envelopes)
            found["envelope_autocorrelation"] = measures.autocorrelation(bands["envelope_autocorrelation"], gains, window)
        return found

    def histograms(self, waveforms: Tensor, *, fixed: bool = False) -> dict[str, tuple[Tensor, Tensor]]:
        """Histograms of 128 bins of one waveform's bands and of its envelopes.

        Parameters
        ----------
        waveforms : Tensor [shape=(1, samples)]
        fixed : bool
            Whether bins are those of the toolbox's averages of sounds, −0.035 to 0.035 and 0 to 0.35. Default False: each row's
            range.

        Returns
        -------
        dict
            ``subband`` [shape=(33, 128)], with the waveform in its last row, and ``envelope`` [shape=(32, 128)]: frequencies and
            bin centres.
        """
        if len(waveforms) != 1:
            raise AudioMetamerError(f"histograms are of one waveform; there are {len(waveforms)}")
        rows, envelopes = torch.cat([self.subbands(waveforms)[0], waveforms]), self.envelopes(waveforms)[0]
        return {
            "subband": measures.histogram(rows, limits=(-0.035, 0.035) if fixed else None),
            "envelope": measures.histogram(envelopes, limits=(0.0, 0.35) if fixed else None),
        }


def _power(x: Tensor) -> Tensor:
    return torch.where(x > 0, x.clamp(min=torch.finfo(x.dtype).tiny) ** EXPONENT, torch.zeros_like(x))


_COMPRESSIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "power": _power,
    "log": lambda x: torch.log10(x + _TINY),
    "none": lambda x: x,
}


@lru_cache(maxsize=4)
def _cochlear(n_samples: int, sample_rate: int, **options: Any) -> Tensor:
    return torch.from_numpy(filters.cochlear_gains(n_samples, sample_rate, **options))


@lru_cache(maxsize=4)
def _modulation(n_frames: int, rate: int, scale: filters.Scale) -> Tensor:
    centers = filters.modulation_centers(20, (0.5, rate / 2), scale)
    return torch.from_numpy(filters.modulation_gains(n_frames, rate, centers, quality=2.0, scale=scale))


@lru_cache(maxsize=4)
def _octaves(n_frames: int, rate: int) -> Tensor:
    return torch.from_numpy(filters.octave_gains(n_frames, rate, filters.octave_centers(rate)))


@lru_cache(maxsize=4)
def _correlated(n_frames: int, rate: int, scale: filters.Scale) -> Tensor:
    """Filters of C1: those of C2 without the lowest, or as many linearly spaced ones from there on."""
    centers = filters.octave_centers(rate)[1:]
    make = filters.octave_gains if scale == "log" else filters.linear_gains
    return torch.from_numpy(make(n_frames, rate, centers))


@lru_cache(maxsize=4)
def _lags(n_frames: int, rate: int) -> Tensor:
    return torch.from_numpy(filters.autocorrelation_gains(n_frames, rate))
