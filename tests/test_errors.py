"""What other libraries say, in one line."""

from audiometamer.errors import first_line, one_line


def test_all_of_it_or_the_first_line():
    error = RuntimeError("\nshapes differ:\n    (2, 3) and (3, 2)\n")
    assert one_line(error) == "shapes differ: (2, 3) and (3, 2)"
    assert first_line(error) == "shapes differ:"


def test_an_error_that_says_nothing_is_reported_by_its_class():
    assert first_line(EOFError()) == "EOFError"
