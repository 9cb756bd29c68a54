"""A client of the gateway: what the reading commands use, and the SDK over HTTP."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final
from urllib.parse import quote, urlsplit

import httpx
import msgspec

from streamproc.config import is_loopback
from streamproc.errors import (
    CallerError,
    ConfigError,
    PastPending,
    ServerError,
    ServerUnavailable,
    UnknownJob,
    UnknownKind,
)
from streamproc.links import Link, linked
from streamproc.sse import Message, lines

__all__ = ["Change", "Client", "Refused", "http_settings", "open_gateway", "problem_of"]

_PAGE: Final = 200
_SECONDS: Final = 10.0
_SILENCE_SECONDS: Final = 45.0
"""A stream says something every 15 s; one that doesn't is dead."""
_PAST_PENDING: Final = "urn:streamproc:problem:past-pending"

Json = dict[str, Any]


class Refused(CallerError):
    """The gateway refused a request.

    Args:
        problem: its problem+json.
    """

    def __init__(self, problem: Json) -> None:
        self.problem = problem
        super().__init__(str(problem.get("detail") or problem.get("title") or "refused"))


class Change(msgspec.Struct, frozen=True):
    """What became of one of several jobs: its snapshot, or None where it is followed no longer."""

    job: str
    snapshot: bytes | None


class _Named(msgspec.Struct):
    """Which job a message is about."""

    job: str


class _Names(msgspec.Struct):
    """Which jobs a message is about."""

    jobs: list[str]


class _Snapshot(msgspec.Struct):
    """Whose snapshot it is."""

    job_id: str


class Client:
    """Talks to one gateway.

    Every method raises `ServerUnavailable` where nobody answers, `Refused` where the gateway won't, and
    `UnknownJob` or `UnknownKind` where there is no such thing.

    Args:
        http: with the gateway's address as its base.
        name: the address, for people.
    """

    def __init__(self, http: httpx.AsyncClient, name: str) -> None:
        self._http = http
        self.name = name

    async def append(self, lines: list[bytes]) -> list[Json]:
        """Append events, each one line of JSON, all or none. Returns for each what the gateway says of it."""
        headers = {"content-type": "application/x-ndjson"}
        async with self._request("POST", "/v1/events", content=b"\n".join(lines), headers=headers) as response:
            answer = msgspec.json.decode(await response.aread())
        found: list[Json] = answer["events"]
        return found

    async def jobs(self, limit: int | None = None, **wanted: str | Sequence[str]) -> AsyncIterator[Json]:
        """A list of jobs, page by page.

        Args:
            limit: at most so many.
            wanted: parameters of ``GET /v1/jobs``, such as ``status``, ``label``, ``q`` and ``sort``.
        """
        async for job in self._listed("jobs", wanted, limit):
            yield job

    async def kinds(self) -> AsyncIterator[Json]:
        """All kinds of jobs by name, page by page."""
        async for kind in self._listed("kinds", {}, None):
            yield kind

    async def kind(self, kind: str) -> bytes:
        """What is told of one kind, as it is."""
        try:
            async with self._request("GET", f"/v1/kinds/{quote(kind, safe='')}") as response:
                return await response.aread()
        except Refused as error:
            if error.problem.get("status") == 404:
                raise UnknownKind(f"there are no jobs of kind {kind}") from error
            raise

    async def system(self) -> Json:
        """How the server and the partitions stand."""
        async with self._request("GET", "/v1/system") as response:
            return dict(msgspec.json.decode(await response.aread()))

    async def ask(self, job: str, wish: str) -> None:
        """Ask a job to ``pause``, ``resume`` or ``cancel``."""
        async with self._request("POST", f"{_path(job)}/{wish}", job=job) as response:
            await response.aread()

    async def _listed(
        self, what: str, wanted: Mapping[str, str | Sequence[str]], limit: int | None
    ) -> AsyncIterator[Json]:
        left = limit
        params: dict[str, Any] = {**wanted}
        while left is None or left > 0:
            params["limit"] = _PAGE if left is None else min(_PAGE, left)
            async with self._request("GET", f"/v1/{what}", params=params) as response:
                page = msgspec.json.decode(await response.aread())
            for item in page[what]:
                yield item
            if left is not None:
                left -= len(page[what])
            if page["next"] is None:
                return
            params["cursor"] = page["next"]

    async def claim(self, body: bytes, seconds: float) -> bytes:
        """What the gateway answers to a claim within some seconds; nothing where there is no job."""
        headers = {"content-type": "application/json"}
        timeout = httpx.Timeout(_SECONDS, read=_SECONDS + seconds)
        async with self._request("POST", "/v1/claims", content=body, headers=headers, timeout=timeout) as response:
            return await response.aread()

    async def snapshot(self, job: str, at: str | None = None) -> bytes:
        """A job's snapshot, as it is; or as it was at an RFC 3339 time or a position."""
        while True:
            try:
                async with self._request("GET", _path(job), job=job, params={"at": at} if at else None) as response:
                    return await response.aread()
            except PastPending:
                continue  # each request folds more of a long history

    async def history(self, job: str) -> AsyncIterator[bytes]:
        """All events of a job: one line of JSON each."""
        headers = {"accept": "application/x-ndjson"}
        async with self._request("GET", f"{_path(job)}/events", job=job, headers=headers) as response:
            async for line in lines(response):
                yield line

    async def log(self) -> AsyncIterator[bytes]:
        """The whole log, one partition after another: one line of JSON for each event."""
        async with self._request("GET", "/v1/log") as response:
            async for line in lines(response):
                yield line

    async def watch(self, job: str, link: Link | None = None) -> AsyncIterator[bytes]:
        """A job's snapshots as they come, up to a final one; broken connections are taken up where they broke.

        Args:
            link: is told how the connection is. With it, another one is tried for as long as it takes; without, a
                few times.
        """
        async for message in self._linked(f"{_path(job)}/stream", link, job=job):
            if message.event == "snapshot":
                yield message.data
            elif message.event == "end":
                return

    async def follow(
        self, wanted: Mapping[str, str | Sequence[str]], link: Link | None = None
    ) -> AsyncIterator[Change]:
        """What becomes of the jobs that match and haven't ended, the newest 200, as they come and go; without end.

        A job that ends, also while there is no connection, is told with its final snapshot before it is let go.

        Args:
            wanted: filters of ``GET /v1/jobs``, such as ``kind`` and ``label``.
            link: as for `watch`.
        """
        known = set[str]()
        async for message in self._linked("/v1/stream", link, params=wanted):
            match message.event:
                case "snapshot":
                    job = msgspec.json.decode(message.data, type=_Snapshot).job_id
                    known.add(job)
                    yield Change(job, message.data)
                case "end" | "left":
                    job = msgspec.json.decode(message.data, type=_Named).job
                    known.discard(job)
                    yield Change(job, None)
                case "jobs":
                    for job in sorted(known - set(msgspec.json.decode(message.data, type=_Names).jobs)):
                        known.discard(job)
                        with suppress(UnknownJob):
                            yield Change(job, await self.snapshot(job))
                        yield Change(job, None)

    def _linked(self, path: str, link: Link | None, **request: Any) -> AsyncIterator[Message]:
        return linked(lambda headers: self._request("GET", path, headers=headers, **request), link)

    @asynccontextmanager
    async def _request(
        self, method: str, path: str, *, job: str | None = None, **arguments: Any
    ) -> AsyncIterator[httpx.Response]:
        try:
            async with self._http.stream(method, path, **arguments) as response:
                if response.is_error:
                    problem = problem_of(response.status_code, await response.aread(), job)
                    if response.status_code == 401:
                        hint = f"{problem}; set STREAMPROC_TOKEN to a key or token for {self.name}"
                        raise Refused({"status": 401, "detail": hint}) from problem
                    raise problem
                yield response
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise ServerUnavailable(
                f"no answer from the gateway at {self.name} ({reason}): is `streamproc up` running there?"
            ) from error


