"""The page without a server, in a real JavaScript engine: the rules are the server's, and no answer is lost."""

import hashlib
import json
import random

import msgspec
import pytest
from offline_page import opening, run_page, sending
from tiny_experiment import DESIGN, all_messages, answer_message, build_experiment, form_message, key_of, right, wrong

from audiometamer.experiment.pack import pack
from audiometamer.experiment.reading import read_experiment
from audiometamer.listening.collect import collect
from audiometamer.listening.list_names import list_names, list_token
from audiometamer.listening.messages import Message
from audiometamer.listening.reading import read_answers
from audiometamer.listening.refusals import ConflictError, ExcessError, RefusedError
from audiometamer.listening.session import page_state
from audiometamer.listening.store import Store

REQUIRED = """
[[questions]]
name = "device"
text = "What do you wear?"
kind = "choice"
options = ["headphones", "earphones"]
required = true
when = "before"
"""


def test_sha256_is_that_of_the_standard(static):
    texts = ["", "abc", "ü€😀", *("a" * n for n in (54, 55, 56, 63, 64, 65, 119, 120, 1000))]
    (found,) = run_page(static, [{"do": "sha256", "texts": texts}])
    assert found == [hashlib.sha256(text.encode()).hexdigest() for text in texts]


def test_a_whole_experiment_in_a_browser_alone(static, experiment, store, tmp_path):
    messages = all_messages(experiment, 2)
    steps = [opening(list_token(experiment, 2)), {"do": "session"}, {"do": "leave"}, *map(sending, messages)]
    reported = run_page(
        static, [*steps, {"do": "session"}, {"do": "leave"}, {"do": "end"}, *[{"do": "click"}] * 2, {"do": "leave"}]
    )
    before, after = reported[1], reported[len(steps)]
    assert before["state"] == {"next": 1, "over": None, "forms": []}
    assert "debriefing" not in before["texts"]
    assert before["completion"] is None
    assert [one["trial"] for one in before["trials"]] == [trial.trial for trial in experiment.trials(2)]
    assert after["state"] == {"next": None, "over": "finished", "forms": ["consent", "questions-after"]}
    assert after["texts"]["debriefing"].startswith("<h1>Thank you</h1>")
    assert (reported[2], reported[len(steps) + 1], reported[-1]) == (
        False,
        True,
        False,
    )  # asked before leaving, until it is saved
    first, second = reported[-3:-1]
    assert first == second
    assert first["name"].endswith(".jsonl")
    lines = first["text"].splitlines()
    assert json.loads(lines[0])["list"] == list_names(experiment)[1]
    assert [json.loads(line) for line in first["text"].split("\n")[1:-1]] == messages
    (tmp_path / first["name"]).write_text(first["text"], encoding="utf-8")
    (one,) = collect(experiment, [tmp_path / first["name"]], store)
    assert (one.number, one.answers) == (2, len(experiment.trials(2)))
    listener = read_answers(store.path, experiment).listeners[0]
    assert listener.finished
    assert listener.questionnaire["age"] == "30"


def test_practice_tells_what_was_right_and_nothing_else_does(static, experiment):
    trials = experiment.trials(1)
    messages = [
        answer_message(trial, wrong(experiment, trial) if trial.kind == "practice" else right(experiment, trial))
        for trial in trials
    ]
    reported = run_page(static, [opening(list_token(experiment, 1)), *map(sending, [form_message("consent"), *messages])])[2:]
    for trial, one in zip(trials, reported, strict=True):
        expected = {"correct": False, "answer": right(experiment, trial)} if trial.kind == "practice" else None
        assert one["feedback"] == expected


