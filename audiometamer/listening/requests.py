"""Untrusted requests: limited in size and rate, of the right type, checked against a struct, with a token where one is needed."""

import time
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import parse_qs

import msgspec
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

T = TypeVar("T")
MAX_BODY_BYTES = 64 * 1024  # of a body; an answer takes less than 1 KiB

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; media-src 'self' blob:; "
    "base-uri 'none'; frame-ancestors {frames}; form-action {forms}"
)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}


class SecurityHeaders:
    """Adds headers to every response, including failures, that let a browser load nothing from elsewhere.

    Parameters
    ----------
    app : ASGI application
    partner : str
        Sites that may show pages in a frame and receive their forms, besides the server itself. Default: none.
    """

    def __init__(self, app: ASGIApp, *, partner: str = "") -> None:
        self.app = app
        policy = _POLICY.format(frames=partner or "'none'", forms=f"'self' {partner}".strip())
        # Older browsers do not know frame-ancestors, and X-Frame-Options knows no partners.
        self.headers = {**_HEADERS, "Content-Security-Policy": policy, **({} if partner else {"X-Frame-Options": "DENY"})}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward a request, and return its response with the headers that it does not set itself."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self.headers.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, with_headers if scope["type"] == "http" else send)


class TokenBucket:
    """Limit on each listener's requests (token bucket).

    Parameters
    ----------
    burst, per_second : float
        Largest burst, and requests per second after it.
    """

    def __init__(self, burst: float, per_second: float) -> None:
        self.burst, self.per_second = burst, per_second
        self._left: dict[int, tuple[float, float]] = {}  # by listener: tokens, and when, by the monotonic clock

    def take(self, listener: int) -> bool:
        """Take a token for one request of a listener; whether there was one."""
        now = time.monotonic()
        left, then = self._left.get(listener, (self.burst, now))
        left = min(self.burst, left + self.per_second * (now - then))
        self._left[listener] = left - (left >= 1), now
        return left >= 1


async def read_body(request: Request) -> bytes:
    """The body; of more than `MAX_BODY_BYTES`, the rest is not even read."""
    body = bytearray()
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > MAX_BODY_BYTES:
                raise HTTPException(413, f"a body may have {MAX_BODY_BYTES} bytes")
    except ClientDisconnect as error:  # nobody receives this
        raise HTTPException(400, "the connection ended before the body did") from error
    return bytes(body)


async def read_json_body(request: Request, decode: Callable[[bytes], T]) -> T:
    """Read a body of type ``application/json``, decode and check it."""
    _check_type(request, "application/json")
    body = await read_body(request)
    try:
        return decode(body)
    except msgspec.ValidationError as error:
        raise HTTPException(422, str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise HTTPException(400, f"this is not JSON: {error}") from error


async def read_form_body(request: Request) -> dict[str, str]:
    """Read the fields of a form; the first of each name."""
    _check_type(request, "application/x-www-form-urlencoded")
    body = await read_body(request)
    try:
        fields = parse_qs(body.decode("ascii"), max_num_fields=20)
    except ValueError as error:
        raise HTTPException(400, "this is not a form") from error
    return {name: values[0] for name, values in fields.items()}


def _check_type(request: Request, wanted: str) -> None:
    found = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if found != wanted:
        raise HTTPException(415, f"the body is {found or 'of no type'!r}; it must be {wanted}")


def bearer(request: Request) -> str | None:
    """The token of the header ``Authorization: Bearer``."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None
