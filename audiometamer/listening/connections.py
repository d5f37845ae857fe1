"""Connections with deadlines: clients that send or read too slowly are cut off, and the slowest make room for new ones."""

import asyncio
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import h11
from uvicorn import Config, Server
from uvicorn.protocols.http.h11_impl import H11Protocol

REQUESTS_PER_CONNECTION = 2  # running requests for each possible connection: those of ended ones count until they notice
BACKLOG = 2048  # connections that wait to be accepted
SECONDS_FOR_REQUEST = 30.0  # from its first byte, or the connection, to its last byte; the page gives up after 20 s
SECONDS_FOR_READING = 60.0  # in which a client must read as much of a response as the system buffers
_MAX_CONNECTIONS = 4000
_SPARE = 8  # files that are open temporarily
_UNLIMITED = 65_536  # descriptors to count with where there is no limit


def max_connections() -> int:
    """Maximum of concurrent connections, as each may also have a file open, and as many may just have been accepted.

    Raises this process's limit of open files as far as allowed.
    """
    if os.name != "posix":
        return _MAX_CONNECTIONS
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # macOS reports "unlimited" and has a limit
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    allowed = _UNLIMITED if soft == resource.RLIM_INFINITY else soft
    used = sum(1 for _ in Path("/dev/fd").iterdir())
    return max(1, min(_MAX_CONNECTIONS, (allowed - used - _SPARE) // 3))


class PatientServer(Server):
    """A server with a long queue of connections, of which few are accepted in one go, as those are not counted yet.

    Parameters
    ----------
    config : uvicorn.Config
        Its ``backlog`` is the number of connections to accept in one go.
    ended : function
        Called when no more requests are accepted, before the signal that stopped the server ends the process.
    """

    def __init__(self, config: Config, ended: Callable[[], None] = lambda: None) -> None:
        super().__init__(config)
        self.ended = ended

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listening in sockets or []:
            listening.listen(BACKLOG)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        self.ended()


class Connection(H11Protocol):
    """A connection with the deadlines `SECONDS_FOR_REQUEST` and `SECONDS_FOR_READING`.

    Where there is no room for one more, the connection that has waited longest for its client is closed; if none is waiting, the
    new one. There is room for ``limit_concurrency`` / `REQUESTS_PER_CONNECTION`.
    """

    def __init__(self, config: Config, *args: Any, **kwargs: Any) -> None:
        super().__init__(config, *args, **kwargs)
        self._deadline: asyncio.TimerHandle | None = None
        self._reading: asyncio.TimerHandle | None = None
        self.waiting_since: float | None = None  # for the client to send or read; by the clock of the loop

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_request()
        if self.limit_concurrency is not None and len(self.connections) > self.limit_concurrency // REQUESTS_PER_CONNECTION:
            waiting = [one for one in self.connections if isinstance(one, Connection) and one.waiting_since is not None]
            longest = min(waiting, key=lambda one: (one is self, one.waiting_since))
            self.connections.discard(longest)  # now: it learns of its end only after others have connected
            longest.transport.abort()

    def _should_upgrade(self) -> bool:
        return False  # to no other protocol: treat it as a request like any other

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop(self._deadline)
        self._stop(self._reading)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]:
            self._await_request()  # these are its first bytes
        super().data_received(data)
        self._update_deadline()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.get_write_buffer_size():
            self._await_reading()
        self._update_deadline()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._await_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop(self._reading)
        self._reading = None
        self._update_deadline()

    def _update_deadline(self) -> None:
        """Start or stop the deadline of a request, depending on how much of it has arrived."""
        receiving = self.conn.their_state in (h11.IDLE, h11.SEND_BODY)
        if receiving and self._deadline is None:
            self._await_request()
        elif not receiving:
            self._stop(self._deadline)
            self._deadline = None
            if self._reading is None:
                self.waiting_since = None

    def _await_request(self) -> None:
        self._stop(self._deadline)
        self._deadline = self.loop.call_later(SECONDS_FOR_REQUEST, self._give_up)
        self.waiting_since = self.loop.time()

    def _await_reading(self) -> None:
        if self._reading is None:
            self._reading = self.loop.call_later(SECONDS_FOR_READING, self._give_up_unread)
            self.waiting_since = self.loop.time()

    def _give_up(self) -> None:
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            self.transport.close()

    def _give_up_unread(self) -> None:
        self._reading = None
        if self.transport.get_write_buffer_size():
            self.transport.abort()

    @staticmethod
    def _stop(timer: asyncio.TimerHandle | None) -> None:
        if timer is not None:
            timer.cancel()
