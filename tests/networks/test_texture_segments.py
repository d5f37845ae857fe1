"""Segments of textures: their windows, what is given for them, and what is measured in each."""

import numpy as np
import pytest
import torch

from audiometamer.errors import AudioMetamerError
from audiometamer.networks.texture_segments import Segments
from audiometamer.networks.texture_statistics import CLASSES, TextureStatistics


@pytest.mark.parametrize("segments", [Segments(steps=(0.5, 1.2)), Segments(gradient=5)])
def test_every_frame_counts_once(segments: Segments) -> None:
    windows = segments.windows(800, 400)
    assert windows.shape == (len(segments), 800)
    assert windows.min() >= 0
    np.testing.assert_allclose(windows.sum(0), 1)


def test_a_step_is_where_it_was_asked_for() -> None:
    before, after = Segments(steps=(0.5,)).windows(800, 400)
    assert before[:190].min() == after[210:].min() == 1
    assert after[200] == pytest.approx(0.5)


def test_given_statistics_are_interpolated_along_a_gradient() -> None:
    np.testing.assert_allclose(Segments(gradient=5).mixtures(3)[:, 1], [0, 0.5, 1, 0.5, 0])
    np.testing.assert_array_equal(Segments(steps=(1.0,)).mixtures(2), np.eye(2))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Segments(), "one of the two"),
        (lambda: Segments(steps=(1.0,), gradient=3), "one of the two"),
        (lambda: Segments(gradient=1), "at least 2"),
        (lambda: Segments(steps=(2.0, 1.0)), "2, 1 s; they must be above 0, and rise"),
        (lambda: Segments(steps=(float("nan"),)), "must be above 0"),
        (lambda: Segments(steps=(3.0,)).windows(800, 400), "in 2 s of sound leave a segment that covers nothing"),
        (lambda: Segments(gradient=900).windows(800, 400), "too short for a gradient of 900 segments.*: give at most 21"),
        (lambda: Segments(steps=(1.0,)).mixtures(3), "make 2 segments, and statistics are for 3"),
    ],
)
def test_wrong_segments_are_told(make: object, message: str) -> None:
    with pytest.raises(AudioMetamerError, match=message):
        make()  # type: ignore[operator]


def test_one_segment_that_covers_everything_has_the_statistics_of_the_whole() -> None:
    measure = TextureStatistics(CLASSES)
    sound = 0.01 * torch.randn(1, 30_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    (found,) = measure.of_segments(sound, torch.ones(1, 600, dtype=torch.float64))
    for name, values in measure(sound).items():
        torch.testing.assert_close(found[name], values, msg=name)


def test_each_segment_is_measured_by_itself() -> None:
    measure = TextureStatistics(("subband_variance", "envelope_mean", "envelope_correlation"))
    halves = 0.01 * torch.randn(2, 1, 20_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    halves[1] *= 3
    windows = torch.from_numpy(Segments(steps=(1.0,)).windows(800, 400))

    found = measure.of_segments(torch.cat(list(halves), 1), windows)

    for half, part in zip(halves, found, strict=True):
        alone = measure(half)
        upper = slice(8, None)  # narrow bands ring into the other half
        torch.testing.assert_close(part["subband_variance"][:, upper], alone["subband_variance"][:, upper], rtol=0.15, atol=0)
        torch.testing.assert_close(part["envelope_mean"][:, upper], alone["envelope_mean"][:, upper], rtol=0.05, atol=0)
        torch.testing.assert_close(part["envelope_correlation"].diagonal(dim1=1, dim2=2), torch.ones(1, 32).double())
