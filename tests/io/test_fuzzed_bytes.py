"""Damaged files of every kind are read or refused in one line: a few of those of `endurance/fuzz_bytes.py`."""

import fuzz_bytes
import pytest

SOME = 5


@pytest.mark.parametrize("kind", [kind for kind in fuzz_bytes.KINDS if kind != "m4a"])
def test_damaged_files_are_read_or_refused_in_one_line(tmp_path, monkeypatch, kind):
    monkeypatch.setenv("PATH", "")  # ffmpeg, which is slow to start, tries what libsndfile refuses
    found = [fuzz_bytes.outcome(kind, content, tmp_path) for content in fuzz_bytes.cases(kind, SOME, 0)]
    assert len(found) == SOME
    assert set(found) <= {"read", "refused"}


@pytest.mark.parametrize("kind", [kind for kind in fuzz_bytes.KINDS if kind != "npz"])
def test_the_files_that_are_damaged_are_whole_at_first(tmp_path, kind):
    found = [fuzz_bytes.outcome(kind, content, tmp_path) for content in fuzz_bytes.valid(kind)]
    assert found[0] == "read"
    assert set(found) <= ({"read", "refused"} if kind == "npy" else {"read"})  # one of those holds objects


@pytest.mark.parametrize("kind", list(fuzz_bytes.SUMS))
def test_mended_sums_are_those_of_whole_files(kind):
    mend = fuzz_bytes.SUMS[kind]
    assert [mend(content) for content in fuzz_bytes.valid(kind)] == fuzz_bytes.valid(kind)
