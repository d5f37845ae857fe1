"""Connections that cost little: who sends or reads too slowly is cut off, and who waits longest makes room for who comes."""

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

AT_ONCE = 2  # requests at work for each connection there is room for: those of ended connections count until they notice
BACKLOG = 2048  # connections that wait to be taken
SECONDS_FOR_REQUEST = 30.0  # from its first byte, or the connection, to its last byte; the page gives up after 20
SECONDS_FOR_READING = 60.0  # in which a response must make progress, by as much as the system buffers
_MOST_CONNECTIONS = 4000
_SPARE = 8  # files that are open now and then
_EVERY = 65_536  # descriptors, where there is no limit


def most_connections() -> int:
    """How many connections there may be at once; each may have a file open, too, and as many may just have been taken.

    The limit of this process is raised to what it is allowed.
    """
    if os.name != "posix":
        return _MOST_CONNECTIONS
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # macOS says "unlimited" and has a limit
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    allowed = _EVERY if soft == resource.RLIM_INFINITY else soft
    used = sum(1 for _ in Path("/dev/fd").iterdir())
    return max(1, min(_MOST_CONNECTIONS, (allowed - used - _SPARE) // 3))


class PatientServer(Server):
    """A server at which many connections may wait to be taken, while few are taken in one go: those are not counted yet.

    Parameters
    ----------
    config : uvicorn.Config
        Of which ``backlog`` says how many are taken in one go.
    ended : function
        Called when no more requests are taken, and before the signal that ended it ends the process.
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
    """A connection that is waited for as long as `SECONDS_FOR_REQUEST` and `SECONDS_FOR_READING` say.

    Where there is no room for one more, the connection that has waited longest for its client is closed; the new one, if no other
    waits. There is room for ``limit_concurrency`` / `AT_ONCE`.
    """

    def __init__(self, config: Config, *args: Any, **kwargs: Any) -> None:
        super().__init__(config, *args, **kwargs)
        self._deadline: asyncio.TimerHandle | None = None
        self._reading: asyncio.TimerHandle | None = None
        self.waiting_since: float | None = None  # for the client to send, or to read; by the clock of the loop

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_request()
        if self.limit_concurrency is not None and len(self.connections) > self.limit_concurrency // AT_ONCE:
            waiting = [one for one in self.connections if isinstance(one, Connection) and one.waiting_since is not None]
            longest = min(waiting, key=lambda one: (one is self, one.waiting_since))
            self.connections.discard(longest)  # at once: it learns of its end only after others have come
            longest.transport.abort()

    def _should_upgrade(self) -> bool:
        return False  # to whatever it is: it is a request like any other

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop(self._deadline)
        self._stop(self._reading)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]:
            self._await_request()  # these are its first bytes
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.get_write_buffer_size():
            self._await_reading()
        self._look()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._await_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop(self._reading)
        self._reading = None
        self._look()

    def _look(self) -> None:
        """Start or stop the deadline of a request, by how much of it has arrived."""
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
