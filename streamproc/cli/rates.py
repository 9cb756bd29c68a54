"""How fast jobs are going: what came within the last half minute, by the time at which it came."""

from collections import deque
from typing import Any, Final

__all__ = ["Events", "Rates"]

Json = dict[str, Any]

_SECONDS: Final = 30.0
_STEP_SECONDS: Final = 1.0
_EVENTS_SECONDS: Final = 5.0


class Rates:
    """The rates of jobs, each by its items where it has such, else by its percent."""

    def __init__(self) -> None:
        self._seen: dict[str, deque[tuple[float, float]]] = {}
        self._of: dict[str, tuple[str, int]] = {}

    def put(self, job: Json, now: float) -> None:
        """A state came, at a time in seconds."""
        of, value = ("items", job["items"]["done"]) if job["items"] else ("percent", job["percent"])
        seen = self._seen.setdefault(job["job_id"], deque())
        what = (of, job["attempt"])
        if value is None or self._of.get(job["job_id"]) != what or (seen and value < seen[-1][1]):
            seen.clear()
        self._of[job["job_id"]] = what
        if value is None:
            return
        if len(seen) > 1 and seen[-1][0] - seen[-2][0] < _STEP_SECONDS:
            seen.pop()  # more than one a second would not make it truer
        seen.append((now, value))

    def drop(self, job: str) -> None:
        """A job is followed no longer."""
        self._seen.pop(job, None)
        self._of.pop(job, None)

    def per_second(self, job: Json, now: float) -> float | None:
        """Items or percent a second; None before it has been seen for a second."""
        seen = self._seen.get(job["job_id"])
        while seen and len(seen) > 1 and now - seen[1][0] > _SECONDS:
            seen.popleft()
        if not seen or now - seen[0][0] < _STEP_SECONDS:
            return None
        return (seen[-1][1] - seen[0][1]) / (now - seen[0][0])

    def text(self, job: Json, now: float) -> str:
        """The same as people read it: ``1,234/s``, or ``5.1 %/min``."""
        rate = self.per_second(job, now)
        if rate is None:
            return ""
        if self._of[job["job_id"]][0] == "percent":
            return f"{60 * rate:,.1f} %/min"
        return f"{rate:,.0f}/s" if rate >= 100 else f"{rate:.3g}/s"


class Events:
    """How many events of all jobs that are followed are folded, by what their states say."""

    def __init__(self) -> None:
        self._of: dict[str, int] = {}
        self._came: deque[tuple[float, int]] = deque()
        self._began: float | None = None

    def put(self, job: Json, now: float) -> None:
        """A state came, at a time in seconds; the first of a job says nothing of how fast it is."""
        before = self._of.get(job["job_id"])
        self._of[job["job_id"]] = job["events"]
        if self._began is None:
            self._began = now
        if before is not None and job["events"] > before:
            self._came.append((now, job["events"] - before))

    def drop(self, job: str) -> None:
        """A job is followed no longer."""
        self._of.pop(job, None)

    def per_second(self, now: float) -> float | None:
        """How many there were a second of late; None before that can be said."""
        while self._came and now - self._came[0][0] > _EVENTS_SECONDS:
            self._came.popleft()
        seconds = 0.0 if self._began is None else min(_EVENTS_SECONDS, now - self._began)
        return None if seconds < _STEP_SECONDS else sum(count for _, count in self._came) / seconds
