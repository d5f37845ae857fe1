"""A whole exploration through the server: simulated listeners, a server that is killed, and the real page in Chromium."""

import json
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager

import psutil
import pytest
from starlette.testclient import TestClient
from tiny_built import DIMENSIONS, SERVE, of_kind, presented
from tiny_experiment import answer_message, form_message

from audiometamer.exploration.folder import read_exploration, served_exploration
from audiometamer.exploration.rehearsal import probability_correct
from audiometamer.exploration.trials import read_answered_trials
from audiometamer.listening import browser
from audiometamer.listening.app import create_app
from audiometamer.listening.client import Client
from audiometamer.listening.export import write_tables
from audiometamer.listening.reading import read_answers
from audiometamer.listening.rehearsal import address_of, rehearse, start_server
from audiometamer.listening.responders import IdealListener
from audiometamer.listening.simulated import take_part
from audiometamer.listening.store import Store


def by_rule(decided):
    """A listener who hears all changes above 0.3, and no others."""
    return 1.0 if decided.about["reached"] > 0.3 else 0.0


def trials_of(database, read, listener=1):
    return read_answers(database, read).completed(listener)


def test_from_consent_to_the_tables(exploration, tmp_path):
    read = read_exploration(exploration)
    store = Store(tmp_path / "answers.db", read)
    token = store.enrol()
    bearing = {"Authorization": f"Bearer {token}"}
    with TestClient(create_app(read, store)) as client:
        state = client.post("/api/messages", headers=bearing, json=form_message("consent")).json()["state"]
        reported = []
        while state["over"] is None:
            n = state["next"]
            if n <= 2:
                trial = read.trials(1)[n - 1]
                message = answer_message(trial, read.key[trial.stimulus].answer)
            else:
                reported.append(client.get(f"/api/trials/{n}?waiting", headers=bearing).json())
                decided = store.decided(1, n)
                assert client.get(f"/sounds/{decided.trial.stimulus}.wav", headers=bearing).content[:4] == b"RIFF"
                wrong = {"1": "2", "2": "1"}[decided.answer]
                message = answer_message(decided.trial, decided.answer if by_rule(decided) else wrong)
            state = client.post("/api/messages", headers=bearing, json=message).json()["state"]
        session = client.get("/api/session", headers=bearing).json()
        page = client.post("/results", data={"secret": read.secret}).text
        table = client.post("/results/trials.tsv", data={"secret": read.secret}).text
    store.close()
    # What a page may know: nothing of dimensions, references and changes, and catch trials are main trials.
    assert not [
        word for word in ("relu", "vowel", "bell", "ladder", "reached", "catch") if word in json.dumps([reported, session])
    ]
    assert (session["task"]["kind"], session["task"]["gap_seconds"]) == ("abx", 0.5)
    assert "1 finished" in page
    heard = trials_of(store.path, read)
    answers = read_answers(store.path, read)
    write_tables(answers, tmp_path / "tables")
    assert (tmp_path / "tables" / "trials.tsv").read_text() == table
    rows = read_answered_trials(tmp_path / "tables" / "trials.tsv")
    assert len(rows) == len(heard)
    for row, one in zip(rows, heard, strict=True):
        about = presented(one.decided)
        assert (row.listener, row.list, row.trial, row.kind) == ("1", 1, one.decided.trial.trial, one.decided.trial.kind)
        assert (row.dimension, row.reference, row.way) == (about.dimension, about.reference, "ladder")
        assert (row.requested, row.reached) == pytest.approx((about.requested, about.reached))
        assert row.correct == (about.reached > 0.3)
        assert json.loads(row.rove_db) == about.rove_db == [0.0, 0.0, 0.0]
        assert json.loads(row.playback) == {"sample_rate": 48000}
    # Between 0.2, which is never heard, and 0.4, which always is, the staircases turn.
    levels = {name: [about.made for about in of_kind(heard, "main") if about.dimension == name] for name in DIMENSIONS}
    assert all(found[0] == 0.8 and {0.2, 0.4} <= set(found) and 0.1 not in found[-3:] for found in levels.values())


def test_simulated_listeners_and_a_server_that_is_killed(short, tmp_path):
    read = read_exploration(short)
    reply = IdealListener(read, tmp_path / "r" / "answers.db", by_rule)
    found = rehearse(read, tmp_path / "r", reply, listeners=2, kills=1, pace=0.05, serve=SERVE)
    assert (found.ends, found.lost, found.duplicates) == ({"finished": 2}, 0, 0)
    for listener in (1, 2):
        heard = trials_of(tmp_path / "r" / "answers.db", read, listener)
        # As if nothing had happened: the same trials as of one who was never interrupted.
        expected = []
        while (wanted := read.adaptive.next(listener, expected)) is not None:
            decided = read.adaptive.decide(wanted, lambda: 0.0, lambda: False)
            assert decided.trial == heard[len(expected)].decided.trial
            expected.append(heard[len(expected)])
        assert len(expected) == len(heard)


def test_a_sensitivity_that_is_known_comes_out(exploration):
    read = read_exploration(exploration)
    probability = probability_correct(read, {"": 0.0, DIMENSIONS[0]: 50.0}, lapse=0.1)
    for wanted in (read.adaptive.next(1, []), read.adaptive.next(2, [])):
        decided = read.adaptive.decide(wanted, lambda: 0.0, lambda: False)
        expected = 0.9 if decided.about["dimension"] == DIMENSIONS[0] else 0.5
        assert probability(decided) == pytest.approx(expected, abs=1e-6)


