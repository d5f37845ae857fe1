"""TensorFlow's SAME padding for convolutions and pools, which torch lacks for strides above one.

The padding adds up to max((⌈n / stride⌉ − 1) · stride + kernel − n, 0) and its smaller half comes first, so that the output has
⌈n / stride⌉ values.
"""

from math import prod

import torch.nn.functional as F
from torch import Tensor, nn

Size = tuple[int, int]


def same_padding(shape: Size, kernel: Size, stride: Size) -> tuple[int, int, int, int]:
    """Padding (left, right, top, bottom), the order of `torch.nn.functional.pad`, for an input of (height, width) `shape`."""
    top_bottom, left_right = (
        (total // 2, total - total // 2)
        for total in (max((-(-n // s) - 1) * s + k - n, 0) for n, k, s in zip(shape, kernel, stride, strict=True))
    )
    return (*left_right, *top_bottom)


class SameConv2d(nn.Conv2d):
    """`torch.nn.Conv2d` without bias, with SAME padding."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Size, stride: Size = (1, 1)) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        return super().forward(F.pad(x, same_padding((height, width), _pair(self.kernel_size), _pair(self.stride))))


class _SamePool2d(nn.Module):
    def __init__(self, kernel_size: Size, stride: Size) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, stride

    def _padding(self, x: Tensor) -> tuple[int, int, int, int]:
        height, width = x.shape[-2:]
        return same_padding((height, width), self.kernel_size, self.stride)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}"


class SameMaxPool2d(_SamePool2d):
    """Max-pool with SAME padding; the padding never wins."""

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(F.pad(x, self._padding(x), value=float("-inf")), self.kernel_size, self.stride)

    def max_contribution(self, x: Tensor) -> Tensor:
        """See `audiometamer.models.pooling`."""
        return self.forward(x)


class SameAvgPool2d(_SamePool2d):
    """Average-pool with SAME padding; padded zeros are counted."""

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(F.pad(x, self._padding(x)), self.kernel_size, self.stride)

    def max_contribution(self, x: Tensor) -> Tensor:
        """See `audiometamer.models.pooling`."""
        padded = F.pad(x, self._padding(x), value=float("-inf"))
        return F.max_pool2d(padded, self.kernel_size, self.stride) / prod(self.kernel_size)


def _pair(values: tuple[int, ...]) -> Size:
    height, width = values
    return height, width
