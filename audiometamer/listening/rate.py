"""Limits on newcomers per minute, in total and from one address."""

import ipaddress
import math
import time
from collections import deque
from collections.abc import Callable

PER_ADDRESS = 40  # a classroom behind one address
PER_MINUTE = 120
_WINDOW = 60.0  # seconds


class RateLimit:
    """Counts the newcomers of the last minute; it remembers no more than are admitted.

    Parameters
    ----------
    per_minute, per_address : int
        Largest number of newcomers within a minute, in total and from one address.
    clock : function
        Monotonic clock, in s. Default: `time.monotonic`.
    """

    def __init__(
        self, per_minute: int = PER_MINUTE, per_address: int = PER_ADDRESS, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.per_minute, self.per_address, self.clock = per_minute, per_address, clock
        self._arrivals: deque[tuple[float, str]] = deque()

    def wait(self, address: str) -> int:
        """Whole seconds until a newcomer from this address may enter; 0 if they were just admitted."""
        now, network = self.clock(), _network(address)
        while self._arrivals and self._arrivals[0][0] <= now - _WINDOW:
            self._arrivals.popleft()
        own = [when for when, origin in self._arrivals if origin == network]
        waits = [
            times[-limit] + _WINDOW - now
            for times, limit in (([when for when, _ in self._arrivals], self.per_minute), (own, self.per_address))
            if len(times) >= limit
        ]
        if waits:
            return max(1, math.ceil(max(waits)))
        self._arrivals.append((now, network))
        return 0


def _network(address: str) -> str:
    """An IPv4 address, or the network of an IPv6 address: whoever has one of these has 2^64."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    return str(found.ipv4_mapped or ipaddress.ip_network((found, 64), strict=False))
