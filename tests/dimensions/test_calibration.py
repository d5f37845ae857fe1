"""Requested and reached changes: which request reaches a change; see `test_moving` for tables of moved signals."""

import pytest

from audiometamer.dimensions.calibration import CalibrationRow, change_to_request
from audiometamer.errors import AudioMetamerError


def test_which_request_reaches_a_change():
    def row(requested, reached):
        return CalibrationRow("d", requested, 3, reached, 0.0, 0.0, 0.0, 0.0, 0.0)

    table = [row(1.0, 0.5), row(2.0, 0.4), row(4.0, 1.0)]  # the request for 2 reached less than that for 1
    assert [change_to_request(table, "d", r) for r in (0, 0.25, 0.5, 0.75, 1)] == pytest.approx([0, 0.5, 1, 2.5, 4])
    with pytest.raises(AudioMetamerError, match=r"d was calibrated for reached changes from 0 to 1, not for 1\.2"):
        change_to_request(table, "d", 1.2)
    with pytest.raises(AudioMetamerError, match="has no dimension 'e'; it has d"):
        change_to_request(table, "e", 1.0)
