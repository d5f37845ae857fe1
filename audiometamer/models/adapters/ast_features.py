"""The front end of the Audio Spectrogram Transformer: Kaldi's log-mel filterbank in torch, batched and differentiable."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_PREEMPHASIS = 0.97
_LOWEST = 20.0  # Hz
_FLOOR = 1.1920928955078125e-07  # floor of the power: the machine epsilon of float32


class ASTFeatures(nn.Module):
    """The features of transformers' `ASTFeatureExtractor` (Gong et al. 2021), by the definitions of Kaldi's filterbank features.

    Windows of 25 ms every 10 ms, each with its mean removed, pre-emphasis and a symmetrical Hann window; power pooled by mel
    filters, its natural logarithm; padded with frames of zeros, or cropped; (x − mean) / (2 std).

    Parameters
    ----------
    extractor : ASTFeatureExtractor
        The extractor whose settings are used.
    """

    def __init__(self, extractor: Any) -> None:
        super().__init__()
        from torchaudio.compliance.kaldi import get_mel_banks

        rate = extractor.sampling_rate
        self.window_size, self.hop = round(0.025 * rate), round(0.01 * rate)
        self.fft_size = 2 ** (self.window_size - 1).bit_length()
        self.frames: int = extractor.max_length
        self.mean: float = extractor.mean if extractor.do_normalize else 0.0
        self.scale: float = 2 * extractor.std if extractor.do_normalize else 1.0
        filters, _ = get_mel_banks(extractor.num_mel_bins, self.fft_size, rate, _LOWEST, 0.0, 100.0, -500.0, 1.0)
        self.register_buffer("filters", F.pad(filters, (0, 1)).T.contiguous(), persistent=False)
        window = torch.hann_window(self.window_size, periodic=False, dtype=torch.float64)
        self.register_buffer("window", window, persistent=False)

    def forward(self, signals: Tensor) -> Tensor:
        """Signals [shape=(batch, samples)] to features [shape=(batch, frames, mels)]; usually 1024 frames."""
        window, filters = self.get_buffer("window").to(signals), self.get_buffer("filters").to(signals)
        frames = signals.unfold(-1, self.window_size, self.hop)
        frames = frames - frames.mean(-1, keepdim=True)
        before = torch.cat((frames[..., :1], frames[..., :-1]), -1)
        spectra = torch.fft.rfft((frames - _PREEMPHASIS * before) * window, self.fft_size)
        mel = ((spectra.real.square() + spectra.imag.square()) @ filters).clamp(min=_FLOOR).log()
        return (F.pad(mel, (0, 0, 0, self.frames - mel.shape[-2])) - self.mean) / self.scale
