"""Clips that are made in memory, and how they are printed."""

import numpy as np
import pytest
import torch

import audiometamer as am


def test_arrays_tensors_and_lists_are_clips():
    values = [0.0, 0.5, -0.25]
    for given in (values, np.array(values), torch.tensor(values, dtype=torch.float64)):
        clip = am.Clip.from_array(given, 8000, name="ramp")
        assert (clip.name, clip.sample_rate, clip.samples.dtype, clip.samples.tolist()) == ("ramp", 8000, torch.float32, values)
    assert am.Clip.from_array(values, None).name == "clip"
    gradients = torch.zeros(3, requires_grad=True)
    assert not am.Clip.from_array(gradients, 8000).samples.requires_grad


@pytest.mark.parametrize(
    ("values", "rate", "message"),
    [
        ([1, 2], 8000, "clip 'x' holds torch.int64; it must hold floating-point samples"),
        ([0.5, float("nan"), float("inf")], 8000, "clip 'x' holds 2 NaN or infinite samples"),
        ([0.5], 0, "sample_rate is 0; it must be at least 1"),
        ("speech.wav", 8000, "clip 'x' is a str; it must hold floating-point samples"),
        ([[0.5], [0.5, 0.5]], 8000, "clip 'x' is a list; it must hold floating-point samples"),
    ],
)
def test_what_is_no_clip(values, rate, message):
    with pytest.raises(am.AudioMetamerError, match=message):
        am.Clip.from_array(values, rate, name="x")


def test_a_clip_is_one_line_where_it_is_printed():
    assert repr(am.Clip.from_array(torch.zeros(2, 400), 8000, name="both ears")) == "<Clip 'both ears': 2 × 400 at 8000 Hz>"
    assert repr(am.Clip.from_array(torch.zeros(3, 8, 8), None, name="picture")) == "<Clip 'picture': 3 × 8 × 8>"
