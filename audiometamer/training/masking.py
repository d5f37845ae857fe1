"""Random changes of cochleagrams: masked bands and moments (SpecAugment, Park et al. 2019), and shifts along the filters."""

from typing import Annotated

import msgspec
import torch
from msgspec import Meta
from torch import Tensor

Count = Annotated[int, Meta(ge=0, le=1000)]


class Masking(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """Random masks of whole bands and whole moments, after Park et al. (2019, section 2): "F" and "T".

    Masked values become the mean of their cochleagram. Before, a cochleagram may be shifted along its filters, as a shorter or
    longer vocal tract shifts formants; the filters that become free repeat the one at the edge.

    Parameters
    ----------
    bands, moments : int
        Number of masks over filters and over frames. Default 0.
    filters, frames : int
        Maximum width of a mask, in filters and frames; widths are uniform from 0. Default 27 and 40.
    shift : int
        Maximum shift up or down, in filters, uniform. Default 0.
    """

    bands: Count = 0
    moments: Count = 0
    filters: Count = 27
    frames: Count = 40
    shift: Count = 0

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
        if self.shift:
            cochleagrams = self._shifted(cochleagrams, generator)
        hidden = self._masks(self.bands, self.filters, batch, n_filters, generator).unsqueeze(2)
        hidden = hidden | self._masks(self.moments, self.frames, batch, n_frames, generator).unsqueeze(1)
        return torch.where(hidden, cochleagrams.mean(dim=(1, 2), keepdim=True), cochleagrams)

    def _shifted(self, cochleagrams: Tensor, generator: torch.Generator) -> Tensor:
        """Each cochleagram shifted by a whole number of filters of its own."""
        batch, n_filters, _ = cochleagrams.shape
        by = torch.randint(-self.shift, self.shift + 1, (batch, 1), generator=generator, device=generator.device)
        source = (torch.arange(n_filters, device=generator.device) - by).clamp(0, n_filters - 1)
        return cochleagrams.gather(1, source.unsqueeze(2).expand_as(cochleagrams))

    @staticmethod
    def _masks(count: int, widest: int, batch: int, length: int, generator: torch.Generator) -> Tensor:
        """Where any of `count` masks is; bool [shape=(batch, length)]."""
        device = generator.device
        width, place = torch.rand((2, batch, count, 1), generator=generator, device=device)
        width = width * min(widest, length)
        start = place * (length - width)
        position = torch.arange(length, device=device) + 0.5
        return ((position >= start) & (position < start + width)).any(dim=1)
