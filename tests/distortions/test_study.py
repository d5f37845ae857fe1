"""A study's files: each change at its level, the curves, and the table that lists them."""

import pytest
import tiny_models
import torch

import audiometamer as am
from audiometamer.distortions.spaces import EqualLevel
from audiometamer.distortions.study import study, write_studies
from audiometamer.io.tables import read_table
from audiometamer.signals.files import read_signal


def test_files_of_a_study(tmp_path, tiny_clip):
    model, sound = tiny_models.sound_model().double(), tiny_clip.samples.double()
    made = study(model, "a: b", sound, "relu1", n=2, space=EqualLevel(sound), level=-23.0, steps=2)
    assert made.finite.most_distance > made.curves["most"][0].distances[made.curves["most"][0].levels.index(-23.0)]
    table, figure = write_studies(tmp_path, [made], sample_rate=model.sample_rate)
    assert figure.read_bytes().startswith(b"\x89PNG")
    rows = read_table(table)
    assert [(row["end"], row["number"]) for row in rows] == [
        ("most", "0"), ("most", "1"), ("least", "0"), ("least", "1"), ("most", "finite"), ("least", "finite"),
    ]  # fmt: skip
    assert rows[2]["criterion"] == "most noticeable at cochleagram"
    for row in rows:
        written = read_signal(tmp_path / row["file"]).double()
        assert float((written - sound).norm() / sound.norm()) == pytest.approx(10 ** (-23 / 20), rel=1e-3)
        assert float(row["peak"]) == pytest.approx(float(written.abs().max()), abs=1e-5)
        moved = am.record(model, torch.stack([written, sound]), "relu1").flatten(1)
        assert float((moved[0] - moved[1]).norm()) == pytest.approx(float(row["distance"]), rel=0.02, abs=1e-4)
    assert len(read_table(tmp_path / "curves.tsv")) == 4 * 36
