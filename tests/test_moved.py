"""Import paths of version 0.1: the same objects, and one warning that names the new path."""

import sys
import warnings
from importlib import import_module
from pkgutil import resolve_name

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
    """What an action returns, and the messages of its warnings, all of them DeprecationWarnings."""
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
    today = resolve_name(f"audiometamer.{_moved.NAMES[old]}")
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


OLD_PROGRAM = """
from audiometamer.criteria import NullDistribution
from audiometamer.domains import Waveform
from audiometamer.exploration.procedures import psi
from audiometamer.loading import load_model
"""


def test_a_program_of_before_runs_and_each_of_its_lines_is_pointed_to():
    found = {}
    with pytest.warns(DeprecationWarning, match=r"the old name goes away in version 0\.3") as caught:
        exec(compile(OLD_PROGRAM, "before.py", "exec"), found)
    assert found["NullDistribution"] is am.NullDistribution
    assert found["Waveform"] is am.domains.Waveform
    assert found["psi"] is am.psychophysics.psi
    assert found["load_model"] is am.load_model
    assert [(warning.filename, warning.lineno, str(warning.message).removeprefix("audiometamer.")) for warning in caught] == [
        ("before.py", 2, "criteria is now audiometamer.metamers.criteria; the old name goes away in version 0.3"),
        ("before.py", 3, "domains is now audiometamer.matching.domains; the old name goes away in version 0.3"),
        (
            "before.py",
            4,
            "exploration.procedures.psi is now audiometamer.psychophysics.psi; the old name goes away in version 0.3",
        ),
        ("before.py", 5, "loading is now audiometamer.models.loading; the old name goes away in version 0.3"),
    ]


def test_what_never_was_is_not_found():
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'audiometamer\.metamer'"):
        import_module("audiometamer.metamer")
    with pytest.raises(AttributeError, match="has no attribute 'nearest_of_all'"):
        _ = am.io.files.nearest_of_all
    with pytest.raises(AttributeError, match="has no attribute 'nobody'"):
        _ = import_module("audiometamer.matching.loop").nobody


def test_one_warning_of_a_name_that_is_imported_from_a_package_of_today():
    names = vars(am.models)
    names.pop("check_model", None)  # where an earlier import has put it
    found = {}
    _, messages = warned(lambda: exec("from audiometamer.models import check_model", found))
    assert found["check_model"] is import_module("audiometamer.models.checking").check_model
    assert messages == [
        "audiometamer.models.check_model is now audiometamer.models.checking.check_model; the old name goes away in version 0.3"
    ]
    del names["check_model"]


def test_the_format_of_a_packed_experiment():
    found, _ = warned(lambda: import_module("audiometamer.experiment.pack").Form)
    assert found is import_module("audiometamer.experiment.pack").PackFormat


@pytest.mark.parametrize("old", ["criteria", "audio"])
def test_modules_of_before_are_attributes(old):
    """Of programs that wrote ``am.criteria`` without importing it."""
    vars(am).pop(old, None)
    module, messages = warned(lambda: getattr(am, old))
    new = f"audiometamer.{_moved.MODULES[old]}"
    assert messages == [f"audiometamer.{old} is now {new}; the old name goes away in version 0.3"]
    name = {"criteria": "NullDistribution", "audio": "Clip"}[old]
    assert getattr(module, name) is getattr(am, name)
