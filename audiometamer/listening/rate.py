"""Limits on newcomers per minute, in all and from one address."""

import ipaddress
import math
import time
from collections import deque
from collections.abc import Callable

PER_ADDRESS = 40  # a classroom behind one address
PER_MINUTE = 120
_WINDOW = 60.0  # seconds


class RateLimit:
    """Counts the newcomers of the last minute; it remembers no more than are let in.

    Parameters
    ----------
    per_minute, per_address : int
        Largest number of newcomers within a minute, in all and from one address.
    clock : function
        Monotonic clock, in s. Default: `time.monotonic`.
    """

    def __init__(
        self, per_minute: int = PER_MINUTE, per_address: int = PER_ADDRESS, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.per_minute, self.per_address, self.clock = per_minute, per_address, clock
        self._came: deque[tuple[float, str]] = deque()

    def wait(self, address: str) -> int:
        """Whole seconds until somebody of this address may come in; 0 if they just did."""
        now, network = self.clock(), _network(address)
        while self._came and self._came[0][0] <= now - _WINDOW:
            self._came.popleft()
        own = [when for when, whence in self._came if whence == network]
        waits = [
            came[-most] + _WINDOW - now
            for came, most in (([when for when, _ in self._came], self.per_minute), (own, self.per_address))
            if len(came) >= most
        ]
        if waits:
            return max(1, math.ceil(max(waits)))
        self._came.append((now, network))
        return 0


def _network(address: str) -> str:
    """An address of IPv4, or the network of one of IPv6: who has one such address has 2^64 of them."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    return str(found.ipv4_mapped or ipaddress.ip_network((found, 64), strict=False))
