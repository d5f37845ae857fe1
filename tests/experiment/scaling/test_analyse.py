"""The analysis as a folder: tables, figure and words, and what stops it."""

import csv
import dataclasses

import numpy as np
import pytest
from tiny_scaling import rows_of

from audiometamer.distortions.scale_files import score_tables
from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.design import Design
from audiometamer.experiment.scaling.analyse import SCALE_COLUMNS, analyse_scaling, analyse_scaling_into
from audiometamer.experiment.scaling.fits import ScalingSettings

QUICK = ScalingSettings(resamples=10)


def test_all_of_it_in_a_folder(triads, tmp_path):
    rows = rows_of(triads, scale=np.linspace(0, 1, 5) ** 2, repetitions=4)
    table = tmp_path / "scale.tsv"
    lines = [f"net\t{layer}\t{k}\t{(k / 4) ** power}" for layer, power in (("a", 1), ("b", 2)) for k in range(5)]
    table.write_text("\n".join(["model\tlayer\tposition\tscale", *lines]))
    out = tmp_path / "out"
    analysis, paths = analyse_scaling_into(out, triads, rows, predicted=[table], settings=QUICK)
    assert {path.name for path in paths} == {
        "scales.tsv", "measured.tsv", "models.tsv", "sample.tsv", "scales.png", "scales.pdf", "scales.svg", "summary.txt",
    }  # fmt: skip
    assert all(path.is_file() for path in paths)
    with (out / "scales.tsv").open() as file:
        scales = list(csv.DictReader(file, delimiter="\t"))
    assert tuple(scales[0]) == SCALE_COLUMNS
    assert [row["listener"] for row in scales[::5]] == ["all", "1", "2", "3", "4"]
    assert "1. net b: " in analysis.summary
    assert "Noise ceiling: " in analysis.summary
    matches = score_tables(out / "measured.tsv", table)
    assert matches["b"].score == pytest.approx(analysis.ranking.models[0].score, abs=1e-4)
    with pytest.raises(AudioMetamerError, match="holds an analysis; choose another --out"):
        analyse_scaling_into(out, triads, rows, settings=QUICK)


def test_listeners_who_press_one_key_are_left_out(triads):
    rows = rows_of(triads, 2)
    pressed = [type(row)(**{name: getattr(row, name) for name in row.__struct_fields__} | {"answer": "1"}) for row in rows]
    found = analyse_scaling(triads, rows[:10] + pressed[10:], settings=QUICK)
    assert "Listener 2: left out: gave the answer 1 in all 10 trials." in found.summary
    with pytest.raises(AudioMetamerError, match="no listener is left to analyse: listener 1: left out"):
        analyse_scaling(triads, pressed, settings=QUICK)


def test_experiments_of_other_kinds(triads):
    other = dataclasses.replace(triads, design=Design(title="Words", listeners=1))
    with pytest.raises(AudioMetamerError, match="compares no pairs of sounds; `audiometamer experiment analyse` analyses it"):
        analyse_scaling(other, rows_of(triads, 1))
