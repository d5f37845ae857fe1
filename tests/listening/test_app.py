"""Over HTTP: what is confirmed is on disk, nothing names a condition, and misuse gets a refusal in one line."""

import json
import re
import shutil
import sqlite3
import threading
from collections import Counter

import pytest
from http_steps import agreed, bearing, enrol, refusal, right, send, session
from starlette.testclient import TestClient
from tiny_experiment import SECRETS, answer_message, form_message, key_of, wav_header

from audiometamer.experiment.reading import read_experiment
from audiometamer.listening.app import create_app
from audiometamer.listening.reading import read_answers
from audiometamer.listening.store import Store


def test_a_whole_experiment(client, store, experiment):
    token, trials = agreed(client, store)
    before = session(client, token)
    assert before["state"] == {"next": 1, "over": None, "forms": ["consent"]}
    assert "debriefing" not in before["texts"]
    for trial in trials:
        reported = send(client, token, answer_message(trial, right(experiment, trial))).json()
        assert reported["kept"] == answer_message(trial, "")["key"]
        assert reported["feedback"] == (
            {"correct": True, "answer": right(experiment, trial)} if trial.kind == "practice" else None
        )
    after = session(client, token)
    assert after["state"] == {"next": None, "over": "finished", "forms": ["consent"]}
    assert after["texts"]["debriefing"].startswith("<h1>Thank you</h1>")


def test_what_is_confirmed_is_on_disk(client, store, experiment):
    token, trials = agreed(client, store)
    assert send(client, token, answer_message(trials[0], right(experiment, trials[0]))).status_code == 200
    with sqlite3.connect(store.path) as other:
        assert other.execute("SELECT count(*) FROM messages WHERE kind = 'answer'").fetchone() == (1,)


def test_practice_tells_what_was_right_and_only_then(client, store, experiment):
    token, trials = agreed(client, store)
    for trial in trials[:2]:
        send(client, token, answer_message(trial, right(experiment, trial)))
    practice = trials[2]
    wrong = next(answer for answer in experiment.answers if answer != right(experiment, practice))
    reported = send(client, token, answer_message(practice, wrong)).json()
    assert reported["feedback"] == {"correct": False, "answer": right(experiment, practice)}
    assert send(client, token, answer_message(practice, wrong)).json() == reported


def test_it_goes_on_at_the_same_trial(client, store, experiment):
    token, trials = agreed(client, store)
    for trial in trials[:3]:
        send(client, token, answer_message(trial, right(experiment, trial)))
    again = TestClient(create_app(experiment, store))
    assert session(again, token)["state"]["next"] == 4
    assert session(again, token) == session(client, token)


def test_who_is_stopped_is_told_that_it_is_over_and_no_more(client, store, experiment):
    token, trials = agreed(client, store)
    for trial in trials[:2]:
        wrong = next(option for option in experiment.options(trial) if option != right(experiment, trial))
        reported = send(client, token, answer_message(trial, wrong))
    assert reported.json()["state"] == {"next": None, "over": "stopped", "forms": ["consent"]}
    assert "right" not in reported.text


def test_nothing_names_a_condition_or_an_answer(client, store, experiment):
    """All that one listener's browser gets, but the closed list, which holds every word, and the feedback of practice."""
    token, trials = agreed(client, store)
    reported = session(client, token)
    assert reported["task"].pop("answers") == experiment.answers
    got = [json.dumps({name: part for name, part in reported.items() if name != "texts"})]
    for trial in trials:
        response = client.get(f"/sounds/{trial.stimulus}.wav", headers=bearing(token))
        assert response.content == (experiment.folder / "sounds" / f"{trial.stimulus}.wav").read_bytes()
        got.append(str(response.headers) + wav_header(response.content))
        if trial.kind != "practice":
            response = send(client, token, answer_message(trial, right(experiment, trial)))
            got += [response.text, str(response.headers)]
        else:
            send(client, token, answer_message(trial, right(experiment, trial)))
    words = {entry.word for entry in experiment.key.values() if entry.word}
    for text in got:
        assert not [name for name in (*SECRETS, *words) if name in text.replace("attachment", "")]
    assert {trial["kind"] for trial in reported["trials"]} == {"headphones", "practice", "demonstration", "main"}
    assert Counter(map(frozenset, map(dict.keys, reported["trials"]))) == {frozenset({"trial", "kind", "stimulus"}): len(trials)}


