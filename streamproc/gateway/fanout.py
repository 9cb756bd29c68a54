"""The fan-out: what happens to a job goes to all clients that follow it, made once, in one pass over them."""

import math
import random
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import anyio
from anyio.abc import TaskGroup

from streamproc.errors import ServerError, ServerUnavailable
from streamproc.gateway.channels import Channel
from streamproc.gateway.clients import Client
from streamproc.gateway.estimates import Estimates
from streamproc.gateway.followers import Events, Snapshots
from streamproc.gateway.places import Start
from streamproc.hub import Hub, Watch
from streamproc.position import Token, key

__all__ = ["Fanout"]

_TICK_SECONDS: Final = 1.0
_AT_ONCE: Final = 200
"""Clients that are seen to before others get their turn."""
_DRAIN_STEP_SECONDS: Final = 0.01


Viewer = Callable[[Client, Channel, Token | None, str | None], Snapshots]


class Fanout:
    """Gives clients what they follow.

    Args:
        hub: watches jobs.
        estimates: for what goes out.

    Attributes:
        clients: all that there are.
    """

    def __init__(self, hub: Hub, estimates: Estimates) -> None:
        self.hub = hub
        self.clients: set[Client] = set()
        self._estimates = estimates
        self._channels: dict[str, Channel] = {}
        self._viewed: dict[Channel, None] = {}
        self._read: dict[Channel, None] = {}
        self._some_viewed, self._some_read = anyio.Event(), anyio.Event()
        self._draining = False

    async def run(self) -> None:
        """Serve clients, until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._show, tasks)
            tasks.start_soon(self._tell)
            tasks.start_soon(self._ticks)

    async def drain(self, seconds: float) -> None:
        """End all streams, and begin no more: few at once, many spread over some seconds."""
        self._draining = True
        clients = list(self.clients)
        random.shuffle(clients)
        at_once = max(10, math.ceil(len(clients) * _DRAIN_STEP_SECONDS / max(seconds, _DRAIN_STEP_SECONDS)))
        for first in range(0, len(clients), at_once):
            for client in clients[first : first + at_once]:
                client.close("stopping")
            if first + at_once < len(clients):
                await anyio.sleep(_DRAIN_STEP_SECONDS)

    # Who follows what --------------------------------------------------------------------------------------------

    def admit(self, client: Client) -> None:
        """Take in a client that may follow nothing yet: it has its heartbeats and its end. Raises `ServerError`."""
        if self._draining:
            raise ServerUnavailable("the gateway is stopping")
        self.clients.add(client)

    async def follow(
        self, client: Client, wanted: Mapping[str, Start], *, lossless: bool, viewer: Viewer = Snapshots
    ) -> None:
        """Let a client follow jobs too, known or not. Where it can't go on from where it was it is told so.

        Args:
            client: that isn't following any of them.
            wanted: the jobs, and where it begins with each.
            lossless: every event, and not the newest snapshot.
            viewer: makes who follows snapshots.

        Raises:
            ServerError: one can't be watched. It follows none of them then.
        """
        if self._draining:
            raise ServerUnavailable("the gateway is stopping")
        channels = await self._open(list(wanted))
        try:
            reasons = [await _reset_reason(channel.watch, wanted[channel.job]) for channel in channels]
        except BaseException:
            self._release(*channels)
            raise
        self.clients.add(client)
        make = Events if lossless else viewer
        for channel, reason in zip(channels, reasons, strict=True):
            follower = client.followers[channel.job] = make(client, channel, wanted[channel.job].token, reason)
            channel.add(follower)
            client.mark(follower)

    async def _open(self, jobs: list[str]) -> list[Channel]:
        """The channels of jobs, held until they are released."""
        found = {job: self._channels[job] for job in jobs if job in self._channels}
        for channel in found.values():
            channel.holders += 1  # before anything is waited for: others may let go of it meanwhile
        missing = [job for job in jobs if job not in found]
        if missing:
            try:
                watches = await self.hub.watch_all(missing, [partial(self._rung, job) for job in missing])
            except BaseException:
                self._release(*found.values())
                raise
            for job, watch in zip(missing, watches, strict=True):
                if job in self._channels:
                    watch.__exit__(None, None, None)  # another was faster
                else:
                    self._channels[job] = Channel(job, watch, self._estimates)
                found[job] = self._channels[job]
                found[job].holders += 1
        return [found[job] for job in jobs]

    def _release(self, *channels: Channel) -> None:
        for channel in channels:
            channel.holders -= 1
            if not channel.holders:
                del self._channels[channel.job]
                channel.watch.__exit__(None, None, None)

    def leave(self, client: Client, job: str) -> None:
        """Let a client follow a job no longer."""
        follower = client.followers.pop(job)
        client.forget(follower)
        follower.channel.remove(follower)
        self._release(follower.channel)

    def drop(self, client: Client) -> None:
        """Let a client go."""
        for job in list(client.followers):
            self.leave(client, job)
        self.clients.discard(client)

    # What goes to whom -------------------------------------------------------------------------------------------

    def _rung(self, job: str) -> None:
        channel = self._channels.get(job)
        if channel is None:
            return
        if channel.viewers:
            self._viewed[channel] = None
            self._some_viewed.set()
        if channel.readers:
            self._read[channel] = None
            self._some_read.set()

    async def _show(self, tasks: TaskGroup) -> None:
        """Give snapshots to who follows them."""
        while True:
            await self._some_viewed.wait()
            self._some_viewed = anyio.Event()
            batch, self._viewed = self._viewed, {}
            for channel in batch:
                live = channel.watch.look()
                served = None if live is None else self._estimates.at_once(channel.job, live.snapshot)
                if live is None or served is None:
                    tasks.start_soon(self._show_later, channel)
                else:
                    channel.show(live, served)
            await anyio.lowlevel.checkpoint()

    async def _show_later(self, channel: Channel) -> None:
        """Give a snapshot that something must be read for; others don't wait for that."""
        live = channel.watch.look()
        if live is not None:
            channel.show(live, await channel.served(live))

    async def _tell(self) -> None:
        """Give events to who follows them: the pages after where they are are read together."""
        while True:
            await self._some_read.wait()
            self._some_read = anyio.Event()
            batch, self._read = self._read, {}
            pages = [
                (channel, position, channel.watch.page(position)) for channel in batch for position in channel.waiting()
            ]
            for channel, position, page in pages:
                try:
                    entries = await page.wait()
                except ServerError:
                    channel.mark_readers()  # they try themselves, and say when they can't
                else:
                    channel.tell(position, page, entries)

    async def _ticks(self) -> None:
        while True:
            await anyio.sleep(_TICK_SECONDS)
            clients = list(self.clients)
            for first in range(0, len(clients), _AT_ONCE):
                now = time.monotonic()
                for client in clients[first : first + _AT_ONCE]:
                    client.tick(now)
                await anyio.lowlevel.checkpoint()


async def _reset_reason(watch: Watch, start: Start) -> str | None:
    """Why a client can't go on from where it was, if it can't."""
    live, token = watch.look(), start.token
    if live is None or token is None or start.reason is not None:
        return start.reason
    if key(token.position) > live.place and start.exact:
        await watch.refresh()  # another gateway may have heard of it before this one
        live = watch.look() or live
    if token.incarnation and token.incarnation != live.incarnation:
        return "incarnation"
    return "position" if key(token.position) > live.place and start.exact else None
