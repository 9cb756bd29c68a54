"""The time where jobs are, and how it is told here: in the zone, and by the clock, of whoever looks."""

import time
from datetime import datetime, timedelta
from typing import Any, Final

from streamproc.durations import duration
from streamproc.links import Link

__all__ = ["Clock", "ago"]

_NEAR_SECONDS: Final = 600.0
_DAY: Final = 86_400


class Clock:
    """Tells instants of jobs.

    Args:
        link: over which they come; None where that is over, and the clocks are taken to agree.
        stopped: at an RFC 3339 time, where what is shown is past.
    """

    def __init__(self, link: Link | None = None, *, stopped: str | None = None) -> None:
        self._link = link or Link()
        self._stopped = None if stopped is None else self.seconds(stopped)

    def now(self) -> float:
        """Seconds since 1970, by the gateway's clock."""
        return time.time() + self._link.ahead if self._stopped is None else self._stopped

    def since(self, instant: str | None) -> float | None:
        """Seconds that have passed since an RFC 3339 time, at least 0."""
        return None if instant is None else max(0.0, self.now() - self.seconds(instant))

    @staticmethod
    def seconds(instant: str) -> float:
        """An RFC 3339 time in seconds since 1970."""
        return datetime.fromisoformat(instant).timestamp()

    def tell(self, instant: str) -> str:
        """An RFC 3339 time as ``14:02:10``, with the day where it is another, and without what is too exact."""
        try:
            found = (datetime.fromisoformat(instant) - timedelta(seconds=self._link.ahead)).astimezone()
            here = datetime.now().astimezone()
            away = abs((found - here).total_seconds())
            if found.date() == here.date():
                return f"{found:%H:%M:%S}" if away < _NEAR_SECONDS else f"{found:%H:%M}"
            return f"{found:%a %H:%M}" if away < 6 * _DAY else f"{found:%Y-%m-%d}"
        except OverflowError:  # the year 9999 has no later zone
            return instant[:10]

    def between(self, instants: dict[str, Any]) -> str:
        """From p50 to p90: ``14:02 to 14:05``."""
        sooner, later = self.tell(instants["p50"]), self.tell(instants["p90"])
        return sooner if sooner == later else f"{sooner} to {later}"


def ago(seconds: float) -> str:
    """The time some seconds ago, and how long that is: ``14:02:10, 25 s ago``."""
    then = datetime.now().astimezone() - timedelta(seconds=seconds)
    return f"{then:%H:%M:%S}, {duration(seconds, 0)} ago"
