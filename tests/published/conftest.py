"""A home of its own for each test, and a server with look-alikes of the published archives."""

import pytest
from look_alikes import files, networks, served


@pytest.fixture(scope="module")
def originals():
    return networks()


@pytest.fixture(scope="module")
def archives(originals):
    return files(originals)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("AUDIOMETAMER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def server(archives, tmp_path, monkeypatch):
    with served(archives, tmp_path, monkeypatch) as server:
        yield server
