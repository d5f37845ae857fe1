"""Listeners that are programs answer as they were told to, and a rehearsal counts what is there."""

import http.server
import json
import shutil
import threading
from collections import Counter
from contextlib import contextmanager

import numpy as np
import pytest
import tiny_models
from command_line import refused

from audiometamer.cli import main
from audiometamer.errors import AudioMetamerError
from audiometamer.listening.client import Client, ServerError
from audiometamer.listening.rehearsal import rehearse
from audiometamer.listening.responders import NetworkListener, SimulatedListener, rankings_by
from audiometamer.listening.trials import ConditionKey, KeyEntry

OPTIONS = ["a", "b", "c", "d", "e"]


def entry(condition, *, missing=False):
    return KeyEntry("f.wav", condition, "clip", "a", "", missing, {}, "a")


KEY = {
    "natural": entry("natural"),
    "check": entry("headphones"),
    "early": entry(ConditionKey("net", "relu0", 0)),
    "late": entry(ConditionKey("net", "relu9", 0)),
    "other": entry(ConditionKey("other", "relu9", 0)),
    "standin": entry(ConditionKey("net", "relu9", 0), missing=True),
}


def answers(person, stimulus, n=4000):
    generator = np.random.default_rng(1)
    return [person(stimulus, OPTIONS, generator) for _ in range(n)]


@pytest.mark.parametrize(
    ("stimulus", "accuracy"),
    [("natural", 0.9), ("early", 0.7), ("late", 0.2), ("other", 0.4), ("check", 1.0), ("standin", 0.9)],
)
@pytest.mark.parametrize("guesses", [0.0, 0.2])
def test_the_accuracy_is_that_of_the_condition(stimulus, accuracy, guesses):
    person = SimulatedListener(KEY, {"natural": 0.9, "relu0": 0.7, "relu9": 0.2, "other/relu9": 0.4}, guesses=guesses)
    right = np.mean([answer == "a" for answer, _ in answers(person, stimulus)])
    expected = (1 - guesses) * accuracy + guesses / len(OPTIONS)
    assert right == pytest.approx(expected, abs=4 * np.sqrt(0.25 / 4000))


def test_wrong_answers_and_guesses_are_spread_over_the_options():
    counts = Counter(answer for answer, _ in answers(SimulatedListener(KEY, {"relu0": 0.0}, guesses=0), "early"))
    assert set(counts) == set("bcde")
    assert all(n == pytest.approx(1000, abs=110) for n in counts.values())
    counts = Counter(answer for answer, _ in answers(SimulatedListener(KEY, guesses=1.0), "natural"))
    assert all(counts[option] == pytest.approx(800, abs=100) for option in OPTIONS)


def test_reaction_times_are_log_normal():
    times = np.log([ms for _, ms in answers(SimulatedListener(KEY, reaction_time_ms=900, spread=0.3), "natural")])
    assert np.median(times) == pytest.approx(np.log(900), abs=0.02)
    assert np.std(times) == pytest.approx(0.3, abs=0.015)


@pytest.mark.parametrize(
    ("accuracy", "guesses", "told"),
    [
        ({"relu0": 1.1}, 0, "relu0 is 1.1; it must be from 0 to 1"),
        ({}, -0.1, "guesses is -0.1; it must be from 0 to 1"),
        (
            {"relu1": 1},
            0,
            "there is no condition 'relu1'; there are headphones, natural, net/relu0, net/relu9, other/relu9, relu0",
        ),
    ],
)
def test_a_listener_that_cannot_be(accuracy, guesses, told):
    with pytest.raises(AudioMetamerError, match=told):
        SimulatedListener(KEY, accuracy, guesses=guesses)


def test_a_network_gives_the_likeliest_of_the_possible_answers():
    listener = NetworkListener(KEY, {"early": ["z", "c", "a"], "late": ["z"]})
    generator = np.random.default_rng(0)
    assert listener("early", OPTIONS, generator)[0] == "c"
    assert listener("late", OPTIONS, generator)[0] in OPTIONS
    assert listener("check", ["b", "a"], generator)[0] == "a"


def test_a_network_listens_to_the_very_files(experiment):
    rankings = rankings_by(tiny_models.sound_model(), experiment)
    assert set(rankings) == {name for name, one in experiment.key.items() if one.file}
    assert all(sorted(ranking) == sorted(tiny_models.WORDS) for ranking in rankings.values())


