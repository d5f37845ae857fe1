"""Newcomers from services and by open links: who is admitted, and under which name."""

import sqlite3

import pytest
from http_steps import bearing, enrol, refusal, right, send, session
from signed_links import PERSON, signed
from starlette.testclient import TestClient
from tiny_experiment import answer_message, form_message

from audiometamer.listening.app import create_app
from audiometamer.listening.rate import RateLimit
from audiometamer.listening.signed import SignedLinks
from audiometamer.listening.store import Store


def test_nobody_enrols_where_it_is_not_open(client):
    for service in ("prolific", "mturk", "anyone"):
        assert refusal(enrol(client, service, PROLIFIC_PID="x"), 403) == f"the experiment is not open to {service}"
    assert client.post("/api/enrol", json={"service": "facebook"}).status_code == 422


def test_who_comes_from_prolific(experiment, store):
    client = TestClient(create_app(experiment, store, open_to="prolific"))
    tokens = [enrol(client, "prolific", PROLIFIC_PID=pid, STUDY_ID="s").json()["token"] for pid in ("a", "b", "a")]
    assert [store.listener(token) for token in tokens] == [1, 2, 1]
    assert store.participant(2).parameters == {"PROLIFIC_PID": "b", "STUDY_ID": "s"}
    for parameters in ({}, {"PROLIFIC_PID": ""}, {"workerId": "x"}, {"PROLIFIC_PID": "{{%PROLIFIC_PID%}}"}):
        assert refusal(enrol(client, "prolific", **parameters), 403) == "prolific does not say who this is"
    assert enrol(client, "prolific", PROLIFIC_PID="x" * 257).status_code == 422
    for k in range(4):
        assert enrol(client, "prolific", PROLIFIC_PID=f"p{k}").status_code == 200
    assert refusal(enrol(client, "prolific", PROLIFIC_PID="late"), 409) == "all 6 lists have their listeners"


def test_a_flood_of_newcomers_waits_and_a_classroom_does_not(experiment, tmp_path):
    store = Store(tmp_path / "many.db", experiment)
    client = TestClient(create_app(experiment, store, open_to="prolific", rate=RateLimit(50, 30)))
    assert [enrol(client, "prolific", PROLIFIC_PID="one").status_code for _ in range(30)] == [200] * 30
    response = enrol(client, "prolific", PROLIFIC_PID="two")
    assert refusal(response, 429).startswith("too many listeners arrive at the same time; ask again in ")
    assert 1 <= int(response.headers["retry-after"]) <= 60
    assert response.json()["code"] == "busy"
    other = TestClient(client.app, client=("192.0.2.7", 1))
    assert enrol(other, "prolific", PROLIFIC_PID="two").status_code == 200
    store.close()


def test_whose_list_was_given_away_reads_so(experiment, store):
    client = TestClient(create_app(experiment, store, open_to="anyone", rate=RateLimit(100, 100)))
    tokens = [enrol(client, "anyone").json()["token"] for _ in range(6)]
    for token in tokens[:2]:
        send(client, token, form_message("consent"))
    trial = experiment.trials(1)[0]
    assert send(client, tokens[0], answer_message(trial, right(experiment, trial))).status_code == 200
    with sqlite3.connect(store.path) as db:
        db.execute("UPDATE listeners SET enrolled = '2020-01-01T00:00:00.000Z'")
        db.execute("UPDATE messages SET received = '2020-01-01T00:00:00.000Z'")
    assert [enrol(client, "anyone").status_code for _ in range(7)] == [200] * 6 + [409]
    for token, code in ((tokens[0], "left"), *((token, "late") for token in tokens[1:])):
        for response in (client.get("/api/session", headers=bearing(token)), send(client, token, form_message("level"))):
            assert refusal(response, 410) == "the list was given to somebody else"
            assert response.json()["code"] == code


def test_where_links_are_signed_nobody_takes_anothers_name(experiment, store, private, keys):
    links = SignedLinks(["study1"], keys=str(keys))
    client = TestClient(create_app(experiment, store, open_to="prolific", signed=links))
    response = enrol(client, "prolific", PROLIFIC_PID="other", prolific_token=signed(private))
    assert refusal(response, 403) == "the link names another participant than its signature"
    assert response.json()["code"] == "unsigned"
    assert refusal(enrol(client, "prolific", **PERSON), 403) == "the link is not signed"
    token = enrol(client, "prolific", **PERSON, prolific_token=signed(private)).json()["token"]
    assert store.participant(store.listener(token)) == ("prolific", "5f2", PERSON)


@pytest.mark.parametrize(
    ("submit", "address"),
    [
        ("https://workersandbox.mturk.com", "https://workersandbox.mturk.com/mturk/externalSubmit"),
        ("https://www.mturk.com/", "https://www.mturk.com/mturk/externalSubmit"),
        ("https://evil.example", None), ("javascript:alert(1)", None), ("https://www.mturk.com.evil.example", None),
        ("https://x@evil.example", None), ("//www.mturk.com@evil.example", None), ("https://[", None), ("", None),
    ],
)  # fmt: skip
def test_who_comes_from_mturk_is_sent_back_there_alone(experiment, store, submit, address):
    client = TestClient(create_app(experiment, store, open_to="mturk"))
    preview = refusal(enrol(client, "mturk", assignmentId="ASSIGNMENT_ID_NOT_AVAILABLE"), 403)
    assert preview == "this is a preview; it begins when the task is accepted"
    response = enrol(client, "mturk", workerId="w", assignmentId="a", turkSubmitTo=submit)
    assert "https://www.mturk.com" in response.headers["content-security-policy"]
    assert session(client, response.json()["token"])["completion"] is None
    store.release(1, "enough")
    found = session(client, response.json()["token"])["completion"]
    fields = {"assignmentId": "a", "over": "stopped"}
    assert found == (None if address is None else {"address": address, "fields": fields})
