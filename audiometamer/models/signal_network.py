"""A network behind its front end, as one differentiable function of signals."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


class SignalNetwork(nn.Module):
    """A front end and a network, with the shape and the range of the signals that they take.

    Parameters
    ----------
    network : Module
    front_end : Module or None
        Between the signals and the network.
    signal_shape : sequence of int
        Shape of one signal.
    bounds : tuple of float
        Range of the signals; values outside are clamped first.
    name : str
        For folders, reports and messages.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        front_end: nn.Module | None,
        signal_shape: Sequence[int],
        bounds: tuple[float, float],
        name: str,
    ) -> None:
        super().__init__()
        self.front_end = front_end
        self.network = network
        self.signal_shape, self.bounds, self.name = tuple(signal_shape), bounds, name

    def forward(self, signals: Tensor) -> Any:
        """The network's output for signals [shape=(batch, *signal_shape)]."""
        return self.network(self.network_input(signals))

    def network_input(self, signals: Tensor) -> Tensor:
        """Input of the network for signals [shape=(batch, *signal_shape)]."""
        clamped = self.clamp(signals)
        return clamped if self.front_end is None else self.front_end(clamped)

    def clamp(self, signals: Tensor) -> Tensor:
        """Signals clamped to the bounds.

        At the bounds themselves the gradient passes, which torch's own clamp stops there: a white pixel could never turn grey.
        """
        low, high = self.bounds
        return torch.where((signals >= low) & (signals <= high), signals, signals.detach().clamp(low, high))

    def network_tensors(self) -> list[Tensor]:
        """All parameters and buffers of the network."""
        return [*self.network.parameters(), *self.network.buffers()]

    @property
    def dtype(self) -> torch.dtype:
        """Floating type of the network's parameters; float32 if there are none."""
        return next((t.dtype for t in self.network_tensors() if t.is_floating_point()), torch.float32)

    @property
    def device(self) -> torch.device:
        """Device of the network's parameters; the CPU if there are none."""
        return next((t.device for t in self.network_tensors()), torch.device("cpu"))