@contextmanager
def flaky(*statuses):
    """A server that answers with one status after the other, then with what is right; 0: it hangs up."""
    left = list(statuses)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = left.pop(0) if left else 200
            if status == 0:
                self.close_connection = True
                return
            told = json.dumps({"kept": json.loads(body)["key"]} if status == 200 else {"error": "no"}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_message_is_sent_until_it_is_confirmed():
    with flaky(503, 0, 503) as address, Client(address, "token") as client:
        confirmed, _ = client.send({"key": "k"})
    assert confirmed.attempts == 4
    assert confirmed.seconds > 0.05 + 0.1 + 0.2


def test_a_refusal_is_not_repeated_and_patience_ends():
    with flaky(422) as address, Client(address, "token") as client, pytest.raises(ServerError, match="/api/messages: 422"):
        client.send({"key": "k"})
    impatient = pytest.raises(ServerError, match=r"no answer for 0\.1 s")
    with flaky(*[503] * 9) as address, Client(address, "t", patience=0.1) as client, impatient:
        client.send({"key": "k"})


def test_a_rehearsal_from_the_command_line(folder, tmp_path, capsys):
    out = tmp_path / "rehearsal"
    arguments = [
        "experiment",
        "rehearse",
        str(folder),
        "--out",
        str(out),
        "--listeners",
        "3",
        "--accuracy",
        "relu1=0",
        "--guesses",
        "0",
    ]
    assert main(arguments) == 0
    told = capsys.readouterr().out
    assert "3 listeners (3 finished), 42 answers confirmed in" in told
    assert "0 lost, 0 stored twice, 0 sent more than once" in told
    lines = [line.split("\t") for line in (out / "trials.tsv").read_text().splitlines()]
    rows = [dict(zip(lines[0], line, strict=True)) for line in lines[1:]]
    assert len(rows) == 42
    assert {row["correct"] for row in rows if row["layer"] == "relu1"} == {"false"}
    assert {row["correct"] for row in rows if row["layer"] == "natural"} == {"true"}
    assert not (folder / "answers.db").exists(), "those of real listeners are elsewhere"
    assert "answers.db exists; nothing is overwritten" in refused(capsys, *arguments)


def test_a_rehearsal_with_a_server_that_is_killed(folder, tmp_path, capsys):
    arguments = ["--listeners", "4", "--no-load", "--kills", "1", "--pace", "0.2"]
    assert main(["experiment", "rehearse", str(folder), "--out", str(tmp_path / "r"), *arguments]) == 0
    told = capsys.readouterr().out
    assert "4 listeners (4 finished), 56 answers confirmed in" in told
    assert "0 lost, 0 stored twice" in told
    assert "kills of the server: 1" in told


@pytest.mark.browser
def test_a_rehearsal_through_the_page_and_its_analysis(folder, tmp_path, capsys):
    """The design's own minima of its checks, 1 of 2 each, count in the analysis rather than the usual 5."""
    out, analysis = tmp_path / "rehearsal", tmp_path / "analysis"
    chromium = shutil.which("chromium")
    assert chromium, "this test takes part in Chromium: apt-get install chromium"
    arguments = ["--listeners", "2", "--accuracy", "relu1=0", "--guesses", "0", "--browser", chromium]
    assert main(["experiment", "rehearse", str(folder), "--out", str(out), *arguments]) == 0
    assert "0 lost, 0 stored twice" in capsys.readouterr().out
    tables = [str(out / "trials.tsv"), "--listeners", str(out / "listeners.tsv"), "--resamples", "20", "--permutations", "20"]
    options = ["--layers", "relu0,relu1", "--out", str(analysis)]
    assert "2 at the headphone check (fewer than 5 right)" in refused(capsys, "experiment", "analyse", *tables, *options)
    assert main(["experiment", "analyse", *tables, *options, "--experiment", str(folder)]) == 0
    assert "2 analysed" in capsys.readouterr().out
    own = ["--experiment", str(folder), "--demonstration", "3", "--overwrite"]
    assert "fewer than 3 right" in refused(capsys, "experiment", "analyse", *tables, *options, *own)


def test_a_browser_that_is_not_there(folder, tmp_path, capsys):
    arguments = ["--out", tmp_path / "r", "--browser", "/no/chromium"]
    assert "/no/chromium does not start" in refused(capsys, "experiment", "rehearse", folder, *arguments)


def test_a_listener_who_breaks_down_is_not_passed_over(experiment, tmp_path):
    def reply(stimulus, options, generator):
        raise RuntimeError("a bug in this listener")

    with pytest.raises(RuntimeError, match="a bug in this listener"):
        rehearse(experiment, tmp_path / "r", reply, listeners=1, load=False)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--listeners", 7], "7 listeners are wanted, and there are 6 lists"),
        (["--accuracy", "relu0"], "--accuracy is 'relu0'; it must be CONDITION=P, as in relu0=0.8"),
        (["--accuracy", "relu7=1"], "there is no condition 'relu7'"),
        (["--guesses", "2"], "2.0 is not in the range 0<=x<=1"),
        (["--model", "tiny_models:tensor_model"], "tiny_models:tensor_model"),
    ],
)
def test_what_cannot_be_rehearsed(folder, tmp_path, capsys, options, told):
    assert told in refused(capsys, "experiment", "rehearse", folder, "--out", tmp_path / "r", *options)
    assert not (tmp_path / "r" / "answers.db").exists()
