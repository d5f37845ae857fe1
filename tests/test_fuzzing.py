"""A slice of the cases of tests/endurance: bad files and command lines end in one line, not in a traceback."""

import fuzz_commands
import fuzz_toml
import pytest


@pytest.mark.parametrize(("kind", "cases"), [("plan", 30), ("card", 20)])
def test_torn_and_mutated_files(kind, cases):
    account, strays = fuzz_toml.fuzz(kind, cases, 0, watched=False)
    assert sum(account.ended.values()) == cases
    assert (account.faults, strays) == ({}, [])


def test_command_lines_that_nobody_would_write():
    account = fuzz_commands.fuzz(120, 0, quick=True)
    assert sum(account.ended.values()) > 60
    assert account.faults == {}
