"""A tiny model of images, and banks of tiny signals with dimensions, for the tests of exploration."""

import tiny_models
import torch
from tiny_models import make_clip
from torch import nn

import audiometamer as am
from audiometamer.dimensions.finding import ComponentSettings, find_dimensions
from audiometamer.matching.domains import Image
from audiometamer.signals.images import ImageTransform


class TinyEye(nn.Module):
    """A convolution and a read-out of images of 12 × 12 pixels."""

    def __init__(self):
        super().__init__()
        self.conv, self.relu = nn.Conv2d(1, 5, 3), nn.Softplus()
        self.read_out = nn.Linear(5, 3)
        self.layers = {"relu": "relu", "final": "read_out"}

    def forward(self, x):
        return self.read_out(self.relu(self.conv(x)).mean((2, 3)))


def image_model():
    shape = (1, 12, 12)
    network = tiny_models.seeded(TinyEye())
    return am.Model(network, signal_shape=shape, bounds=(0, 1), domain=Image(), picture=ImageTransform(shape), name="eye")


def sounds(number, first=0):
    return [make_clip(f"sound{k}", k) for k in range(first, first + number)]


def images(number, first=0):
    """Gratings of random orientation, frequency and contrast, with a little noise."""
    found = []
    for k in range(first, first + number):
        generator = torch.Generator().manual_seed(k)
        (u, v, phase, contrast), grid = torch.rand(4, generator=generator), torch.arange(12.0)
        wave = torch.sin(3 * (u * grid[:, None] + v * grid) + 6 * phase) + 0.1 * torch.randn(12, 12, generator=generator)
        found.append(am.Clip(f"image{k}", (0.5 + 0.2 * (0.5 + contrast) * wave).clamp(0.05, 0.95)[None], None))
    return found


def _settings(options):
    return ComponentSettings(**{"method": "pca", "components": 4, "kept": 3} | options)


def sound_dimensions(model, layers=("relu0",), **options):
    return find_dimensions(model, sounds(24), list(layers), _settings(options))


def image_dimensions(model, **options):
    return find_dimensions(model, images(24), ["relu"], _settings(options))
