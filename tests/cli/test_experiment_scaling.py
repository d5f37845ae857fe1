"""``audiometamer experiment`` with triads: built, refused what is for other kinds, and analysed by ``scale``."""

import numpy as np
import pytest
from command_line import refused
from tiny_scaling import rows_of, write_design, write_path

from audiometamer.cli import main
from audiometamer.cli.experiment_scaling import reply_to_pairs
from audiometamer.experiment.reading import read_experiment
from audiometamer.listening.tables import write_trials


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    write_path(folder / "path", 4)
    write_design(folder)
    lines = [f"net\t{layer}\t{k}\t{(k / 3) ** power}" for layer, power in (("a", 1), ("b", 2)) for k in range(4)]
    (folder / "model.tsv").write_text("\n".join(["model\tlayer\tposition\tscale", *lines]))
    return folder


def test_build_and_scale(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    assert main(["experiment", "build", "path", "--design", "design.toml", "--out", "built"]) == 0
    printed = capsys.readouterr().out
    assert "4 sounds: 4 triads, each heard 4 times in all" in printed
    assert "4 listeners, 4 main trials each: built" in printed
    experiment = read_experiment(folder / "built")
    write_trials(folder / "trials.tsv", rows_of(experiment, scale=np.linspace(0, 1, 4) ** 2, sigma=0.1, repetitions=10))
    command = ["experiment", "scale", "trials.tsv", "--experiment", "built", "--predicted", "model.tsv", "--resamples", "5"]
    assert main([*command, "--out", "result"]) == 0
    printed = capsys.readouterr().out
    assert "1. net b: " in printed
    assert "2. net a: " in printed
    assert "models.tsv" in printed
    assert "result holds an analysis; choose another --out" in refused(capsys, *command, "--out", "result")
    analysed = refused(capsys, "experiment", "analyse", "trials.tsv", "--experiment", "built")
    assert "`audiometamer experiment scale` analyses it" in analysed
    rehearsed = refused(capsys, "experiment", "rehearse", "built", "--accuracy", "natural=1")
    assert "--accuracy is for experiments in which answers are right or wrong" in rehearsed
    reply = reply_to_pairs(experiment, (folder / "model.tsv", "b"), 0.0, 0.0)
    assert [reply.scale[f"s{k}.wav"] for k in range(4)] == pytest.approx([0, 1 / 9, 4 / 9, 1])
