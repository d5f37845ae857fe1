"""The figure of recognition: what it draws, and what it names."""

import re

import pytest
from tiny_answers import LAYERS, answers

from audiometamer.experiment.analysis import figures as module
from audiometamer.experiment.analysis.analyse import analyse
from audiometamer.experiment.analysis.figures import draw_recognition
from audiometamer.experiment.analysis.recognition import RecognitionRow

FAST = {"resamples": 200, "permutations": 50}


def in_figure(folder, rows, **options):
    """The texts of a figure of recognition."""
    svg = draw_recognition(rows, folder / "recognition.png", **options)[2].read_text()
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def test_the_figure_names_chance_its_axes_and_how_many_listeners(tmp_path):
    found = analyse(answers(5, 4), **FAST)
    texts = in_figure(tmp_path, found.recognition, chance=1 / 793)
    assert {"recognised (%)", "matched layer", "human", "network", "chance (0.126 %)", "natural", *LAYERS} <= {*texts}
    assert any(text.startswith("Mean of n = 5 listeners; bars: 95 % bootstrap intervals over") for text in texts)
    assert "chance (0.126 %)" not in in_figure(tmp_path, found.recognition)
    single = analyse(answers(1, 4), **FAST)
    assert "Mean of n = 1 listener" in in_figure(tmp_path, single.recognition)
    gap = analyse([t for t in answers(5, 4) if (t.listener, t.layer) != ("2", "relu1")], **FAST)
    assert any(text.startswith("Mean of n = 4–5 listeners; bars") for text in in_figure(tmp_path, gap.recognition))


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """The axes of a figure of some rows."""

    def draw(rows, **options):
        figures = []
        monkeypatch.setattr(module, "save_figure", lambda figure, _path: figures.append(figure))
        draw_recognition(rows, tmp_path / "recognition.png", **options)
        return [axes for axes in figures[0].axes if axes.axison]

    return draw


def row(layer, value, model="one", observer="human", half=0.1):
    return RecognitionRow(
        model=model, layer=layer, observer=observer, value=value, low=None if half is None else value - half,
        high=None if half is None else value + half, listeners=3, trials=9, missing=0,
    )  # fmt: skip


def lines(axes):
    """Label, heights and ends of the bars of each line, %."""
    for container in axes.containers:
        line, _, (bars,) = container
        yield str(container.get_label()), line.get_ydata().tolist(), [segment[:, 1].tolist() for segment in bars.get_segments()]


def test_it_shows_values_and_their_intervals(drawn):
    (axes,) = drawn([row("natural", 0.9), row("relu0", 0.5), row("final", 0.2, half=None)], chance=0.0625)
    (_, natural, natural_bars), (label, metamers, bars) = lines(axes)
    assert natural == pytest.approx([90])
    assert natural_bars == [pytest.approx([80, 100])]
    assert (label, metamers) == ("human", pytest.approx([50, 20]))
    assert bars == [pytest.approx([40, 60]), pytest.approx([20, 20])]  # an unknown interval has no length
    assert [text.get_text() for text in axes.get_xticklabels()] == ["natural", "relu0", "final"]
    (chance,) = [line for line in axes.lines if line.get_label().startswith("chance")]
    assert chance.get_ydata() == pytest.approx([6.25, 6.25])


def test_a_panel_for_each_model_and_one_for_all(drawn):
    rows = [
        row(layer, value, model, observer)
        for model, observer, value in (("one", "human", 0.5), ("one", "network", 0.9), ("two", "human", 0.3))
        for layer in ("natural", "relu0")
    ]
    panels = drawn(rows)
    assert [axes.get_title() for axes in panels] == ["metamers of one", "metamers of two", "listeners, all models"]
    shown = [
        {label: values for label, values, _ in lines(axes) if label in ("human", "network", "one", "two")} for axes in panels
    ]
    assert shown == [{"human": [50], "network": [90]}, {"human": [30]}, {"one": [50], "two": [30]}]
