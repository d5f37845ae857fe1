"""The map of sensitivity: its colours and numbers are the thresholds, its hatching marks what is not measured."""

import msgspec
import numpy as np
import pytest

from audiometamer.exploration.analysis.figures import draw_sensitivity, sensitivity_figure
from audiometamer.exploration.analysis.thresholds import Threshold


def threshold(dimension, value, snr_db, *, flag="", listener=""):
    layer, component, sign = dimension.split("/")
    return Threshold(
        dimension=dimension, layer=layer, component=int(component), sign=sign, listener=listener, listeners=2, references=4,
        trials=50, correct=40, backwards=0, threshold=value, low=None, high=None, exponent=1.0, snr_db=snr_db, snr_at_low=None,
        snr_at_high=None, modulation=0.1, modulation_at_low=None, modulation_at_high=None, procedure=None, at_bound=None,
        flag=flag,
    )  # fmt: skip


ROWS = [
    threshold("relu0/0/+", 0.5, 20.0), threshold("relu0/2/+", 2.0, 8.0), threshold("relu1/0/+", 1.0, 14.0, flag="beyond"),
    threshold("relu0/0/-", 0.25, 26.0), threshold("relu0/0/+", 9.0, 1.0, listener="1"),
]  # fmt: skip


def drawn(axes):
    """The values of an image's cells, NaN where there is none."""
    return axes.images[0].get_array().filled(np.nan)


def test_colours_and_numbers_are_the_thresholds_and_the_snrs():
    plus, minus, plus_snr, minus_snr, *_ = sensitivity_figure(ROWS).axes
    np.testing.assert_array_equal(drawn(plus), [[0.5, 2.0], [np.nan, np.nan]])
    np.testing.assert_array_equal(drawn(minus), [[0.25, np.nan], [np.nan, np.nan]])
    np.testing.assert_array_equal(drawn(plus_snr), [[20, 8], [np.nan, np.nan]])
    np.testing.assert_array_equal(drawn(minus_snr), [[26, np.nan], [np.nan, np.nan]])
    assert [(text.get_position(), text.get_text()) for text in plus.texts] == [((0, 0), "0.5"), ((1, 0), "2")]
    assert [text.get_text() for text in plus_snr.texts] == ["20", "8"]
    assert [label.get_text() for label in plus.get_yticklabels()] == ["relu0", "relu1"]
    assert [label.get_text() for label in plus_snr.get_xticklabels()] == ["0", "2"]
    assert (plus.images[0].norm.vmin, plus.images[0].norm.vmax) == (0.25, 2.0)


def test_what_is_not_measured_is_hatched_in_its_cell():
    plus, minus, *_ = sensitivity_figure(ROWS).axes
    (cell,) = plus.collections
    assert cell.get_hatch() == "///"
    np.testing.assert_array_equal(cell.get_paths()[0].get_extents().get_points(), [[-0.5, 0.5], [0.5, 1.5]])  # relu1/0
    assert not minus.collections


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 5.0])
def test_one_value_alone_has_a_colour(tmp_path, snr_db):
    """Found where the only SNR was negative: the scale's end was below its beginning."""
    row = msgspec.structs.replace(ROWS[0], snr_db=snr_db)
    norm = sensitivity_figure([row]).axes[1].images[0].norm
    assert norm.vmin == snr_db < norm.vmax
    assert [path.suffix for path in draw_sensitivity([row], tmp_path / "sensitivity.png")] == [".png", ".pdf", ".svg"]


def test_nothing_measured_is_written_in_the_place_of_the_colours():
    *_, above, below = sensitivity_figure([ROWS[2]]).axes
    assert [text.get_text() for axes in (above, below) for text in axes.texts] == [
        "threshold (SD):\nnot measured", "SNR at threshold (dB):\nnot measured"
    ]  # fmt: skip
