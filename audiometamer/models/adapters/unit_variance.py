"""The front end of wav2vec 2.0 and related networks: every waveform standardised to mean 0 and variance 1."""

from torch import Tensor, nn
from torch.nn import functional as F


class UnitVariance(nn.Module):
    """Each signal standardised over its whole length: (x − mean) / √(variance + epsilon).

    Parameters
    ----------
    epsilon : float
        Added to the variance, so that silence stays quiet: 1e-7 in transformers, 1e-5 in torchaudio. Default 1e-7.
    """

    def __init__(self, *, epsilon: float = 1e-7) -> None:
        super().__init__()
        self.epsilon = epsilon

    def forward(self, signals: Tensor) -> Tensor:
        """Signals [shape=(batch, samples)] to the same shape."""
        return F.layer_norm(signals, signals.shape[-1:], eps=self.epsilon)
