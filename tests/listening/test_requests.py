"""Untrusted requests: types, sizes and rates."""

import json

import pytest
from http_steps import bearing, refusal, session
from starlette.testclient import TestClient
from tiny_experiment import form_message

from audiometamer.listening.app import create_app
from audiometamer.listening.requests import MAX_BODY_BYTES, TokenBucket


@pytest.mark.parametrize(
    "kind", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonx"]
)
def test_other_types_of_content_are_refused(client, store, token, kind):
    headers = bearing(token) | ({} if kind is None else {"Content-Type": kind})
    response = client.post("/api/messages", headers=headers, content=json.dumps(form_message("consent")).encode())
    assert "it must be application/json" in refusal(response, 415)
    assert store.state(1).forms == frozenset()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400), (b"{", 400), (b"\xff", 400), (b"\x00", 400), (b'{"kind": "answer"', 400), (b"[" * 60_000, 422),
        (b"null", 422), (b"[]", 422), (b"{}", 422), (b'{"kind": "drop"}', 422), (b'"answer"', 422),
        (b'{"kind": "form", "key": "short", "form": "consent"}', 422),
        (b'{"kind": "form", "key": "0123456789abcdef\\n", "form": "consent"}', 422),
        (b'{"kind": "form", "key": "0123456789abcdef", "form": "consent", "listener": 2}', 422),
        (b'{"kind": "form", "key": "0123456789abcdef", "form": "confession"}', 422),
        (b'{"kind": "form", "key": "0123456789abcdef", "form": "browser", "content": {"a": {"b": 1}}}', 422),
        (b'{"kind": "form", "key": "0123456789abcdef", "form": "browser", "content": {"a": "\\ud800"}}', 400),
        (b'{"kind": "events", "key": "0123456789abcdef", "events": []}', 422),
        (b'{"kind": "events", "key": "0123456789abcdef", "events": [{"what": "<b>", "when": "2026-01-01T00:00:00Z"}]}', 422),
        (b'{"kind": "events", "key": "0123456789abcdef", "events": [{"what": "blur", "when": "2026-01-01T00:00:00"}]}', 422),
    ],
)  # fmt: skip
def test_bodies_that_are_not_as_described_are_refused(client, store, token, body, status):
    response = client.post("/api/messages", headers=bearing(token) | {"Content-Type": "application/json"}, content=body)
    refusal(response, status)
    assert store.state(1).forms == frozenset()


def test_a_body_that_is_too_large_is_not_even_read(client, store, token):
    read = []

    def endless():
        for k in range(1000):
            read.append(k)
            yield b"x" * 10_000

    headers = bearing(token) | {"Content-Type": "application/json"}
    assert refusal(client.post("/api/messages", headers=headers, content=b"x" * (MAX_BODY_BYTES + 1)), 413)
    assert refusal(client.post("/api/messages", headers=headers, content=endless()), 413)
    assert refusal(client.post("/results", content=b"secret=" + b"x" * MAX_BODY_BYTES,
                               headers={"Content-Type": "application/x-www-form-urlencoded"}), 413)  # fmt: skip


def test_requests_of_one_listener_are_bounded_and_those_of_others_go_on(client, store, token, experiment, monkeypatch):
    monkeypatch.setattr("audiometamer.listening.app._MAX_BURST", 5)
    monkeypatch.setattr("audiometamer.listening.app._MAX_REQUESTS_PER_SECOND", 0.01)
    client, other = TestClient(create_app(experiment, store)), store.enrol()
    session(client, other)
    for _ in range(5):
        session(client, token)
    reported = client.get("/api/session", headers=bearing(token))
    assert refusal(reported, 429) == "more than 0.01 requests a second"
    session(client, other)


def test_an_allowance_grows_again_by_a_clock_that_nobody_sets(monkeypatch):
    now = [1e9]
    monkeypatch.setattr("audiometamer.listening.requests.time.monotonic", lambda: now[0])
    allowance = TokenBucket(3, 2)
    assert [allowance.take(1) for _ in range(5)] == [True, True, True, False, False]
    assert allowance.take(2)
    now[0] += 1
    assert [allowance.take(1) for _ in range(3)] == [True, True, False]
    now[0] += 1e6
    assert [allowance.take(1) for _ in range(4)] == [True, True, True, False]
