"""What a notebook shows, taken apart: the very samples in the player, pictures with something in them, names as they are."""

import numpy as np
import pytest
import torch
from shown import Shown, is_drawn

import audiometamer as am
from audiometamer.signals.display import Gallery, Panel, as_html


def noise(*shape):
    return 0.1 * torch.randn(shape, generator=torch.Generator().manual_seed(0))


def test_a_clip_is_played_and_its_cochleagram_is_shown():
    clip = am.Clip("<b>speech</b> & co", noise(20_000), 20_000)
    shown = Shown(clip._repr_html_())
    assert shown.text == ["<b>speech</b> & co"]
    ((rate, samples),) = shown.sounds
    assert (rate, samples.dtype) == (20_000, np.float32)
    np.testing.assert_array_equal(samples, clip.samples.numpy())
    assert [is_drawn(picture) for picture in shown.pictures] == [True]


def test_two_channels_have_two_cochleagrams():
    shown = Shown(am.Clip("binaural", noise(2, 16_000), 16_000)._repr_html_())
    assert [samples.shape for _, samples in shown.sounds] == [(16_000, 2)]
    assert len(shown.pictures) == 2


def test_an_image_is_shown_without_a_player():
    shown = Shown(am.Clip("photograph", torch.rand(3, 32, 32), None)._repr_html_())
    assert (shown.sounds, shown.text) == ([], ["photograph"])
    assert [is_drawn(picture) for picture in shown.pictures] == [True]


@pytest.mark.parametrize("samples", [torch.rand(5, 4), torch.rand(2, 3, 4)])
def test_another_signal_is_shown_by_its_shape(samples):
    shown = Shown(as_html([Panel("features", samples, None)]))
    assert shown.text == ["features", f"shape {tuple(samples.shape)}"]


def test_a_sound_shorter_than_a_window_is_only_played():
    shown = Shown(am.Clip("click", noise(50), 20_000)._repr_html_())
    assert (len(shown.sounds), shown.pictures) == (1, [])


def test_of_a_long_sound_the_first_minute_is_shown():
    shown = Shown(am.Clip("long", noise(61 * 2000), 2000)._repr_html_())
    assert [len(samples) for _, samples in shown.sounds] == [60 * 2000]
    assert shown.text == ["long", "the first 60 s"]


def test_a_gallery_shows_its_items_and_is_a_list():
    clips = [am.Clip(name, noise(50), 20_000) for name in "abc"]
    gallery = Gallery(clips)
    assert gallery == clips
    assert Shown(gallery._repr_html_()).text == ["a", "b", "c"]
    assert Shown(gallery[1:]._repr_html_()).text == ["b", "c"]
    assert gallery[-1] is clips[2]
    assert Gallery()._repr_html_() == ""
