"""What happened: a job's history, and the log itself."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from streamproc.errors import InvalidEvent, UnknownJob
from streamproc.gateway import cloudevents
from streamproc.gateway.backend import Backend, Opened
from streamproc.gateway.cloudevents import cloud_event
from streamproc.gateway.identity import Identity, check_seen, identity_of, sees
from streamproc.gateway.lines import event_line, one_line, time_of
from streamproc.gateway.paging import splice
from streamproc.gateway.parameters import accepts, accepts_ndjson, after, choice, job_of, limit, whole
from streamproc.gateway.problems import Problem
from streamproc.gateway.streaming import Streaming, Write
from streamproc.log import Entry
from streamproc.position import END, START, Token, key
from streamproc.store import Store
from streamproc.wire import decode

__all__ = ["PAGE", "get_attempts", "get_events", "get_log"]

PAGE: Final = 100
"""Entries that are in memory at once for one client: 6.4 MB, if all of them are as large as may be."""
_PAGE_BYTES: Final = 512 * 1024
_MOST_ENTRIES: Final = 2000
"""Where entries are small, so many; then a replay isn't one of round trips."""
_NDJSON: Final = "application/x-ndjson"
_ORDERS: Final = ("position", "-position")
_NO_ATTEMPTS: Final = b'{"attempts":[]}'
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])

Read = Callable[[str, int], Awaitable[Sequence[Entry]]]
Choose = Callable[[Sequence[Entry]], Awaitable[Sequence[Entry]]]


async def get_events(request: Request) -> Response:
    """A job's history: a page of it, or by ``Accept`` all of it, one line an event; as CloudEvents too.

    Sorted by ``-position`` the newest comes first.
    """
    backend: Backend = request.app.state.backend
    store = backend.get().store
    job, most, token = job_of(request), limit(request, default=100, most=1000), after(request)
    (incarnation, snapshot), *_ = await store.current([job])
    check_seen(request, job, snapshot)
    if snapshot is None:
        raise UnknownJob(f"there is no job {job}")
    backwards = choice(request, "sort", _ORDERS) == _ORDERS[1]
    start = _start(token, incarnation, END if backwards else START)

    async def read(position: str, count: int) -> Sequence[Entry]:
        return await (store.history_before if backwards else store.history)(job, position, count)

    as_cloud_events = accepts(request, cloudevents.STRUCTURED)
    if as_cloud_events or accepts_ndjson(request):

        async def body(write: Write) -> None:
            await _lines(write, read, start, None, cloud_event if as_cloud_events else event_line)

        return Streaming(body, _NDJSON)
    found = await read(start, most + 1)
    page = found[:most]
    following = page[-1][0].decode() if len(found) > most else None
    if accepts(request, cloudevents.BATCH):
        sort = f"&sort={_ORDERS[1]}" if backwards else ""
        link = f'<{request.url.path}?after={following}&limit={most}{sort}>; rel="next"'
        headers = {} if following is None else {"link": link}
        return Response(b"[%b]" % b",".join(map(cloud_event, page)), 200, headers, cloudevents.BATCH)
    return Response(splice("events", [event_line(entry) for entry in page], following), media_type="application/json")


async def get_attempts(request: Request) -> Response:
    """A job's attempts, the oldest first; none of one that nobody has begun."""
    store = request.app.state.backend.get().store
    job = job_of(request)
    snapshot = await store.snapshot(job)
    check_seen(request, job, snapshot)
    if snapshot is None:
        raise UnknownJob(f"there is no job {job}")
    body = await store.field(job, "attempts") or _NO_ATTEMPTS
    return Response(body, 200, {"cache-control": "no-cache"}, "application/json")


def _start(token: Token | None, incarnation: str, first: str) -> str:
    if token is None:
        return first
    if token.incarnation and token.incarnation != incarnation:
        raise Problem(410, "position-gone", f"after: {token} is of a log that is gone; begin anew", parameter="after")
    return token.position


