"""Who sends or reads too slowly is cut off, and whoever comes finds room."""

import http.client
import resource
import socket
import threading
import time
from contextlib import ExitStack, closing

import pytest
import uvicorn
from processes import CONTEXT, started
from tiny_experiment import answer_message, form_message

from audiometamer.listening import connections
from audiometamer.listening.client import Client
from audiometamer.listening.connections import REQUESTS_PER_CONNECTION, Connection, PatientServer
from audiometamer.listening.server import serve
from audiometamer.listening.store import Store

LARGE = 8_000_000  # bytes: more than the system buffers


async def app(scope, receive, send):
    """Reads the body, answers, and sends much where it is asked to."""
    assert scope["type"] == "http"
    while (await receive()).get("more_body"):
        pass
    body = b"x" * (LARGE if scope["path"] == "/large" else 2)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(body)).encode())]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
def port(monkeypatch):
    """Of a server with room for five, that waits for half a second."""
    monkeypatch.setattr(connections, "SECONDS_FOR_REQUEST", 0.5)
    monkeypatch.setattr(connections, "SECONDS_FOR_READING", 0.5)
    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        lifespan="off",
        log_level="critical",
        limit_concurrency=REQUESTS_PER_CONNECTION * 5,
        backlog=2,
    )
    server = PatientServer(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield listening.getsockname()[1]
        server.should_exit = True
        thread.join()


def connected(port, sent=b""):
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.sendall(sent)
    return connection


def received(connection):
    """All that comes until the other side ends it."""
    found = b""
    with closing(connection):
        try:
            while piece := connection.recv(65_536):
                found += piece
        except ConnectionError:
            pass
    return found


def dripped(connection, piece):
    """Send a little again and again, until the other side ends it; after how many s."""
    begun = time.monotonic()
    with closing(connection):
        try:
            while time.monotonic() - begun < 10:
                connection.sendall(piece)
                time.sleep(0.05)
        except ConnectionError:
            pass
    return time.monotonic() - begun


HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n"
FORM = b"\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\nsecret="
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"


@pytest.mark.parametrize(
    ("sent", "piece"), [(b"", b"\n"), (HEAD, b"a: b\r\n"), (POST, b"x"), (HEAD + b"\r\n" + HEAD, b"a: b\r\n")]
)
def test_who_sends_slowly_is_cut_off(port, sent, piece):
    assert received(connected(port, sent)).count(b"200 OK") == sent.count(b"\r\n\r\n") - sent.count(b"POST")
    assert dripped(connected(port, sent), piece) < 5


def test_who_reads_slowly_is_cut_off_and_who_is_only_slow_to_ask_is_not(port):
    with closing(connected(port, b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")) as slow:
        time.sleep(1.5)
        found = len(received(slow))
    assert 0 < found < LARGE
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as client:
        for path in ("/", "/large", *["/"] * 6):  # longer in all than is waited for one
            client.request("GET", path)
            assert client.getresponse().read()[:2] == b"xx"
            time.sleep(0.1)


@pytest.mark.parametrize("sent", [b"", HEAD, POST, HEAD + b"\r\n"])
def test_whoever_comes_finds_room(port, sent):
    with ExitStack() as held:
        for _ in range(30):
            held.enter_context(closing(connected(port, sent)))
        for _ in range(10):
            assert received(connected(port, HEAD + b"Connection: close\r\n\r\n")).startswith(b"HTTP/1.1 200 OK")


def serve_with_few_descriptors(experiment, database, descriptors, address):
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(32, descriptors), descriptors))
    serve(
        experiment,
        port=0,
        database=database,
        started=lambda found: address.put((found, resource.getrlimit(resource.RLIMIT_NOFILE))),
    )


def test_with_few_descriptors_requests_are_answered_and_the_log_stays_short(experiment, tmp_path):
    with closing(Store(tmp_path / "answers.db", experiment)) as store:
        tokens = [store.enrol() for _ in range(3)]
    held = ExitStack()
    address, log = CONTEXT.Queue(), tmp_path / "log.txt"
    process = started(serve_with_few_descriptors, experiment, tmp_path / "answers.db", 64, address, output=log)
    try:
        found, limit = address.get(timeout=60)
        assert limit == (64, 64), "the soft limit was raised"
        port = int(found.rpartition(":")[2])
        for _ in range(60):
            held.enter_context(closing(connected(port, HEAD)))
        for _ in range(20):  # and hang up
            connected(port, POST.replace(b"POST /", b"POST /results").replace(b"\r\n\r\n", FORM)).close()
            connected(port, HEAD.replace(b" / ", b" /page/jspsych.js ") + b"\r\n").close()
        for token in tokens:
            with Client(found, token, patience=60) as client:
                client.send(form_message("consent"))
                trial = experiment.trials(1 + tokens.index(token))[0]
                client.send(answer_message(trial, "1"))
                assert client.sound(trial.stimulus)[:4] == b"RIFF"
    finally:
        held.close()
        process.terminate()
        process.join()
    assert log.read_text() == ""
    assert [path.name for path in tmp_path.glob("answers.db*")] == ["answers.db"], "it was closed"
