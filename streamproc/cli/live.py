"""What is followed live in a terminal: the newest states of jobs, how old they are, and how the connection is."""

import time
from collections import deque
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final, NamedTuple

import anyio
import msgspec
from rich.text import Text

from streamproc.cli.bars import text
from streamproc.cli.clock import ago
from streamproc.links import Link

__all__ = ["FINAL", "Board", "Note", "Notes", "link_line"]

Json = dict[str, Any]

FINAL: Final = ("finished", "failed", "canceled")
_SILENT_SECONDS: Final = 20.0
"""A stream says something every 15 s."""
_BACK_SECONDS: Final = 4.0
_NOTES: Final = 3


class Note(NamedTuple):
    """What a job said, and when that came, as ``14:02:10``."""

    text: str
    came: str


class Notes:
    """What a job has said of late, the newest first; what it says now is not among it."""

    def __init__(self) -> None:
        self._said: deque[Note] = deque(maxlen=_NOTES + 1)

    def put(self, job: Json) -> None:
        """A state came."""
        said = job["message"]
        if said and (not self._said or self._said[0].text != said):
            self._said.appendleft(Note(said, f"{datetime.now():%H:%M:%S}"))

    def __iter__(self) -> Iterator[Note]:
        yield from list(self._said)[1:]


class Board:
    """The newest state of each job that is followed.

    What comes is decoded when somebody looks: of a busy job that is a few times a second.
    """

    def __init__(self) -> None:
        self._states: dict[str, Json] = {}
        self._new: dict[str, bytes] = {}
        self._came: dict[str, float] = {}
        self._change = anyio.Event()

    def put(self, job: str, snapshot: bytes) -> None:
        """A snapshot came."""
        self._new[job] = snapshot
        self._came[job] = time.monotonic()
        self.touch()

    def drop(self, job: str) -> Json | None:
        """A job is followed no longer. Returns its last state."""
        self._came.pop(job, None)
        new, known = self._new.pop(job, None), self._states.pop(job, None)
        self.touch()
        return known if new is None else msgspec.json.decode(new)

    def touch(self) -> None:
        """What is shown is not what it was."""
        self._change.set()

    async def changed(self) -> None:
        """Wait until it has changed since this was called last."""
        await self._change.wait()
        self._change = anyio.Event()

    def take(self) -> list[Json]:
        """The states that came since this was called last."""
        taken = {job: msgspec.json.decode(snapshot) for job, snapshot in self._new.items()}
        self._states |= taken
        self._new.clear()
        return list(taken.values())

    def __len__(self) -> int:
        return len(self._came)

    def __contains__(self, job: object) -> bool:
        return job in self._came

    def __iter__(self) -> Iterator[Json]:
        """The states, the oldest job first, with as much time left as there is by now."""
        self.take()
        for job in sorted(self._states, key=lambda job: (self._states[job]["created_at"] or "", job)):
            yield self[job]

    def __getitem__(self, job: str) -> Json:
        """The state of one. Raises `KeyError`."""
        if job in self._new:
            self._states[job] = msgspec.json.decode(self._new.pop(job))
        return _aged(self._states[job], time.monotonic() - self._came[job])


def _aged(state: Json, seconds: float) -> Json:
    """A state with as much less time left. What is paused, queued or unknown has none that could pass."""
    eta = state["eta"]
    if eta is None or eta["remaining_seconds"] is None or state["status"] in FINAL or state["status"] == "paused":
        return state
    remaining = {quantile: max(0.0, left - seconds) for quantile, left in eta["remaining_seconds"].items()}
    return state | {"eta": eta | {"remaining_seconds": remaining}}


def link_line(link: Link, of: str = "") -> Text:
    """Whether what is shown is what is: live, or since when not."""
    if link.heard is None:
        return text(f"connecting: {link.error}" if link.error else "connecting", "yellow")
    now = time.monotonic()
    silent = now - link.heard
    since = f"stale since {ago(silent)}"
    if link.error is not None:
        return text(f"reconnecting; {since}: {link.error}", "yellow")
    if silent > _SILENT_SECONDS:
        return text(since, "yellow")
    if link.back is not None and now - link.back < _BACK_SECONDS:
        return text(f"caught up{of}", "green")
    return text(f"live{of}", "dim")
