"""How long things take, and have yet to take, how many there are and how far they are, in words."""

from collections.abc import Mapping
from math import floor
from typing import Final

__all__ = ["amount", "duration", "percent", "time_left"]

_DAY: Final = 86_400


def duration(seconds: float, digits: int = 1) -> str:
    """As ``7.5 s``, ``12:07``, ``3:05:00`` or, from two days on, ``64 days``.

    Args:
        seconds: at least 0.
        digits: of seconds after the point, below a minute.
    """
    if round(seconds, digits) < 60:
        return f"{seconds:.{digits}f} s"
    if seconds >= 2 * _DAY:
        return f"{seconds / _DAY:,.0f} days"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def time_left(remaining: Mapping[str, float]) -> str:
    """From p50 to p90, as ``4 s to 9 s``; ``overdue`` where p90 has passed.

    Args:
        remaining: seconds by quantile, as an estimate tells them.
    """
    if remaining["p90"] <= 0:
        return "overdue"
    sooner, later = (duration(max(0.0, remaining[quantile]), 0) for quantile in ("p50", "p90"))
    return later if sooner == later else f"{sooner} to {later}"


def amount(value: float) -> str:
    """A number of things: ``1,234``; of a fraction up to two places."""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}".rstrip("0").rstrip(".")


def percent(done: float) -> str:
    """To one place, rounded down: what isn't done never looks so."""
    return f"{floor(round(10 * done, 6)) / 10:.1f}"
