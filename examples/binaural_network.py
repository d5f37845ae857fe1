"""What does each stage of a binaural network know of where a sound is? Metamers at its level and its timing stage.

A noise is 6 dB softer and 0.5 ms later at the right ear. One stage of the network has the power at each ear, the other the
cross-correlation of both. A metamer keeps what its stage knows, and the rest is lost: without timing, the ears hear unrelated
noises; without levels, only the product of both is left. A few seconds on a core.
"""

import math

import torch
from torch import Tensor, nn

import audiometamer as am

RATE, SECONDS, DELAY, LAGS = 8000, 0.5, 4, 8  # delay and largest lag in samples, 0.125 ms each


class Powers(nn.Module):
    """Mean square at each ear, [shape=(batch, 2)]."""

    def forward(self, sounds: Tensor) -> Tensor:
        return sounds.square().mean(-1)


class CrossCorrelation(nn.Module):
    """Mean of left[t] · right[t + lag], [shape=(batch, lags)]."""

    def forward(self, sounds: Tensor) -> Tensor:
        left, right = sounds.unbind(1)
        return torch.stack([(left * right.roll(-lag, -1)).mean(-1) for lag in range(-LAGS, LAGS + 1)], -1)


class Binaural(nn.Module):
    """Two stages side by side, and a read-out: left or right?"""

    def __init__(self) -> None:
        super().__init__()
        self.powers, self.correlation = Powers(), CrossCorrelation()
        self.layers = {"powers": "powers", "correlation": "correlation"}

    def forward(self, sounds: Tensor) -> Tensor:
        left, right = self.powers(sounds).unbind(-1)
        lags = self.correlation(sounds)
        earlier = lags[:, LAGS + 1 :].amax(-1) - lags[:, :LAGS].amax(-1)  # at the left ear
        towards_left = (left - right) / (left + right) + earlier / (left * right).sqrt()
        return torch.stack([towards_left, -towards_left], -1)


def level_difference(sound: Tensor) -> float:
    """Of left re right, in dB."""
    left, right = sound.double().square().mean(-1).tolist()
    return 10 * math.log10(left / right)


def coherence(sound: Tensor) -> tuple[float, float]:
    """The peak of the normalised cross-correlation, and its lag in ms."""
    correlation = CrossCorrelation()(sound[None])[0] / Powers()(sound[None]).prod().sqrt()
    peak, lag = correlation.max(-1)
    return float(peak), 1000 * (int(lag) - LAGS) / RATE


torch.manual_seed(0)
noise = torch.randn(round(RATE * SECONDS))
sound = torch.stack([noise, 0.5 * noise.roll(DELAY)])
clip = am.Clip("noise", 0.1 * sound / sound.square().mean().sqrt(), RATE)  # of a file: am.read_clip(path, channels=2, ...)
model = am.Model(Binaural().eval(), sample_rate=RATE, duration=SECONDS, channels=2, labels=["left", "right"])

metamers = am.synthesize(model, clip, ["powers", "correlation", "powers+correlation"])
print("matched at           level difference   coherence   at a lag of   heard")
for name, samples in [("(natural sound)", clip.samples), *((m.evidence.settings.layer, m.samples) for m in metamers)]:
    peak, lag = coherence(samples)
    heard = model.label("word", int(model(samples[None]).argmax()))
    print(f"{name:20} {level_difference(samples):13.1f} dB {peak:11.2f} {lag:10.2f} ms   {heard}")
