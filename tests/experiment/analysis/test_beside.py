"""Listeners of other experiments beside one's own: who is chosen, what matches, and what is drawn and written."""

import json

import numpy as np
import pytest
from tiny_answers import answers
from tiny_published import HUMAN, write_matrix

from audiometamer.experiment.analysis import figures as module
from audiometamer.experiment.analysis.analyse import analyse
from audiometamer.experiment.analysis.beside import labelled, stand_beside
from audiometamer.experiment.analysis.figures import draw_recognition
from audiometamer.experiment.analysis.folder import analyse_into, write_recognition_analysis
from audiometamer.experiment.analysis.settings import RecognitionSettings
from audiometamer.experiment.analysis.sources import AnalysisSources
from audiometamer.io.tables import read_table
from audiometamer.published.listeners import PublishedListeners, read_matrices

FAST = {"resamples": 200, "permutations": 0}
RESNET = ("natural_audio", "input_after_preproc", "conv1_relu1_fake_relu", "layer1_fake_relu", "final")


@pytest.fixture
def published(tmp_path):
    write_matrix(tmp_path, network="cochresnet50", layers=RESNET)
    write_matrix(tmp_path)
    write_matrix(tmp_path, network="kell2018_l2_1_robust_waveform", experiment=4)
    return read_matrices(tmp_path)


def group(network, *layers, human=None):
    values = np.full((2, len(layers)), 0.5) if human is None else np.array(human)
    return PublishedListeners("", "", network, f"{network}.mat", ["a", "b"], list(layers), values, values)


def test_the_network_with_most_layers_in_common_is_chosen(published):
    own = analyse(answers(3, 4), **FAST).recognition  # at natural, relu0, relu1, final
    (found,) = stand_beside(own, [published], resamples=100)
    assert (found.model, found.published.network, found.published.experiment) == ("one", "cochcnn9", "1")
    assert (found.matched, found.own, found.unmatched) == (["natural", "relu0", "relu1", "final"], [], ["cochleagram"])
    assert found.statement == (
        "Beside one: 4 listeners who heard metamers of cochcnn9 (Feather et al. 2023, "
        "AudioExperiment1_network_vs_humans_datamatrix_kell2018_public.mat); 4 of 4 conditions match; only there: cochleagram."
    )
    assert found.label == "Feather et al. 2023, n = 4:\ncochcnn9"


def test_a_network_of_the_same_name_goes_first(published):
    own = analyse(answers(3, 4, models=("feather2023/cochresnet50",)), **FAST).recognition
    (found,) = stand_beside(own, [published], resamples=100)
    assert found.published.network == "cochresnet50"
    assert (found.matched, found.own) == (["natural", "final"], ["relu0", "relu1"])
    assert found.statement.endswith(
        "2 of 4 conditions match; only here: relu0, relu1; only there: cochleagram, conv1_relu1, layer1."
    )


def test_layers_have_published_or_our_names(published):
    accuracy = {"natural": 0.9, "input_after_preproc": 0.8, "relu0_fakerelu": 0.5}
    own = analyse(answers(3, 4, accuracy=accuracy), **FAST).recognition
    (found,) = stand_beside(own, [published], resamples=100)
    assert found.matched == list(accuracy)
    assert [(row.layer, row.value) for row in found.drawn] == [
        (layer, pytest.approx(value + 0.015)) for layer, value in zip(accuracy, HUMAN[:3], strict=True)
    ]


def test_means_have_intervals_over_listeners_and_no_trials():
    own = analyse(answers(3, 4), **FAST).recognition
    (found,) = stand_beside(own, [[group("net", "natural", "relu0", human=[[0.2, 0.4], [0.6, np.nan]])]], resamples=2000)
    natural, relu0 = found.recognition
    # Of the resamples of two listeners a quarter holds the first twice, and a quarter the second.
    assert (natural.value, natural.low, natural.high) == pytest.approx((0.4, 0.2, 0.6))
    assert (relu0.value, relu0.low, relu0.listeners, relu0.note) == (0.4, None, 1, "no interval: a single listener")
    assert {(row.model, row.observer, row.trials, row.source) for row in found.recognition} == {("net", "human", None, "net.mat")}


