"""The page in JATOS, as its documentation describes it: a list for each, however many come at once, and every answer there."""

import hashlib
import json
import shutil

import pytest
from offline_page import opening, run_page, sending
from tiny_experiment import all_messages, key_of, right, wrong

from audiometamer.listening.collect import collect
from audiometamer.listening.list_names import list_name, list_names, list_token
from audiometamer.listening.reading import read_answers


def coming(worker, **more):
    """A worker opens the study, or reloads its page."""
    return opening(jatos={"workerId": worker, **more}, **{"as": str(worker)})


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def by(worker, message):
    return sending(message, **{"as": str(worker)})


def text_of(server):
    """As JATOS exports results as text: one after the other, a line end after each."""
    return "".join(result["data"] + "\n" for result in server["results"])


def test_no_list_is_given_twice_however_many_come_at_once(jatos_for_all, experiment):
    reported = run_page(jatos_for_all, [{"do": "together", "steps": [coming(worker) for worker in range(8)]}, {"do": "server"}])
    keys = [one for one in reported[0] if isinstance(one, str)]
    refused = [one for one in reported[0] if not isinstance(one, str)]
    assert len(set(keys)) == 6
    assert [(one["refused"], one["message"]) for one in refused] == [(409, "all 6 lists have their listeners")] * 2
    seats = reported[1]["session"]
    assert sorted(seat["list"] for seat in seats.values()) == sorted(map(sha256, list_names(experiment)))
    assert reported[1]["conflicts"] >= 5


def test_a_whole_experiment_with_reloads_and_failures(jatos_for_all, experiment, store, tmp_path):
    messages = all_messages(experiment, 1)
    steps = [coming(1), *(by(1, message) for message in messages[:3]), coming(1), {"do": "session", "as": "1"}]
    for what, message in zip(("append", "answer", "channel"), messages[3:6], strict=True):
        steps += [{"do": "fail", "what": what, "times": 1}, by(1, message), by(1, message)]
    steps += [*(by(1, message) for message in messages[6:]), {"do": "session", "as": "1"}, {"do": "end", "as": "1"}]
    reported = run_page(jatos_for_all, [*steps, {"do": "click"}, {"do": "server"}])
    assert reported[5]["state"] == {"next": 3, "over": None, "forms": ["consent"]}
    failed = [one for one in reported if isinstance(one, dict) and "error" in one]
    assert [one["error"] for one in failed] == [
        "JATOS did not take it: Ajax error", "JATOS did not take it: timeout", "JATOS did not take it: no reason given",
    ]  # fmt: skip
    assert reported[-4]["state"]["over"] == "finished"
    assert reported[-1]["ends"] == [["endStudy", True, "finished"]]
    file = tmp_path / "results.txt"
    file.write_text(text_of(reported[-1]), encoding="utf-8")
    (one,) = collect(experiment, [file], store)
    assert file.read_text().count(messages[4]["key"]) == 2  # JATOS had it, and nobody heard so
    assert one.answers == len(experiment.trials(1))
    answers = read_answers(store.path, experiment).answers(one.listener)
    assert [answer.answer for answer in answers] == [message["answer"] for message in messages[1:-1]]


def test_who_comes_again_goes_on_at_the_same_trial(jatos_for_all, experiment, store, tmp_path):
    """In another browser, under another worker's name, because Prolific says who it is."""
    messages, same = all_messages(experiment, 1), {"query": {"PROLIFIC_PID": "abc123"}}
    reported = run_page(jatos_for_all, [
        coming(1, **same), *(by(1, message) for message in messages[:5]), coming(2), {"do": "browser"}, coming(3, **same),
        {"do": "session", "as": "3"}, *(by(3, message) for message in messages[5:]), {"do": "server"},
    ])  # fmt: skip
    assert reported[9]["state"] == {"next": 5, "over": None, "forms": ["consent"]}
    assert reported[0] == reported[8] != reported[6]
    server = reported[-1]
    assert "abc123" not in json.dumps(server["session"])
    file = tmp_path / "results.txt"
    file.write_text(text_of(server), encoding="utf-8")
    assert [(one.number, one.answers) for one in collect(experiment, [file], store)] == [(1, len(experiment.trials(1)))]


