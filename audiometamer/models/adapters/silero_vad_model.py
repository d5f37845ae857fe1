"""Silero VAD, a network that detects speech, rebuilt as a module with the weights of its package."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audiometamer.errors import AudioMetamerError
from audiometamer.models.adapters.packages import file_of
from audiometamer.models.adapters.resampled import resampled
from audiometamer.models.model import Model

_SAMPLE_RATE, _CHUNK, _CONTEXT, _REFLECTED = 16_000, 512, 64, 64


class Chunks(nn.Module):
    """Chunks of 512 samples, each preceded by the last 64 of the previous one and followed by its own last 64 mirrored."""

    def forward(self, signals: Tensor) -> Tensor:
        """Signals [shape=(batch, samples)] to [shape=(batch, 640, chunks)]; the last chunk is padded with zeros."""
        padded = F.pad(signals, (_CONTEXT, -signals.shape[-1] % _CHUNK))
        chunks = padded.unfold(-1, _CONTEXT + _CHUNK, _CHUNK)
        return F.pad(chunks, (0, _REFLECTED), mode="reflect").transpose(1, 2)


class Recurrent(nn.LSTMCell):
    """An LSTM cell that runs over a sequence. (cuDNN's LSTM has no backward pass in eval mode.)"""

    def forward(self, sequence: Tensor) -> Tensor:  # type: ignore[override]  # a sequence, not a step
        """Sequence [shape=(batch, steps, features)] to the cell's outputs [shape=(batch, steps, features)]."""
        state, outputs = None, []
        for features in sequence.unbind(1):
            state = super().forward(features, state)
            outputs.append(state[0])
        return torch.stack(outputs, 1)


class SileroVAD(nn.Module):
    """The 16 kHz network with the keys of its state dict. Chunks are a dimension that only the LSTM mixes."""

    def __init__(self) -> None:
        super().__init__()
        heads = {"lstm": "lstm_cell", "logits": "final_conv", "probability": "probability"}
        self.layers = {f"relu{i}": f"relu{i}" for i in range(1, 5)} | heads
        self.stft_conv = nn.Conv2d(1, 258, (256, 1), (128, 1), bias=False)
        for i, (channels, width, stride) in enumerate(((129, 128, 1), (128, 64, 2), (64, 64, 2), (64, 128, 1)), 1):
            self.add_module(f"conv{i}", nn.Conv2d(channels, width, (3, 1), (stride, 1), (1, 0)))
            self.add_module(f"relu{i}", nn.ReLU())
        self.lstm_cell = Recurrent(128, 128)
        self.final_conv = nn.Conv2d(128, 1, 1)
        self.probability = nn.Sigmoid()

    def forward(self, chunks: Tensor) -> Tensor:
        """Chunks [shape=(batch, 640, chunks)] to scores of "no speech" and "speech" [shape=(batch, 2)]."""
        parts = self.stft_conv(chunks[:, None]).unflatten(1, (2, 129))
        x = torch.linalg.vector_norm(parts, dim=1)  # its gradient at silence is zero
        for i in range(1, 5):
            x = self.get_submodule(f"relu{i}")(self.get_submodule(f"conv{i}")(x))
        states = self.lstm_cell(x.squeeze(2).transpose(1, 2))
        probability = self.probability(self.final_conv(states.transpose(1, 2)[:, :, None].relu())).flatten(1)
        speech = probability.amax(1)
        return torch.stack((1 - speech, speech), 1)


def load(name: str, *, duration: float = 2.0, sample_rate: int | None = None) -> Model:
    """Silero VAD as a model.

    Its package contains this network twice: the weights here are those of its safetensors file; its TorchScript and ONNX files
    contain others, from another training.

    Layers: ``front_end`` (the chunks), ``relu1``, …, ``relu4`` [shape=(batch, channels, frames, chunks)], ``lstm`` [shape=(batch,
    chunks, 128)], ``logits`` and ``probability`` of speech [shape=(batch, 1, 1, chunks)]. A sound's label is ``speech`` if the
    probability is above ½ in any chunk.

    Parameters
    ----------
    name : {"16k"}
        The network, for sounds at 16 kHz.
    duration : float
        Duration in seconds. Default 2.
    sample_rate : int, optional
        Sample rate of the sounds in Hz. Default: the network's, 16000.

    Returns
    -------
    Model

    Raises
    ------
    AudioMetamerError
        If silero-vad is not installed or there is no such network.
    """
    if name != "16k":
        raise AudioMetamerError(f"silero-vad has no network {name!r} as safetensors; it has 16k")
    from safetensors.torch import load_file

    weights = load_file(file_of("silero_vad", "data/silero_vad_16k.safetensors", extra="speech"))
    network = SileroVAD()
    network.load_state_dict({key: w[..., None] if w.ndim == 3 else w for key, w in weights.items()})
    model = Model(
        network.eval().requires_grad_(False),
        front_end=Chunks(),
        sample_rate=_SAMPLE_RATE,
        duration=duration,
        labels={"speech": ["no speech", "speech"]},
        name="silero-vad",
    )
    return resampled(model, sample_rate)
