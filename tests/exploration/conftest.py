"""Explorations that no test changes: one whose ladder is made up, and one whose sounds can be made on-line."""

import shutil

import pytest
import tiny_models
from tiny_built import course_of, take, write_design, write_online_design
from tiny_experiment import write_names_key

from audiometamer.exploration import build as building


@pytest.fixture(scope="session")
def exploration(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exploration")
    building.build(write_design(folder), folder / "built", key=write_names_key(folder))
    return folder / "built"


@pytest.fixture(scope="session")
def short(exploration, tmp_path_factory):
    """The same with two dimensions for each listener and a third of the trials."""
    folder = shutil.copytree(exploration, tmp_path_factory.mktemp("short") / "built")
    text = (folder / "design.toml").read_text().replace("each = 3", "each = 2").replace("max_trials = 12", "max_trials = 6")
    (folder / "design.toml").write_text(text)
    return folder


@pytest.fixture(scope="session")
def online_design(tmp_path_factory):
    """A design beside what it needs; other designs may be written beside it."""
    return write_online_design(tmp_path_factory.mktemp("online"), tiny_models.sound_model())


@pytest.fixture(scope="session")
def online(exploration, online_design):
    """With the page of the other, which takes seconds to be put together."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(building, "write_page", lambda page, _sentences: page.symlink_to(exploration / "page"))
        building.build(online_design, online_design.parent / "built", key=write_names_key(online_design.parent))
    return online_design.parent / "built"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """For designs and their ladder."""
    return tmp_path_factory.mktemp("course")


@pytest.fixture(scope="module")
def course(folder):
    """The trials of the tiny design, without an experiment around them."""
    return course_of(folder)


@pytest.fixture(scope="module")
def heard(course):
    """All trials of one listener."""
    return take(course)
