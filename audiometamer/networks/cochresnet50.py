"""CochResNet50: ResNet-50 (He et al. 2016) on cochleagrams, as in Feather et al. (2023)."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from audiometamer.errors import AudioMetamerError
from audiometamer.networks.hann import HannPool2d
from audiometamer.networks.heads import Outputs, read_out, read_out_layers

_MAX_BLOCKS = 200  # per stage; published networks have up to 36
_EXPANSION = 4


class Bottleneck(nn.Module):
    """1×1, 3×3, 1×1 convolutions around a shortcut; the 3×3 one carries the stride (torchvision's "v1.5").

    Each ReLU is a module of its own, so that each can be recorded and matched. With reduced aliasing the shortcut is decimated
    before its 1×1 convolution, which commutes with pooling and is cheaper at the lower rate.
    """

    def __init__(self, in_channels: int, channels: int, stride: int, *, reduced_aliasing: bool = False) -> None:
        super().__init__()
        out_channels = channels * _EXPANSION
        conv_stride, hannpool = (1, HannPool2d) if reduced_aliasing and stride > 1 else (stride, nn.Identity)
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(channels, channels, 3, conv_stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu2 = nn.ReLU()
        self.hannpool2 = hannpool((stride, stride))
        self.conv3 = nn.Conv2d(channels, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.hannpool_shortcut = hannpool((stride, stride))
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, conv_stride, bias=False), nn.BatchNorm2d(out_channels)
            )
        self.relu3 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu1(self.bn1(self.conv1(x)))
        y = self.hannpool2(self.relu2(self.bn2(self.conv2(y))))
        y = self.bn3(self.conv3(y))
        out: Tensor = self.relu3(y + self.downsample(self.hannpool_shortcut(x)))
        return out


class CochResNet50(nn.Module):
    """Cochleagram to word (speaker, …) logits through a ResNet-50 with one input channel.

    State-dict keys are torchvision's and the published checkpoints'; at ``width=1`` with 794 outputs there are 25,128,666
    parameters. Cochleagrams can have any size. The published code's names of layers (``layer1_fake_relu``) are `aliases`.

    Parameters
    ----------
    outputs : int or mapping of str to int
        Number of classes, or classes by task for several read-outs side by side. Default 794.
    width : float
        Factor on the number of channels of every layer. Default 1.
    blocks : tuple of int
        Bottlenecks in each of the four stages, from 1 to 200. Default (3, 4, 6, 3).
    reduced_aliasing : bool
        Whether every strided convolution, after its ReLU, and the max-pool run at full rate and are decimated by `HannPool2d`
        (after Feather et al. 2019, who did so with CochCNN9's predecessor). Shapes and state dict stay the same; ``hannpool1``
        replaces the layer ``conv1_relu1``, which is at full rate. The average pool stays as it is. Default False.

    Raises
    ------
    AudioMetamerError
        If `width` leaves a layer without channels, or `blocks` are not four numbers in this range.
    """

    aliases: ClassVar[Mapping[str, str]] = {
        "input_after_preproc": "cochleagram",
        **{f"{relu}_fake_relu": relu for relu in ("conv1_relu1", "layer1", "layer2", "layer3", "layer4")},
    }

    def __init__(
        self,
        outputs: Outputs = 794,
        *,
        width: float = 1.0,
        blocks: tuple[int, int, int, int] = (3, 4, 6, 3),
        reduced_aliasing: bool = False,
    ) -> None:
        super().__init__()
        channels = round(64 * width)
        if channels < 1:
            raise AudioMetamerError(f"width is {width}; it must leave at least one channel, so at least 0.008")
        if len(blocks) != 4 or not all(1 <= n <= _MAX_BLOCKS for n in blocks):
            raise AudioMetamerError(f"blocks are {blocks}; they must be four numbers from 1 to {_MAX_BLOCKS}")
        conv_stride, hannpool = (1, HannPool2d) if reduced_aliasing else (2, nn.Identity)
        self.conv1 = nn.Conv2d(1, channels, 7, conv_stride, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()
        self.hannpool1 = hannpool((2, 2))
        self.maxpool = nn.Sequential(nn.MaxPool2d(3, conv_stride, padding=1), hannpool((2, 2)))
        in_channels = channels
        stages = []
        for stage, n_blocks in enumerate(blocks):
            stage_channels, rows = channels * 2**stage, []
            for block in range(n_blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                rows.append(Bottleneck(in_channels, stage_channels, stride, reduced_aliasing=reduced_aliasing))
                in_channels = stage_channels * _EXPANSION
            stages.append(nn.Sequential(*rows))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = read_out(in_channels, outputs)

        self.layers: dict[str, str] = {"hannpool1": "hannpool1"} if reduced_aliasing else {"conv1_relu1": "relu"}
        self.layers |= {f"layer{i + 1}": f"layer{i + 1}.{n - 1}.relu3" for i, n in enumerate(blocks)}
        self.layers |= {"avgpool": "avgpool"} | read_out_layers("fc", outputs)

    def forward(self, cochleagram: Tensor) -> Tensor | dict[str, Tensor]:
        """Logits of a cochleagram.

        Parameters
        ----------
        cochleagram : Tensor [shape=(batch, filters, frames)] or [shape=(batch, 1, filters, frames)]

        Returns
        -------
        Tensor [shape=(batch, classes)], or a dict of them by task
        """
        x = cochleagram.reshape(-1, 1, *cochleagram.shape[-2:])
        x = self.maxpool(self.hannpool1(self.relu(self.bn1(self.conv1(x)))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        logits: Tensor | dict[str, Tensor] = self.fc(torch.flatten(self.avgpool(x), start_dim=1))
        return logits
