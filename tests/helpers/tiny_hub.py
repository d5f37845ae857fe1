"""A server on this machine that answers as the Hugging Face Hub does, with the repositories of a folder."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

COMMIT = "0123456789abcdef0123456789abcdef01234567"
GATED = "owner/gated"


class Hub(BaseHTTPRequestHandler):
    """``/api/models/…`` lists a repository, ``/OWNER/NAME/resolve/COMMIT/FILE`` is a file; `asked` keeps the files' names."""

    protocol_version = "HTTP/1.1"
    repositories: Path
    asked: list[str]

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = unquote(self.path).partition("?")[0].strip("/")
        if path.startswith("api/models/"):
            self._listed(path.removeprefix("api/models/"))
        else:
            repository, _, rest = path.partition("/resolve/")
            self._file(self.repositories / repository / rest.partition("/")[2])

    def _listed(self, path):
        kind = "/tree/" if "/tree/" in path else "/revision/"
        repository, _, revision = path.partition(kind)
        folder = self.repositories / repository
        if repository == GATED:
            self._answer(403, b"{}", {"X-Error-Code": "GatedRepo"})
        elif not folder.is_dir():
            self._answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif revision not in ("main", "v1", COMMIT):
            self._answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        elif kind == "/revision/":
            self._answer(200, json.dumps({"id": repository, "sha": COMMIT, "siblings": []}).encode())
        else:
            files = [{"type": "file", "path": f.name, "size": f.stat().st_size, "oid": _sha1(f)} for f in folder.iterdir()]
            self._answer(200, json.dumps(files).encode())

    def _file(self, path):
        if not path.is_file():  # such as what the client asks about itself
            self._answer(404, b"{}")
            return
        self.asked.append(path.name)
        self._answer(200, path.read_bytes(), {"ETag": f'"{_sha1(path)}"', "X-Repo-Commit": COMMIT})

    def _answer(self, status, content, headers=()):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), "Content-Type": "application/json", **dict(headers)}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *args):
        """Nothing."""


def _sha1(path):
    return hashlib.sha1(path.read_bytes(), usedforsecurity=False).hexdigest()


@contextmanager
def hub_of(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """The address of a hub with the repositories ``folder/OWNER/NAME``, and the names of the files that it was asked for."""
    handler = type("HubOf", (Hub,), {"repositories": folder, "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", handler.asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
