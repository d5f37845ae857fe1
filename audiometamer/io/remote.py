"""Files on a web server, read like files on a disk: only the wanted bytes, across broken connections."""

import io
import re
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec
import requests
import urllib3

from audiometamer.errors import AudioMetamerError, first_line, pluralize
from audiometamer.io.callbacks import Notify, silent
from audiometamer.version import __version__

WAITS = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)  # seconds before each further attempt
TIMEOUT = (15.0, 60.0)  # seconds: to connect, and without a byte
_BLOCK = 1 << 16  # bytes
_FIRST_WINDOW = 1 << 12  # bytes asked for after a jump: a header of an archive, with a long name
_LAST_WINDOW = 1 << 26
_GROWTH = 4  # of windows that follow each other
_NEAR = 1 << 20  # bytes that are read through sooner than another request is answered
_REMEDY = "a file that you get otherwise can be given with --from"
_FIRST_ATTEMPTS = 3  # to reach a server that has never answered
_LONGEST_WAIT = 60.0  # seconds, whatever the server asks for
_INNERMOST = (
    r"certificate verify failed: ([^(]+)",
    r"\[Errno -?\d+\] ([^)'\"\]]+)",
    r"Error\(\d+, '([^']+)'\)",
)  # reasons in the messages of requests
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_BROKEN = (OSError, urllib3.exceptions.HTTPError)  # errors of requests are OSErrors
_HOPELESS = (requests.exceptions.SSLError, requests.exceptions.InvalidProxyURL, requests.exceptions.InvalidSchema)

_T = TypeVar("_T")


class Version(msgspec.Struct, frozen=True):
    """What tells whether a file has changed."""

    size: int | None = None  # bytes
    etag: str | None = None
    modified: str | None = None


class _BusyError(Exception):
    """The server refuses for now."""

    def __init__(self, status: str, wait: float) -> None:
        super().__init__(status)
        self.wait = wait


class _Body:
    """The part of a file that one response brings, from `position` to `end` (None: to the end of the file)."""

    def __init__(self, response: requests.Response, position: int, end: int | None) -> None:
        self.response, self.position, self.end = response, position, end

    def read(self, size: int) -> bytes:
        """At least one byte; none at the end."""
        left = size if self.end is None else min(size, self.end - self.position)
        block: bytes = self.response.raw.read(left, decode_content=False) if left > 0 else b""
        if not block and left > 0 and self.end is not None:
            raise urllib3.exceptions.ProtocolError("IncompleteRead")
        self.position += len(block)
        return block

    def skip_to(self, position: int) -> None:
        while self.position < position and self.read(min(_BLOCK, position - self.position)):
            pass

    def close(self) -> None:
        """Close the connection, or keep it for the next request if little is left."""
        try:
            if self.end is not None and self.end - self.position <= _FIRST_WINDOW:
                self.skip_to(self.end)
        except _BROKEN:
            pass
        self.response.close()


