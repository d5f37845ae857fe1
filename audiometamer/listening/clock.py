"""The time at which listeners enrol and answer, by a clock that does not jump when somebody sets the computer's."""

import time
from datetime import UTC, datetime, timedelta


class SteadyClock:
    """Runs beside the computer's clock, and is right if that was right when this was created."""

    def __init__(self) -> None:
        self._created = (datetime.now(UTC), time.monotonic())

    def _steady(self) -> datetime:
        created, then = self._created
        return created + timedelta(seconds=time.monotonic() - then)

    def now(self) -> str:
        """Timestamp of what is stored now: by the later of the two clocks."""
        return timestamp(max(datetime.now(UTC), self._steady()))

    def ago(self, minutes: float) -> str:
        """Timestamp of some minutes ago, by the earlier of the two clocks.

        A clock that is set forwards or backwards meanwhile thus makes no listener look as if they had been away longer.
        """
        return timestamp(min(datetime.now(UTC), self._steady()) - timedelta(minutes=minutes))


def timestamp(moment: datetime) -> str:
    """ISO 8601, UTC, to the millisecond."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
