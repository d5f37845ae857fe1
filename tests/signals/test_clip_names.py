"""Names of clips, and times as people write them."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiometamer.signals.clip_names import clip_name, parse_seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0), ("65.5", 65.5), (".5", 0.5), ("1e1", None), ("1:05", 65), ("1:05.5", 65.5), ("0:01:05", 65),
        ("0:01:05.25", 65.25), ("90:00", 5400), ("1:00:00", 3600), (" 1:05 ", 65), ("1:5", 65), ("1:75", None),
        ("1:75:00", None), ("", None), (":05", None), ("1:", None), ("-1", None), ("nan", None), ("inf", None),
        ("1:2:3:4", None), ("1:005", None), ("1,5", None),
    ],
)  # fmt: skip
def test_times_as_people_write_them(text, seconds):
    if seconds is None:
        with pytest.raises(ValueError, match="is not a time; write seconds"):
            parse_seconds(text)
    else:
        assert parse_seconds(text) == seconds


@given(st.integers(0, 10**7))
def test_times_are_read_as_they_are_written(hundredths):
    minutes, rest = divmod(hundredths, 6000)
    for text in (
        f"{hundredths / 100:.2f}",
        f"{minutes}:{rest / 100:05.2f}",
        f"{minutes // 60}:{minutes % 60:02}:{rest / 100:05.2f}",
    ):
        assert parse_seconds(text) == pytest.approx(hundredths / 100, abs=1e-9)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/b.c.wav", "b.c"), ("-", "stdin"), ("/dev/stdin", "stdin"), ("/dev/fd/0", "stdin"), ("/dev/fd/63", "pipe"),
        ("/proc/self/fd/11", "pipe"), (os.fsdecode(b"M\xfcller.wav"), "Müller"), (os.fsdecode(b"\x83e.wav"), "�e"),
        (os.fsdecode("Müller.wav".encode()), "Müller"), ("-.wav", "-"),
    ],
)  # fmt: skip
def test_names_of_clips_are_text(path, name):
    assert clip_name(path) == name
