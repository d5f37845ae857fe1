"""A small experiment, built once, and what is made of it: its store and a client of its server."""

import pytest
from experiment_fixtures import *  # noqa: F403
from starlette.testclient import TestClient
from submission_files import header, lines
from tiny_experiment import all_messages

from audiometamer.listening.app import create_app


@pytest.fixture
def client(experiment, store):
    return TestClient(create_app(experiment, store), raise_server_exceptions=False)


@pytest.fixture
def token(store):
    return store.enrol()


@pytest.fixture
def saved(experiment, tmp_path):
    """Write a file as the page saves it."""

    def write(number, messages=None, *, name=None, **changes):
        path = tmp_path / (name or f"answers-{number}.jsonl")
        reported = [header(experiment, number, **changes), *(all_messages(experiment, number) if messages is None else messages)]
        path.write_text(lines(reported), encoding="utf-8")
        return path

    return write
