"""Networks as people write them: what `named_modules()` names is not what a forward pass calls."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

SAMPLE_RATE, SAMPLES = 4000, 400


class Net(nn.Module):
    """A convolution, a ReLU and a read-out; subclasses do something in between."""

    sample_rate, duration = SAMPLE_RATE, SAMPLES / SAMPLE_RATE

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.relu, self.read_out = nn.Conv1d(1, 4, 16, 8), nn.ReLU(), nn.Linear(4, 3)

    def heard(self, x: Tensor) -> Tensor:
        return self.relu(self.conv(x[:, None]))

    def forward(self, x):
        return self.read_out(self.heard(x).mean(-1) * 50)


class Blocks(Net):
    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([nn.Linear(4, 4) for _ in range(2)])

    def forward(self, x):
        h = self.heard(x).mean(-1)
        for block in self.blocks:
            h = block(h)
        return self.read_out(h)


class Shared(Net):
    def forward(self, x):
        return self.read_out(self.relu(self.heard(x).mean(-1) - 0.01))


class Unused(Net):
    def __init__(self):
        super().__init__()
        self.aux = nn.Linear(4, 3)


class Attention(Net):
    def __init__(self):
        super().__init__()
        self.att = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, x):
        h = self.heard(x).transpose(1, 2)
        return self.read_out((h + self.att(h, h, h)[0]).mean(1))


class Normed(Net):
    def __init__(self):
        super().__init__()
        self.conv = nn.utils.parametrizations.weight_norm(self.conv)


class TimeFirst(Net):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(4, 4)

    def forward(self, x):
        return self.read_out(self.rnn(self.heard(x).permute(2, 0, 1))[0][-1])


class Keyword(Net):
    def forward(self, x):
        return self.read_out(input=self.relu(input=self.conv(input=x[:, None])).mean(-1))


@dataclass
class Answer:
    states: tuple[Tensor, ...]
    length: int


class Inner(nn.Module):
    def forward(self, h):
        return Answer((h.mean(-1), h.amax(-1)), h.shape[-1])


class Nested(Net):
    """A module that returns a dataclass with a tuple of tensors in it."""

    def __init__(self):
        super().__init__()
        self.inner = Inner()

    def forward(self, x):
        return self.read_out(sum(self.inner(self.heard(x)).states))


class Cut(nn.Module):
    def forward(self, h):
        return h.detach()


class Detached(Net):
    def __init__(self):
        super().__init__()
        self.cut = Cut()

    def forward(self, x):
        h = self.heard(x).mean(-1)
        return self.read_out(h + self.cut(h))


class Spectrum(nn.Module):
    def forward(self, x):
        return torch.fft.rfft(x)


class Complex(Net):
    def __init__(self):
        super().__init__()
        self.spectrum = Spectrum()
        self.read_out = nn.Linear(SAMPLES // 2 + 1, 3)

    def forward(self, x):
        return self.read_out(self.spectrum(x).abs())


NETWORKS = (Blocks, Shared, Unused, Attention, Normed, TimeFirst, Keyword, Nested, Detached, Complex)


def frozen(network: nn.Module) -> nn.Module:
    return network.eval().requires_grad_(False)


def plain() -> nn.Module:
    return frozen(Net())


def time_first() -> nn.Module:
    return frozen(TimeFirst())


def blocks() -> nn.Module:
    return frozen(Blocks())