@contextmanager
def served(folder, database):
    """A process that serves, and the link of a listener."""
    store = Store(database, read_exploration(folder))
    token = store.enrol()
    store.close()
    process = start_server(folder, database, serve=SERVE)
    try:
        yield address_of(process), token, process
    finally:
        process.kill()
        process.communicate()


def browsed(folder, database, probability):
    """A simulated listener at the real page; what was heard."""
    program = shutil.which("chromium")
    assert program, "these tests take part in Chromium: apt-get install chromium"
    read = read_exploration(folder)
    with served(folder, database) as (address, token, _):
        reply = IdealListener(read, database, probability)
        (over,) = browser.take_part_in_browser(
            [f"{address}/#{token}"], reply, program=program, seed=1, callbacks=[lambda _: None]
        )
    assert over == "finished"
    return trials_of(database, read)


@pytest.mark.slow
@pytest.mark.browser
def test_the_real_page_with_a_ladder(short, tmp_path):
    heard = browsed(short, tmp_path / "answers.db", by_rule)
    assert {about.way for about in of_kind(heard, "main")} == {"ladder"}
    assert all(one.correct == (presented(one.decided).reached > 0.3) for one in heard)
    assert read_exploration(short).adaptive.next(1, heard) is None


@pytest.mark.slow
@pytest.mark.browser
def test_the_real_page_with_sounds_made_online(online, tmp_path):
    heard = browsed(online, tmp_path / "answers.db", lambda decided: 1.0 if decided.about["wished"] > 0.3 else 0.0)
    main = of_kind(heard, "main")
    made = [about for about in main if about.way == "online"]
    assert made
    assert {about.way for about in main} <= {"ladder", "online", "fallback"}
    assert all(about.made == pytest.approx(about.requested, rel=1e-5) for about in made)
    assert all(about.waited < 0.5 + 1 for about in main)
    assert all((online / about.moved).is_file() and about.moved.startswith("made/") for about in made)


@pytest.mark.slow
def test_kill_minus_9_while_sounds_are_made(online, tmp_path):
    """Continued with the same trial, the same sound, and what was made before."""
    database = tmp_path / "answers.db"
    with served(online, database) as (address, token, process), Client(address, token) as client:
        client.send(form_message("consent"))
        trial = client.trial(1, waiting=True)
        sound = client.sound(trial["stimulus"])
        client.trial(2, waiting=False)
        process.kill()
        process.wait()
    restarted = start_server(online, database, serve=SERVE)
    with Client(address_of(restarted), token) as client:
        assert client.trial(1, waiting=True) == trial
        assert client.sound(trial["stimulus"]) == sound
        reply = IdealListener(read_exploration(online), database, lambda _: 1.0)
        assert take_part(client, reply, seed=1) == "finished"
    restarted.kill()
    restarted.communicate()


@pytest.mark.slow
def test_the_process_that_makes_sounds_is_killed(online, tmp_path, capfd):
    """Listeners go on with the ladder, the log tells it, and what comes after is made by another process."""
    folder = shutil.copytree(online, tmp_path / "e", symlinks=True, ignore=shutil.ignore_patterns("made"))
    database = tmp_path / "answers.db"
    with served(folder, database) as (address, token, server), Client(address, token) as client:
        (child,) = children(server)
        child.kill()
        reply = IdealListener(read_exploration(folder), database, lambda decided: 1.0 if decided.about["wished"] > 0.3 else 0.0)
        assert take_part(client, reply, seed=1, pace=0.5) == "finished"
        assert children(server) != [child]
    ways = [about.way for about in of_kind(trials_of(database, read_exploration(folder)), "main")]
    assert "fallback" in ways
    assert "online" in ways
    assert ways.index("fallback") < ways.index("online")
    reported = capfd.readouterr().err
    assert reported.count("could not move") == 1
    assert "the process that moves signals was killed (SIGKILL); it is started again (1 of 3)" in reported


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_with_a_server_ends_what_makes_its_sounds(online, tmp_path, how):
    with served(online, tmp_path / "answers.db") as (_, _, server):
        (child,) = children(server)
        server.send_signal(how)
        server.wait(60)
        psutil.wait_procs([child], timeout=60)
        assert not child.is_running()


def children(server):
    """The processes that it started, but for the one by which Python keeps account of them."""
    started = psutil.Process(server.pid).children()
    return [process for process in started if "resource_tracker" not in " ".join(process.cmdline())]


def test_a_server_of_sounds_that_are_made_ends_its_thread_and_its_process(online):
    with served_exploration(online, device="cpu") as read:
        render_queue = read.adaptive.render_queue
        assert psutil.pid_exists(render_queue.mover.pid)
        began = time.monotonic()
    assert not render_queue._thread.is_alive()
    assert not psutil.pid_exists(render_queue.mover.pid)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("model", "reported"),
    [
        ("tiny_built:other_model", "design.toml: making: the dimensions of relu0 are of tiny with weights"),
        ("tiny_models:none", "tests/helpers/tiny_models.py) has no function none"),
    ],
)
def test_a_model_that_cannot_be_had_is_reported_in_a_line_by_the_command(online, tmp_path, model, reported):
    folder = shutil.copytree(online, tmp_path / "e", symlinks=True)
    design = folder / "design.toml"
    design.write_text(design.read_text().replace("tiny_models:sound_model", model))
    ended = subprocess.run([*SERVE, str(folder), "--port", "0"], capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stdout) == (2, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith("audiometamer: error: ")
    assert reported in line