@pytest.mark.parametrize(
    "path",
    [
        "/key.json", "/names.key", "/lists.json", "/design.toml", "/answers.db", "/results.secret", "/missing.tsv",
        "/page/../key.json",
        "/page/..%2fkey.json", "/page/%2e%2e/key.json", "/page/....//key.json", "/page//etc/passwd", "/page/..\\key.json",
        "/page/index.html/../../key.json", "/page/%00", "/page/", "/page", "/sounds/../key.json", "/sounds/..%2f..%2fkey.json",
        "/sounds/", "/sounds/%2e%2e%2fkey.json", "/pictures/../key.json", "/pictures/1.png", "/texts/consent.md", "/sounds",
        "/page/index.html%00.css", "/page/C:\\key.json", "/.git/config", "/docs", "/openapi.json",
    ],
)  # fmt: skip
def test_only_files_of_the_manifest_are_served(client, token, path):
    response = client.get(path, headers=bearing(token), follow_redirects=False)
    assert response.status_code in (404, 307), response.text
    assert not any(name in response.text for name in ("recognised_by", "title =", "root:", "listeners"))


def test_links_out_of_the_page_are_not_followed(own, experiment, store, folder, monkeypatch):
    (own / "page" / "key.html").symlink_to(own / "key.json")
    for path in (folder / "sounds").iterdir():
        (own / "sounds" / path.name).hardlink_to(path)
    client = TestClient(create_app(read_experiment(own), store))
    assert client.get("/page/index.html").status_code == 200
    assert client.get("/page/key.html").status_code == 404


def test_the_page_is_served_with_its_type(client):
    for path, kind in (("/", "text/html"), ("/page/index.html", "text/html"), ("/page/results.css", "text/css")):
        response = client.get(path)
        assert response.status_code == 200
        assert response.headers["content-type"].startswith(kind)


def test_a_sound_is_served_only_to_who_hears_it(client, store, experiment):
    one, other = store.enrol(), store.enrol()
    own = {trial.stimulus for trial in experiment.trials(1)}
    others = sorted({trial.stimulus for trial in experiment.trials(2)} - own)
    assert client.get(f"/sounds/{others[0]}.wav", headers=bearing(other)).status_code == 200
    for name in (others[0], "zzzzzzzz", others[0].upper()):
        assert refusal(client.get(f"/sounds/{name}.wav", headers=bearing(one)), 404) == "there is no such stimulus"
    assert client.get("/sounds/calibrationnoise.wav", headers=bearing(one)).status_code == 200
    assert client.get(f"/sounds/{min(own)}.txt", headers=bearing(one)).status_code == 404
    assert client.get(f"/sounds/{min(own)}.wav").status_code == 401


def test_a_file_that_vanished_is_reported_in_a_line(own, folder, store, token, caplog):
    shutil.copytree(folder / "sounds", own / "sounds", dirs_exist_ok=True)
    client = TestClient(create_app(read_experiment(own), store))
    (trial, *_) = session(client, token)["trials"]
    for path, address in (
        (own / "sounds" / f"{trial['stimulus']}.wav", f"/sounds/{trial['stimulus']}.wav"),
        (own / "page" / "main.js", "/page/main.js"),
    ):
        path.unlink()
        refusal(client.get(address, headers=bearing(token)), 500)
        assert caplog.records[-1].getMessage() == f"{path} was there when this was started, and is not any more"


def test_a_sound_is_kept_by_the_browser_for_its_listener_alone(client, token):
    """Not for another experiment that was built again under the same names, nor for who comes next at the same machine."""
    headers = client.get("/sounds/calibrationnoise.wav", headers=bearing(token)).headers
    assert "private" in headers["cache-control"]
    assert headers["vary"] == "Authorization"


@pytest.mark.parametrize("header", [
    None, "", "Bearer", "Bearer ", "Bearer x", "Basic {token}", "{token}", "Bearer {token}x", "Bearer {short}",
    "Bearer ' OR 1=1 --",
])  # fmt: skip
def test_a_guessed_token_opens_nothing(client, token, header):
    reported = {} if header is None else {"Authorization": header.format(token=token, short=token[:-1])}
    for method, path in (("GET", "/api/session"), ("POST", "/api/messages"), ("GET", "/sounds/calibrationnoise.wav")):
        response = client.request(method, path, headers=reported)
        refusal(response, 401)
        assert response.headers["www-authenticate"] == "Bearer"


def test_a_token_in_the_address_opens_nothing(client, token):
    assert client.get(f"/api/session?token={token}").status_code == 401
    assert client.get(f"/api/session?Authorization=Bearer {token}").status_code == 401


