"""What the room offers: its names, and the examples of its documentation."""

import doctest
import importlib
import inspect

import pytest

from audiometamer import statistics

MODULES = ("anova", "bootstrap", "contrasts", "intervals", "pairing", "pairwise", "permutation", "reliability")


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    found = doctest.testmod(importlib.import_module(f"audiometamer.statistics.{name}"))
    assert found.attempted > 0
    assert found.failed == 0


@pytest.mark.parametrize("name", ["anova", "f_ratio", "mean_over_listeners", "permutation_p", "split_half"])
def test_only_data_are_positional(name):
    """Values come first, the groups of listeners second; all else is keyword-only."""
    parameters = inspect.signature(getattr(statistics, name)).parameters.values()
    positional = [one.name for one in parameters if one.kind is not inspect.Parameter.KEYWORD_ONLY]
    assert positional in (["values"], ["tables", "groups"], ["values", "groups"])