def test_it_goes_on_at_the_same_trial_after_a_reload_and_beside_another_tab(static, experiment):
    link, messages = list_token(experiment, 1), all_messages(experiment, 1)
    reported = run_page(static, [
        opening(link), *map(sending, messages[:4]), opening(link), {"do": "session"},
        opening(link, **{"as": "tab"}), sending(messages[4], **{"as": "tab"}), sending(messages[4]), sending(messages[5]),
        sending({**messages[5], "key": key_of("tab")}, **{"as": "tab"}), {"do": "browser"}, opening(link), {"do": "session"},
    ])  # fmt: skip
    assert reported[0] == reported[5] == reported[7]
    assert reported[6]["state"]["next"] == 4
    assert reported[8] == reported[9]
    assert reported[10]["state"]["next"] == 6
    assert reported[11]["message"] == "trial 5 is answered"
    assert reported[11]["state"]["next"] == 6
    assert reported[13] != reported[0]  # another browser is another listener
    assert reported[14]["state"]["next"] == 1


def test_a_full_storage_confirms_nothing(static, experiment):
    messages = all_messages(experiment, 1)
    reported = run_page(static, [
        opening(list_token(experiment, 1)), sending(messages[0]), {"do": "full", "full": True}, sending(messages[1]),
        {"do": "session"}, {"do": "full", "full": False}, sending(messages[1]),
    ])  # fmt: skip
    assert reported[3] == {"error": "QuotaExceededError"}
    assert reported[4]["state"]["next"] == 1
    assert reported[6]["state"]["next"] == 2


def test_links_that_open_nothing_and_browsers_that_keep_nothing(static, experiment):
    reported = run_page(static, [
        opening(""), opening("guess"), opening("../study"), {"do": "full", "full": True}, opening(list_token(experiment, 1)),
    ])  # fmt: skip
    assert [one and one["refused"] for one in reported] == [401, 404, 404, None, 403]
    assert "whole link" in reported[0]["message"]
    assert "must be allowed to keep data" in reported[4]["message"]


def test_sounds_and_pictures(static, experiment):
    stimulus = experiment.trials(1)[0].stimulus
    reported = run_page(static, [
        opening(list_token(experiment, 1)),
        {"do": "sound", "stimulus": stimulus}, {"do": "sound", "stimulus": "calibrationnoise"},
        {"do": "sound", "stimulus": "nothing"}, {"do": "sound", "stimulus": "broken"}, {"do": "picture", "k": 2},
    ])  # fmt: skip
    assert reported[1] == (experiment.folder / "sounds" / f"{stimulus}.wav").stat().st_size
    assert reported[2] > 0
    assert reported[3]["refused"] == 404
    assert "500" in reported[4]["error"]
    assert reported[5] == "pictures/2.png"


def outcome(store, listener, content):
    """What the server would say, in the words of the page."""
    try:
        message = msgspec.json.decode(json.dumps(content), type=Message)
    except msgspec.ValidationError:
        return {"refused": 422, "message": "this is not a valid message", "state": None}
    experiment, trials = store.experiment, store.experiment.trials(store.state(listener).number)
    try:
        state = msgspec.to_builtins(page_state(store.keep(listener, message)))
    except ConflictError as error:
        return {"refused": 409, "message": str(error), "state": msgspec.to_builtins(page_state(store.state(listener)))}
    except RefusedError as error:
        return {"refused": 429 if isinstance(error, ExcessError) else 422, "message": str(error), "state": None}
    feedback = None
    if content["kind"] == "answer" and trials[content["trial"] - 1].kind == "practice":
        answer = right(experiment, trials[content["trial"] - 1])
        feedback = {"correct": content["answer"] == answer, "answer": answer}
    return {"kept": content["key"], "state": state, "feedback": feedback}


