"""Pictures of a catalogue: each panel shows the signal that its title names."""

from dataclasses import replace

import numpy as np
import pytest
from tiny_exploration import image_dimensions, image_model, images

from audiometamer.dimensions.catalogue_figure import component_figure
from audiometamer.dimensions.dimensions import Dimension
from audiometamer.dimensions.moved import Move
from audiometamer.dimensions.moving import move


@pytest.fixture(scope="module")
def model():
    return image_model()


@pytest.fixture(scope="module")
def moved(model):
    """Two images, each by 0.5 to the one side and by 0.3 to the other, but for one."""
    up, down = Dimension("relu", 1, 1), Dimension("relu", 1, -1)
    first, second = images(2, first=40)
    moves = [Move(first, up, 0.5), Move(first, down, 0.3), Move(second, up, 0.5)]
    return move(model, image_dimensions(model), moves, steps=3)


def panels(figure, columns):
    """Titles and drawn pixels, row by row; None where there is no panel."""
    shown = [(axes.get_title(), axes.images[0].get_array()) if axes.images else None for axes in figure.axes]
    return [shown[k : k + columns] for k in range(0, len(shown), columns)]


def test_changes_are_on_their_sides_of_the_reference(model, moved):
    figure = component_figure(model, moved)
    (low, middle, high), (nothing, other, far) = panels(figure, 3)
    assert figure.get_suptitle() == "eye: relu, component 1"
    for (title, pixels), beginning, signal in (
        (low, "by -0.3 SD, reached -0", moved[1].samples),
        (middle, "image40", moved[0].clip.samples),
        (high, "by +0.5 SD, reached +0", moved[0].samples),
        (other, "image41", moved[2].clip.samples),
        (far, "by +0.5 SD, reached +0", moved[2].samples),
    ):
        assert title.startswith(beginning)
        np.testing.assert_array_equal(np.squeeze(pixels), signal[0].numpy())
    assert nothing is None


def test_coordinates_are_at_the_right_of_the_reference(model, moved):
    at = [replace(moved[1], coordinate=-1.5), replace(moved[0], coordinate=2.0)]
    ((reference, low, high),) = panels(component_figure(model, at), 3)
    assert reference[0] == f"image40, at {moved[0].before:+z.2f} SD"
    assert low[0].startswith(f"at -1.5 SD, reached {moved[1].after:+z.2f}; ")
    assert high[0].startswith(f"at +2 SD, reached {moved[0].after:+z.2f}; ")
    np.testing.assert_array_equal(np.squeeze(low[1]), moved[1].samples[0].numpy())
