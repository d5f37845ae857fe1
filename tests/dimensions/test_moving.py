"""Signals moved along one coordinate, sounds and images by the same code; and what becomes of them on disk."""

from dataclasses import replace

import msgspec
import pytest
import tiny_models
import torch
from tiny_exploration import image_dimensions, image_model, images, sound_dimensions, sounds

import audiometamer as am
from audiometamer.dimensions import moving
from audiometamer.dimensions.calibration import calibrate, read_calibration, write_calibration
from audiometamer.dimensions.catalogue import write_catalogue
from audiometamer.dimensions.dimensions import Dimension
from audiometamer.dimensions.ladder import read_ladder
from audiometamer.dimensions.ladder_files import write_moved
from audiometamer.dimensions.moved import Move
from audiometamer.dimensions.moving import all_moves, move
from audiometamer.dimensions.moving_methods import METHODS
from audiometamer.dimensions.physical import modulation_distance
from audiometamer.errors import AudioMetamerError
from audiometamer.io.hashes import file_sha256
from audiometamer.io.tables import read_table
from audiometamer.metamers.criteria import snr_db


@pytest.fixture(scope="module")
def model():
    return tiny_models.sound_model()


@pytest.fixture(scope="module")
def dimensions(model):
    return sound_dimensions(model, ["relu0", "relu1"])


@pytest.fixture(scope="module")
def moves():
    requested = [Dimension("relu0", 0, 1), Dimension("relu1", 2, -1), Dimension("relu0", 1, -1)]
    return all_moves(sounds(2, first=30), requested, [0.2, 0.6])


@pytest.fixture(scope="module")
def moved(model, dimensions, moves):
    return move(model, dimensions, moves, steps=80, batch_size=5)


def test_sounds_are_moved_and_nothing_else_changes(model, dimensions, moves, moved):
    for requested, each in zip(moves, moved, strict=True):
        record, own = each.record, dimensions[requested.dimension.layer]
        assert (record.clip, record.dimension, record.requested) == (
            requested.clip.name,
            str(requested.dimension),
            requested.change,
        )
        assert record.reached == pytest.approx(requested.change, rel=0.05)
        assert record.leakage < 0.1 * requested.change
        assert abs(record.physical.level_db) < 1e-4
        before, after = own.coordinates_of(model, torch.stack([requested.clip.samples, each.samples])).tolist()
        assert record.before == pytest.approx(before, abs=1e-5)
        assert record.after == pytest.approx(after, abs=1e-5)
        change = [b - a for a, b in zip(before, after, strict=True)]
        assert change.pop(requested.dimension.component) * requested.dimension.sign == pytest.approx(record.reached, abs=1e-5)
        assert sum(c**2 for c in change) ** 0.5 == pytest.approx(record.leakage, abs=1e-5)
        pictures = model.front_end(torch.stack([requested.clip.samples, each.samples]))
        assert record.physical.snr_db == pytest.approx(snr_db(*pictures), rel=1e-3)
        assert record.physical.snr_db > 5


@pytest.mark.parametrize("steps", [1, 2])
def test_so_few_steps_that_a_round_has_none_go_the_right_way(model, dimensions, moves, steps):
    for each in move(model, dimensions, moves, steps=steps):
        assert 0 < each.record.reached < 2 * each.record.requested
        assert len(each.record.errors) == steps


def test_a_signal_does_not_depend_on_who_shares_its_batch(model, dimensions, moves, moved):
    (alone,) = move(model, dimensions, moves[3:4], steps=80)
    torch.testing.assert_close(alone.samples, moved[3].samples, rtol=1e-3, atol=1e-4)


def test_steps_that_are_too_large_end_no_farther_than_they_began(model, dimensions, monkeypatch):
    """Thousands of times as large as they should be: the last signal is anywhere, the nearest is not."""
    requested = all_moves(sounds(2, first=30), [Dimension("relu0", 1, -1), Dimension("relu1", 2, -1)], [0.05, 0.2])

    def distances(**settings):
        wild = replace(METHODS["default"], rate=lambda _, distance: 1e5 * distance, **settings)
        monkeypatch.setitem(METHODS, "default", wild)
        records = [each.record for each in move(model, dimensions, requested)]
        return torch.tensor([((r.reached - r.requested) ** 2 + r.leakage**2) ** 0.5 / r.requested for r in records])

    nearest = distances()
    assert nearest.max() <= 1.0001
    monkeypatch.setattr(moving, "_LOST", float("inf"))
    assert nearest.mean() < distances(nearest=False).mean()


