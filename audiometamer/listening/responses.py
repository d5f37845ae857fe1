"""Responses: JSON, files of a manifest, and refusals with the status that a page understands."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from audiometamer.errors import AudioMetamerError
from audiometamer.listening.refusals import (
    BusyError,
    ClosedError,
    CompleteError,
    ConflictError,
    ExcessError,
    LeftError,
    PreviewError,
    RefusedError,
    UnavailableError,
    UnknownListenerError,
    UnnamedError,
    UnsignedError,
)
from audiometamer.listening.session import PageState

_TYPES = {
    ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
    ".json": "application/json", ".svg": "image/svg+xml", ".png": "image/png", ".woff2": "font/woff2",
}  # fmt: skip
_STATUS: dict[type[AudioMetamerError], int] = {
    RefusedError: 422, UnknownListenerError: 401, UnnamedError: 403, CompleteError: 409, ConflictError: 409, ExcessError: 429,
    UnavailableError: 503, ClosedError: 403, PreviewError: 403, UnsignedError: 403, BusyError: 429, LeftError: 410,
}  # fmt: skip
_log = logging.getLogger("audiometamer.listening.app")


def manifest_of(folder: Path) -> dict[str, Path]:
    """The files of a folder by name, with forward slashes; links are not followed out of it."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink())
    return {path.relative_to(folder).as_posix(): path for path in found}


def listed_file(manifest: Mapping[str, Path], name: str) -> Response:
    """A file of a manifest; status 404 if it is none of them."""
    path = manifest.get(name)
    if path is None:
        raise HTTPException(404, "there is no such file")
    return file_response(path, media_type=_TYPES.get(path.suffix, "application/octet-stream"))


def file_response(path: Path, *, media_type: str, headers: Mapping[str, str] | None = None) -> Response:
    """A file of the experiment, which was there when the server started."""
    if not path.is_file():
        raise AudioMetamerError(f"{path} was there when this was started, and is not any more")
    return FileResponse(path, media_type=media_type, headers=headers)


def json_response(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Structs, dictionaries and the like as JSON."""
    return Response(msgspec.json.encode(content), status, headers, media_type="application/json")


def error_response(
    status: int, message: str, *, code: str = "", state: PageState | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """A refusal, as the page reads it."""
    content: dict[str, Any] = {"error": message}
    if code:
        content["code"] = code
    if state is not None:
        content["state"] = state
    return json_response(content, status, headers)


async def refusal(_request: Request, error: Exception) -> Response:
    """The response to an error of ours: what a page should know; anything else goes to the log."""
    status = next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), 500)
    if status in (500, 503):
        _log.error("%s", error)
    if status == 500:
        return error_response(500, "the server cannot do this now; the experimenter finds the reason in its log", code="failed")
    headers = {503: {"Retry-After": "1"}, 401: {"WWW-Authenticate": "Bearer"}}.get(status)
    if isinstance(error, BusyError):
        headers = {"Retry-After": str(error.seconds)}
    message = "the answers cannot be reached now" if status == 503 else str(error)
    return error_response(status, message, code=getattr(error, "code", ""), headers=headers)


async def http_error(_request: Request, error: Exception) -> Response:
    """The response to an error of HTTP."""
    assert isinstance(error, HTTPException)
    return error_response(error.status_code, error.detail, headers=error.headers)
