"""An image network through the same core: torchvision's smallest ResNet if it is installed, two layers otherwise.

Weights are random: for real metamers, load trained ones. The start and the bounds are those of Feather et al. (2023).
"""

import torch
from torch import nn

import audiometamer as am
from audiometamer.domains import Image
from audiometamer.matching import Cosine, NormalizedDescent

torch.manual_seed(0)
try:
    from torchvision.models import resnet18

    network, layer = resnet18(), "layer2"
except ImportError:
    network, layer = nn.Sequential(nn.Conv2d(3, 16, 5, stride=2), nn.ReLU(), nn.Flatten(), nn.LazyLinear(10)), "1"
    network(torch.zeros(1, 3, 64, 64))

model = am.Model(network.eval().requires_grad_(False), signal_shape=(3, 64, 64), bounds=(0, 1))
natural = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
target = am.record(model, natural, layer)[layer]
domain = Image()
found = am.match(
    lambda images: am.record(model, images, layer, straight_through=True)[layer],
    target,
    domain.start((3, 64, 64), seeds=[0, 1], dtype=torch.float32, device="cpu"),
    domain=domain,
    optimizer=NormalizedDescent(Cosine(1.0, 100), momentum=0.9),
    steps=100,
)
for i, activation in enumerate(am.record(model, found.signals, layer)[layer]):
    print(f"image {i}: SNR {am.similarity(target[i], activation)['snr_db']:.1f} dB at {layer}")
