"""The cochleagram: envelopes of a bank of cochlear filters, down-sampled and compressed, differentiable throughout."""

import copy
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, Self, Unpack

import torch
from torch import Tensor, nn

from audiometamer.cochleagram.compression import DecibelCompression, PowerCompression
from audiometamer.cochleagram.constants import FAINT
from audiometamer.cochleagram.filters import CosineFilterbank, Filterbank, FloatArray
from audiometamer.cochleagram.full_rate import FullRate
from audiometamer.cochleagram.lowpass import Lowpass
from audiometamer.cochleagram.multirate import Multirate
from audiometamer.cochleagram.parts import (
    PartOptions,
    check_options,
    check_parts,
    make_compression,
    make_filterbank,
    make_lowpass,
    without_replaced,
)
from audiometamer.errors import AudioMetamerError
from audiometamer.io.integers import as_integer
from audiometamer.matching import Adam, Cosine, match
from audiometamer.matching.domains import Waveform

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MAX_PLANS = 8  # lengths, dtypes, devices and grids whose filters are kept at the same time


class Cochleagram(nn.Module):
    """Waveform to cochleagram: filterbank, envelopes, compression and low-pass filter, each of which can be your own.

    The defaults are the front end of every network of Feather et al. (2023, Nature Neuroscience), the preset ``feather2023``.
    Filters depend on the number of samples, the dtype and the device of the sound; they are built for each new kind of sound and
    are never stored in checkpoints.

    Parameters
    ----------
    sample_rate : int
        Sample rate in Hz. Default 20000.
    filterbank : Filterbank, optional
        Your own filters; see `audiometamer.cochleagram.filters.Filterbank`. Default: a `CosineFilterbank`.
    lowpass : Lowpass, optional
        Your own low-pass filter, a subclass of `audiometamer.cochleagram.lowpass.Lowpass`; its stride must divide the sample
        rate. Default: an `EnvelopeLowpass`.
    compression : {"power", "db"}, Module or None
        `PowerCompression`, `DecibelCompression`, none, or your own module: any function of the frames
        [shape=(batch, filters, frames)], of each value alone with `compress_first`. Default "power".
    envelope : {"hilbert", "rectified"}
        Magnitude of the analytic subband (half the Hilbert envelope, as published), or the half-wave rectified subband.
        Default "hilbert".
    compress_first : bool
        Whether envelopes are compressed before they are down-sampled, not after. Default False.
    exact : bool
        Whether every subband is computed at the sound's own rate, as published; otherwise at a rate a few times its bandwidth,
        many times faster. Default False. Rectified envelopes are always computed at the sound's own rate.
        Second derivatives need ``exact=True``; forward-mode derivatives do not.
    oversampling : float
        Points per frame at which the fast path takes the root of the power of a subband as wide as the frame rate; for other
        subbands in proportion to bandwidth ** (2/3). Default 20, which agrees with ``exact=True`` to 70 dB (output) and 50 dB
        (gradient) or better on speech, noise, clicks and tones. Infinite: at every sample of the sound, as published; 70 dB or
        better for both on speech and noise. Sounds whose RMS is below 1e-5, near the floor of magnitudes, are always computed
        so on a CPU; elsewhere the level is not asked for, since that would wait for the device.
    n_filters, low_limit, high_limit, overcompleteness, scale, include_edges, broadening
        Options of the `CosineFilterbank`. Defaults 50, 50 Hz, 10000 Hz, 4, "erb", True, 1: 211 filters.
    frame_rate : int
        Frames per second, a divisor of the sample rate. Default 200.
    window_size : int
        Number of taps of the `EnvelopeLowpass`. Default 1001.
    kaiser_beta : float
        Shape of its window. Default 5.
    compression_power : float
        Exponent of the `PowerCompression`. Default 0.3.
    compression_offset, compression_scale : float
        Options of the named compressions. Defaults 1e-8 and 1.
    compression_gradient_clip : float or None
        Largest derivative of a named compression; None leaves it unbounded. Default: 5 for "power", 5000 for "db".

    Raises
    ------
    AudioMetamerError
        If a value is outside its range, or an option belongs to a part that is replaced.
    """

    def __init__(
        self,
        *,
        sample_rate: int = 20_000,
        filterbank: Filterbank | None = None,
        lowpass: Lowpass | None = None,
        compression: Literal["power", "db"] | nn.Module | None = "power",
        envelope: Literal["hilbert", "rectified"] = "hilbert",
        compress_first: bool = False,
        exact: bool = False,
        oversampling: float = 20.0,
        **options: Unpack[PartOptions],
    ) -> None:
        super().__init__()
        sample_rate = as_integer(sample_rate, "sample_rate", least=1)
        own_compression = isinstance(compression, nn.Module)
        check_options(
            options, {"filterbank": filterbank is not None, "lowpass": lowpass is not None, "compression": own_compression}
        )
        if envelope not in ("hilbert", "rectified"):
            raise AudioMetamerError(f"envelope is {envelope!r}; it must be 'hilbert' or 'rectified'")
        check_parts(filterbank, lowpass)
        self.filterbank = make_filterbank(sample_rate, options) if filterbank is None else filterbank
        self.lowpass = make_lowpass(sample_rate, options) if lowpass is None else lowpass
        self.compression: nn.Module = (
            compression if isinstance(compression, nn.Module) else make_compression(compression, options)
        )
        if sample_rate % self.lowpass.stride:
            raise AudioMetamerError(
                f"the stride of lowpass is {self.lowpass.stride}; it must divide the sample rate of {sample_rate} Hz"
            )
        self.sample_rate, self.frame_rate = sample_rate, sample_rate // self.lowpass.stride
        self.envelope: Literal["hilbert", "rectified"] = envelope
        self.compress_first, self.exact, self.oversampling = compress_first, exact, _checked_oversampling(oversampling)
        self._plans: dict[tuple[int, torch.dtype, torch.device, float | None], FullRate | Multirate] = {}

    @classmethod
    def from_preset(cls, name: str, **overrides: Any) -> Self:
        """A published cochleagram, by name.

        Parameters
        ----------
        name : {"feather2023", "feather2019"}
            ``feather2023``: 50 to 10,000 Hz (Nature Neuroscience 2023). ``feather2019``: 20 to 8000 Hz, envelopes multiplied by
            796.87416837456942 before compression (NeurIPS 2019).
        **overrides
            Any keyword of `Cochleagram`; a part of your own replaces that of the preset.

        Raises
        ------
        AudioMetamerError
            If there is no preset of that name.
        """
        if name not in PRESETS:
            raise AudioMetamerError(f"there is no cochleagram preset {name!r}; there are {', '.join(PRESETS)}")
        return cls(**without_replaced(PRESETS[name], overrides) | overrides)

    @classmethod
    def for_rate(cls, sample_rate: int) -> Self:
        """A cochleagram of sounds at any rate, for display: the published one, up to half the sample rate.

        Parameters
        ----------
        sample_rate : int
            Sample rate in Hz. The frame rate is the largest of 200, 100, 50, 25 and 1 Hz that divides it.
        """
        frame_rate = next(rate for rate in (200, 100, 50, 25, 1) if sample_rate % rate == 0)
        window = 10 * (sample_rate // frame_rate) + 1
        high_limit = min(10_000.0, sample_rate / 2)
        return cls(sample_rate=sample_rate, high_limit=high_limit, frame_rate=frame_rate, window_size=window)

    def forward(self, sound: Tensor) -> Tensor:
        """The cochleagram of sounds.

        Parameters
        ----------
        sound : Tensor [shape=(..., samples)]
            float32 or float64, on any device, of any length from `window_size` up.

        Returns
        -------
        Tensor [shape=(..., filters, frames)]
            Low frequencies first; frames = (samples − window_size) // (sample_rate / frame_rate) + 1.

        Raises
        ------
        AudioMetamerError
            If the sound is too short for one frame, or not real floating point.
        """
        if sound.dtype not in (torch.float32, torch.float64):
            raise AudioMetamerError(f"the sound is {sound.dtype}; a cochleagram takes float32 or float64")
        if self.n_frames(sound.shape[-1]) < 1:
            raise AudioMetamerError(
                f"the sound has {sound.shape[-1]} samples; a cochleagram needs {self.lowpass.window_size}, one envelope window"
            )
        flat = sound.reshape(-1, sound.shape[-1])
        faint = self._faint(flat)
        if faint is None or not faint.any() or faint.all():
            frames = self._frames(flat, faint=faint is not None and bool(faint.any()))
        else:  # no sound depends on those beside it
            groups = [self._frames(flat[faint == level], faint=level) for level in (False, True)]
            frames = torch.cat(groups)[faint.argsort(stable=True).argsort()]
        return frames.view(*sound.shape[:-1], *frames.shape[-2:])

    def _faint(self, sounds: Tensor) -> Tensor | None:
        """Which sounds [shape=(batch, samples)] are faint, [shape=(batch,)]; None where the computation does not depend on it."""
        if self.exact or not self.has_fast_path or math.isinf(self.oversampling):
            return None
        if sounds.device.type != "cpu" or type(sounds) is not Tensor or torch.compiler.is_compiling():  # a trace has no branches
            return None
        power = sounds.detach().square().mean(1)
        return (power > 0) & (power < FAINT**2)

    def _frames(self, sounds: Tensor, *, faint: bool) -> Tensor:
        """Compressed frames of sounds [shape=(batch, samples)]."""
        plan = self._plan(sounds, faint=faint)
        return plan(sounds, self.compression) if self.compress_first else self.compression(plan(sounds, nn.Identity()))

    def with_gradient_clip(self, factor: float) -> "Cochleagram":
        """The same cochleagram, sharing its filters, with the compression's largest derivative multiplied by a factor.

        Parameters
        ----------
        factor : float
            Factor on the compression's attribute `gradient_clip`; no effect if that is None or missing.
        """
        clip = getattr(self.compression, "gradient_clip", None)
        return self._with_compression(**({} if clip is None else {"gradient_clip": factor * clip}))

    def with_oversampling(self, oversampling: float) -> "Cochleagram":
        """The same cochleagram, sharing its filterbank and compression, computed on another grid.

        Parameters
        ----------
        oversampling : float
            Points per frame of the fast path, as the option of that name.
        """
        other = copy.copy(self)
        other.exact, other.oversampling = False, _checked_oversampling(oversampling)
        return other

    def with_exact_path(self) -> "Cochleagram":
        """The same cochleagram, sharing its filterbank and compression, computed as published: with ``exact=True``."""
        other = copy.copy(self)
        other.exact = True
        return other

    def with_broadening(self, factor: float) -> "Cochleagram":
        """The same cochleagram with filters that are wider by a factor, as in an impaired ear.

        Parameters
        ----------
        factor : float
            Factor on the `broadening` of the `CosineFilterbank`.

        Raises
        ------
        AudioMetamerError
            If the filters are of your own, or would be more than 10 times as wide.
        """
        if not isinstance(self.filterbank, CosineFilterbank):
            raise AudioMetamerError(f"{type(self.filterbank).__name__} has no broadening; only a CosineFilterbank has")
        other = copy.copy(self)
        other.filterbank = replace(self.filterbank, broadening=factor * self.filterbank.broadening)
        other._plans = {}
        return other

    @property
    def has_fast_path(self) -> bool:
        """Whether it can be computed on other grids than that of the sound; rectified envelopes cannot."""
        return self.envelope == "hilbert"

    def with_true_derivative(self) -> "Cochleagram":
        """The same cochleagram, sharing its filters, with the compression's true derivative: not clipped, and zero below zero.

        For measurements; the steps of a synthesis would get lost in quiet parts. A compression of your own stays as it is.
        """
        known = isinstance(self.compression, (PowerCompression, DecibelCompression))
        return self._with_compression(**({"gradient_clip": None, "straight_through": False} if known else {}))

    def _with_compression(self, **attributes: Any) -> "Cochleagram":
        """A copy that differs in attributes of its compression."""
        other, compression = copy.copy(self), copy.copy(self.compression)
        for name, value in attributes.items():
            setattr(compression, name, value)
        other._modules = self._modules | {"compression": compression}
        return other

    def _plan(self, sound: Tensor, *, faint: bool) -> FullRate | Multirate:
        """Filters for sounds of this length, dtype, device and level."""
        full_rate = self.exact or not self.has_fast_path
        oversampling = math.inf if faint else self.oversampling
        key = (sound.shape[-1], sound.dtype, sound.device, None if full_rate else oversampling)
        if key not in self._plans:
            n_samples, dtype, device, _ = key
            size: dict[str, Any] = {"n_samples": n_samples, "sample_rate": self.sample_rate, "dtype": dtype, "device": device}
            while len(self._plans) >= _MAX_PLANS:
                del self._plans[next(iter(self._plans))]
            if full_rate:
                self._plans[key] = FullRate(self.filterbank, self.lowpass, envelope=self.envelope, **size)
            else:
                self._plans[key] = Multirate(self.filterbank, self.lowpass, oversampling=oversampling, **size)
        return self._plans[key]

    def n_frames(self, n_samples: int) -> int:
        """Number of frames that a sound of `n_samples` gives."""
        return self.lowpass.n_frames(n_samples)

    def center_frequencies(self) -> FloatArray:
        """Centre frequency of each filter in Hz, low first, [shape=(filters,)]."""
        return self.filterbank.center_frequencies()

    def invert(
        self, cochleagram: Tensor, *, n_samples: int | None = None, steps: int = 300, step_size: float = 0.01, seed: int = 0
    ) -> Tensor:
        """Sounds in [−1, 1] that have given cochleagrams, found by `audiometamer.match` with Adam from near silence.

        Parameters
        ----------
        cochleagram : Tensor [shape=(batch, filters, frames)]
        n_samples : int, optional
            Length of the sounds. Default: the smallest multiple of the hop that gives as many frames and reaches past the last
            window, which is the length of the original if that was a multiple of the hop and the window is ten hops long.
        steps : int
            Number of steps. Default 300.
        step_size : float
            Initial step size of Adam; it falls to 0 along a cosine. Default 0.01.
        seed : int
            Random seed of the noise that the first sound starts from; the next sounds have the seeds after it. Default 0.

        Returns
        -------
        Tensor [shape=(batch, samples)]

        Raises
        ------
        AudioMetamerError
            If `n_samples` gives another number of frames than the cochleagram has.
        """
        hop = self.lowpass.stride
        if n_samples is None:
            n_samples = -(-((cochleagram.shape[-1] - 1) * hop + self.lowpass.window_size) // hop) * hop
            n_samples -= hop if self.n_frames(n_samples - 1) > cochleagram.shape[-1] else 0
        if self.n_frames(n_samples) != cochleagram.shape[-1]:
            raise AudioMetamerError(
                f"n_samples is {n_samples}, which gives {self.n_frames(n_samples)} frames; the cochleagram has "
                f"{cochleagram.shape[-1]}"
            )
        domain = Waveform()
        seeds = range(seed, seed + len(cochleagram))
        start = domain.start((n_samples,), seeds=seeds, dtype=cochleagram.dtype, device=cochleagram.device)
        optimizer = Adam(Cosine(step_size, steps))
        return match(self, cochleagram, start, domain=domain, optimizer=optimizer, steps=steps).signals

    def plot(self, cochleagram: Tensor, axes: "Axes | None" = None, **kwargs: Any) -> "Axes":
        """Draw one cochleagram: time in s from left to right, filters from low to high, labelled with their frequency in Hz.

        Filters are evenly spaced on the ERB scale, and so is the axis.

        Parameters
        ----------
        cochleagram : Tensor [shape=(filters, frames)]
        axes : matplotlib Axes, optional
            Default: the current ones.
        **kwargs
            For `matplotlib.axes.Axes.imshow`.

        Returns
        -------
        matplotlib Axes

        Raises
        ------
        AudioMetamerError
            If it is no such tensor.
        """
        import matplotlib.pyplot as plt
        import numpy as np

        if not isinstance(cochleagram, Tensor) or cochleagram.ndim != 2 or len(cochleagram) != len(self.filterbank):
            found = f"shape {tuple(cochleagram.shape)}" if isinstance(cochleagram, Tensor) else type(cochleagram).__name__
            raise AudioMetamerError(
                f"a plot takes one cochleagram of shape ({len(self.filterbank)}, frames), such as front_end(samples[None])[0], "
                f"not {found}"
            )
        axes = axes or plt.gca()
        n_filters, n_frames = cochleagram.shape
        first = self.lowpass.window_size / 2 / self.sample_rate
        extent = (first, first + n_frames / self.frame_rate, -0.5, n_filters - 0.5)
        options = {"origin": "lower", "aspect": "auto", "cmap": "magma", "interpolation": "nearest"} | kwargs
        axes.imshow(cochleagram.detach().cpu().numpy(), extent=extent, **options)
        centers = self.center_frequencies()
        octaves = np.array([f for f in (62.5 * 2 ** np.arange(12)) if centers[0] <= f <= centers[-1]])
        rows = np.interp(octaves, centers, np.arange(n_filters))
        # Octaves crowd at the bottom of an ERB scale: from the top down, those that leave room for the label above.
        shown = [i for i in range(len(rows)) if i == len(rows) - 1 or rows[i + 1] - rows[i] > 0.08 * n_filters]
        axes.set_yticks(rows[shown], [f"{f:g}" for f in octaves[shown]])
        axes.set_xlabel("time (s)")
        axes.set_ylabel("frequency (Hz)")
        return axes

    def extra_repr(self) -> str:
        return (
            f"{self.filterbank}, {self.lowpass}, envelope={self.envelope!r}, sample_rate={self.sample_rate}, exact={self.exact}"
        )


def _checked_oversampling(oversampling: float) -> float:
    if not oversampling >= 2:
        raise AudioMetamerError(f"oversampling is {oversampling}; it must be at least 2")
    return oversampling


PRESETS: dict[str, dict[str, Any]] = {
    "feather2023": {},
    "feather2019": {"low_limit": 20.0, "high_limit": 8000.0, "compression_scale": 796.87416837456942},
}
