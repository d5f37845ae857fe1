"""The programs of docs/own_parts.md run, and do what the page says."""

import re
from pathlib import Path

import torch


def test_the_programs_of_the_page():
    page = (Path(__file__).parents[1] / "docs" / "own_parts.md").read_text()
    names = {}
    for program in re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL):
        exec(program, names)
    assert names["rectified"].shape == (3, 20)
    assert {layer: tuple(a.shape) for layer, a in names["both"].items()} == {"0": (3, 20), "1/units=0:5": (3, 5)}
    silence = torch.zeros(1, 4000)
    plain = names["am"].Cochleagram(compression=None)(silence)
    torch.testing.assert_close(names["front_end"](silence), torch.log1p(1000 * plain))
    assert names["older"].filterbank.high_limit == 8000
    tone = 0.1 * torch.sin(2 * torch.pi * 1000 * torch.arange(8000) / 20_000)
    assert abs(names["triangles"].center_frequencies()[names["triangles"](tone).mean(-1).argmax()] - 1000) < 60