def draw_message(chance, experiment, number, turn):
    """Mostly what a page would send now; else something repeated, altered, early, late, of another list, or no message at all."""
    trials = experiment.trials(number)
    trial = trials[min(max(turn + chance.choice([0, 0, 0, 0, 0, 0, -1, 1]), 0), len(trials) - 1)]
    kind = chance.choices(["answer", "form", "events", "odd"], [12, 2, 1, 2])[0]
    if kind == "answer":
        answer = (right if chance.random() < 0.75 else wrong)(experiment, trial)
        key = key_of("trial", trial.trial, chance.choices(["", "again"], [4, 1])[0])
        message = answer_message(trial, answer, key=key)
        return chance.choices(
            [
                message,
                {**message, "stimulus": trials[-1].stimulus},
                {**message, "answer": "nothing"},
                {**message, "confidence": 50},
            ],
            [10, 1, 1, 1],
        )[0]
    if kind == "form":
        forms = [
            form_message("consent"), form_message("browser", agent="x", webdriver=False), form_message("questions-before"),
            form_message("questions-before", device="headphones"), form_message("questions-before", device="a horn"),
            form_message("questions-after", age=chance.choice([30, "30", True, None, ""])),
            form_message("questions-after", weight=1),
        ]  # fmt: skip
        return {**chance.choice(forms), "key": key_of("form", chance.randrange(8))}
    if kind == "events":
        event = {"what": "blur", "when": "2026-03-01T10:00:00Z", "trial": chance.choice([None, 1]), "details": {"a": 1}}
        return {"kind": "events", "key": key_of("events", chance.randrange(8)), "events": [event]}
    return chance.choice(ODD)


MOMENTS = [
    "9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00+01:00", "0000-01-01T00:00:00Z", "1969-12-31T23:59:59.999Z",
    "1970-01-01T00:00:00Z", "1970-01-01T00:00:00+00:01", "2199-12-31T23:59:59.999Z", "2200-01-01T00:00:00Z",
    "2200-01-01T00:30:00+01:00", "2026-02-29T00:00:00Z", "2024-02-29T00:00:00Z", "2100-02-29T00:00:00Z", "2000-02-29T00:00:00Z",
    "2026-02-30T00:00:00Z", "2026-04-31T00:00:00Z", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-01-00T00:00:00Z",
    "2026-01-01T24:00:00Z", "2026-01-01T23:60:00Z", "2026-01-01T23:59:60Z", "2026-01-01T00:00:00+24:00",
    "2026-01-01T00:00:00+23:59",
]  # fmt: skip
ANSWER = {
    "kind": "answer", "key": key_of("odd"), "trial": 1, "stimulus": "x", "answer": "1", "reaction_time_ms": 1, "plays": 1,
    "started": "2026-03-01T10:00:00Z", "answered": "2026-03-01T10:00:00Z",
}  # fmt: skip
ODD: list = [
    None, [], "answer", {}, {"kind": "drop"}, {"kind": "__proto__", "key": key_of("odd")}, {**ANSWER, "key": "short"},
    {**ANSWER, "key": "k" * 65}, {**ANSWER, "key": key_of("odd") + "\n"}, {**ANSWER, "trial": 0}, {**ANSWER, "trial": 1.5},
    {**ANSWER, "trial": "1"}, {**ANSWER, "trial": 99}, {**ANSWER, "reaction_time_ms": -1}, {**ANSWER, "reaction_time_ms": None},
    {**ANSWER, "reaction_time_ms": 1e12}, {**ANSWER, "plays": -1}, {**ANSWER, "plays": 1001}, {**ANSWER, "answer": 3},
    {**ANSWER, "answer": "x" * 201}, {**ANSWER, "answer": "😀" * 200}, {**ANSWER, "answer": "😀" * 201},
    {**ANSWER, "correct": True}, {**ANSWER, "confidence": 101}, {**ANSWER, "confidence": "50"}, {**ANSWER, "confidence": 50},
    {**ANSWER, "started": "yesterday"}, {**ANSWER, "started": "2026-03-01T10:00:00"}, {**ANSWER, "playback": {"k" * 65: 1}},
    {**ANSWER, "playback": {str(k): k for k in range(65)}}, {**ANSWER, "playback": {"a": [1]}}, {**ANSWER, "playback": []},
    {**ANSWER, "stimulus": "x" * 65}, {"kind": "form", "key": key_of("odd"), "form": "confession"},
    *({**ANSWER, "answered": moment} for moment in MOMENTS), *({**ANSWER, "started": moment} for moment in MOMENTS),
    *(
        {"kind": "events", "key": key_of("when", k), "events": [{"what": "blur", "when": moment}]}
        for k, moment in enumerate(MOMENTS)
    ),
    {"kind": "form", "key": key_of("odd"), "form": "browser", "content": {"a": "x" * 4001}},
    {"kind": "form", "key": key_of("odd"), "form": "browser", "content": {"a": {"b": 1}}},
    {"kind": "form", "key": key_of("odd2"), "form": "browser", "content": {"a": "x" * 4000, "b": None, "c": 0.5}},
    {"kind": "events", "key": key_of("odd"), "events": []},
    {"kind": "events", "key": key_of("odd"), "events": [{"what": "<b>", "when": "2026-01-01T00:00:00Z"}]},
    {"kind": "events", "key": key_of("odd"), "events": [{"what": "blur", "when": "2026-01-01T00:00:00"}]},
    {"kind": "events", "key": key_of("odd"), "events": [{"what": "blur", "when": "2026-01-01T00:00:00Z"}] * 101},
]  # fmt: skip


