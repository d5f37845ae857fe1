"""A home of its own for each test, and a server with look-alikes of the published archives."""

import pytest
from local_server import serving
from look_alikes import files, networks, registry

from audiometamer.models import published as registry_module


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
    with serving(archives) as server:
        look_alike = tmp_path / "published.toml"
        look_alike.write_text(registry(server.root), encoding="utf-8")
        monkeypatch.setattr(registry_module, "_FILE", look_alike)
        registry_module.published.cache_clear()
        yield server
    registry_module.published.cache_clear()
