"""CochCNN9: the convolutional network of Kell et al. (2018), as trained on PyTorch by Feather et al. (2023)."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from audiometamer.errors import AudioMetamerError
from audiometamer.networks.hann import HannPool2d
from audiometamer.networks.heads import Outputs, checked_shape, read_out, read_out_layers
from audiometamer.networks.same import SameAvgPool2d, SameConv2d, SameMaxPool2d


class CochCNN9(nn.Module):
    """Cochleagram to word (speaker, …) logits through five convolutions and one fully connected layer.

    Names of modules, and so state-dict keys, are those of the published checkpoints (``kell2018``); at ``width=1`` with 794
    outputs there are 110,221,980 parameters. The published code's names of layers (``relu0_fakerelu``) are `aliases` of ours.

    Parameters
    ----------
    outputs : int or mapping of str to int
        Number of classes, or classes by task for several read-outs side by side. Default 794 (793 words and no word).
    width : float
        Factor on the number of channels of every hidden layer. Default 1.
    cochleagram_shape : tuple of int
        (filters, frames) that the fully connected layer is sized for. Default (211, 390), two seconds.
    reduced_aliasing : bool
        Whether the two strided convolutions, after their ReLU, and the two max-pools run at full rate and are decimated by
        `HannPool2d` (Feather et al. 2019). Shapes and state dict stay the same; among the layers, ``hannpool0`` and ``hannpool1``
        replace ``relu0`` and ``relu1``, which are at full rate. The average pool, neither a convolution nor a max-pool, stays as
        it is. Several times slower. Default False.
    dropout : float
        Proportion of the values behind ``relufc`` that are dropped in training. Default 0.5.

    Raises
    ------
    AudioMetamerError
        If `width` leaves a layer without channels.
    """

    aliases: ClassVar[Mapping[str, str]] = {
        "input_after_preproc": "cochleagram",
        **{f"{relu}_fakerelu": relu for relu in ("relu0", "relu1", "relu2", "relu3", "relu4", "relufc")},
    }

    def __init__(
        self,
        outputs: Outputs = 794,
        *,
        width: float = 1.0,
        cochleagram_shape: tuple[int, int] = (211, 390),
        reduced_aliasing: bool = False,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        c0, c1, c2, c3, c4, features = (round(n * width) for n in (96, 256, 512, 1024, 512, 4096))
        if c0 < 1:
            raise AudioMetamerError(f"width is {width}; it must leave at least one channel in every layer, so at least 0.006")
        self.cochleagram_shape = cochleagram_shape = checked_shape(cochleagram_shape)

        # The strides of convolutions and max-pools instead of 3 and 2, and the module that does the rest of the decimation.
        stride3, stride2, hannpool = ((1, 1), (1, 1), HannPool2d) if reduced_aliasing else ((3, 3), (2, 2), nn.Identity)

        self.batchnorm0 = nn.BatchNorm2d(1)
        self.conv0 = SameConv2d(1, c0, (7, 14), stride3)
        self.relu0 = nn.ReLU()
        self.hannpool0 = hannpool((3, 3))
        self.maxpool0 = nn.Sequential(SameMaxPool2d((2, 5), stride2), hannpool((2, 2)))
        self.batchnorm1 = nn.BatchNorm2d(c0)
        self.conv1 = SameConv2d(c0, c1, (4, 8), stride2)
        self.relu1 = nn.ReLU()
        self.hannpool1 = hannpool((2, 2))
        self.maxpool1 = nn.Sequential(SameMaxPool2d((2, 5), stride2), hannpool((2, 2)))
        self.batchnorm2 = nn.BatchNorm2d(c1)
        self.conv2 = SameConv2d(c1, c2, (2, 5))
        self.relu2 = nn.ReLU()
        self.conv3 = SameConv2d(c2, c3, (2, 5))
        self.relu3 = nn.ReLU()
        self.conv4 = SameConv2d(c3, c4, (2, 5))
        self.relu4 = nn.ReLU()
        self.avgpool = SameAvgPool2d((2, 5), (2, 2))
        rows, frames = (_ceil_div(n, 3 * 2 * 2 * 2 * 2) for n in cochleagram_shape)
        self.fullyconnected = nn.Linear(c4 * rows * frames, features)
        self.relufc = nn.ReLU()
        self.dropout = nn.Dropout(dropout)
        self.classification = read_out(features, outputs)

        strided = ("hannpool0", "hannpool1") if reduced_aliasing else ("relu0", "relu1")
        hidden = (*strided, "relu2", "relu3", "relu4", "avgpool", "relufc")
        self.layers: dict[str, str] = {name: name for name in hidden} | read_out_layers("classification", outputs)

    def forward(self, cochleagram: Tensor) -> Tensor | dict[str, Tensor]:
        """Logits of a cochleagram.

        Parameters
        ----------
        cochleagram : Tensor [shape=(batch, filters, frames)] or [shape=(batch, 1, filters, frames)]

        Returns
        -------
        Tensor [shape=(batch, classes)], or a dict of them by task
        """
        shape = tuple(cochleagram.shape[-2:])
        if shape != self.cochleagram_shape:
            raise AudioMetamerError(f"the cochleagram is {shape} (filters, frames); this network takes {self.cochleagram_shape}")
        x = self.batchnorm0(cochleagram.reshape(-1, 1, *shape))
        x = self.batchnorm1(self.maxpool0(self.hannpool0(self.relu0(self.conv0(x)))))
        x = self.batchnorm2(self.maxpool1(self.hannpool1(self.relu1(self.conv1(x)))))
        x = self.relu4(self.conv4(self.relu3(self.conv3(self.relu2(self.conv2(x))))))
        x = torch.flatten(self.avgpool(x), start_dim=1)
        x = self.dropout(self.relufc(self.fullyconnected(x)))
        logits: Tensor | dict[str, Tensor] = self.classification(x)
        return logits


def _ceil_div(n: int, divisor: int) -> int:
    return -(-n // divisor)
