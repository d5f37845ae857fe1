"""How a metamer was made, from its record."""

import pytest

from audiometamer.metamers.summaries import ATTEMPTS, AttemptSummary, attempt_origin

NOISE, AGAIN = AttemptSummary("growth", 0, 200), AttemptSummary("growth", 2**32, 400)
GOING_ON, BEFORE = AttemptSummary("going on", None, 200), AttemptSummary("growth", 2**33, 200, layer="relu3")
FROM_THE_FIRST, FROM_THE_THIRD = (
    AttemptSummary("going on", None, 200, continues=0),
    AttemptSummary("going on", None, 200, continues=2),
)


@pytest.mark.parametrize(
    ("tries", "kept", "word"),
    [
        ([NOISE], 0, "first"),
        ([NOISE, GOING_ON, AGAIN], 2, "new noise"),
        ([NOISE, GOING_ON, AGAIN], 1, "continued"),
        ([NOISE, GOING_ON, BEFORE], 2, "layer before"),
        ([NOISE, GOING_ON, BEFORE, FROM_THE_THIRD], 3, "layer before"),
        ([NOISE, GOING_ON, BEFORE, FROM_THE_FIRST], 3, "continued"),
        ([NOISE, GOING_ON, BEFORE, GOING_ON], 3, "layer before"),  # of version 0.1, which did not say what it continued
        ([NOISE, AttemptSummary("by the layer before: growth", 5, 200)], 1, "layer before"),  # of version 0.1
        ([NOISE, GOING_ON, BEFORE], 0, "first"),
        ([GOING_ON], 0, "continued"),
        ([], 0, ""),
    ],
)
def test_how_it_came_about(tries, kept, word):
    assert attempt_origin(tries, kept) == word
    assert word in (*ATTEMPTS, "")
