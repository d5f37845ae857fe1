"""The front end of Whisper: log-mel spectrogram of a window of 30 s, in torch, so that the gradient reaches the waveform."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_FLOOR = 1e-10  # floor of the power
_DECADES = 8.0  # dynamic range below the maximum


class WhisperFeatures(nn.Module):
    """The features of transformers' `WhisperFeatureExtractor`, without its optional dither.

    The waveform is padded with zeros, or cropped, to the window. The power of its short-time Fourier transform is pooled by mel
    filters; then y = (max(log10 power, maximum − 8) + 4) / 4, with the signal's own maximum (Radford et al. 2023, section 2.2).

    Parameters
    ----------
    extractor : WhisperFeatureExtractor
        The extractor whose settings and mel filters are used.
    """

    def __init__(self, extractor: Any) -> None:
        super().__init__()
        self.samples: int = extractor.n_samples
        self.window_size: int = extractor.n_fft
        self.hop: int = extractor.hop_length
        self.register_buffer("filters", torch.as_tensor(extractor.mel_filters).T.contiguous(), persistent=False)
        self.register_buffer("window", torch.hann_window(self.window_size, dtype=torch.float64), persistent=False)

    def forward(self, signals: Tensor) -> Tensor:
        """Signals [shape=(batch, samples)] to features [shape=(batch, mels, frames)]; 3000 frames for 30 s."""
        window, filters = self.get_buffer("window").to(signals), self.get_buffer("filters").to(signals)
        padded = F.pad(signals, (0, self.samples - signals.shape[-1]))
        spectra = torch.stft(padded, self.window_size, self.hop, window=window, return_complex=True)[..., :-1]
        power = filters @ (spectra.real.square() + spectra.imag.square())
        logs = power.clamp(min=_FLOOR).log10()
        return (torch.maximum(logs, logs.amax((1, 2), keepdim=True) - _DECADES) + 4) / 4
