"""Pictures: the right ones, with something on them that depends on the numbers."""

import matplotlib.image
import numpy as np
import pytest
from msgspec.structs import replace

from audiometamer.evaluation import EvaluationRow, draw_figures


def recognised(judge, layer, value, task="word"):
    return EvaluationRow(
        judge, "accuracy", value, 20, 20, max(value - 0.1, 0), min(value + 0.1, 1), generator="a", layer=layer, task=task
    )


@pytest.fixture
def rows():
    heard = [recognised(judge, layer, 0.5) for judge in ("a", "b") for layer in ("natural", "relu0", "final")]
    matrix = [
        EvaluationRow("a", metric, 0.3, 20, 20, 0.2, 0.4, generator="a", layer=layer, measured_layer=measured)
        for metric in ("snr_db", "pearson_r2", "spearman_rho") for layer in ("relu0", "final") for measured in ("relu0", "final")
    ]  # fmt: skip
    attacks = [
        EvaluationRow(
            judge, "accuracy", 1 - radius, 20, 20, 0.0, 1.0, layer="natural", attack="waveform:l2", radius=radius, task="word",
        )
        for judge in ("a", "b") for radius in (0.0, 0.5, 1.0)
    ]  # fmt: skip
    return [*heard, *matrix, *attacks]


def test_which_pictures_there_are(rows, tmp_path):
    names = ["recognition.png", "layers_a.png", "attacks.png"]
    assert draw_figures(rows, tmp_path, chance={"word": 0.1}) == [tmp_path / name for name in names]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
    two = draw_figures([*rows[:6], recognised("b", "final", 0.2, task="a/b")], tmp_path)
    assert [path.name for path in two] == ["recognition_word.png", "recognition_a_b.png"]
    assert draw_figures([], tmp_path) == []


def test_a_judge_of_statistics_has_a_picture_of_its_own(tmp_path):
    names = [f"envelope_correlation, segment {k}" for k in (1, 2)]
    rows = [
        EvaluationRow(judge, "snr_db", value, 2, 2, 0.0, 9.0, generator="a", layer="relu0", measured_layer=name)
        for judge, value in (("t/one", 3.0), ("t/two", 8.0)) for name in names
    ]  # fmt: skip
    one, two = draw_figures(rows, tmp_path)
    assert (one.name, two.name) == ("layers_a_by_t_one.png", "layers_a_by_t_two.png")
    first, second = (matplotlib.image.imread(path) for path in (one, two))
    assert first.shape == second.shape
    assert (first != second).any()


def test_they_show_the_numbers(rows, tmp_path):
    rows = [row for row in rows if row.judge == "a"]
    before = draw_figures(rows, tmp_path / "before")
    after = draw_figures([replace(row, value=row.value / 2, low=0.0) for row in rows], tmp_path / "after")
    for first, second in zip(before, after, strict=True):
        pictures = [matplotlib.image.imread(path)[..., :3] for path in (first, second)]
        assert pictures[0].shape == pictures[1].shape
        assert len(np.unique(pictures[0].reshape(-1, 3), axis=0)) > 20
        assert np.mean(pictures[0] != pictures[1]) > 1e-3


def test_many_networks_are_told_apart(tmp_path):
    rows = [recognised(f"judge{k}", layer, k / 20) for k in range(20) for layer in ("natural", "relu0")]
    (path,) = draw_figures(rows, tmp_path)
    assert matplotlib.image.imread(path).shape[0] > 100