def _path(job: str) -> str:
    return f"/v1/jobs/{quote(job, safe='')}"


def problem_of(status: int, body: bytes, job: str | None = None) -> Exception:
    """The error that a gateway's answer means: see `Client`."""
    try:
        problem = msgspec.json.decode(body, type=Json)
    except msgspec.DecodeError:
        problem = {"detail": f"HTTP {status}, and not from a streamproc gateway"}
    refused = Refused(problem)
    if status == 404 and job is not None:
        return UnknownJob(str(problem.get("detail") or f"there is no job {job}"))
    if problem.get("type") == _PAST_PENDING:
        return PastPending(str(refused))
    if status == 503:
        return ServerUnavailable(f"the gateway can't serve now: {refused}")
    return ServerError(f"the gateway failed: {refused}") if status >= 500 else refused


@asynccontextmanager
async def open_gateway(url: str, token: str | None = None, **attributes: Any) -> AsyncIterator[Client]:
    """A client of the gateway at an ``http(s)://`` URL.

    Args:
        token: is sent as ``Authorization: Bearer``.
        attributes: of the `httpx.AsyncClient`.
    """
    async with httpx.AsyncClient(
        base_url=url,
        timeout=httpx.Timeout(_SECONDS, read=_SILENCE_SECONDS),
        limits=httpx.Limits(max_connections=None),
        **http_settings(url, token),
        **attributes,
    ) as http:
        yield Client(http, url)


def http_settings(url: str, token: str | None) -> dict[str, Any]:
    """What every httpx client of a gateway is made with. Raises `ConfigError`."""
    if token is not None and not (token.isascii() and token.isprintable()):
        raise ConfigError("STREAMPROC_TOKEN: must be printable ASCII, on one line")
    here = is_loopback(urlsplit(url).hostname or "")
    return {
        "headers": {"authorization": f"Bearer {token}"} if token else {},
        "trust_env": not here,  # a proxy of the environment is for other machines
        "verify": not (here and url.startswith("http://")),  # to load certificates takes longer than all the rest
    }
