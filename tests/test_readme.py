"""The README's code runs as it stands."""

import re
from pathlib import Path

import few_steps
import numpy as np
import pytest
import soundfile
import torch
from torch import nn

import audiometamer as am

README = (Path(__file__).parents[1] / "README.md").read_text()


def snippet(name):
    (code,) = re.findall(rf"<!-- test: {name} -->\n```python\n(.*?)```", README, re.DOTALL)
    assert len(code.strip().splitlines()) < 10
    return code


@pytest.fixture(autouse=True)
def recording(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    samples = 0.1 * np.random.default_rng(0).standard_normal(40_000)
    soundfile.write("MY.wav", samples, 20_000)


def test_own_clip(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(am, "synthesize", few_steps.synthesize)
    exec(snippet("own clip"), {})
    assert (tmp_path / "metamer.wav").exists()
    assert "snr_db" in capsys.readouterr().out


class MyNetwork(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv1d(1, 4, 400, stride=160)
        self.read_out = nn.Linear(4, 2)

    def forward(self, x):
        return self.read_out(self.conv(x[:, None]).relu().mean(-1))


def test_own_network():
    names = {"am": am, "MyNetwork": MyNetwork}
    exec(snippet("own network"), names)
    assert len(names["metamers"]) == 4
