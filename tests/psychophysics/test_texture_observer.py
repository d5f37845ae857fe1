"""The observer of time-averaged statistics does as listeners do: better at textures, worse at exemplars, with duration."""

import numpy as np
import pytest

from audiometamer.errors import AudioMetamerError
from audiometamer.psychophysics.texture_observer import (
    DiscriminationCurves,
    plot_texture_discrimination,
    texture_discrimination,
)
from audiometamer.signals.textures import make_texture

KINDS = ("rain", "stream", "bubbles")


@pytest.fixture(scope="module")
def sounds() -> dict[str, np.ndarray]:
    return {kind: make_texture(kind, seconds=3) for kind in KINDS}


@pytest.fixture(scope="module")
def curves(sounds: dict[str, np.ndarray]) -> DiscriminationCurves:
    return texture_discrimination(sounds, durations=(0.04, 0.25, 1.5), trials=100)


def test_longer_excerpts_help_with_textures_and_harm_with_exemplars(curves: DiscriminationCurves) -> None:
    assert (np.diff(curves.texture) > 0).all()
    assert (np.diff(curves.exemplar) < 0).all()
    assert curves.texture[-1] > 0.85
    assert curves.exemplar[0] > 0.85


def test_without_internal_noise_no_other_excerpt_is_taken_for_the_same(sounds: dict[str, np.ndarray]) -> None:
    assert texture_discrimination(sounds, durations=(0.25,), trials=30, noise=0).exemplar.tolist() == [1.0]


def test_with_nothing_but_noise_it_guesses(sounds: dict[str, np.ndarray]) -> None:
    curves = texture_discrimination(sounds, durations=(0.25,), trials=300, noise=1e6)
    assert curves.texture[0] == pytest.approx(1 / 3, abs=0.1)
    assert curves.exemplar[0] == pytest.approx(1 / 3, abs=0.1)


def test_the_figure_has_a_line_for_each_task(curves: DiscriminationCurves) -> None:
    (axes,) = plot_texture_discrimination(curves).axes
    np.testing.assert_allclose(axes.lines[0].get_ydata(), 100 * curves.texture)
    np.testing.assert_allclose(axes.lines[1].get_ydata(), 100 * curves.exemplar)


@pytest.mark.parametrize(
    ("names", "durations", "message"),
    [
        (KINDS[:1], (0.1,), "give two or more"),
        (KINDS, (0.01,), "at least 0.02 s"),
        (KINDS, (2.0,), "rain lasts 3 s; it must hold two excerpts of 2 s"),
    ],
)
def test_wrong_input_is_told(sounds: dict, names: tuple, durations: tuple, message: str) -> None:
    with pytest.raises(AudioMetamerError, match=message):
        texture_discrimination({name: sounds[name] for name in names}, durations=durations)
