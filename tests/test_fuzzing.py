"""A slice of the cases of tests/endurance: bad files and command lines end in one line, not in a traceback."""

import sys
import time

import fuzz_commands
import fuzz_files
import fuzz_toml
import fuzzing
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


def _fails(_):
    raise KeyError("planted")


def _catches_all(_):
    try:
        time.sleep(5)
    except BaseException:  # noqa: BLE001 (planted)
        return 0


@pytest.mark.parametrize(
    ("planted", "reported"),
    [
        (_fails, "KeyError"),
        (lambda _: sys.exit(3), "SystemExit"),
        (lambda _: 1, "status 1"),
        (lambda _: print("Traceback (most recent call last):", file=sys.stderr) or 0, "a traceback is printed"),
        (lambda _: print("x" * 401) or 0, "a line of 401 characters on standard output"),
        (lambda _: 2, "status 2 and no error line"),
        (lambda _: time.sleep(5), "more than 0.2 s"),
        (_catches_all, "more than 0.2 s"),
    ],
)
def test_what_is_wrong_is_seen(monkeypatch, capsys, planted, reported):
    monkeypatch.setattr(fuzzing, "main", planted)
    monkeypatch.setattr(fuzzing, "HANG", 0.2)
    account = fuzzing.Account()
    assert reported in account.add(["status", "made"])
    assert account.report("planted") == 1
    assert "1 cases" in (out := capsys.readouterr().out)
    assert reported in out


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.json", b'{"a": [1, 2.0, "b"], "c": {"d": null}}'), ("x.jsonl", b'{"kind": "form"}\n{"kind": "answer"}\n'),
        ("x.tsv", b"a\tb\n1\t2\n3\t4\n"), ("x.csv", b"a,b\n1,2\n"), ("MANIFEST.sha256", b"00  a\n11  b\n"),
        ("names.key", b"0123\n"),
    ],
)  # fmt: skip
def test_files_are_damaged_in_many_ways(tmp_path, name, content):
    path, rng = tmp_path / name, fuzzing.generator(0)
    path.write_bytes(content)
    made = {fuzz_files.damaged(path, rng) for _ in range(100)}
    assert len(made - {content}) >= (8 if name == "names.key" else 50)
