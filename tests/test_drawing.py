"""Lines that readers must tell apart."""

import re

import pytest
from matplotlib.figure import Figure

from audiometamer.drawing import line_style, literal_text, save_figure


def test_twenty_one_lines_differ_in_colour_or_dashes():
    styles = [line_style(k) for k in range(21)]
    assert len({(style["color"], style["linestyle"]) for style in styles}) == 21
    assert [style["linestyle"] for style in styles] == ["-"] * 7 + ["--"] * 7 + [":"] * 7
    assert len({style["marker"] for style in styles[:7]}) == 7  # also without colours


def test_the_same_figure_is_the_same_bytes_in_every_format_and_its_text_is_text(tmp_path):
    written = []
    for folder in ("first", "second"):
        figure = Figure()
        figure.subplots().plot([0, 1], [1, 0], label="listeners")
        figure.supxlabel("n = 8 listeners")
        written.append(save_figure(figure, tmp_path / folder / "figure.png"))
    assert [path.name for path in written[0]] == ["figure.png", "figure.pdf", "figure.svg"]
    for first, second in zip(*written, strict=True):
        assert first.read_bytes() == second.read_bytes()
    png, pdf, svg = (path.read_bytes() for path in written[0])
    assert png.startswith(b"\x89PNG")
    assert pdf.startswith(b"%PDF")
    assert b"CreationDate" not in pdf
    assert re.search(rb"<text[^>]*>n = 8 listeners</text>", svg)
    assert b"<dc:date>" not in svg


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["$x_$", r"\frac$\frac$", "costs $5 or $6", "日本語"])
def test_names_are_no_mathematics(tmp_path, name):
    with literal_text():
        figure = Figure()
        figure.subplots().set_title(name)
        _, _, svg = save_figure(figure, tmp_path / "figure.png")
    assert f">{name}</text>" in svg.read_text(encoding="utf-8")