class RemoteFile(io.RawIOBase):
    """A file on a web server that can be read from any position.

    A jump costs a request for a range of bytes, a short skip forward is read through. A broken connection is taken up at the byte
    where it broke. Of a server without ranges the file is read from its beginning, and what is not wanted is dropped. Redirects
    are followed; proxies come from the environment (``HTTPS_PROXY``, ``NO_PROXY`` …).

    Parameters
    ----------
    address : str
        Address; http or https.
    waits : sequence of float
        Seconds before each further attempt; there are as many without a single byte of progress. Default 1 s to 30 s.
    timeout : (float, float)
        Seconds for connecting, and without a byte from the server. Default 15 and 60.
    notify : callable, optional
        Called with a line before each wait.

    Attributes
    ----------
    version : Version
        Size, ETag and time of modification, by which a change is noticed.
    ranges : bool
        Whether the server sends ranges of bytes.

    Raises
    ------
    AudioMetamerError
        If there is no such file, it may not be read, the server does not answer, or the file changes while it is read.
    """

    def __init__(
        self,
        address: str,
        *,
        waits: Sequence[float] = WAITS,
        timeout: tuple[float, float] = TIMEOUT,
        notify: Notify = silent,
    ) -> None:
        super().__init__()
        self._notify = notify
        self.address, self._waits, self._timeout = checked_address(address), tuple(waits), timeout
        self._position, self._window, self._expected = 0, _FIRST_WINDOW, range(0)
        self._body: _Body | None = None
        self._known: Version | None = None
        self.ranges = True
        self._session = requests.Session()
        self._session.headers.update({"User-Agent": f"audiometamer/{__version__}", "Accept-Encoding": "identity"})
        try:
            self._persistently(lambda: self._body_at(0, 0))
        except BaseException:
            self.close()
            raise

    @property
    def version(self) -> Version:
        assert self._known is not None
        return self._known

    @property
    def size(self) -> int | None:
        """Bytes; None if the server does not report it."""
        return self.version.size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        if whence == io.SEEK_END and self.size is None:
            raise io.UnsupportedOperation("the server does not report the size")
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size or 0}[whence]
        if base + offset < 0:
            raise ValueError(f"negative position {base + offset}")
        self._position = base + offset
        return self._position

    def expect(self, size: int) -> None:
        """Ask for this many bytes at once when reading continues at the current position."""
        self._expected = range(self._position, self._position + size)

    def read(self, size: int | None = -1, /) -> bytes:
        """`size` bytes; fewer only at the end of the file."""
        if size is None or size < 0:
            return self.readall()
        blocks, left = [], size
        while left and (block := self._some(left)):
            blocks.append(block)
            left -= len(block)
        return b"".join(blocks)

    def readinto(self, buffer: Any, /) -> int:
        block = self._some(len(buffer))
        buffer[: len(block)] = block
        return len(block)

    def close(self) -> None:
        if not self.closed:
            if self._body is not None:
                self._body.response.close()
            self._session.close()
        super().close()

    def _some(self, size: int) -> bytes:
        """At least one of the next `size` bytes; none at the end of the file."""
        left = min(size, _BLOCK) if self.size is None else min(size, _BLOCK, self.size - self._position)
        if left <= 0:
            return b""
        block = self._persistently(lambda: self._body_at(self._position, size).read(left))
        self._position += len(block)
        return block

    def _persistently(self, attempt: Callable[[], _T]) -> _T:
        """What an attempt returns; broken connections and servers that are busy are tried again after a wait."""
        for number, wait in enumerate((*self._waits, None), start=1):
            try:
                return attempt()
            except _HOPELESS as error:
                raise AudioMetamerError(f"{self.address}: no connection ({_reason(error)})") from error
            except (_BusyError, *_BROKEN) as error:
                self._drop()
                unreachable = self._known is None and not isinstance(error, _BusyError) and number >= _FIRST_ATTEMPTS
                if wait is None or unreachable:
                    raise AudioMetamerError(self._given_up(error, number)) from error
                seconds = max(wait, getattr(error, "wait", 0))
                reason = f"the server answered {error}" if isinstance(error, _BusyError) else _reason(error)
                self._notify(f"{self.address}: {reason}; attempt {number + 1} in {seconds:g} s")
                time.sleep(seconds)
        raise AssertionError("the last attempt returns or raises")

    def _given_up(self, error: Exception, attempts: int) -> str:
        if isinstance(error, _BusyError):
            return f"{self.address}: the server answered {error}, {pluralize(attempts, 'time')} in a row; try again later"
        if self._known is None:
            return f"{self.address}: no connection ({_reason(error)}); proxies are taken from HTTPS_PROXY and HTTP_PROXY"
        size = "" if self.size is None else f" of {self.size}"
        return (
            f"{self.address}: the connection broke at byte {self._position}{size} ({_reason(error)}), "
            f"{pluralize(attempts, 'time')} in a row; run it again" + " to continue from there" * self.ranges
        )

    def _drop(self) -> None:
        if self._body is not None:
            self._body.response.close()
            self._body = None

    def _body_at(self, position: int, size: int) -> _Body:
        """A response that continues at a position."""
        body = self._body
        if body is None or not self._reaches(body, position):
            begin, end = self._range_for(position, size)
            if body is not None:
                self._body = None
                body.close()
            self._body = body = self._answer(begin, end)
        body.skip_to(position)
        return body

    def _range_for(self, position: int, size: int) -> tuple[int, int]:
        """What to ask for next: what is expected, or more and more as long as the file is read without jumps."""
        if position in self._expected:
            return position, self._expected.stop
        body = self._body
        if body is not None and body.end is not None and 0 <= position - body.end <= _NEAR:
            begin, self._window = body.end, min(self._window * _GROWTH, _LAST_WINDOW)
        else:
            begin, self._window = position, _FIRST_WINDOW
        return begin, max(begin + self._window, position + size)

    def _reaches(self, body: _Body, position: int) -> bool:
        """Whether a response is worth reading on to a position."""
        if position < body.position:
            return False
        if not self.ranges:
            return True
        return body.end is not None and position < body.end and position - body.position <= _NEAR

    def _answer(self, begin: int, end: int) -> _Body:
        """The response to a request for a range."""
        headers = {"Range": f"bytes={begin}-{end - 1}"} if self.ranges else {}
        try:
            response = self._session.get(self.address, headers=headers, stream=True, timeout=self._timeout)
        except (requests.TooManyRedirects, requests.exceptions.InvalidURL) as error:
            raise AudioMetamerError(f"{self.address}: {first_line(error)}") from error
        try:
            return self._body_of(response, begin)
        except BaseException:
            response.close()
            raise

    def _body_of(self, response: requests.Response, begin: int) -> _Body:
        status = response.status_code
        end: int | None
        total: int | None
        if status == HTTPStatus.PARTIAL_CONTENT:
            found = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
            if found is None or int(found[1]) != begin:
                raise AudioMetamerError(
                    f"{self.address}: asked for the bytes from {begin} on, the server sent "
                    f"{response.headers.get('Content-Range', 'others')!r}"
                )
            position, end = begin, int(found[2]) + 1
            total = None if found[3] == "*" else int(found[3])
        elif status == HTTPStatus.OK:
            length = response.headers.get("Content-Length", "")
            position, end = 0, int(length) if length.isdigit() else None
            total = end
        elif status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and begin == 0:
            position, end, total = 0, 0, 0
        else:
            raise self._refusal(response)
        self._check_unchanged(Version(total, response.headers.get("ETag"), response.headers.get("Last-Modified")))
        self.ranges = status != HTTPStatus.OK
        return _Body(response, position, end)

    def _check_unchanged(self, version: Version) -> None:
        if self._known is None:
            self._known = version
        elif version != self._known:
            raise AudioMetamerError(f"{self.address} changed while it was read; run it again to fetch the new one")

    def _refusal(self, response: requests.Response) -> Exception:
        status = response.status_code
        said = f"{status} {response.reason or ''}".strip()
        if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            asked = response.headers.get("Retry-After", "")
            return _BusyError(said, min(float(asked), _LONGEST_WAIT) if asked.isdigit() else 0.0)
        if status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
            return AudioMetamerError(f"{self.address}: there is no such file ({said}); has it moved? {_REMEDY}")
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            return AudioMetamerError(f"{self.address}: the server refused access ({said}); {_REMEDY}")
        if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return AudioMetamerError(f"{self.address} changed while it was read: it has become shorter")
        return AudioMetamerError(f"{self.address}: the server answered {said}, not with the file")


