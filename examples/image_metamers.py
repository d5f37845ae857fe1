"""Metamers of images: handwritten digits, a small network trained on them in seconds, and what its layers are invariant to.

The digits are scikit-learn's own (1,797 images of 8 × 8, enlarged to 16 × 16); the network is trained on four fifths of them. Of
another one, each layer gets a metamer: a PNG of 16 bits with its evidence, judged against random pairs of digits.
"""

from pathlib import Path

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

import audiometamer as am
from audiometamer.metamers.figure import draw_figure

torch.manual_seed(0)
digits = load_digits()
images = torch.from_numpy(digits.images).float()[:, None] / 16
images = nn.functional.interpolate(images, (16, 16), mode="bilinear")
classes = torch.from_numpy(digits.target)
train, test = torch.arange(len(images)) % 5 != 0, torch.arange(len(images)) % 5 == 0


class DigitNetwork(nn.Module):
    """Two convolutions and a read-out."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = {"relu0": "features.1", "relu1": "features.4", "pooled": "features.5", "final": "read_out"}
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.AvgPool2d(2),
        )
        self.read_out = nn.Linear(32 * 16, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.read_out(self.features(x).flatten(1))


network = DigitNetwork()
optimizer = torch.optim.AdamW(network.parameters(), 3e-3)
for _ in range(12):
    for batch in torch.randperm(int(train.sum())).split(64):
        optimizer.zero_grad()
        mean, deviation = 0.3, 0.35
        logits = network((images[train][batch] - mean) / deviation)
        nn.functional.cross_entropy(logits, classes[train][batch]).backward()
        optimizer.step()

picture = am.ImageTransform((1, 16, 16))
model = am.image_model(network, picture, mean=[mean], std=[deviation], labels=[str(k) for k in range(10)], name="digits")
with torch.no_grad():
    right = model(images).argmax(1) == classes
print(f"right on {int(test.sum())} digits that it was not trained on: {100 * right[test].float().mean():.1f} %")

null = am.NullDistribution.measure(model, images[train][:500], source="500 digits of the training set")
number = int(torch.nonzero(test & right & (classes == 5))[0])
clip = am.Clip("five", images[number], None)
metamers = am.synthesize(model, clip, null=null)
for m in metamers:
    layer, verdict = m.evidence.settings.layer, m.evidence.verdict
    natural, heard = verdict.labels["image"]
    print(
        f"{layer:10} SNR {m.evidence.similarity[layer]['snr_db']:5.1f} dB, seen as {heard} (the digit: {natural}), "
        f"{'passed' if m.passed else 'failed'}; from the digit itself {(m.samples - clip.samples).abs().mean():.3f} a pixel"
    )
    m.save("digits")
draw_figure(model, metamers, Path("digits/five.png"))
print("images, records and a picture: digits/")
