"""Parts that other packages register: found by name, and what is wrong with one is a line."""

import pytest
from plugin import install

import audiometamer as am
from audiometamer.io.registry import Registry

ADDERS = Registry("tests.adders", "adder", {"one": lambda x: x + 1})
SOURCE = """
def two(x):
    return x + 2

def ends(x):
    raise SystemExit(3)
"""


def register(folder, monkeypatch, name="plugged", **entries):
    install(folder, monkeypatch, name=name, source=SOURCE, entry_points={"tests.adders": entries})


def test_own_parts_and_registered_ones(tmp_path, monkeypatch):
    register(tmp_path, monkeypatch, two="plugged:two", nothing="plugged:nothing", ends="plugged:ends")
    assert ADDERS.names() == ["one", "ends", "nothing", "two"]
    assert (ADDERS.make("one", 5), ADDERS.make("two", 5)) == (6, 7)
    for name, message in {
        "three": "there is no adder 'three'; there are one, ends, nothing, two",
        "nothing": "the adder 'nothing' of plugged 1.2 cannot be loaded .AttributeError: .*nothing",
        "ends": r"the adder 'ends' of plugged 1.2 cannot be made .SystemExit: 3, .*plugged\.py:6",
    }.items():
        with pytest.raises(am.AudioMetamerError, match=message):
            ADDERS.make(name, 5)


def test_two_packages_cannot_have_one_name(tmp_path, monkeypatch):
    register(tmp_path / "a", monkeypatch, two="plugged:two")
    register(tmp_path / "b", monkeypatch, "other", two="other:two")
    with pytest.raises(am.AudioMetamerError, match="both register the adder 'two'; uninstall one of them"):
        ADDERS.names()


def test_a_name_of_ours_is_taken(tmp_path, monkeypatch):
    register(tmp_path, monkeypatch, one="plugged:two")
    with pytest.raises(am.AudioMetamerError, match=r"plugged 1.2 registers the adder 'one', which audiometamer has"):
        ADDERS.names()