@pytest.fixture(scope="module")
def asking(tmp_path_factory):
    """An experiment with an obligatory question, and its static folder."""
    folder = tmp_path_factory.mktemp("asking")
    experiment = read_experiment(build_experiment(folder, DESIGN + REQUIRED))
    pack(experiment.folder, folder / "static", to="static")
    return experiment, folder / "static"


def test_the_rules_are_those_of_the_server(asking, tmp_path):
    """The same random messages to both: the same states, the same refusals in the same words."""
    experiment, folder = asking
    steps, expected = [], []
    for seed in range(60):
        chance = random.Random(seed)
        number = seed % 6 + 1
        store = Store(tmp_path / f"{seed}.db", experiment)
        store.database.connection.execute("PRAGMA synchronous = OFF")  # what is looked at is not the disk
        tokens = [store.enrol() for _ in range(number)]
        listener = store.listener(tokens[-1])
        steps += [{"do": "browser"}, opening(list_token(experiment, number))]
        expected += [None, None]
        for content in [form_message("consent")] * (seed % 5 > 0) + [None] * 40:
            turn = (store.state(listener).next or 1) - 1
            message = content or draw_message(chance, experiment, number, turn)
            steps.append(sending(message))
            expected.append(outcome(store, listener, message))
            if chance.random() < 0.05:
                steps.append(opening(list_token(experiment, number)))  # a reload
                expected.append(None)
        store.close()
    reported = run_page(folder, steps)
    ends = []
    for step, one, other in zip(steps, reported, expected, strict=True):
        if step["do"] == "send":
            assert one == other, step
            ends.append((other.get("refused"), (other["state"] or {}).get("over")))
    assert {
        (None, None),
        (409, None),
        (422, None),
        (None, "stopped"),
        (None, "finished"),
        (409, "stopped"),
        (409, "finished"),
    } <= set(ends)
    assert ends.count((None, None)) > 300


def test_odd_messages_are_judged_as_by_the_server(static, experiment, store):
    listener = store.listener(store.enrol())
    reported = run_page(static, [opening(list_token(experiment, 1)), *map(sending, ODD)])[1:]
    assert reported == [outcome(store, listener, message) for message in ODD]


def test_a_page_gone_wild_is_stopped_where_the_server_stops_it(asking):
    experiment, folder = asking
    event = {"what": "blur", "when": "2026-03-01T10:00:00Z"}
    messages = [{"kind": "events", "key": key_of("many", k), "events": [event]} for k in range(2001)]
    reported = run_page(folder, [opening(list_token(experiment, 1)), *map(sending, messages)])
    assert reported[-2]["kept"] == messages[-2]["key"]
    assert (reported[-1]["refused"], reported[-1]["message"]) == (429, "more than 2000 forms and events are not kept")