def test_the_published_steps_go_there_too(model, dimensions, moves):
    (each,) = move(model, dimensions, moves[1:2], method="adam", steps=150)
    assert 0.48 < each.record.reached < 0.66
    assert each.record.errors == pytest.approx([0.6], rel=1e-4)


def test_images_are_moved_by_the_same_code():
    eye = image_model()
    requested = all_moves(images(2, first=40), [Dimension("relu", 0, 1), Dimension("relu", 1, -1)], [0.5])
    found = image_dimensions(eye)
    for each in move(eye, found, requested, steps=120):
        assert each.record.reached == pytest.approx(0.5, rel=0.05)
        # Both as screens show them, in 8 bits; and the coordinates are of those.
        pair = torch.stack([each.clip.samples, each.samples])
        assert (255 * pair.double()).sub((255 * pair.double()).round()).abs().max() < 1e-4
        before, after = found["relu"].coordinates_of(eye, pair)
        assert each.record.before == pytest.approx(before.tolist(), abs=1e-4)
        assert each.record.after == pytest.approx(after.tolist(), abs=1e-4)
        assert each.record.leakage < 0.05
        assert each.samples.shape == (1, 12, 12)
        assert each.samples.mean() == pytest.approx(float(each.clip.samples.mean()), abs=4e-4)
        assert each.samples.std() == pytest.approx(float(each.clip.samples.std()), rel=3e-3)
        assert 0 <= each.samples.min() <= each.samples.max() <= 1


def test_what_cannot_be_moved_is_reported(model, dimensions):
    (clip,) = sounds(1)
    for dimension, change, message in (
        (Dimension("relu0", 0, 1), 0.0, r"the change along relu0/0/\+ is 0.0; it must be above 0"),
        (Dimension("relu0", 0, 1), float("nan"), "the change along .* is nan"),
        (Dimension("relu0", 3, 1), 1.0, "has 3 components, numbered from 0, so no 3"),
        (Dimension("final", 0, 1), 1.0, "no dimensions of layer 'final'; there are some of relu0, relu1"),
    ):
        with pytest.raises(AudioMetamerError, match=message):
            move(model, dimensions, [Move(clip, dimension, change)])
    whole = [Move(clip, Dimension("relu0", 0, 1), 1.0)]
    with pytest.raises(AudioMetamerError, match="no method 'magic' of moving; there are default, adam"):
        move(model, dimensions, whole, method="magic")
    with pytest.raises(AudioMetamerError, match="steps is 0; it must be at least 1"):
        move(model, dimensions, whole, steps=0)
    other = tiny_models.sound_model()
    other.network.conv0.weight[0] += 0.1
    with pytest.raises(AudioMetamerError, match="are of tiny with weights"):
        move(other, dimensions, whole)


def test_a_signal_that_moves_nowhere_is_reported():
    """Below their ReLU all units are silent: no gradient."""
    silent = tiny_models.TinyNetwork()
    tiny_models.seeded(silent)
    deaf = am.Model(silent, front_end=tiny_models.front_end(), sample_rate=4000, duration=0.25, check=False)
    found = sound_dimensions(deaf)
    silent.conv0.bias.fill_(-1000)
    deaf.weights_sha256 = lambda: found["relu0"].record.weights_sha256
    with pytest.raises(AudioMetamerError, match=r"sound0 does not move along relu0/0/\+: its gradient there is zero"):
        move(deaf, found, [Move(sounds(1)[0], Dimension("relu0", 0, 1), 1.0)])


