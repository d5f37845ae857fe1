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
from audiometamer.listening.connections import REQUESTS_PER_CONNECTION, Connection, PatientServer, max_connections
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
    """Serve an experiment until interrupted.

    Parameters
    ----------
    experiment : Experiment
    host : str
        Interface to bind. Default 127.0.0.1: this machine only.
    port : int
        Port; 0 for any free one. Default 8000.
    open_to : {"prolific", "mturk", "anyone"}, optional
        Service whose participants need no link of their own. Default: none.
    free_after : float
        Minutes; see `Store`. Default `FREE_AFTER`.
    rate, signed : optional
        See `create_app`.
    database : path, optional
        Database of answers. Default: ``answers.db`` in the experiment's folder.
    proxies : sequence of str
        Addresses or networks of proxies whose ``X-Forwarded-For`` is trusted. Default: none.
    started : function of str, optional
        Called with the address once requests are accepted.

    Raises
    ------
    AudioMetamerError
        If the database cannot be used, or the address is in use.
    """
    repeats = RepeatFilter()
    with closing(Store(database or experiment.folder / layout.DATABASE, experiment, free_after=free_after)) as store:
        app = create_app(
            experiment, store, open_to=open_to, rate=rate, signed=signed, ending=lambda: server.should_exit,
            on_checkpoint=repeats.flush,
        )  # fmt: skip
        limit = max_connections()
        config = uvicorn.Config(
            app, http=Connection, ws="none", log_config=log_settings(repeats), access_log=False, server_header=False,
            proxy_headers=bool(proxies), forwarded_allow_ips=list(proxies), limit_concurrency=REQUESTS_PER_CONNECTION * limit,
            backlog=1 + limit // 8, timeout_keep_alive=30, timeout_graceful_shutdown=5,
        )  # fmt: skip
        server = PatientServer(config, ended=store.close)
        with _listen(host, port) as listening:
            address = address_at(host, listening.getsockname()[1])
            store.address = address
            started(address)
            server.run(sockets=[listening])


def address_at(host: str, port: int) -> str:
    """URL of a host and a port; an IPv6 address is put in brackets."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket.

    Its protocol is given explicitly: otherwise asyncio leaves Nagle's algorithm on, which delays every confirmation by 40 ms.
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
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # to restart immediately at the same address
        listening.bind(address)
        listening.listen()
    except OSError as error:
        listening.close()
        raise AudioMetamerError(f"cannot serve at {host} port {port}: {_reason(error)}") from error
    return listening


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
