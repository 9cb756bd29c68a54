"""All jobs that match, however many: the newest 200 as a gateway's stream of them tells, the others by their names."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

import anyio
from anyio.abc import TaskGroup

from streamproc.client import Change, Client
from streamproc.errors import ServerError
from streamproc.filters import ACTIVE
from streamproc.links import Link

__all__ = ["MOST_JOBS", "Crowd"]

MOST_JOBS: Final = 2000
_STREAM_JOBS: Final = 200
_STREAM_CHARACTERS: Final = 6000
"""Of the names of jobs in a URL; proxies take 8 KiB."""
_LOOK_SECONDS: Final = 5.0
_LOOKS: Final = 6
"""After so many without news the others are looked up all the same."""
_logger = logging.getLogger("streamproc")


class _Group:
    """Jobs that are followed by their names, over one stream."""

    def __init__(self) -> None:
        self.jobs = set[str]()
        self.scope = anyio.CancelScope()

    @property
    def room(self) -> bool:
        return len(self.jobs) < _STREAM_JOBS and sum(len(job) + 5 for job in self.jobs) < _STREAM_CHARACTERS


class Crowd:
    """Follows all jobs that match and haven't ended, up to 2,000.

    A gateway tells of the newest 200 who comes and goes. Once there are as many, the others are looked up in the list
    of jobs, and followed by their names.

    Args:
        client: of the gateway.
        wanted: filters of ``GET /v1/jobs``; where they name no status, all but the final ones are meant.
        told: called with what becomes of each; without a snapshot it is followed no longer.
        link: is told how the connection is.

    Attributes:
        more: whether there are more than are followed.
    """

    def __init__(
        self,
        client: Client,
        wanted: Mapping[str, str | Sequence[str]],
        told: Callable[[Change], None],
        link: Link | None = None,
    ) -> None:
        self.more = False
        self._client = client
        self._wanted = wanted
        self._told = told
        self._link = link
        self._newest = set[str]()
        self._left = set[str]()
        self._groups: list[_Group] = []
        self._crowded = anyio.Event()

    async def run(self) -> None:
        """Follow them, until cancelled. Raises as `Client.follow` does."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._follow_others, tasks)
            async for change in self._client.follow(self._wanted, self._link):
                self._of_newest(change)

    def _of_newest(self, change: Change) -> None:
        if change.snapshot is not None:
            self._newest.add(change.job)
            self._left.discard(change.job)
            self._drop(change.job)
            if len(self._newest) >= _STREAM_JOBS:
                self._crowded.set()
        elif change.job in self._newest:
            self._newest.discard(change.job)
            if self._crowded.is_set():
                self._left.add(change.job)  # it may have made room for a newer one: the list will tell
                return
        self._told(change)

    async def _follow_others(self, tasks: TaskGroup) -> None:
        await self._crowded.wait()
        looks = 0
        while True:
            if self._left or looks % _LOOKS == 0:
                with suppress(ServerError):  # the stream of the newest says what is wrong
                    await self._look(tasks)
            looks += 1
            await anyio.sleep(_LOOK_SECONDS)

    async def _look(self, tasks: TaskGroup) -> None:
        wanted = {"status": ACTIVE} | dict(self._wanted)
        left, self._left = self._left, set()
        found = {job["job_id"] async for job in self._client.jobs(MOST_JOBS + 1, sort="-created", **wanted)}
        self.more = len(found) > MOST_JOBS
        known = self._newest.union(*(group.jobs for group in self._groups))
        for job in left - found - self._newest:
            self._told(Change(job, None))
        self._add(sorted(found - known)[: MOST_JOBS - len(known)], tasks)

    def _add(self, jobs: Sequence[str], tasks: TaskGroup) -> None:
        """Follow more jobs, over streams that have room and are begun anew, or others."""
        begun = list[_Group]()
        for job in jobs:
            if not begun or not begun[-1].room:
                begun.append(self._with_room())
            begun[-1].jobs.add(job)
        for group in begun:
            tasks.start_soon(self._follow_group, group)

    def _with_room(self) -> _Group:
        group = _Group()
        for other in self._groups:
            if other.room:
                self._groups.remove(other)
                other.scope.cancel()
                group.jobs = other.jobs
                break
        self._groups.append(group)
        return group

    async def _follow_group(self, group: _Group) -> None:
        with group.scope:
            while group.jobs:
                try:
                    async for change in self._client.follow({"job": sorted(group.jobs)}, Link()):
                        if change.snapshot is None:
                            group.jobs.discard(change.job)
                        self._told(change)
                        if not group.jobs:
                            break
                except ServerError as error:
                    _logger.debug("some jobs can't be followed now: %s", error)
                    await anyio.sleep(_LOOK_SECONDS)
        if group in self._groups:
            self._groups.remove(group)

    def _drop(self, job: str) -> None:
        """A job is among the newest again."""
        for group in self._groups:
            group.jobs.discard(job)
