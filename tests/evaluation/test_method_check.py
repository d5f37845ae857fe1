"""What twice the steps change, from metamers that stay on the disk."""

import csv

import pytest
import tiny_models

import audiometamer as am
from audiometamer.evaluation import likeness
from audiometamer.evaluation.method_check import TABLE, Drift, check_method


@pytest.fixture(autouse=True)
def no_modulation_spectra(monkeypatch):
    """They take longer than all the rest."""
    monkeypatch.setattr(likeness, "_SHORTEST", 10.0)


def test_the_drift_is_the_difference_of_the_metamers_that_were_written(tmp_path):
    model, clips = tiny_models.nameless_model(), [tiny_models.make_clip(name, k) for k, name in enumerate("abc")]
    reports = []
    rows = check_method(tmp_path, model, clips, ["relu0", "relu1"], steps=8, progress=lambda *report: reports.append(report))
    assert {(row.layer, row.steps, row.more_steps, row.method) for row in rows} == {
        ("relu0", 8, 16, "default"), ("relu1", 8, 16, "default"),
    }  # fmt: skip
    assert [row.measured_layer for row in rows if row.measure == "snr_db"] == [
        "cochleagram", "relu0", "cochleagram", "relu0", "relu1",
    ]  # fmt: skip
    (level,) = [row for row in rows if (row.layer, row.measure) == ("relu0", "level_db")]
    for folder, found in (("8-steps", level.value), ("16-steps", level.more_value)):
        metamers = [am.load_metamer(path) for path in (tmp_path / folder).glob("*/nameless/relu0_seed0.wav")]
        ratios = [10 * (m.samples.square().sum() / m.clip.samples.square().sum()).log10() for m in metamers]
        assert sum(ratios) / 3 == pytest.approx(found, abs=1e-4)
    assert level.drift == pytest.approx(level.more_value - level.value)
    assert level.low <= level.drift <= level.high
    assert [fraction for fraction, _ in reports] == sorted(fraction for fraction, _ in reports)
    assert reports[-1][0] == 1
    with (tmp_path / TABLE).open() as file:
        written = list(csv.DictReader(file, delimiter="\t"))
    assert tuple(written[0]) == Drift._fields
    assert len(written) == len(rows)


def test_what_is_there_is_not_made_again(tmp_path):
    model, clip = tiny_models.nameless_model(), tiny_models.make_clip("a", 0)
    rows = check_method(tmp_path, model, clip, "relu0", steps=4, method="feather2023")
    made = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.wav")}
    again = check_method(tmp_path, model, clip, "relu0", steps=4, method="feather2023")
    assert [row[:10] for row in again] == [row[:10] for row in rows]
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.wav")} == made
    assert not any(row.is_clear for row in rows)  # of a single clip nothing is


def test_as_many_steps_are_no_check(tmp_path):
    with pytest.raises(am.AudioMetamerError, match="factor is 1; it must be"):
        check_method(tmp_path, tiny_models.nameless_model(), tiny_models.make_clip("a", 0), factor=1)
