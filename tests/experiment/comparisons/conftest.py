"""Experiments on sets of sounds that tell models apart, built once."""

import pytest
from compared_sets import write_compared_set, write_design

from audiometamer.experiment.comparisons.build import build_comparison


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """A set of pairs and one of words, with an experiment of each."""
    found = {}
    for kind in ("mad", "controversial"):
        folder = tmp_path_factory.mktemp(kind)
        stimuli = write_compared_set(folder / "set", kind)
        more = "" if kind == "controversial" else "catch = 2\n"
        build_comparison(stimuli, write_design(folder, kind, more=more), folder / "experiment")
        found[kind] = folder
    return found
