"""Mel spectrograms as a front end: the other representation that published networks were trained on."""

from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from audiometamer.errors import AudioMetamerError

PRESETS: dict[str, dict[str, Any]] = {"mel": {}, "logmel": {"compression": "log2"}}


class MelSpectrogram(nn.Module):
    """Waveform to mel spectrogram: power of a Hann-windowed short-time Fourier transform, pooled by triangular filters.

    The defaults are the mel representation of Feather et al. (2023).

    Parameters
    ----------
    sample_rate : int
        Sample rate in Hz. Default 20000.
    n_mels : int
        Number of filters, evenly spaced in mel = 2595 · log10(1 + f / 700) and of unit peak. Default 256.
    window_size, hop : int
        Length of the window, and samples between frames. Defaults 1200 and 100. Frames are centred; the sound is reflected at
        its ends.
    low_limit, high_limit : float
        Edges of the filters in Hz. Defaults 50 and 10000.
    compression : {"log2"} or None
        log2 of the power, floored at 1e-6, or none. Default None.
    """

    def __init__(
        self,
        *,
        sample_rate: int = 20_000,
        n_mels: int = 256,
        window_size: int = 1200,
        hop: int = 100,
        low_limit: float = 50.0,
        high_limit: float = 10_000.0,
        compression: Literal["log2"] | None = None,
    ) -> None:
        import librosa.filters

        super().__init__()
        if not 0 <= low_limit < high_limit <= sample_rate / 2:
            raise AudioMetamerError(
                f"mel limits are {low_limit} and {high_limit} Hz; they must rise within 0 to {sample_rate / 2}"
            )
        if compression not in ("log2", None):
            raise AudioMetamerError(f"compression is {compression!r}; it must be 'log2' or None")
        self.window_size, self.hop, self.compression = window_size, hop, compression
        self.sample_rate = sample_rate
        filters = librosa.filters.mel(
            sr=sample_rate,
            n_fft=window_size,
            n_mels=n_mels,
            fmin=low_limit,
            fmax=high_limit,
            htk=True,
            norm=None,
            dtype=np.float64,
        )
        self.register_buffer("filters", torch.from_numpy(filters), persistent=False)
        self.register_buffer("window", torch.hann_window(window_size, dtype=torch.float64), persistent=False)

    @classmethod
    def from_preset(cls, name: str, **overrides: Any) -> "MelSpectrogram":
        """``mel`` (no compression) or ``logmel`` (log2), with some keywords of its own."""
        if name not in PRESETS:
            raise AudioMetamerError(f"there is no mel preset {name!r}; there are {', '.join(PRESETS)}")
        return cls(**PRESETS[name] | overrides)

    def forward(self, sound: Tensor) -> Tensor:
        """Sound [shape=(..., samples)] to mel spectrogram [shape=(..., mels, frames)], frames = samples // hop + 1."""
        flat = sound.reshape(-1, sound.shape[-1])
        window, filters = self.get_buffer("window").to(sound), self.get_buffer("filters").to(sound)
        spectra = torch.stft(flat, self.window_size, self.hop, window=window, center=True, return_complex=True)
        mel = filters @ (spectra.real.square() + spectra.imag.square())
        if self.compression == "log2":
            mel = torch.log2(mel.clamp(min=1e-6))
        return mel.view(*sound.shape[:-1], *mel.shape[-2:])
