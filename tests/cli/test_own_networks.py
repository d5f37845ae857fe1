"""Networks of one's own through the command line: what is wrong is one line, before any work."""

import pytest
import torch
from command_line import refused
from own_networks import SAMPLE_RATE, SAMPLES, Net, frozen
from torch import nn

import audiometamer as am
from audiometamer.cli import main
from audiometamer.metamers.criteria import MetricNull


def working():
    return frozen(Net())


def without_weights():
    raise FileNotFoundError(2, "No such file or directory", "weights.pt")


def of_a_size(width):
    return width


def number():
    return 5


class Silenced(Net):
    def __init__(self):
        super().__init__()
        self.silent = nn.ReLU()

    def forward(self, x):
        h = self.heard(x).mean(-1)
        return self.read_out(h + self.silent(-1 - h.abs()))


def silenced():
    return frozen(Silenced())


@pytest.fixture
def sounds(tmp_path):
    folder = tmp_path / "sounds"
    folder.mkdir()
    for i in range(3):
        samples = 0.1 * torch.randn(SAMPLES, generator=torch.Generator().manual_seed(i))
        am.write_wav(folder / f"x{i}.wav", samples, SAMPLE_RATE)
    return folder


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("without_weights", r"the function failed \(FileNotFoundError: .*'weights.pt', .*test_own_networks.py:\d+\)"),
        ("of_a_size", r"the function failed \(TypeError: .*missing 1 required positional argument: 'width'\)"),
        ("number", r"number returns 5; it must return an am.Model or a module"),
    ],
)
def test_a_function_that_makes_no_model(name, message):
    with pytest.raises(am.AudioMetamerError, match=rf"^model '{__name__}:{name}': {message}$"):
        am.load_model(f"{__name__}:{name}")


def test_folders_and_files_that_cannot_be_written_are_refused_first(capsys, sounds, tmp_path):
    network = ["--model", f"{__name__}:working"]
    long, locked = tmp_path / ("x" * 300), "/dev/null/null.json"
    line = refused(capsys, "synth", sounds / "x0.wav", *network, "--steps", 2, "--out", long)
    assert "could not write into " in line
    assert line.endswith(": File name too long")
    assert main([str(a) for a in ("null", sounds, *network, "--out", locked)]) == 2
    reported = capsys.readouterr()
    assert "could not write /dev/null/null.json" in reported.err
    assert "sounds" not in reported.err.replace("could not", "")  # no pass was begun


def test_an_unknown_layer_is_refused_before_anything_is_said(capsys, sounds, tmp_path):
    arguments = ["synth", sounds / "x0.wav", "--model", f"{__name__}:working", "--layers", "nosuch", "--out", tmp_path / "out"]
    assert main([str(a) for a in arguments]) == 2
    assert capsys.readouterr().err.strip().splitlines() == [
        "audiometamer: error: working has no layer 'nosuch'; the nearest are conv, relu, read_out"
    ]


def test_a_null_distribution_without_the_metrics_of_a_layer_is_said_before(capsys, sounds, tmp_path):
    am.NullDistribution(1, 2, "", {"conv": {}, "relu": {"snr_db": MetricNull(0.0, {})}}).save(tmp_path / "null.json")
    arguments = ["synth", sounds / "x0.wav", "--model", f"{__name__}:working", "--layers", "conv", "--steps", 2]
    assert main([str(a) for a in (*arguments, "--null", tmp_path / "null.json", "--out", tmp_path / "out")]) == 0
    assert "working has no null distribution at conv: its metamers stay unjudged" in capsys.readouterr().err
    line = refused(capsys, *arguments, "--null", tmp_path / "nosuch.json", "--out", tmp_path / "out")
    assert line.endswith("nosuch.json cannot be read: No such file or directory")


def test_a_layer_of_nothing_but_zeros_has_no_number_of_300_digits(capsys, sounds, tmp_path):
    assert main([str(a) for a in ("null", sounds, "--model", f"{__name__}:silenced", "--out", tmp_path / "null.json")]) == 0
    (row,) = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip().startswith("silent")]
    assert row == ["silent", "−∞", "0.0000", "0.0000"]
