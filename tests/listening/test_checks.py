"""Limits of messages, and replies to questions."""

import pytest
from store_steps import BIG, enrolled, keep, right
from tiny_experiment import answer_message, form_message, key_of

from audiometamer.listening.refusals import (
    ExcessError,
    RefusedError,
)


@pytest.mark.parametrize(
    ("content", "reported"),
    [
        ({"age": "old"}, "the answer to age must be a number"),
        ({"age": True}, "the answer to age must be a number"),
        ({"remarks": 3}, "the answer to remarks must be a text"),
        ({"shoe_size": 3}, "there is no such question"),
    ],
)
def test_replies_are_those_to_the_questions(store, content, reported):
    listener, _ = enrolled(store)
    with pytest.raises(RefusedError, match=reported):
        keep(store, listener, form_message("questions-after", **content))
    with pytest.raises(RefusedError, match="there is no such question"):
        keep(store, listener, form_message("questions-before", age=3))
    assert "questions-after" in keep(store, listener, form_message("questions-after", age=30, remarks="")).forms


def test_a_page_gone_wild_does_not_fill_the_disk(store, monkeypatch):
    monkeypatch.setattr("audiometamer.listening.checks.MAX_MESSAGES", 3)
    listener, trials = enrolled(store)
    event = {"what": "blur", "when": "2026-03-01T09:00:00Z"}
    for k in range(2):
        keep(store, listener, {"kind": "events", "key": key_of("events", k), "events": [event]})
    with pytest.raises(ExcessError, match="more than 3 forms and events"):
        keep(store, listener, {"kind": "events", "key": key_of("events", 9), "events": [event]})
    keep(store, listener, answer_message(trials[0], right(store, trials[0])))


@pytest.mark.parametrize("kind", ["events", "form"])
def test_forms_and_events_have_so_many_bytes(store, kind, monkeypatch):
    monkeypatch.setattr("audiometamer.listening.checks.MAX_MESSAGES_BYTES", 10_000)
    listener, trials = enrolled(store)
    if kind == "form":
        messages = [{**form_message("level", **BIG), "key": key_of(k)} for k in range(2)]
    else:
        event = {"what": "blur", "when": "2026-03-01T09:00:00Z", "details": {"a": "é" * 3900}}
        messages = [{"kind": "events", "key": key_of(k), "events": [event]} for k in range(2)]
    keep(store, listener, messages[0])
    with pytest.raises(ExcessError, match="more than 10000 bytes of forms and events"):
        keep(store, listener, messages[1])
    keep(store, listener, answer_message(trials[0], right(store, trials[0]), playback=BIG))
    other, _ = enrolled(store)
    keep(store, other, messages[1])


def test_an_answer_has_so_many_bytes(store):
    listener, trials = enrolled(store)
    message = answer_message(trials[0], right(store, trials[0]), playback={**BIG, "c": "x" * 500})
    with pytest.raises(ExcessError, match=r"an answer of \d+ bytes is not kept; it may have 8192"):
        keep(store, listener, message)
    assert keep(store, listener, {**message, "playback": {}}).next == 2
