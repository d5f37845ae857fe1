"""Catalogues of sounds at chosen coordinates: where they are, what is reported of them, and who was there already."""

import pytest
import torch
from matplotlib.axes import Axes
from tiny_exploration import sound_dimensions, sounds

from audiometamer.dimensions.catalogue import write_catalogue
from audiometamer.dimensions.dimensions import Dimension
from audiometamer.dimensions.ladder import read_ladder
from audiometamer.dimensions.moving_to import calibrate_coordinates, move_to
from audiometamer.io.tables import read_table

ALONG = [Dimension("relu0", 1, 1), Dimension("relu0", 1, -1)]


@pytest.fixture(scope="module")
def dimensions(tiny):
    return sound_dimensions(tiny)


@pytest.fixture(scope="module")
def starts(tiny, dimensions):
    """Where two sounds are along the component."""
    signals = torch.stack([clip.samples for clip in sounds(2, first=30)])
    return dimensions["relu0"].coordinates_of(tiny, signals)[:, 1].tolist()


@pytest.fixture(scope="module")
def placed(tiny, dimensions, starts):
    """Two sounds between them, beyond them, and where the first is."""
    low, high = sorted(starts)
    places = [starts[0] + 0.004, (low + high) / 2, high + 0.2]
    moved = move_to(tiny, dimensions, sounds(2, first=30), ALONG, places, steps=60)
    return moved, [each.coordinate for each in moved], places


def test_sounds_come_to_the_same_coordinates_from_both_sides(placed, starts, tiny, dimensions):
    moved, coordinates, places = placed
    assert coordinates == places * 2  # a component is one, whichever sides of it are named
    assert [each.record.clip for each in moved] == ["sound30"] * 3 + ["sound31"] * 3
    signals = torch.stack([each.samples for each in moved])
    assert dimensions["relu0"].coordinates_of(tiny, signals)[:, 1].tolist() == pytest.approx(coordinates, abs=0.03)
    for each, place, start in zip(moved[1:], coordinates[1:], [starts[0]] * 2 + [starts[1]] * 3, strict=True):
        assert each.record.requested == pytest.approx(abs(place - start), abs=1e-5)
        assert each.record.dimension == f"relu0/1/{'+' if place > start else '-'}"
        assert each.record.before[1] == pytest.approx(start, abs=1e-5)
    assert {each.record.dimension for each in moved} == {"relu0/1/+", "relu0/1/-"}


def test_who_is_there_already_is_not_moved(placed, starts):
    here = placed[0][0]
    assert torch.equal(here.samples, here.clip.samples)
    assert (here.record.requested, here.record.reached, here.record.leakage, here.record.steps) == (0, 0, 0, 0)
    assert here.record.after[1] == here.record.before[1] == pytest.approx(starts[0], abs=1e-5)


def test_files_table_and_picture_tell_coordinates(placed, starts, tiny, tmp_path, monkeypatch):
    moved, coordinates, places = placed
    titles, real = [], Axes.set_title
    monkeypatch.setattr(Axes, "set_title", lambda axis, text, **options: titles.append(text) or real(axis, text, **options))
    assert [picture.name for picture in write_catalogue(tiny, moved, tmp_path)] == ["relu0_1.png"]
    assert titles[0] == f"sound30, at {starts[0]:+.2f} SD"
    assert titles[1] == f"at {places[0]:+g} SD: the reference"
    assert titles[2].startswith(f"at {places[1]:+g} SD, reached {moved[1].record.after[1]:+.2f}; ")
    rows = read_table(tmp_path / "moves.tsv")
    assert [row["file"] for row in rows] == ["sound30/original.wav"] + [
        f"{clip}/relu0_1@{place:g}.wav" for clip, place in zip(["sound30"] * 2 + ["sound31"] * 3, coordinates[1:], strict=True)
    ]
    assert [float(row["coordinate"]) for row in rows] == pytest.approx(coordinates, rel=1e-5)
    assert all((tmp_path / row["file"]).exists() and row["original"] == f"{row['clip']}/original.wav" for row in rows)
    read = read_ladder(tmp_path)  # as any moved signals
    assert sorted(stimulus.record.requested for stimulus in read.all) == sorted(each.record.requested for each in moved[1:])


def test_what_places_came_to(placed):
    moved, _, places = placed
    found = calibrate_coordinates(moved)
    assert [(row.dimension, row.requested, row.signals) for row in found] == [("relu0/1", place, 2) for place in sorted(places)]
    assert found[-1].reached == pytest.approx((moved[2].record.after[1] + moved[5].record.after[1]) / 2)
