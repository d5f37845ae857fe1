"""A small experiment, built once, and what is made of it: its store and a client of its server."""

import pytest
from experiment_fixtures import *  # noqa: F403
from starlette.testclient import TestClient

from audiometamer.listening.app import create_app


@pytest.fixture
def client(experiment, store):
    return TestClient(create_app(experiment, store), raise_server_exceptions=False)


@pytest.fixture
def token(store):
    return store.enrol()