@pytest.mark.parametrize(
    "change",
    [
        {"trial": 0}, {"trial": 1.5}, {"trial": "1"}, {"trial": 10**30}, {"reaction_time_ms": -1}, {"reaction_time_ms": None},
        {"reaction_time_ms": 1e12}, {"plays": -1}, {"plays": 10**6}, {"answer": 3}, {"answer": "x" * 201}, {"correct": True},
        {"started": "yesterday"}, {"started": "2026-03-01T10:00:00"}, {"playback": {"k" * 65: 1}},
        {"playback": {str(k): k for k in range(65)}}, {"stimulus": "x" * 65}, {"key": "k" * 65},
    ],
)  # fmt: skip
def test_values_out_of_range_are_refused(client, store, experiment, change):
    token, trials = agreed(client, store)
    message = {**answer_message(trials[0], right(experiment, trials[0])), **change}
    refusal(send(client, token, message), 422)
    assert store.state(1).next == 1


def test_a_number_that_json_does_not_have_is_refused(client, store, experiment):
    token, trials = agreed(client, store)
    text = json.dumps(answer_message(trials[0], "1"))
    for number in ("NaN", "Infinity", "1e999"):
        body = text.replace("812.5", number).encode()
        response = client.post("/api/messages", headers=bearing(token) | {"Content-Type": "application/json"}, content=body)
        assert response.status_code in (400, 422)
    assert store.state(1).next == 1


def test_repeated_altered_and_out_of_order(client, store, experiment):
    token, trials = agreed(client, store)
    message = answer_message(trials[0], right(experiment, trials[0]))
    first = send(client, token, message)
    assert send(client, token, message).json() == first.json()
    altered = send(client, token, {**message, "reaction_time_ms": 1})
    assert refusal(altered, 409) == "another message was kept under this key"
    other_key = send(client, token, {**message, "key": key_of("other")})
    assert refusal(other_key, 409) == "trial 1 is answered"
    early = send(client, token, answer_message(trials[3], right(experiment, trials[3])))
    assert refusal(early, 409) == "it is the turn of trial 2"
    assert early.json()["state"]["next"] == other_key.json()["state"]["next"] == 2


def test_an_answer_of_another_listener(client, store, experiment):
    (_, trials), (other, others) = agreed(client, store), agreed(client, store)
    k = next(k for k, (a, b) in enumerate(zip(trials, others, strict=True)) if a.stimulus != b.stimulus)
    for trial in others[:k]:
        send(client, other, answer_message(trial, right(experiment, trial)))
    stolen = send(client, other, answer_message(trials[k], right(experiment, trials[k])))
    assert refusal(stolen, 422) == f"trial {k + 1} plays another sound"
    assert store.state(1).next == 1


def test_a_locked_database_asks_to_come_again(client, store, experiment):
    token, trials = agreed(client, store)
    message = answer_message(trials[0], right(experiment, trials[0]))
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    response = send(client, token, message)
    assert refusal(response, 503) == "the answers cannot be reached now"
    assert response.headers["retry-after"] == "1"
    other.execute("ROLLBACK")
    other.close()
    assert send(client, token, message).json()["state"]["next"] == 2


def test_a_full_disk_asks_to_come_again(client, store, experiment):
    token, trials = agreed(client, store)
    (pages,) = store.database.connection.execute("PRAGMA page_count").fetchone()
    store.database.connection.execute(f"PRAGMA max_page_count = {pages}")
    message = answer_message(trials[0], right(experiment, trials[0]), playback={"a": "x" * 3900, "b": "x" * 3700})
    refusal(send(client, token, message), 503)
    store.database.connection.execute("PRAGMA max_page_count = 100000")
    assert send(client, token, message).status_code == 200


ZOO = [
    "zwölf 😀 العربية ‮reversed", "=1+1", "=HYPERLINK(\"http://x\")", "+1", "-1", "@SUM(A1)", "\t=1", "\r\n=1", "＝1",
    "a\tb\nc", "\x00\x1b[31m", "'; DROP TABLE messages; --", "<script>alert(1)</script>", "\u2028", "e\u0301", "\ufeff",
    "{{7*7}}", "%s%n", "../../key.json", '"', "x" * 4000,
]  # fmt: skip


@pytest.mark.parametrize("text", ZOO)
def test_whatever_is_typed_is_kept_as_it_is_and_safe_as_a_table(client, store, experiment, token, text):
    assert send(client, token, form_message("questions-after", remarks=text)).status_code == 200
    with sqlite3.connect(store.path) as other:
        (content,) = other.execute("SELECT content FROM messages").fetchone()
    assert json.loads(content)["content"]["remarks"] == text
    table = client.post("/results/listeners.tsv", headers=bearing(experiment.secret)).text
    assert table.count("\n") == 2
    cell = table.split("\n")[1].split("\t")[-1].removeprefix('"')
    assert not cell.startswith(("=", "+", "-", "@"))
    page = client.post("/results", data={"secret": experiment.secret}).text
    assert "<script" not in page