def test_who_comes_under_a_placeholder_is_refused_and_blanks_make_nobody_else(jatos_for_all):
    reported = run_page(jatos_for_all, [
        *(coming(k, query={"PROLIFIC_PID": name}) for k, name in enumerate(["{{%PROLIFIC_PID%}}", "undefined", " ", ""])),
        coming(8, query={"PROLIFIC_PID": "abc"}), coming(9, query={"PROLIFIC_PID": " abc "}),
    ])  # fmt: skip
    nobody = {"refused": 403, "message": "prolific does not say who this is", "state": None}
    assert reported[:4] == [nobody] * 4
    assert reported[4] == reported[5]


def test_a_closed_channel_is_waited_for(jatos_for_all, experiment):
    reported = run_page(jatos_for_all, [
        {"do": "fail", "what": "channel", "times": 3}, coming(1), {"do": "fail", "what": "channel", "times": 30}, coming(2),
        opening(again=True, **{"as": "2"}), {"do": "server"},
    ])  # fmt: skip
    assert isinstance(reported[1], str)
    assert reported[3] == {"error": "JATOS did not take it: no reason given"}
    assert isinstance(reported[4], str)
    assert sorted(seat["list"] for seat in reported[5]["session"].values()) == sorted(map(sha256, list_names(experiment)[:2]))


def test_two_pages_of_the_same_worker_do_not_answer_twice(jatos_for_all, experiment):
    messages, other = all_messages(experiment, 1), {"as": "other"}
    reported = run_page(jatos_for_all, [
        coming(1), opening(jatos={"workerId": 1}, **other), *(by(1, message) for message in messages[:3]),
        sending({**messages[2], "key": key_of("other")}, **other), sending(messages[3], **other), by(1, messages[3]),
    ])  # fmt: skip
    assert reported[5]["message"] == "trial 2 is answered"
    assert reported[5]["state"]["next"] == 3
    assert reported[6] == reported[7]


def test_the_list_of_who_was_stopped_is_given_again(jatos_for_all, experiment, store, tmp_path):
    failing = all_messages(experiment, 1, answer=wrong, n=2)[:-1]
    reported = run_page(jatos_for_all, [
        coming(1), *(by(1, message) for message in failing), coming(2),
        *(by(2, message) for message in all_messages(experiment, 1)), {"do": "end", "as": "1"}, {"do": "click"}, {"do": "server"},
    ])  # fmt: skip
    assert reported[3]["state"] == {"next": None, "over": "stopped", "forms": ["consent"]}
    server = reported[-1]
    assert len({seat["list"] for seat in server["session"].values()}) == 1
    assert server["ends"] == [["endStudy", True, "stopped"]]
    file = tmp_path / "results.txt"
    file.write_text(text_of(server), encoding="utf-8")
    assert [one.number for one in collect(experiment, [file], store)] == [1, 1]
    assert sorted(one.excluded for one in read_answers(store.path, experiment).listeners) == [False, True]


@pytest.mark.parametrize("over", ["finished", "stopped"])
def test_completion_leads_back_to_the_service(jatos_for_all, experiment, tmp_path, over):
    folder = shutil.copytree(jatos_for_all, tmp_path / "jatos", ignore=shutil.ignore_patterns("*.wav"))
    study = json.loads((folder / "study.json").read_text())
    study["completion"] = {"finished": "https://a.example/finished", "stopped": "https://a.example/stopped"}
    (folder / "study.json").write_text(json.dumps(study))
    answer, n = (right, None) if over == "finished" else (wrong, 2)
    steps = [coming(1), *(by(1, message) for message in all_messages(experiment, 1, answer=answer, n=n))]
    reported = run_page(folder, [*steps, {"do": "end", "as": "1"}, {"do": "click"}, {"do": "server"}])
    assert reported[-1]["ends"] == [["endStudyAndRedirect", f"https://a.example/{over}", True, over]]


def with_link(worker, experiment, number, **more):
    return coming(worker, query={"list": list_token(experiment, number), **more})


def test_a_link_opens_its_list_and_no_other(jatos, experiment, store, tmp_path):
    messages = all_messages(experiment, 3)
    reported = run_page(jatos, [
        with_link(1, experiment, 3), {"do": "session", "as": "1"}, *(by(1, message) for message in messages[:3]),
        with_link(1, experiment, 3), {"do": "session", "as": "1"}, *(by(1, message) for message in messages[3:]), coming(2),
        coming(3, query={"list": "guess"}), coming(4, query={"list": list_names(experiment)[0]}),
        with_link(5, experiment, 3, PROLIFIC_PID="somebody else"), {"do": "server"},
    ])  # fmt: skip
    assert [one["stimulus"] for one in reported[1]["trials"]] == [trial.stimulus for trial in experiment.trials(3)]
    assert reported[6]["state"] == {"next": 3, "over": None, "forms": ["consent"]}
    refused = [one["refused"] for one in reported if isinstance(one, dict) and "refused" in one]
    assert refused == [401, 404, 404, 409]
    assert "whole link" in reported[-5]["message"]
    assert reported[-2]["message"] == "this list has its listener"
    file = tmp_path / "results.txt"
    file.write_text(text_of(reported[-1]), encoding="utf-8")
    assert [(one.number, one.answers) for one in collect(experiment, [file], store)] == [(3, len(experiment.trials(3)))]