def test_modulation_distance_of_closed_forms():
    time = torch.arange(64) / 64
    wave = torch.cos(2 * torch.pi * 4 * time).repeat(8, 1)
    assert modulation_distance(wave, wave) == 0
    assert modulation_distance(wave, wave + 3) == pytest.approx(0, abs=1e-6)  # less its mean
    assert modulation_distance(wave, wave.roll(5, 1)) == pytest.approx(0, abs=1e-6)  # not when
    assert modulation_distance(wave, 1.5 * wave) == pytest.approx(0.5)
    faster = torch.cos(2 * torch.pi * 9 * time).repeat(8, 1)
    assert modulation_distance(wave, faster) == pytest.approx(2**0.5)  # two different lines of the same length
    frequency = torch.arange(8)[:, None] / 8
    spectral, temporal = torch.cos(2 * torch.pi * 2 * frequency).expand(8, 64), torch.cos(2 * torch.pi * 5 * time).expand(8, 64)
    joint = torch.cos(2 * torch.pi * (3 * frequency - 7 * time))
    assert [modulation_distance(wave, wave + 0.2 * x) for x in (spectral, temporal, joint)] == pytest.approx([0.2] * 3)
    assert modulation_distance(torch.zeros(8, 64), wave) == float("inf")
    assert modulation_distance(torch.zeros(4, 4), torch.ones(4, 4)) == 0


def test_a_ladder_is_written_and_read(model, dimensions, moved, tmp_path):
    pictures = write_catalogue(model, moved, tmp_path)
    assert [p.name for p in pictures] == ["relu0_0.png", "relu1_2.png", "relu0_1.png"]
    assert all(p.exists() for p in pictures)
    rows = read_table(tmp_path / "moves.tsv")
    assert rows[0]["file"] == "sound30/relu0_0_+0.2.wav"
    assert {row["original"] for row in rows} == {"sound30/original.wav", "sound31/original.wav"}
    assert (rows[-1]["layer"], rows[-1]["component"], rows[-1]["sign"], rows[-1]["wished"]) == ("relu0", "1", "-", "0.6")
    for row, each in zip(rows, moved, strict=True):
        assert (tmp_path / row["file"]).is_file()
        assert float(row["reached"]) == pytest.approx(each.record.reached, rel=1e-5)
        assert float(row["after"]) == pytest.approx(each.record.after[int(row["component"])], rel=1e-5)
    read = read_ladder(tmp_path)
    for each in moved:
        (stimulus,) = (r for r in read.of(each.record.dimension, each.record.clip) if r.record.requested == each.record.requested)
        assert msgspec.structs.replace(stimulus.record, signal_sha256="", original_sha256="") == each.record
        assert stimulus.record.signal_sha256 == file_sha256(stimulus.path)
        assert torch.equal(stimulus.read(), each.samples)
        assert torch.equal(read.clip(each.record.clip).samples, each.clip.samples)
    read.check(dimensions)
    other = am.Clip("sound30", moved[0].samples, 4000)
    with pytest.raises(AudioMetamerError, match="two different signals are named sound30"):
        write_moved(model, [*moved, type(moved[0])(moved[0].samples, other, moved[0].record)], tmp_path)


def test_calibration(moved, tmp_path):
    table = calibrate(each.record for each in moved)
    assert [(row.dimension, row.requested, row.signals) for row in table][:3] == [
        ("relu0/0/+", 0.2, 2), ("relu0/0/+", 0.6, 2), ("relu1/2/-", 0.2, 2),
    ]  # fmt: skip
    both = sorted(m.record.reached for m in moved if m.record.dimension == "relu0/0/+" and m.record.requested == 0.2)
    assert table[0].reached == pytest.approx(sum(both) / 2)
    assert table[0].reached_low == pytest.approx(both[0] + (both[1] - both[0]) / 4)
    write_calibration(tmp_path / "calibration.tsv", table)
    read = read_calibration(tmp_path / "calibration.tsv")
    assert [row.dimension for row in read] == [row.dimension for row in table]
    assert read[1].reached == pytest.approx(table[1].reached, rel=1e-5)
    (tmp_path / "calibration.tsv").write_text(
        "\t".join(type(table[0]).__struct_encode_fields__) + "\n" + "\t".join("x" * 9) + "\n"
    )
    with pytest.raises(AudioMetamerError, match="is no calibration"):
        read_calibration(tmp_path / "calibration.tsv")