def checked_address(address: str) -> str:
    """An address that can be asked: http or https, with a host.

    Raises
    ------
    AudioMetamerError
        If it is not.
    """
    try:
        parts = urlsplit(address)
    except ValueError as error:
        raise AudioMetamerError(f"{address!r} is not an address: {error}") from error
    if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
        raise AudioMetamerError(
            f"{address!r} is not an address that can be fetched; it begins with https:// or http:// and a host"
        )
    return address


def remote_size(address: str, *, waits: Sequence[float] = WAITS) -> int | None:
    """The size of a file on a web server in bytes; None if the server does not report it.

    Parameters
    ----------
    address : str
        Address; http or https.
    waits : sequence of float
        Seconds before each further attempt. Default 1 s to 30 s.

    Raises
    ------
    AudioMetamerError
        If there is no such file, it may not be read, or the server does not answer.
    """
    with RemoteFile(address, waits=waits) as file:
        return file.size


def _reason(error: BaseException) -> str:
    """The innermost reason in a message of requests, which repeats addresses and objects."""
    said = first_line(error)
    for pattern in _INNERMOST:
        if found := re.findall(pattern, said):
            return str(found[-1]).strip()
    if "timed out" in said:
        return "no answer in time"
    if any(sign in said for sign in ("IncompleteRead", "RemoteDisconnected")):
        return "the server closed it"
    return said
