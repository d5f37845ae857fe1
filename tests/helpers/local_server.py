"""A web server of this process, which serves bytes as well or as badly as a test wants, and keeps a log."""

import os
import re
import threading
import time
from collections.abc import Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from unittest import mock

BLOCK = 1 << 14


@dataclass
class Served:
    """A file, and how it is served. What is changed while the server runs holds from the next request on."""

    content: bytes
    ranges: bool = True
    etag: str | None = '"1"'
    modified: str | None = None
    length: int | None = None  # announced in place of the right one
    told: bool = True  # whether the length is announced at all
    redirect: str | None = None
    statuses: list[int] = field(default_factory=list)  # of the next responses, in place of the content
    cuts: list[int] = field(default_factory=list)  # bytes after which the next responses break off
    pause: float = 0.0  # seconds before each block
    headers: dict[str, str] = field(default_factory=dict)  # further ones


@dataclass
class Request:
    path: str
    headers: dict[str, str]
    begin: int = 0
    end: int = 0
    status: int = 0
    sent: int = 0  # bytes of content


class LocalServer:
    """What is served, by path, and the requests so far."""

    def __init__(self, files: Mapping[str, bytes | Served]) -> None:
        self.files = {path: file if isinstance(file, Served) else Served(file) for path, file in files.items()}
        self.log: list[Request] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"local": self}))
        self._server.daemon_threads = True
        self.root = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def address(self, path: str) -> str:
        return f"{self.root}/{path}"

    def sent(self) -> int:
        """Bytes of content that were sent."""
        return sum(request.sent for request in self.log)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def serving(files: Mapping[str, bytes | Served]):
    """A server for the duration of the block, which no proxy of the environment comes between."""
    server = LocalServer(files)
    server.start()
    try:
        with mock.patch.dict(os.environ, {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}):
            yield server
    finally:
        server.stop()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    local: LocalServer

    def handle(self):
        with suppress(ConnectionError):  # a client that has enough hangs up
            super().handle()

    def do_GET(self):
        request = Request(self.path.lstrip("/"), dict(self.headers))
        self.local.log.append(request)
        file = self.local.files.get(request.path)
        if file is None:
            self._refuse(request, 404, {})
        elif file.statuses:
            self._refuse(request, file.statuses.pop(0), file.headers)
        elif file.redirect is not None:
            self._refuse(request, 302, {"Location": file.redirect})
        else:
            self._serve(request, file)

    def _refuse(self, request, status, headers):
        request.status = status
        self.send_response(status)
        for name, value in {**headers, "Content-Length": "0"}.items():
            self.send_header(name, value)
        self.end_headers()

    def _serve(self, request, file):
        total = len(file.content) if file.length is None else file.length
        request.begin, request.end, request.status = 0, total, 200
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked and file.ranges:
            request.begin = int(asked[1])
            request.end = min(int(asked[2]) + 1, total) if asked[2] else total
            if request.begin >= total:
                self._refuse(request, 416, {"Content-Range": f"bytes */{total}"})
                return
            request.status = 206
        wanted = file.content[request.begin : request.end]
        content = wanted[: file.cuts.pop(0)] if file.cuts else wanted
        headers = {"Content-Length": request.end - request.begin, "ETag": file.etag, "Last-Modified": file.modified}
        if request.status == 206:
            headers["Content-Range"] = f"bytes {request.begin}-{request.end - 1}/{total}"
        if not file.told:
            headers |= {"Content-Length": None, "Connection": "close"}
        self.send_response(request.status)
        for name, value in (headers | file.headers).items():
            if value is not None:
                self.send_header(name, str(value))
        self.end_headers()
        self.close_connection = self.close_connection or not file.told or len(content) < request.end - request.begin
        self._send(request, content, file.pause)

    def _send(self, request, content, pause):
        with suppress(ConnectionError):
            for start in range(0, len(content), BLOCK):
                time.sleep(pause)
                block = content[start : start + BLOCK]
                self.wfile.write(block)
                request.sent += len(block)

    def log_message(self, *_):
        pass
