"""Two experiments that no test changes, one with triads and one with quadruples of five sounds."""

import pytest
from tiny_scaling import build_tiny


@pytest.fixture(scope="session")
def triads(tmp_path_factory):
    return build_tiny(tmp_path_factory.mktemp("triads"))


@pytest.fixture(scope="session")
def quadruples(tmp_path_factory):
    return build_tiny(tmp_path_factory.mktemp("quadruples"), "quadruples")
