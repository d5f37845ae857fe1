"""A client of the server without a page: it loads stimuli and sends messages as the page does, retries included."""

import http.client
import json
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from audiometamer.errors import AudioMetamerError

_RETRY_STATUSES = (502, 503, 504)  # statuses after which a retry may help
_BACK_OFF = 0.05  # s before the first retry; doubled each time
_LONGEST_WAIT = 2.0


class ServerError(AudioMetamerError):
    """The server refused a request, or was unreachable for too long."""


@dataclass(frozen=True)
class ConfirmedMessage:
    """A message that the server confirmed.

    Parameters
    ----------
    message : dict
        The message as it was sent.
    seconds : float
        Time from the first attempt to the confirmation.
    attempts : int
        Number of attempts.
    """

    message: dict[str, Any]
    seconds: float
    attempts: int


class Client(AbstractContextManager["Client"]):
    """Does what a page does: asks for the session, loads sounds, and sends messages until they are confirmed.

    Parameters
    ----------
    address : str
        ``http://host:port``.
    token : str
        Token of the listener.
    patience : float
        How long to retry a request that is not answered, or refused for a passing reason, in s. Default 60.
    """

    def __init__(self, address: str, token: str, *, patience: float = 60.0) -> None:
        parts = urlsplit(address)
        self.connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
        self.address, self.token, self.patience = address, token, patience

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def session(self) -> dict[str, Any]:
        """Everything that a page needs."""
        return json.loads(self.request("GET", "/api/session")[0])

    def trial(self, number: int, *, waiting: bool) -> dict[str, Any] | None:
        """An adaptive trial; None if it depends on an answer that has not been sent yet."""
        path = f"/api/trials/{number}" + ("?waiting" if waiting else "")
        return json.loads(self.request("GET", path)[0])["trial"]

    def sound(self, stimulus: str) -> bytes:
        """A WAV file."""
        return self.request("GET", f"/sounds/{stimulus}.wav")[0]

    def image(self, stimulus: str) -> bytes:
        """A PNG file."""
        return self.request("GET", f"/images/{stimulus}.png")[0]

    def send(self, message: dict[str, Any]) -> tuple[ConfirmedMessage, dict[str, Any]]:
        """Send a message until it is confirmed; the confirmed message, and the response."""
        start = time.perf_counter()
        body, attempts = self.request("POST", "/api/messages", message)
        response = json.loads(body)
        if response["kept"] != message["key"]:
            raise ServerError(f"the server confirmed {response['kept']!r}, and {message['key']!r} was sent")
        return ConfirmedMessage(message, time.perf_counter() - start, attempts), response

    def request(self, method: str, path: str, content: Any = None) -> tuple[bytes, int]:
        """Send a request, with retries after longer and longer pauses; the response, and the number of attempts.

        Raises
        ------
        ServerError
            If the server refuses for good, or does not answer within `patience`.
        """
        headers = {"Authorization": f"Bearer {self.token}"}
        body = None if content is None else json.dumps(content).encode()
        if body is not None:
            headers["Content-Type"] = "application/json"
        for attempt in _attempts(self.patience):
            try:
                self.connection.request(method, path, body, headers)
                response = self.connection.getresponse()
                received = response.read()
            except (OSError, http.client.HTTPException):
                self.connection.close()  # the next request reconnects
                continue
            if response.status == 200:
                return received, attempt
            if response.status not in _RETRY_STATUSES:
                raise ServerError(f"{method} {path}: {response.status} {received[:200].decode(errors='replace')}")
        raise ServerError(f"{method} {path}: no answer for {self.patience:g} s")


def _attempts(patience: float) -> Iterator[int]:
    """Numbers of attempts, from 1, with pauses between them, until the patience is exhausted."""
    end, wait, attempt = time.monotonic() + patience, _BACK_OFF, 1
    while True:
        yield attempt
        if time.monotonic() + wait > end:
            return
        time.sleep(wait)
        wait, attempt = min(2 * wait, _LONGEST_WAIT), attempt + 1
