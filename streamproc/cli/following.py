"""Several jobs followed at once: bars on a terminal, else a line where a job's status or stage changes."""

from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import anyio
import click
import msgspec
from rich.console import Console, Group
from rich.live import Live

from streamproc.cli.bars import jobs_table, plain_line
from streamproc.cli.canvas import can_draw
from streamproc.client import Client
from streamproc.errors import UnknownJob

__all__ = ["Following"]

Json = dict[str, Any]


class Following:
    """The newest state of each job that is followed, drawn on stderr while the context lasts.

    Args:
        client: where jobs are read.
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        self._states: dict[str, Json] = {}
        self._changed = anyio.Event()
        self._console = Console(stderr=True)
        drawn = can_draw(self._console)
        self._live = Live(console=self._console, get_renderable=self._table) if drawn else None

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    async def follow(self, job: str) -> None:
        """Follow a job to its end, from before its first event is folded."""
        while True:
            try:
                async for snapshot in self.client.watch(job):
                    self._put(job, msgspec.json.decode(snapshot))
                return
            except UnknownJob:
                await anyio.sleep(0.05)

    async def wait_until(self, job: str, holds: Callable[[Json], bool]) -> None:
        """Wait until something holds of a job's state."""
        while job not in self._states or not holds(self._states[job]):
            await self._changed.wait()

    def _put(self, job: str, state: Json) -> None:
        before = self._states.get(job)
        self._states[job] = state
        self._changed.set()
        self._changed = anyio.Event()
        if self._live is None and (before is None or _heading(before) != _heading(state)):
            click.echo(plain_line(state), err=True)

    def _table(self) -> Group:
        return jobs_table((job for _, job in sorted(self._states.items())), self._console.width)


def _heading(state: Json) -> tuple[str, str | None]:
    return state["status"], state["current_stage"]
