"""Names that some file system takes for each other are told apart before anything is written."""

import unicodedata

import pytest

from audiometamer.errors import AudioMetamerError
from audiometamer.io.names import check_distinct_paths, check_no_case_twin, safe_name

COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "Müller") for form in ("NFC", "NFD"))


@pytest.mark.parametrize(("one", "other"), [("a b", "a_b"), ("a?", "a:"), ("Yes", "yes"), ("STRASSE", "straße"), ("a.", "a")])
def test_names_that_would_share_a_file_are_refused(one, other):
    with pytest.raises(AudioMetamerError, match="would share the file"):
        check_distinct_paths((name, safe_name(name)) for name in (one, "else", other))


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("CON", "_CON"), ("nul", "_nul"), ("Aux.wav", "_Aux.wav"), ("prn.", "_prn"), ("COM1", "_COM1"), ("lpt¹.a.b", "_lpt¹.a.b"),
        ("con1", "con1"), ("falcon", "falcon"), ("console", "console"), ("com", "com"), ("com10", "com10"), ("con-1", "con-1"),
    ],
)  # fmt: skip
def test_names_of_windows_devices_are_changed(name, safe):
    assert safe_name(name) == safe


def test_accents_may_be_composed_or_not():
    with pytest.raises(AudioMetamerError, match=r"would share the folder .* is the same"):
        check_distinct_paths([("one", COMPOSED), ("other", DECOMPOSED)], "folder")


def test_other_names_and_the_same_thing_twice_are_not():
    names = ["a b", "a b", "a-b", "a.b", "ab", "x" * 200, "x" * 200 + "y"]
    check_distinct_paths((name, safe_name(name)) for name in names)
    assert len({safe_name(name) for name in names}) == 6


def test_a_new_name_is_compared_with_what_lies_in_the_folder(tmp_path):
    (tmp_path / "Yes").mkdir()
    (tmp_path / COMPOSED).mkdir()
    check_no_case_twin(tmp_path, "Yes")
    check_no_case_twin(tmp_path, "no")
    check_no_case_twin(tmp_path / "nowhere", "yes")
    for name in ("yes", DECOMPOSED):
        with pytest.raises(AudioMetamerError, match=r"exists, and is .* on macOS and Windows; rename one of them"):
            check_no_case_twin(tmp_path, name)
