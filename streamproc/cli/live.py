"""What is followed live in a terminal: the newest states of jobs, how old they are, and how the connection is."""

import time
from collections.abc import Iterator
from typing import Any, Final

import anyio
import msgspec
from rich.live import Live
from rich.text import Text

from streamproc.cli.bars import clean
from streamproc.durations import duration
from streamproc.links import Link

__all__ = ["FINAL", "Board", "link_line", "refresh"]

Json = dict[str, Any]

FINAL: Final = ("finished", "failed", "canceled")
_SECONDS: Final = 0.2
_SILENT_SECONDS: Final = 20.0
"""A stream says something every 15 s."""


class Board:
    """The newest state of each job that is followed."""

    def __init__(self) -> None:
        self._states: dict[str, Json] = {}
        self._came: dict[str, float] = {}

    def put(self, snapshot: bytes) -> Json:
        """A snapshot came. Returns it, decoded."""
        state: Json = msgspec.json.decode(snapshot)
        self._states[state["job_id"]] = state
        self._came[state["job_id"]] = time.monotonic()
        return state

    def drop(self, job: str) -> Json | None:
        """A job is followed no longer. Returns its last state."""
        self._came.pop(job, None)
        return self._states.pop(job, None)

    def __len__(self) -> int:
        return len(self._states)

    def __iter__(self) -> Iterator[Json]:
        """The states, the oldest job first, with as much time left as there is by now."""
        now = time.monotonic()
        for state in sorted(self._states.values(), key=lambda state: (state["created_at"] or "", state["job_id"])):
            yield _aged(state, now - self._came[state["job_id"]])


def _aged(state: Json, seconds: float) -> Json:
    """A state with as much less time left. What is paused, queued or unknown has none that could pass."""
    eta = state["eta"]
    if eta is None or eta["remaining_seconds"] is None or state["status"] in FINAL:
        return state
    remaining = {quantile: max(0.0, left - seconds) for quantile, left in eta["remaining_seconds"].items()}
    return state | {"eta": eta | {"remaining_seconds": remaining}}


def link_line(link: Link, of: str = "") -> Text:
    """Whether what is shown is what is: live, or since when not."""
    if link.heard is None:
        return Text("connecting", "yellow")
    silent = time.monotonic() - link.heard
    if link.error is not None:
        said = f"reconnecting; this is as it was {duration(silent, 0)} ago: {clean(str(link.error))}"
        return Text(said, "yellow", no_wrap=True, overflow="ellipsis")
    if silent > _SILENT_SECONDS:
        return Text(f"stale: nothing was heard for {duration(silent, 0)}", "yellow")
    return Text(f"live{of}", "dim")


async def refresh(live: Live) -> None:
    """Draw a few times a second, until cancelled: time passes also where nothing comes."""
    while True:
        live.refresh()
        await anyio.sleep(_SECONDS)
