"""The published computation, transcribed from its formulas (Feather et al. 2023): what the others are compared with.

Every subband at the full rate, as a complex inverse FFT of the zero-padded one-sided spectrum; two full forward passes for each
step of a synthesis, to the classifier, one clip at a time.
"""

import numpy as np
import torch
from torch import Tensor, nn

RATE = 20_000


class PublishedCochleagram(nn.Module):
    """Sounds [shape=(batch, samples)] to cochleagrams [shape=(batch, 211, frames)], at 20 kHz."""

    def __init__(self, n_samples: int) -> None:
        super().__init__()
        self.register_buffer("gains", torch.from_numpy(_gains(n_samples)).float())
        n = np.arange(1001)
        t = n - 500.5
        self.register_buffer("taps", torch.from_numpy(np.sinc(t / 100) / 100 * np.kaiser(1001, 5)).float().view(1, 1, -1))

    def forward(self, sounds: Tensor) -> Tensor:
        batch, n_samples = sounds.shape
        subbands = torch.fft.rfft(sounds)[:, None] * self.gains
        subbands = torch.fft.ifft(nn.functional.pad(subbands, (0, n_samples - subbands.shape[-1])))
        envelopes = (subbands.real.square() + subbands.imag.square()).clamp(min=1e-16).sqrt()
        low = nn.functional.conv1d(envelopes.view(-1, 1, n_samples), self.taps, stride=100).view(batch, len(self.gains), -1)
        return _Compression.apply(low)


class _Compression(torch.autograd.Function):
    """(max(x, 0) + 1e-8)^0.3; the clamp passes the gradient, and the factor 0.3 · x^−0.7 is at most 5."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        shifted = x.clamp(min=0) + 1e-8
        ctx.save_for_backward(shifted)
        return shifted**0.3

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        (shifted,) = ctx.saved_tensors
        return gradient * (0.3 * shifted**-0.7).clamp(max=5)


def _gains(n_samples: int) -> np.ndarray:
    """Half-cosine filters on the ERB scale, 50 to 10,000 Hz, n = 50, four times overcomplete; shape=(211, FFT bins)."""

    def erb(hz):
        return 9.265 * np.log(1 + hz / (24.7 * 9.265))

    s = 4
    frequencies = np.fft.rfftfreq(n_samples, 1 / RATE)
    grid = np.linspace(erb(50.0), erb(10_000.0), s * 51 + 1)
    spacing = grid[1] - grid[0]
    distance = (erb(frequencies)[None] - grid[1:-1, None]) / (s * spacing)
    bands = np.where(np.abs(distance) < 1, np.cos(np.pi / 2 * distance.clip(-1, 1)), 0.0)
    centers = (np.exp(grid[1:-1] / 9.265) - 1) * 24.7 * 9.265
    rest = np.sqrt(np.maximum(1 - bands**2, 0))
    low = [np.where(frequencies < centers[i], rest[i], 0.0) for i in range(s)]
    high = [np.where(frequencies > centers[-1 - i], rest[-1 - i], 0.0) for i in reversed(range(s))]
    return np.concatenate([low, bands, high]) / np.sqrt(s)


def published_step(front_end: nn.Module, network: nn.Module, layer: str, target: Tensor, sound: Tensor, size: float) -> Tensor:
    """One step of the published synthesis on one clip: both forward passes run to the classifier."""
    recorded = {}
    module = network.get_submodule(layer)
    hook = module.register_forward_hook(lambda _, __, output: recorded.update(layer=output))
    try:
        sound = sound.detach().requires_grad_()
        network(front_end(sound))
        loss = (recorded["layer"] - target).norm() / target.norm()
        (gradient,) = torch.autograd.grad(loss, sound)
        stepped = (sound.detach() - size * gradient / (gradient.norm() + 1e-10)).clamp(-1, 1)
        with torch.no_grad():
            network(front_end(stepped))  # reports the loss
    finally:
        hook.remove()
    return stepped
