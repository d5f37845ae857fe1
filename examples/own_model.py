"""Metamers of a network that audiometamer has never seen: here one on raw waveforms, with random weights."""

import torch
from torch import Tensor, nn

import audiometamer as am


class WaveformNetwork(nn.Module):
    """Two strided convolutions, averaged over time, and a read-out."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(1, 32, kernel_size=400, stride=80)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv1d(32, 32, kernel_size=5, stride=2)
        self.relu2 = nn.ReLU()
        self.read_out = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu1(self.conv1(x[:, None]))
        x = self.relu2(self.conv2(x))
        return self.read_out(x.mean(-1))


torch.manual_seed(0)
network = WaveformNetwork().eval().requires_grad_(False)
model = am.Model(network, sample_rate=16_000, duration=1.0)
noise = 0.1 * torch.randn(16_000, generator=torch.Generator().manual_seed(1))
clip = am.Clip("noise", noise, 16_000)
for metamer in am.synthesize(model, clip, ["relu1", "relu2"], steps=100):
    layer = metamer.evidence.settings.layer
    print(f"{layer}: SNR {metamer.evidence.similarity[layer]['snr_db']:.1f} dB")