def test_who_opens_a_link_again_resumes_though_jatos_takes_them_for_another_worker(jatos, experiment):
    for named in ({}, {"PROLIFIC_PID": "abc"}):
        reported = run_page(jatos, [
            with_link(1, experiment, 2, **named), *(by(1, message) for message in all_messages(experiment, 2)[:4]),
            {"do": "browser"}, with_link(7, experiment, 2, **named), {"do": "session", "as": "7"},
        ])  # fmt: skip
        assert reported[-1]["state"] == {"next": 4, "over": None, "forms": ["consent"]}


def test_what_all_listeners_can_read_opens_no_list(jatos, experiment):
    """Files that a page can name without a link, and the batch session, which every page reads."""
    (seats,) = run_page(jatos, [
        with_link(1, experiment, 1), *(by(1, message) for message in all_messages(experiment, 1)), {"do": "server"},
    ])[-1:]  # fmt: skip
    public = json.dumps(seats["session"])
    for path in [*jatos.glob("*.json"), *jatos.glob("page/**/*")]:
        if path.is_file():
            public += path.read_text(encoding="utf-8")
    for number in range(1, 7):
        mark = list_token(experiment, number)
        assert mark not in public
        assert list_name(mark) not in public


def test_who_forges_the_state_of_others_moves_nobody(jatos, experiment):
    """Every page can write the whole batch session; what it says of somebody else's state is not believed."""
    forged = {"answered": 9, "right": {}, "forms": ["consent"], "others": 3, "stopped": True, "kept": {}}
    reported = run_page(jatos, [
        with_link(1, experiment, 1), *(by(1, message) for message in all_messages(experiment, 1)[:3]),
        {"do": "forge", "changes": {"state": forged}}, with_link(1, experiment, 1), {"do": "session", "as": "1"},
        {"do": "forge", "changes": {"list": "0"}}, with_link(1, experiment, 1), {"do": "session", "as": "1"},
        {"do": "browser"}, with_link(1, experiment, 1), {"do": "session", "as": "1"},
    ])  # fmt: skip
    assert reported[6]["state"] == reported[9]["state"] == {"next": 3, "over": None, "forms": ["consent"]}
    assert reported[12]["state"] == {"next": 1, "over": None, "forms": []}  # elsewhere nothing is left but what was forged


@pytest.mark.parametrize("depth", [3, 4, 4000])
def test_a_state_that_is_nested_too_deep_is_not_believed_and_stops_nobody(jatos, experiment, depth):
    messages = all_messages(experiment, 1)
    reported = run_page(jatos, [
        with_link(1, experiment, 1), *(by(1, message) for message in messages[:3]),
        {"do": "bury", "depth": depth}, with_link(1, experiment, 1), {"do": "session", "as": "1"}, by(1, messages[3]),
    ])  # fmt: skip
    assert reported[5] == reported[0]
    assert reported[6]["state"] == {"next": 3, "over": None, "forms": ["consent"]}
    assert reported[7]["state"] == {"next": 4, "over": None, "forms": ["consent"]}


@pytest.mark.parametrize("spoilt", [None, 5, "x", []])
def test_who_spoils_the_batch_session_keeps_nobody_from_answering(jatos, experiment, spoilt):
    """Neither who is under way nor who comes after it."""
    first, second = all_messages(experiment, 1), all_messages(experiment, 2)
    spoil = {"do": "spoil", "value": spoilt}
    reported = run_page(jatos, [
        with_link(1, experiment, 1), *(by(1, message) for message in first[:3]), spoil, by(1, first[3]),
        spoil, with_link(2, experiment, 2), *(by(2, message) for message in second[:3]), spoil,
        with_link(1, experiment, 1), {"do": "session", "as": "1"},
    ])  # fmt: skip
    assert [one for one in reported if isinstance(one, dict) and ("refused" in one or "error" in one)] == []
    assert reported[-1]["state"] == {"next": 4, "over": None, "forms": ["consent"]}
