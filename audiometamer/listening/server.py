"""Serving an experiment: a socket, the application on it, and the database behind it, until it is interrupted."""

import os
import socket
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import uvicorn

from audiometamer.errors import AudioMetamerError
from audiometamer.listening import folder as layout
from audiometamer.listening.app import create_app
from audiometamer.listening.connections import AT_ONCE, Connection, PatientServer, most_connections
from audiometamer.listening.enrolment import FREE_AFTER
from audiometamer.listening.folder import Experiment
from audiometamer.listening.newcomers import Service
from audiometamer.listening.rate import RateLimit
from audiometamer.listening.repeats import RepeatFilter, log_settings
from audiometamer.listening.signed import SignedLinks
from audiometamer.listening.store import Store


def serve(
    experiment: Experiment,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    open_to: Service | None = None,
    free_after: float = FREE_AFTER,
    rate: RateLimit | None = None,
    signed: SignedLinks | None = None,
    database: Path | None = None,
    proxies: Sequence[str] = (),
    started: Callable[[str], None] = lambda _address: None,
) -> None:
    """Run an experiment until it is interrupted.

    Parameters
    ----------
    experiment : Experiment
    host : str
        Default 127.0.0.1: this machine alone.
    port : int
        0: any that is free. Default 8000.
    open_to : {"prolific", "mturk", "anyone"}, optional
    free_after : float
        Minutes, see `Store`. Default `FREE_AFTER`.
    rate, signed : optional
        See `create_app`.
    database : path, optional
        Default: ``answers.db`` in the experiment's folder.
    proxies : sequence of str
        Addresses or networks of proxies whose ``X-Forwarded-For`` is trusted. Default: none.
    started : function of str, optional
        Called with the address once requests are taken.

    Raises
    ------
    AudioMetamerError
        If the database cannot be used, or the address is taken.
    """
    repeats = RepeatFilter()
    with closing(Store(database or experiment.folder / layout.DATABASE, experiment, free_after=free_after)) as store:
        app = create_app(
            experiment, store, open_to=open_to, rate=rate, signed=signed, ending=lambda: server.should_exit,
            on_checkpoint=repeats.flush,
        )  # fmt: skip
        most = most_connections()
        config = uvicorn.Config(
            app, http=Connection, ws="none", log_config=log_settings(repeats), access_log=False, server_header=False,
            proxy_headers=bool(proxies), forwarded_allow_ips=list(proxies), limit_concurrency=AT_ONCE * most,
            backlog=1 + most // 8, timeout_keep_alive=30, timeout_graceful_shutdown=5,
        )  # fmt: skip
        server = PatientServer(config, ended=store.close)
        with _listen(host, port) as listening:
            address = address_at(host, listening.getsockname()[1])
            store.address = address
            started(address)
            server.run(sockets=[listening])


def address_at(host: str, port: int) -> str:
    """As browsers take it: an address of IPv6 stands in brackets."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _listen(host: str, port: int) -> socket.socket:
    """A socket that takes connections.

    Its protocol is named: asyncio turns Nagle's algorithm off for no other, and every confirmation would take 40 ms more.
    """
    try:
        (family, kind, protocol, _, address), *_ = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE
        )
        listening = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise AudioMetamerError(f"cannot serve at {host} port {port}: {_reason(error)}") from error
    try:
        if os.name == "posix":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # to start again at once at the same address
        listening.bind(address)
        listening.listen()
    except OSError as error:
        listening.close()
        raise AudioMetamerError(f"cannot serve at {host} port {port}: {_reason(error)}") from error
    return listening


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
