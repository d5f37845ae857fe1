"""What figures and notebooks show of metamers: the drawn data themselves."""

import numpy as np
import pytest
import torch
from shown import Shown, is_drawn

import audiometamer as am
from audiometamer.metamers.figure import display_cochleagram


@pytest.fixture(scope="module")
def metamers(tiny, tiny_clip):
    return am.synthesize(tiny, tiny_clip, tiny.layers[-2:], seed=0, steps=5)


def drawn(axes):
    """What is drawn on axes as an image, from the lowest frequency up."""
    (image,) = axes.get_images()
    return image.get_array()


def test_signals_are_drawn_as_cochleagrams_and_activations_against_each_other(tiny, tiny_clip, metamers):
    figure = am.plot_metamers(metamers, tiny)
    left, right = figure.axes[::2], figure.axes[1::2]
    ear = display_cochleagram(tiny)
    for axes, signal in zip(left, [tiny_clip.samples, *(m.samples for m in metamers)], strict=True):
        with torch.no_grad():
            np.testing.assert_allclose(drawn(axes), ear(signal[None])[0].numpy(), rtol=1e-6)
    for axes, metamer in zip(right[1:], metamers, strict=True):
        layer = metamer.evidence.settings.layer
        natural, synthetic = am.record(tiny, torch.stack([tiny_clip.samples, metamer.samples]), [layer])[layer].flatten(1)
        diagonal, points = axes.get_lines()
        step = max(len(natural) // 3000, 1)
        np.testing.assert_allclose(points.get_xdata(), natural[::step], rtol=1e-6)
        np.testing.assert_allclose(points.get_ydata(), synthetic[::step], rtol=1e-6)
        assert list(diagonal.get_xdata()) == list(diagonal.get_ydata())
    titles = [axes.get_title(loc="left") for axes in left]
    assert titles[0].startswith("original: vowel")
    assert [title.split(":")[0] for title in titles[1:]] == [m.evidence.settings.layer for m in metamers]


def test_without_a_model_signals_are_drawn_alone(tiny_clip, metamers):
    figure = am.plot_metamers(metamers)
    assert len(figure.axes) == 3
    ear = am.Cochleagram.for_rate(tiny_clip.sample_rate)
    with torch.no_grad():
        np.testing.assert_allclose(drawn(figure.axes[0]), ear(tiny_clip.samples[None])[0].numpy(), rtol=1e-6)
    np.testing.assert_array_equal(drawn(metamers[0].plot().axes[1]), drawn(figure.axes[1]))


def test_a_notebook_shows_original_and_metamer_with_the_verdict(tiny_clip, metamers):
    shown = Shown(metamers[0]._repr_html_())
    assert shown.text[0].startswith("original: vowel")
    assert shown.text[1].startswith(f"{metamers[0].evidence.settings.layer}: ")
    assert any(word in shown.text[1] for word in ("passed", "failed", "no verdict"))
    for (rate, samples), signal in zip(shown.sounds, (tiny_clip.samples, metamers[0].samples), strict=True):
        assert rate == tiny_clip.sample_rate
        np.testing.assert_array_equal(samples, signal.numpy().ravel())
    assert [is_drawn(picture) for picture in shown.pictures] == [True, True]


def test_a_notebook_shows_all_that_synthesize_returns(metamers):
    shown = Shown(metamers._repr_html_())
    assert len(shown.sounds) == 2 * len(metamers)
    assert [text.split(":")[0] for text in shown.text[1::2]] == [m.evidence.settings.layer for m in metamers]


def test_a_figure_is_of_one_clip(metamers, tiny, tiny_clip):
    other = am.Metamer(metamers[0].samples, am.Clip("other", tiny_clip.samples, tiny_clip.sample_rate), metamers[0].evidence)
    with pytest.raises(am.AudioMetamerError, match="metamers of 'vowel' and of 'other'; a figure shows those of one clip"):
        am.plot_metamers([metamers[0], other], tiny)
    with pytest.raises(am.AudioMetamerError, match="a figure needs at least one metamer"):
        am.plot_metamers([])


def test_a_single_metamer_needs_no_list(metamers):
    alone, listed = am.plot_metamers(metamers[0]), am.plot_metamers([metamers[0]])
    assert len(alone.axes) == len(listed.axes) == 2
    for one, other in zip(alone.axes, listed.axes, strict=True):
        assert np.array_equal(one.images[0].get_array(), other.images[0].get_array())
