"""Synthetic textures: loops at one level, from a seed, and as different as their names."""

import numpy as np
import pytest
import scipy.stats

import audiometamer as am
from audiometamer.signals.textures import KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_a_texture_is_a_loop_at_rms_0_01_without_clipping(kind: str) -> None:
    sound = am.make_texture(kind, seconds=2)
    assert sound.shape == (40_000,)
    assert np.sqrt(np.mean(sound**2)) == pytest.approx(0.01)
    assert abs(sound.mean()) < 1e-9
    assert np.abs(sound).max() < 0.9
    steps = np.abs(np.diff(sound))
    assert abs(sound[0] - sound[-1]) <= np.quantile(steps, 0.999)


def test_seeds_give_other_sounds_of_the_same_kind() -> None:
    first, again, other = (am.make_texture("rain", seconds=1, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert abs(np.corrcoef(first, other)[0, 1]) < 0.05


def test_fire_crackles_and_wind_does_not() -> None:
    fire, wind = (scipy.stats.kurtosis(am.make_texture(kind, seconds=3)) for kind in ("fire", "wind"))
    assert fire > 10 > wind


@pytest.mark.parametrize(
    ("arguments", "message"), [(("hail",), "no texture 'hail'; there are rain"), (("rain", 0), "no samples")]
)
def test_wrong_textures_are_told(arguments: tuple, message: str) -> None:
    with pytest.raises(am.AudioMetamerError, match=message):
        am.make_texture(arguments[0], seconds=arguments[1] if len(arguments) > 1 else 5)
