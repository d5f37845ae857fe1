"""Lines that readers must tell apart."""

from audiometamer.drawing import line_style


def test_twenty_one_lines_differ_in_colour_or_dashes():
    styles = [line_style(k) for k in range(21)]
    assert len({(style["color"], style["linestyle"]) for style in styles}) == 21
    assert [style["linestyle"] for style in styles] == ["-"] * 7 + ["--"] * 7 + [":"] * 7
    assert len({style["marker"] for style in styles[:7]}) == 7  # also without colours