@pytest.mark.parametrize("path", ["/results/", "/api/session/", "/page"])
def test_no_address_leads_away_from_a_proxy(client, path):
    assert refusal(client.post(path, data={"secret": "x"}, follow_redirects=False), 404)


@pytest.mark.parametrize("number", ["9" * 5000, "9" * 400, "1" * 10, "-1", "1e3", "٣", "%00", "a" * 60_000])
def test_numbers_of_trials_that_cannot_be_are_not_there(client, token, number):
    for headers in ({}, bearing(token)):
        refusal(client.get(f"/api/trials/{number}", headers=headers), 404)


def test_a_database_that_is_replaced_is_not_shown_and_asks_to_come_again(client, store, experiment, caplog):
    token, trials = agreed(client, store)
    aside = store.path.with_name("aside.db")
    store.path.rename(aside)
    store.path.touch()
    message = answer_message(trials[0], right(experiment, trials[0]))
    for _ in range(2):
        reported = send(client, token, message)
        assert refusal(reported, 503) == "the answers cannot be reached now"
        assert reported.headers["Retry-After"] == "1"
    refusal(client.post("/results", data={"secret": experiment.secret}), 503)
    assert {record.getMessage() for record in caplog.records} == {
        f"{store.path} was deleted, moved or replaced; nothing is kept until it is back or the server is restarted"
    }
    aside.replace(store.path)
    assert send(client, token, message).status_code == 200


def test_what_is_written_is_brought_into_the_first_file_now_and_then(store, experiment, tmp_path, monkeypatch):
    monkeypatch.setattr("audiometamer.listening.app._CHECKPOINT_SECONDS", 0.05)
    called = threading.Event()
    with TestClient(create_app(experiment, store, on_checkpoint=called.set)) as client:
        token, trials = agreed(client, store)
        assert send(client, token, answer_message(trials[0], right(experiment, trials[0]))).status_code == 200
        called.clear()
        assert called.wait(5)
        called.clear()
        assert called.wait(5)
    shutil.copy(store.path, tmp_path / "copy.db")
    assert read_answers(tmp_path / "copy.db", experiment).total == 1


def test_every_response_has_the_headers(client, token, experiment):
    for response in (
        client.get("/"), client.get("/nothing"), client.get("/api/session"), client.get("/api/session", headers=bearing(token)),
        client.get("/sounds/calibrationnoise.wav", headers=bearing(token)), client.delete("/results"),
        client.post("/results", data={"secret": experiment.secret}),
    ):  # fmt: skip
        policy = response.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert re.search(r"form-action 'self'$", policy)
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["referrer-policy"] == "no-referrer"
        sound = response.headers.get("content-type") == "audio/wav"
        assert response.headers["cache-control"] == ("private, max-age=86400" if sound else "no-store")
        assert "server" not in response.headers


def test_mturk_shows_its_tasks_in_a_frame_and_nobody_else_does(experiment, store):
    for open_to in (None, "prolific", "anyone"):
        headers = TestClient(create_app(experiment, store, open_to=open_to)).get("/").headers
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-frame-options"] == "DENY"
    headers = TestClient(create_app(experiment, store, open_to="mturk")).get("/").headers
    assert "frame-ancestors https://www.mturk.com https://worker.mturk.com" in headers["content-security-policy"]
    assert "x-frame-options" not in headers


def test_a_failure_inside_tells_nothing_and_has_the_headers(client, token, store, monkeypatch):
    def fail(_listener):
        raise RuntimeError("the secret is in here")

    monkeypatch.setattr(store, "state", fail)
    response = client.get("/api/session", headers=bearing(token))
    assert response.status_code == 500
    assert "secret" not in response.text
    assert "content-security-policy" in response.headers


def test_rests_and_completion_are_those_of_the_design(folder, own, tmp_path):
    from audiometamer.experiment.reading import read_experiment

    text = (own / "design.toml").read_text().replace("[breaks]", "[breaks]\nevery = 3").replace(
        "[completion]", '[completion]\nstopped = "https://app.example/complete?cc=1"'
    )  # fmt: skip
    (own / "design.toml").write_text(text)
    for path in (folder / "sounds").iterdir():
        (own / "sounds" / path.name).hardlink_to(path)
    store = Store(tmp_path / "other.db", read_experiment(own))
    client = TestClient(create_app(store.experiment, store, open_to="anyone"))
    token = enrol(client, "anyone").json()["token"]
    assert session(client, token)["breaks"] == [8, 11]
    assert session(client, token)["completion"] is None
    store.release(1, "enough")
    assert session(client, token)["completion"] == {"address": "https://app.example/complete?cc=1", "fields": {}}
    store.close()
