"""A client sends a message until it is confirmed or finally refused."""

import http.server
import json
import threading
from contextlib import contextmanager

import pytest

from audiometamer.listening.client import Client, ServerError


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
            reported = json.dumps({"kept": json.loads(body)["key"]} if status == 200 else {"error": "no"}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(reported)))
            self.end_headers()
            self.wfile.write(reported)

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
