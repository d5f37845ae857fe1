"""Import paths of version 0.1: the same objects, and one warning that names the new path."""

import sys
import warnings
from importlib import import_module

import pytest

import audiometamer as am
from audiometamer import _moved

PACKAGES = {name for name in _moved.MODULES if any(other.startswith(f"{name}.") for other in _moved.MODULES)}


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch):
    """Old modules are imported as if for the first time, and forgotten afterwards."""
    before = dict(sys.modules)
    for old in _moved.MODULES:
        monkeypatch.delitem(sys.modules, f"audiometamer.{old}", raising=False)
    yield
    for name in set(sys.modules) - set(before):
        if name.partition(".")[2] in _moved.MODULES:
            del sys.modules[name]


def warned(action):
    """What an action returns, and the messages of its warnings, all of them DeprecationWarnings at the caller's own line."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = action()
    assert {warning.category for warning in caught} <= {DeprecationWarning}
    return result, [str(warning.message) for warning in caught]


@pytest.mark.parametrize("old", sorted(_moved.MODULES.keys() - PACKAGES))
def test_a_module(old):
    new = f"audiometamer.{_moved.MODULES[old]}"
    today = import_module(new)
    module, messages = warned(lambda: import_module(f"audiometamer.{old}"))
    assert messages == [f"audiometamer.{old} is now {new}; the old name goes away in version 0.3"]
    public = [name for name in vars(today) if not name.startswith("_") and f"{old}.{name}" not in _moved.NAMES]
    assert public
    assert all(getattr(module, name) is getattr(today, name) for name in public)


@pytest.mark.parametrize("old", sorted(_moved.NAMES))
def test_a_name(old):
    module_name, _, name = f"audiometamer.{old}".rpartition(".")
    new_module, _, new_name = f"audiometamer.{_moved.NAMES[old]}".rpartition(".")
    today = getattr(import_module(new_module), new_name)
    found, messages = warned(lambda: getattr(import_module(module_name), name))
    assert found is today
    assert len(messages) == 1


@pytest.mark.parametrize("old", sorted(PACKAGES))
def test_a_package_warns_of_what_is_taken_from_it(old):
    package, messages = warned(lambda: import_module(f"audiometamer.{old}"))
    assert messages == []
    today = import_module(f"audiometamer.{_moved.MODULES[old]}")
    assert package.__path__ == []
    assert set(dir(package)) == set(dir(today))


def test_public_paths_of_the_documentation():
    def import_as_before():
        from audiometamer.metamers.criteria import NullDistribution
        from audiometamer.models.loading import load_model
        from audiometamer.psychophysics.bayes import psi

        return NullDistribution, psi, load_model

    (distribution, psi, load), messages = warned(import_as_before)
    assert (distribution, psi, load) == (am.NullDistribution, am.psychophysics.psi, am.load_model)
    assert messages == [
        "audiometamer.criteria is now audiometamer.metamers.criteria; the old name goes away in version 0.3",
        "audiometamer.exploration.procedures.psi is now audiometamer.psychophysics.psi; the old name goes away in version 0.3",
        "audiometamer.loading is now audiometamer.models.loading; the old name goes away in version 0.3",
    ]


def test_the_warning_points_to_the_callers_line():
    with pytest.warns(DeprecationWarning, match=r"audiometamer\.domains is now audiometamer\.matching\.domains") as caught:
        from audiometamer.matching.domains import Waveform
    assert [warning.filename for warning in caught] == [__file__]
    assert Waveform is am.domains.Waveform


def test_what_never_was_is_not_found():
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'audiometamer\.metamer'"):
        import_module("audiometamer.metamer")
    with pytest.raises(AttributeError, match="has no attribute 'nearest_of_all'"):
        _ = am.io.files.nearest_of_all
    with pytest.raises(AttributeError, match="has no attribute 'nobody'"):
        _ = import_module("audiometamer.matching.loop").nobody