def test_what_shares_no_layer_is_not_drawn(monkeypatch, tmp_path):
    own = analyse(answers(3, 4), **FAST).recognition
    beside = stand_beside(own, [[group("other", "layer7")]])
    assert beside[0].statement.endswith(
        "0 of 4 conditions match; only here: natural, relu0, relu1, final; only there: layer7. They are not drawn."
    )
    assert beside[0].drawn == []
    drawn = []
    monkeypatch.setattr(module, "save_figure", lambda figure, _path: drawn.append(figure))
    draw_recognition(own, tmp_path / "recognition.png", beside=beside)
    assert [text.get_text() for text in drawn[0].axes[0].get_legend().get_texts()] == ["human", "network"]


def test_they_are_drawn_beside_ones_own(monkeypatch, tmp_path, published):
    own = analyse(answers(3, 4, models=("one", "two")), **FAST).recognition
    beside = stand_beside(own, [published, published[2:]], resamples=100)
    drawn = []
    monkeypatch.setattr(module, "save_figure", lambda figure, _path: drawn.append(figure))
    draw_recognition(own, tmp_path / "recognition.png", beside=beside)
    one, two, together = [axes for axes in drawn[0].axes if axes.axison]
    labels = ["Feather et al. 2023, n = 4:\ncochcnn9", "Feather et al. 2023, n = 4:\ncochcnn9-l2-1-robust-waveform"]
    for axes in (one, two):
        assert [text.get_text() for text in axes.get_legend().get_texts()] == ["human", "network", *labels]
        (line,) = [container for container in axes.containers if container.get_label() == labels[0]]
        assert line[0].get_ydata().tolist() == pytest.approx([71.5, 41.5, 11.5])  # relu0, relu1, final
        assert line.has_yerr
        assert [text.get_text() for text in axes.get_xticklabels()] == ["natural", "relu0", "relu1", "final"]
    assert [text.get_text() for text in together.get_legend().get_texts()] == ["one", "two"]
    colours = {text.get_text(): handle.lines[0].get_color() for axes in (one, together) for text, handle in zip(
        axes.get_legend().get_texts(), [c for c in axes.containers if not str(c.get_label()).startswith("_")], strict=True
    )}  # fmt: skip
    assert len(set(colours.values())) == len(colours) == 6


def test_groups_at_the_same_network_have_different_labels(tmp_path, published):
    write_matrix(tmp_path / "more", experiment=3)
    own = analyse(answers(3, 4), **FAST).recognition
    beside = stand_beside(own, [published, read_matrices(tmp_path / "more"), published])
    assert [label for label, _ in labelled(beside)] == [
        f"Feather et al. 2023, n = 4:\ncochcnn9, experiment {number}" for number in (1, 3, 1)
    ]


def test_they_are_in_the_tables_the_summary_and_a_file_of_their_own(tmp_path, published):
    sources, settings = AnalysisSources(answers(3, 4), [], beside=[published]), RecognitionSettings(**FAST)
    analysis, paths = analyse_into(tmp_path / "out", sources, settings=settings)
    assert [path.name for path in paths[-2:]] == ["beside.json", "summary.txt"]
    rows = [row for row in read_table(tmp_path / "out" / "recognition.tsv") if row["source"]]
    assert [(row["model"], row["layer"], row["trials"]) for row in rows] == [
        ("cochcnn9", layer, "") for layer in ("natural", "cochleagram", "relu0", "relu1", "final")
    ]
    assert float(rows[1]["value"]) == pytest.approx(0.815)
    words = paths[-1].read_text()
    assert f"\n{analysis.beside[0].statement}\nRecognised by these listeners, % (" in words
    assert "\n  cochcnn9 cochleagram  81.5 (80." in words
    (record,) = json.loads(paths[-2].read_text())
    assert (record["network"], record["only_there"], record["listeners"]) == ("cochcnn9", ["cochleagram"], 4)
    assert record["recognition"][1]["value"] == pytest.approx(0.815)
    assert record["source"] == rows[0]["source"] == published[0].source
    alone, _ = analyse_into(tmp_path / "out", AnalysisSources(answers(3, 4), []), settings=settings, overwrite=True)
    assert alone.beside == []
    assert not (tmp_path / "out" / "beside.json").exists()


def test_a_group_beside_several_models_is_in_the_table_once(tmp_path, published):
    analysis = analyse(answers(3, 4, models=("one", "two")), **FAST)
    analysis.beside.extend(stand_beside(analysis.recognition, [published], resamples=100))
    write_recognition_analysis(analysis, tmp_path)
    assert len([row for row in read_table(tmp_path / "recognition.tsv") if row["source"]]) == 5
