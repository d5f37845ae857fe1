"""Different functions have different fingerprints, the same function the same one in every process."""

import operator
import subprocess
import sys
import threading
from functools import partial

import pytest
import torch
from torch import nn

import audiometamer as am
from audiometamer.io.fingerprints import fingerprint_of, is_known, named
from audiometamer.matching import relative_l2, time_average, transformed
from audiometamer.matching.domains import Waveform

WEIGHTS = torch.tensor([1.0, 2.0])
OPTIONS = {"power": 2}


def with_globals(a, t):
    return ((a - t) * WEIGHTS).abs() ** OPTIONS["power"]


class Bound:
    def __init__(self, weight):
        self.weight = weight

    def loss(self, a, t):
        return self.weight * (a - t)


class Slots:
    __slots__ = ("weight",)

    def __init__(self, weight):
        self.weight = weight

    def __call__(self, a, t):
        return self.weight * (a - t)


class Holding:
    """A lock cannot be copied: nobody can say whether two of them are the same."""

    def __init__(self):
        self.lock = threading.Lock()

    def __call__(self, a, t):
        return a - t


def scaled(factor):
    return lambda a, t: factor * (a - t)


@pytest.mark.parametrize(
    "make",
    [
        lambda k: scaled(k),
        lambda k: partial(relative_l2, offset=k),
        lambda k: transformed(time_average if k else torch.abs),
        lambda k: transformed(lambda a: a + 1) if k else transformed(lambda a: a + 2),
        lambda k: Bound(k).loss,
        lambda k: Slots(k),
        lambda k: nn.MSELoss(reduction="sum" if k else "mean"),
        lambda k: nn.Sequential(nn.Softplus(beta=k + 1)),
        lambda k: operator.sub if k else operator.add,
        lambda k: torch.full((2,), k + 1.0).mul,
        lambda k: Waveform(deviation=k + 1.0),
        lambda k: torch.float32 if k else torch.float64,
    ],
)  # fmt: skip
def test_two_that_differ_in_one_option(make):
    assert fingerprint_of(make(0)) != fingerprint_of(make(1))
    assert fingerprint_of(make(1)) == fingerprint_of(make(1))
    assert is_known(fingerprint_of(make(0)))


def test_values_of_the_module_that_a_function_uses_count(monkeypatch):
    first = fingerprint_of(with_globals)
    monkeypatch.setattr(sys.modules[__name__], "WEIGHTS", torch.tensor([1.0, 3.0]))
    second = fingerprint_of(with_globals)
    monkeypatch.setitem(OPTIONS, "power", 1)
    assert len({first, second, fingerprint_of(with_globals)}) == 3


def test_methods_that_a_class_overrides_count(monkeypatch):
    class Louder(Waveform):
        def project(self, signals):
            return signals.clamp(-2, 2)

    first = fingerprint_of(Louder())
    monkeypatch.setattr(Louder, "project", lambda self, signals: signals.clamp(-3, 3))
    assert fingerprint_of(Louder()) != first


def test_the_same_in_every_process():
    program = """
import torch
from functools import partial
from audiometamer.io.fingerprints import fingerprint_of
from audiometamer.matching import transformed, gram
weights = torch.arange(3.0)
class Own:
    def __call__(self, a, t): return self.scaled(a - t)
    def scaled(self, x): return x * weights
choosing = partial(lambda a, t, p: a, p={"x", "y", "z"})
for value in (Own(), Own().scaled, transformed(gram), torch.nn.L1Loss(reduction="sum"), choosing):
    print(fingerprint_of(value))
"""
    runs = [subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True) for _ in range(2)]
    assert runs[0].stdout == runs[1].stdout
    assert len(set(runs[0].stdout.split("\n"))) == 6


def test_what_shows_no_content_is_no_other_s():
    unknown = fingerprint_of(Holding())
    assert unknown.startswith("Holding of unknown content ")
    assert not is_known(unknown)
    holding = Holding()
    assert fingerprint_of(holding) == fingerprint_of(holding)
    assert fingerprint_of(Holding()) != fingerprint_of(holding)


def test_a_name_stands_for_what_shows_no_content():
    assert fingerprint_of(named(Holding(), name="difference, first version")) == "named difference, first version"
    assert named(lambda a, t: a - t, name="d")(3, 1) == 2
    with pytest.raises(am.AudioMetamerError, match="a name is ' '; it must not be empty"):
        named(Holding(), name=" ")
    with pytest.raises(am.AudioMetamerError, match="3 is no function, and cannot be named 'x'"):
        named(3, name="x")


def test_fingerprints_of_earlier_versions():
    """Results of before are found by them."""
    assert fingerprint_of(relative_l2) == "relative_l2"
    assert fingerprint_of(Waveform(deviation=0.01)) == "Waveform df86af8b1806"
