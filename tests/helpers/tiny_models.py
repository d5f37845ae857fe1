"""Models small enough for tests, with random but fixed weights."""

import numpy as np
import torch
from torch import Tensor, nn

import audiometamer as am

SAMPLE_RATE = 4000
DURATION = 0.25
WORDS = ("yes", "no", "perhaps")


class TinyNetwork(nn.Module):
    """Two convolutions and a read-out on a cochleagram."""

    def __init__(self) -> None:
        super().__init__()
        self.conv0 = nn.Conv1d(13, 12, 3)
        self.relu0 = nn.ReLU()
        self.conv1 = nn.Conv1d(12, 8, 3)
        self.relu1 = nn.ReLU()
        self.read_out = nn.Linear(8, len(WORDS))
        self.layers = {"relu0": "relu0", "relu1": "relu1", "final": "read_out"}

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu1(self.conv1(self.relu0(self.conv0(x))))
        return self.read_out(x.mean(-1))


def front_end() -> am.Cochleagram:
    return am.Cochleagram(
        sample_rate=SAMPLE_RATE, n_filters=4, low_limit=50, high_limit=2000, overcompleteness=2, frame_rate=100, window_size=161
    )


def seeded(module: nn.Module, seed: int = 0) -> nn.Module:
    """Weights from a generator, eval mode, frozen."""
    generator = torch.Generator().manual_seed(seed)
    for tensor in module.parameters():
        with torch.no_grad():
            scale = tensor[0].numel() ** -0.5 if tensor.ndim > 1 else 0.1
            tensor.copy_(torch.randn(tensor.shape, generator=generator) * 2 * scale)
    return module.eval().requires_grad_(False)


def sound_model() -> am.Model:
    """Cochleagram, two hidden layers, three words."""
    ears = front_end()
    network = seeded(TinyNetwork())
    return am.Model(network, front_end=ears, sample_rate=SAMPLE_RATE, duration=DURATION, labels={"word": WORDS}, name="tiny")


def bracketed_model() -> am.Model:
    """With labels that would be markup elsewhere."""
    model = sound_model()
    model.labels = {"word": ("[noise]", "[/s]", ":smile:")}
    return model


def not_a_model() -> int:
    return 3


def nameless_model() -> am.Model:
    """Without labels."""
    return am.Model(seeded(TinyNetwork()), front_end=front_end(), sample_rate=SAMPLE_RATE, duration=DURATION, name="nameless")


class Tone(nn.Module):
    """Takes sounds, and says how long and at what rate."""

    sample_rate, duration = SAMPLE_RATE, DURATION

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 2, 9, stride=4)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x[:, None]).square().mean(-1)


def plain_module() -> nn.Module:
    """No `Model`."""
    return seeded(Tone())


class Embedding(nn.Module):
    """Takes sounds, and returns many numbers for each, (batch, values), that are no logits."""

    sample_rate, duration = SAMPLE_RATE, DURATION

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 2, 9, stride=4)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x[:, None]).flatten(1)


def embedding_module() -> nn.Module:
    """No `Model`, and no classes."""
    return seeded(Embedding())


def shapeless_module() -> nn.Module:
    """Does not say what it takes."""
    return seeded(nn.Linear(6, 3))


def make_clip(name: str, seed: int) -> am.Clip:
    """A decaying harmonic sound with a little noise, as the tiny model takes it."""
    rng = np.random.default_rng(seed)
    n = round(SAMPLE_RATE * DURATION)
    t = np.arange(n) / SAMPLE_RATE
    f0 = 110 + 40 * seed
    sound = sum(np.sin(2 * np.pi * k * f0 * t) / k for k in range(1, 9)) * np.exp(-6 * t) + 0.01 * rng.standard_normal(n)
    sound = 0.1 * (sound - sound.mean()) / sound.std()
    return am.Clip(name, torch.from_numpy(sound.astype(np.float32)), SAMPLE_RATE)
