"""Reduced aliasing (Feather et al. 2019): convolutions and max-pools at full rate, decimated by weighted Hann pooling."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audiometamer.networks.same import Size, same_padding

_WIDTH_PER_STRIDE = 4


class HannPool2d(nn.Module):
    """Low-pass and decimate: a weighted sum under a Hann window four strides wide in each direction, with SAME padding.

    The window of length N = 4 · stride is w[n] = (1 − cos(2πn / (N − 1))) / (N − 1), n = 0 … N − 1: symmetric, with sum 1, so
    that constants keep their value except where the window reaches beyond the edge, into zeros. At the new Nyquist frequency
    its response is −24.3 dB for a stride of 2 and −28.7 dB for 3. A stride of 1 changes nothing.

    Nothing is stored: state dicts are those of networks without it, and the window has the device and type of the input.

    Parameters
    ----------
    stride : tuple of int
        Strides over (rows, columns).

    References
    ----------
    .. [1] Feather, Durango, Gonzalez & McDermott (2019). Metamers of neural networks reveal divergence from human perceptual
       systems. NeurIPS 32.
    """

    def __init__(self, stride: Size) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Maps [shape=(..., rows, columns)] to [shape=(..., ⌈rows / stride⌉, ⌈columns / stride⌉)]."""
        # The window is separable, and two small matrices are faster than a depthwise convolution, which would pad a copy.
        rows, columns = (_pooling_matrix(n, s, x) for n, s in zip(x.shape[-2:], self.stride, strict=True))
        return rows @ (x @ columns.mT)

    def max_contribution(self, x: Tensor) -> Tensor:
        """See `audiometamer.models.pooling`; as if the largest value under the window were next to its centre."""
        # The window is zero at both ends, which do not belong to the region.
        spans = [(1, 1) if s == 1 else (_WIDTH_PER_STRIDE * s, _WIDTH_PER_STRIDE * s - 2) for s in self.stride]
        height, width = x.shape[-2:]
        padding = same_padding((height, width), (spans[0][0], spans[1][0]), self.stride)
        cut = [0 if whole == 1 else 1 for whole, _ in reversed(spans) for _ in range(2)]
        padded = F.pad(x, [p - c for p, c in zip(padding, cut, strict=True)], value=float("-inf"))
        largest = F.max_pool2d(padded, (spans[0][1], spans[1][1]), self.stride)
        weights = [_pooling_matrix(n, s, x).max() for n, s in zip((height, width), self.stride, strict=True)]
        return largest * weights[0] * weights[1]

    def extra_repr(self) -> str:
        return f"stride={self.stride}"


def _pooling_matrix(n: int, stride: int, like: Tensor) -> Tensor:
    """Matrix [shape=(⌈n / stride⌉, n)] with the window at every multiple of the stride, cropped at the edges."""
    if stride == 1:
        return torch.eye(n, dtype=like.dtype, device=like.device)
    length = _WIDTH_PER_STRIDE * stride
    window = torch.hann_window(length, periodic=False, dtype=like.dtype, device=like.device)
    before, *_ = same_padding((n, n), (length, length), (stride, stride))
    starts = torch.arange(0, n, stride, device=like.device) - before
    index = torch.arange(n, device=like.device) - starts[:, None]
    inside = (index >= 0) & (index < length)
    return (window / window.sum())[index.clamp(0, length - 1)] * inside
