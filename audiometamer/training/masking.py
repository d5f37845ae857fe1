"""Masks on cochleagrams: bands and moments that a network must do without (SpecAugment, Park et al. 2019)."""

from typing import Annotated

import msgspec
import torch
from msgspec import Meta
from torch import Tensor

Count = Annotated[int, Meta(ge=0, le=1000)]


class Masking(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """Random masks of whole bands and whole moments, after Park et al. (2019, section 2): "F" and "T".

    Masked values become the mean of their cochleagram.

    Parameters
    ----------
    bands, moments : int
        Number of masks over filters and over frames. Default 0.
    filters, frames : int
        Maximum width of a mask, in filters and frames; widths are uniform from 0. Default 27 and 40.
    """

    bands: Count = 0
    moments: Count = 0
    filters: Count = 27
    frames: Count = 40

    def __call__(self, cochleagrams: Tensor, *, generator: torch.Generator) -> Tensor:
        """Masked copies [shape=(batch, filters, frames)], each with masks of its own; `generator` is on their device.

        Examples
        --------
        >>> masking = Masking(moments=1, frames=3)
        >>> masked = masking(torch.arange(10.0).expand(1, 2, 10), generator=torch.Generator().manual_seed(1))
        >>> int((masked != torch.arange(10.0)).sum()) <= 6
        True
        """
        batch, n_filters, n_frames = cochleagrams.shape
        hidden = self._masks(self.bands, self.filters, batch, n_filters, generator).unsqueeze(2)
        hidden = hidden | self._masks(self.moments, self.frames, batch, n_frames, generator).unsqueeze(1)
        return torch.where(hidden, cochleagrams.mean(dim=(1, 2), keepdim=True), cochleagrams)

    @staticmethod
    def _masks(count: int, widest: int, batch: int, length: int, generator: torch.Generator) -> Tensor:
        """Where any of `count` masks is; bool [shape=(batch, length)]."""
        device = generator.device
        width, place = torch.rand((2, batch, count, 1), generator=generator, device=device)
        width = width * min(widest, length)
        start = place * (length - width)
        position = torch.arange(length, device=device) + 0.5
        return ((position >= start) & (position < start + width)).any(dim=1)
