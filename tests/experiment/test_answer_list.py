"""The closed list of answers, and everything that can be wrong with it."""

import pytest
import tiny_models

from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.answer_list import AnswerList, answer_list, answer_problems, write_answers
from audiometamer.experiment.available import AvailableStimuli
from audiometamer.experiment.design import Design
from audiometamer.listening.design import ResponseFormat

STIMULI = AvailableStimuli([], ["a", "b"], {}, [], {"a": {"word": "two"}, "b": {"word": "ten"}})


def design(**answers):
    return Design("x", 1, answers=ResponseFormat(**answers))


def problems(tmp_path, **answers):
    asked = design(**answers)
    found = answer_problems(tmp_path / "design.toml", asked, STIMULI, answer_list(tmp_path / "design.toml", asked, STIMULI))
    return [(problem.place, problem.message) for problem in found]


def test_the_list_is_that_of_the_set_or_of_the_design(tmp_path):
    path = tmp_path / "design.toml"
    assert answer_list(path, design(), STIMULI) == AnswerList(["ten", "two"], [])
    assert answer_list(path, design(equal={"two": ["too", "ten"]}), STIMULI) == AnswerList(["ten", "two"], ["too"])
    assert answer_list(path, design(kind="abx"), STIMULI).all == ["1", "2"]
    (tmp_path / "words.txt").write_text("ten\ntwo\nelm\n")
    assert answer_list(path, design(list="words.txt"), STIMULI).all == ["ten", "two", "elm"]


def test_the_list_may_be_the_labels_of_a_network(tmp_path):
    asked = design(model="tiny_models:sound_model")
    assert answer_list(tmp_path / "design.toml", asked, STIMULI).listed == sorted(tiny_models.WORDS)
    with pytest.raises(AudioMetamerError, match=r"answers\.model: tiny has no labels for 'speaker'; it has some for word"):
        answer_list(tmp_path / "design.toml", design(model="tiny_models:sound_model", of="speaker"), STIMULI)


def test_the_output_of_published_networks_for_no_word_is_no_answer(tmp_path, monkeypatch):
    monkeypatch.setattr(tiny_models, "WORDS", ("__nullSignal__", "about", "above"))
    assert answer_list(tmp_path / "design.toml", design(model="tiny_models:sound_model"), STIMULI).listed == ["about", "above"]


def test_what_is_right_has_no_problem(tmp_path):
    assert problems(tmp_path) == problems(tmp_path, equal={"two": ["too"]}) == problems(tmp_path, kind="odd-one-out") == []


@pytest.mark.parametrize(
    ("answers", "place", "message"),
    [
        ({"equal": {"tow": ["too"]}}, "answers.equal", "'tow' is none of the answers; did you mean 'two'?"),
        ({"kind": "choice", "equal": {"two": ["o"]}}, "answers.equal", "'o' is not in the list of answers; nobody can choose it"),
        ({"names": {"tne": "x"}}, "answers.names", "'tne' is none of the answers; did you mean 'ten'?"),
        ({"names": {"ten": "two"}}, "answers.list", "'ten' and 'two' are the same when typed; keep one of them"),
        (
            {"kind": "choice", "names": {"ten": "two"}}, "answers.list",
            "'ten' and 'two' are both shown as 'two'; keep one of them",
        ),
        ({"kind": "choice", "alternatives": 3}, "answers.alternatives", "3 are wanted of a list of 2"),
        (
            {"kind": "choice", "list": "many.txt"}, "answers.kind",
            "a choice among 101 answers fits no page; have them typed, or give alternatives",
        ),
    ],
)  # fmt: skip
def test_each_problem_has_its_place(tmp_path, answers, place, message):
    (tmp_path / "many.txt").write_text("\n".join(["two", "ten", *(f"word {k}" for k in range(99))]))
    assert problems(tmp_path, **answers) == [(place, message)]


def test_a_list_lacks_answers_and_pictures(tmp_path):
    (tmp_path / "words.txt").write_text("elm\noak\n")
    assert problems(tmp_path, list="words.txt") == [("answers.list", "it lacks 'ten', the right answer to a clip, and 1 more")]
    assert problems(tmp_path, kind="choice", pictures="png") == [
        ("answers.pictures", f"{tmp_path}/png/ten.png does not exist, and 1 more")
    ]


def test_pictures_are_numbered_by_their_answers(tmp_path):
    (tmp_path / "png").mkdir()
    for word in ("ten", "two"):
        (tmp_path / "png" / f"{word}.png").write_text(word)
    asked = design(kind="choice", pictures="png")
    (tmp_path / "out").mkdir()
    write_answers(tmp_path / "out", tmp_path / "design.toml", asked, AnswerList(["ten", "two"], []))
    assert (tmp_path / "out" / "answers.txt").read_text() == "ten\ntwo\n"
    assert [(tmp_path / "out" / "pictures" / f"{k}.png").read_text() for k in (1, 2)] == ["ten", "two"]
