"""Scales of models in tables, for the sounds of an experiment."""

import numpy as np
import pytest

from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.scaling.predicted import read_predicted, scale_named

PLACES = np.array([0, 0.25, 1])
ROWS = [("conv", 0, 0), ("conv", 1, 1), ("conv", 4, 2), ("fc", 0, 0), ("fc", 1, 0.5), ("fc", 4, 1)]
TABLE = "model\tlayer\tposition\tscale\n" + "".join(f"net\t{layer}\t{x}\t{scale}\n" for layer, x, scale in ROWS)


def test_scales_of_a_folder_and_of_a_table_without_models(tmp_path):
    (tmp_path / "scale.tsv").write_text(TABLE)
    (tmp_path / "other.tsv").write_text("layer\tposition\tscale\nconv\t0\t0\nconv\t.25\t.1\nconv\t1\t1\n")
    found = read_predicted([tmp_path, tmp_path / "other.tsv"], PLACES)
    assert [scale.name for scale in found] == ["net conv", "net fc", "other conv"]
    assert found[0].values.tolist() == [0, 0.5, 1]
    assert scale_named(tmp_path / "scale.tsv", "net fc", PLACES).tolist() == [0, 0.5, 1]
    with pytest.raises(AudioMetamerError, match="has 0 scales 'relu9'; it has net conv, net fc"):
        scale_named(tmp_path / "scale.tsv", "relu9", PLACES)
    with pytest.raises(AudioMetamerError, match="net conv has two scales"):
        read_predicted([tmp_path, tmp_path / "scale.tsv"], PLACES)


def test_scales_of_other_sounds_and_flat_ones(tmp_path):
    table = tmp_path / "scale.tsv"
    table.write_text(TABLE)
    with pytest.raises(AudioMetamerError, match=r"the positions of net conv in .* are not those of the experiment's 4 sounds"):
        read_predicted([table], np.linspace(0, 1, 4))
    table.write_text("layer\tposition\tscale\nconv\t0\t1\nconv\t1\t0\nconv\t4\t1\n")
    with pytest.raises(AudioMetamerError, match="does not rise from the first sound to the last"):
        read_predicted([table], PLACES)
