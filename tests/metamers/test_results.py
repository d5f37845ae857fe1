"""How a metamer was made, from its record."""

import msgspec
import pytest
from msgspec.structs import replace

import audiometamer as am
from audiometamer.matching import Constant, NormalizedDescent
from audiometamer.metamers import Attempt, Method
from audiometamer.metamers.results import iterate_results
from audiometamer.metamers.settings import Settings
from audiometamer.metamers.summaries import ATTEMPTS, AttemptSummary, EvidenceSummary, attempt_origin, path_of

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


SETTINGS = Settings("clip", "", "model", "", "relu1", 0, "default", 200, "")


def test_a_path_names_what_was_continued_and_how():
    going_on = AttemptSummary("going on", None, 200, continues=0, gradient_clip=0.4, straight_through=True)
    assert path_of([NOISE, FROM_THE_FIRST, AGAIN], 1, SETTINGS) == "growth > going on"
    assert path_of([NOISE, FROM_THE_FIRST, AGAIN, FROM_THE_THIRD], 3, SETTINGS) == "growth > going on"
    assert path_of([NOISE, FROM_THE_FIRST, going_on], 2, SETTINGS) == "growth > going on (gradient clip 0.4, straight-through)"
    assert path_of([NOISE, GOING_ON], 0, replace(SETTINGS, initial="sha256")) == "initial signal > growth"
    exact = replace(SETTINGS, exact=True)
    assert path_of([NOISE, going_on], 1, exact) == "growth (exact) > going on (exact, gradient clip 0.4, straight-through)"
    assert path_of([], 0, SETTINGS) == ""


def test_the_record_says_which_path_was_taken(tiny, tiny_clip, tmp_path):
    """The second attempt, which continues the first, is made in any case, and gets nearer."""

    def steps(_):
        return NormalizedDescent(Constant(0.1))

    attempts = (Attempt("first", steps, straight_through=True), Attempt("second", steps, warm_start=True, always=True))
    (made,) = am.synthesize(tiny, tiny_clip, "relu0", method=Method("two", 10, attempts))
    assert made.evidence.path == "first (straight-through) > second"
    made.save(tmp_path)
    (result,) = iterate_results(tmp_path)
    assert result.evidence.path_taken == "first (straight-through) > second"
    earlier = msgspec.to_builtins(result.evidence) | {"path": ""}
    for tried in earlier["tries"]:
        del tried["straight_through"]
    assert msgspec.convert(earlier, EvidenceSummary).path_taken == "first > second"
