"""One experiment that no test changes."""

import json
import shutil

import pytest
from signed_links import key_set, private_keys
from tiny_experiment import build_experiment

from audiometamer.experiment.pack import pack
from audiometamer.experiment.reading import read_experiment
from audiometamer.listening.store import Store


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return build_experiment(tmp_path_factory.mktemp("experiment"))


@pytest.fixture(scope="session")
def experiment(folder):
    return read_experiment(folder)


@pytest.fixture
def own(folder, tmp_path):
    """A copy of the experiment, without its sounds."""
    shutil.copytree(folder, tmp_path / "experiment", ignore=shutil.ignore_patterns("*.wav"))
    return tmp_path / "experiment"


@pytest.fixture
def store(experiment, tmp_path):
    made = Store(tmp_path / "answers.db", experiment, busy_seconds=0.2)
    yield made
    made.close()


@pytest.fixture(scope="session")
def static(folder, tmp_path_factory):
    """The experiment packed for any web host."""
    out = tmp_path_factory.mktemp("static") / "packed"
    pack(folder, out, to="static")
    return out


@pytest.fixture(scope="session")
def jatos(folder, tmp_path_factory):
    """The assets of the experiment as a JATOS study whose listeners have links."""
    return study(folder, tmp_path_factory.mktemp("jatos"))


@pytest.fixture(scope="session")
def jatos_for_all(folder, tmp_path_factory):
    """The same, where whoever comes gets the next free list."""
    return study(folder, tmp_path_factory.mktemp("jatos"), any_list=True)


def study(folder, out, **settings):
    pack(folder, out / "study.jzip", to="jatos", **settings)
    shutil.unpack_archive(out / "study.jzip", out, "zip")
    return next(path for path in out.iterdir() if path.is_dir())


@pytest.fixture(scope="session")
def private():
    """Keys by which links are signed."""
    return private_keys()


@pytest.fixture
def keys(private, tmp_path):
    """The file of the public part of one of them."""
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps(key_set(private, "ours")))
    return path
