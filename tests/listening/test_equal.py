"""Answers that count as others: in a design, in tables, at the server, and in a page without one."""

import csv
import json

import pytest
from offline_page import opening, run_page, sending
from starlette.testclient import TestClient
from tiny_experiment import DESIGN, WORDS, all_messages, answer_message, build_experiment, form_message, write_design

from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.design import read_design
from audiometamer.experiment.pack import pack
from audiometamer.experiment.reading import read_experiment
from audiometamer.listening.app import create_app
from audiometamer.listening.collect import collect
from audiometamer.listening.list_names import list_names, list_token
from audiometamer.listening.reading import read_answers
from audiometamer.listening.received import TRIALS
from audiometamer.listening.store import Store

EQUAL = {"dog": ["hound"], "fish": ["phish", "fisch"], "goat": ["kite"]}
TABLE = "[answers.equal]\n" + "\n".join(f"{answer} = {json.dumps(words)}" for answer, words in EQUAL.items())


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    return read_experiment(build_experiment(tmp_path_factory.mktemp("equal"), f"{DESIGN}\n{TABLE}\n"))


def same_by_hand(one, other):
    """Worked out from the table alone: equal, or in one of the groups of an answer and its words."""
    return one == other or any({one, other} <= {answer, *words} for answer, words in EQUAL.items())


def test_what_counts_as_what(experiment):
    assert experiment.answers == [*sorted(WORDS), "hound", "phish", "fisch"]
    for one in experiment.answers:
        for other in experiment.answers:
            assert experiment.design.answers.same(one, other) == same_by_hand(one, other)


def test_server_page_and_tables_judge_alike(experiment, tmp_path):
    """Each answer of the list, given to each practice and demonstration trial, by both."""
    pack(experiment.folder, tmp_path / "packed", to="static")
    trials = experiment.trials(1)
    practice = next(trial for trial in trials if trial.kind == "practice")
    word = experiment.key[practice.stimulus].answer
    before = [
        form_message("consent"),
        *(answer_message(t, experiment.key[t.stimulus].answer) for t in trials[: practice.trial - 1]),
    ]
    for k, answer in enumerate(experiment.answers):
        expected = {"correct": same_by_hand(answer, word), "answer": word}
        messages = [*before, answer_message(practice, answer)]
        reported = run_page(tmp_path / "packed", [{"do": "browser"}, opening(list_token(experiment, 1)), *map(sending, messages)])
        assert reported[-1]["feedback"] == expected
        store = Store(tmp_path / f"{k}.db", experiment)
        client, bearing = TestClient(create_app(experiment, store)), {"Authorization": f"Bearer {store.enrol()}"}
        assert [client.post("/api/messages", json=m, headers=bearing) for m in messages][-1].json()["feedback"] == expected
        store.close()


def equal_to(experiment, trial):
    """An answer that counts as the right one, another than it where there is one."""
    right = experiment.key[trial.stimulus].answer
    return next((one for one in experiment.options(trial) if one != right and same_by_hand(one, right)), right)


def test_a_listener_who_types_equal_answers_is_right(experiment, tmp_path):
    store = Store(tmp_path / "answers.db", experiment)
    pack(experiment.folder, tmp_path / "packed", to="static")
    messages = all_messages(experiment, 1, answer=equal_to)
    reported = run_page(tmp_path / "packed", [opening(list_token(experiment, 1)), *map(sending, messages)])
    assert reported[-1]["state"]["over"] == "finished", "both checks are passed"
    path = tmp_path / "answers.jsonl"
    header = {"kind": "listener", "audiometamer": "1", "service": "static", "listener": "one"}
    header["list"] = list_names(experiment)[0]
    path.write_text("".join(json.dumps(one) + "\n" for one in [header, *messages]), encoding="utf-8")
    collect(experiment, [path], store)
    found = read_answers(store.path, experiment)
    assert all(trial.correct for trial in found.trials)
    assert found.listeners[0].finished
    rows = list(csv.DictReader(found.text(TRIALS).splitlines(), delimiter="\t"))
    assert [row["answer"] for row in rows] == [message["answer"] for message in messages[1:-1]]
    counted = {word: answer for answer, words in EQUAL.items() for word in words}
    assert [row["counted_as"] for row in rows] == [counted.get(row["answer"], row["answer"]) for row in rows]
    assert any(row["counted_as"] != row["answer"] for row in rows)


def test_psychopy_is_reported(experiment, tmp_path):
    pack(experiment.folder, tmp_path / "psychopy", to="psychopy")
    with (tmp_path / "psychopy" / "lists" / "list_001.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["kind"] != "headphones"]
    for row in rows:
        expected = [
            one for one in experiment.answers if one != row["correct_answer"] and same_by_hand(one, row["correct_answer"])
        ]
        assert (json.loads(row["also_correct"].replace("'", '"')) if row["also_correct"] else []) == expected


@pytest.mark.parametrize(
    ("table", "reported"),
    [
        ('dog = ["hound"]\nfish = ["hound"]', r"answers\.equal: 'hound' appears twice"),
        ('dog = ["hound", "hound"]', r"answers\.equal: 'hound' appears twice"),
        ('dog = ["fish"]\nfish = ["dog"]', r"answers\.equal\.dog: it counts as 'fish' already"),
        ('dog = ["dog"]', r"answers\.equal\.dog: it counts as 'dog' already"),
        ('dog = ["fish"]\nfish = ["phish"]', r"answers\.equal\.fish: it counts as 'dog' already"),
        ('dog = [""]', r"answers\.equal"),
        ("dog = 3", r"answers\.equal"),
    ],
)
def test_what_contradicts_itself_is_refused(tmp_path, table, reported):
    with pytest.raises(AudioMetamerError, match=reported):
        read_design(write_design(tmp_path, f"{DESIGN}\n[answers.equal]\n{table}\n"))


@pytest.mark.parametrize(
    ("answers", "reported"),
    [
        ('[answers.equal]\ndogg = ["hound"]', r"answers\.equal: 'dogg' is none of the answers; did you mean 'dog'\?"),
        ('[answers.equal]\ndog = ["DOG"]', r"'dog' and 'DOG' are the same when typed"),
        (
            '[answers]\nkind = "choice"\n[answers.equal]\ndog = ["hound"]',
            r"answers\.equal: 'hound' is not in the list of answers",
        ),
        ('[answers]\nkind = "choice"\nalternatives = 12\n[answers.equal]\ndog = ["fish"]', "12 are wanted of a list of 11"),
        ('[answers.names]\ndogg = "hound"', r"answers\.names: 'dogg' is none of the answers; did you mean 'dog'\?"),
        ('[answers.names]\ndog = "fish"', r"'dog' and 'fish' are the same when typed"),
    ],
)
def test_what_does_not_fit_the_list_is_refused(tmp_path, answers, reported):
    with pytest.raises(AudioMetamerError, match=reported):
        build_experiment(tmp_path, f"{DESIGN}\n{answers}\n")


def test_no_alternative_counts_as_the_right_answer(tmp_path):
    text = f'{DESIGN}\n[answers]\nkind = "choice"\nalternatives = 11\n[answers.equal]\ndog = ["fish"]\n'
    experiment = read_experiment(build_experiment(tmp_path, text))
    for number in range(1, 7):
        for trial in experiment.trials(number):
            if trial.kind != "headphones":
                same = experiment.design.answers.same
                assert [one for one in trial.options if same(one, experiment.key[trial.stimulus].answer)] == [
                    experiment.key[trial.stimulus].answer
                ]