async def _all(entries: Sequence[Entry]) -> Sequence[Entry]:
    return entries


async def _lines(
    write: Write, read: Read, position: str, end: str | None, line: Callable[[Entry], bytes], shown: Choose = _all
) -> None:
    """Write the entries to be shown after a position, up to an end or as far as there are any."""
    last = None if end is None else key(end)
    count = PAGE
    while True:
        entries = await read(position, count)
        wanted = entries
        if last is not None and entries and key(entries[-1][0].decode()) > last:
            wanted = [entry for entry in entries if key(entry[0].decode()) <= last]
        if wanted:
            text = b"".join([made + b"\n" for made in map(line, await shown(wanted)) if made])
            await write(text)
            position = wanted[-1][0].decode()
        if len(wanted) < count:
            return
        count = min(_MOST_ENTRIES, max(PAGE, _PAGE_BYTES * len(wanted) // max(1, len(text))))


async def get_log(request: Request) -> Response:
    """The log as it is now, one line an event: of one partition, after a position, or of all in turn.

    By ``Accept`` the lines are CloudEvents; what is no event is left out then, and for who doesn't see all jobs.
    """
    backend: Backend = request.app.state.backend
    opened = backend.get()
    partition = whole(request, "partition", 0, len(opened.keys.partitions) - 1)
    token = after(request)
    if token is not None and (partition is None or token.incarnation):
        raise Problem(400, "invalid-parameter", "after: is a position of one partition; name it", parameter="after")
    as_cloud_events = accepts(request, cloudevents.STRUCTURED)
    chosen = opened.keys.partitions if partition is None else (opened.keys.partitions[partition],)
    ends = {keys.partition: await opened.log.last(keys.partition) for keys in chosen}
    who = identity_of(request)

    async def body(write: Write) -> None:
        for number, end in ends.items():
            await _partition(opened, write, number, token.position if token else START, end, as_cloud_events, who)

    return Streaming(body, _NDJSON)


async def _partition(
    opened: Opened, write: Write, number: int, start: str, end: str, as_cloud_events: bool, who: Identity
) -> None:
    async def read(position: str, count: int) -> Sequence[Entry]:
        return await opened.log.range(number, position, count)

    def line(entry: Entry) -> bytes:
        return _log_cloud_event(entry) if as_cloud_events else _log_line(number, entry)

    async def shown(entries: Sequence[Entry]) -> Sequence[Entry]:
        return await _seen(who, opened.store, entries) if who.limited else entries

    await _lines(write, read, start, end, line, shown)


async def _seen(identity: Identity, store: Store, entries: Sequence[Entry]) -> Sequence[Entry]:
    """The events about jobs that an identity sees."""
    jobs: list[str | None] = []
    for _, fields in entries:
        try:
            jobs.append(decode(fields[1]).job)
        except InvalidEvent:
            jobs.append(None)
    wanted = list({job: None for job in jobs if job is not None})
    stored = await store.current(wanted) if wanted else []
    seen = {job for job, (_, snapshot) in zip(wanted, stored, strict=True) if sees(identity, job, snapshot)}
    return [entry for entry, job in zip(entries, jobs, strict=True) if job in seen]


def _log_cloud_event(entry: Entry) -> bytes:
    """An entry of the log; nothing of one that is no event."""
    try:
        decode(entry[1][1])
    except InvalidEvent:
        return b""
    return cloud_event(entry)


def _log_line(partition: int, entry: Entry) -> bytes:
    """An entry of the log. One that is no JSON object, as anybody may write it, is shown as text."""
    fields = entry[1]
    head = b'{"partition":%d,"position":"%b","time":"%b"' % (partition, entry[0], time_of(entry[0]))
    payload = fields[1] if fields[0] == b"e" else b" ".join(fields)
    try:
        _object.decode(payload)
        payload.decode()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return b'%b,"event":null,"raw":%b}' % (head, msgspec.json.encode(payload.decode(errors="replace")))
    return b'%b,"event":%b}' % (head, one_line(payload))
