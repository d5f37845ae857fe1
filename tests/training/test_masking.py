"""Masks and shifts of cochleagrams."""

import msgspec
import pytest
import torch

from audiometamer.training.masking import Masking


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_no_masks_change_nothing():
    x = torch.randn(3, 7, 11, generator=generator())
    assert torch.equal(Masking()(x, generator=generator()), x)


def test_masked_bands_and_moments_are_the_mean():
    """Every changed value is the mean of its sound; changed values form whole rows or whole columns."""
    x = torch.rand(200, 20, 30, generator=generator())
    masked = Masking(bands=1, moments=1, filters=6, frames=9)(x, generator=generator(1))
    changed = masked != x
    means = x.mean(dim=(1, 2), keepdim=True).expand_as(x)
    assert torch.equal(masked[changed], means[changed])
    rows, columns = changed.all(2), changed.all(1)
    assert torch.equal(changed, rows.unsqueeze(2) | columns.unsqueeze(1))
    for lines, widest in ((rows, 6), (columns, 9)):
        widths = lines.sum(1)
        assert int(widths.max()) <= widest + 1  # a mask between two lines
        assert float(widths.float().mean()) == pytest.approx(widest / 2, rel=0.15)
        edges = lines.int().diff(dim=1).abs().sum(1)
        assert int(edges.max()) <= 2  # one mask each
    assert lines[:, 0].any()
    assert lines[:, -1].any()


def test_the_same_generator_masks_the_same():
    x = torch.rand(4, 20, 30, generator=generator())
    masking = Masking(bands=2, moments=2)
    assert torch.equal(masking(x, generator=generator(3)), masking(x, generator=generator(3)))
    assert not torch.equal(masking(x, generator=generator(3)), masking(x, generator=generator(4)))


def test_shifts_move_whole_cochleagrams_along_the_filters():
    """Filter n takes the values of filter n - k, of the edge beyond it; every k from -3 to 3 is drawn about equally often."""
    x = torch.rand(1400, 20, 5, generator=generator())
    shifted = Masking(shift=3)(x, generator=generator(1))
    counts = []
    for by in range(-3, 4):
        expected = torch.stack([x[:, min(max(n - by, 0), 19)] for n in range(20)], dim=1)
        counts.append(int((shifted == expected).all(dim=(1, 2)).sum()))
    assert sum(counts) == 1400
    assert min(counts) > 150  # 200 expected, with a standard deviation of 13


def test_negative_counts_are_refused():
    with pytest.raises(msgspec.ValidationError, match="bands"):
        msgspec.convert({"bands": -1}, Masking)
