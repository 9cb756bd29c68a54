"""A client of the gateway: what the reading commands use, and the SDK over HTTP."""

import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import quote, urlsplit

import anyio
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

__all__ = ["Client", "Message", "Refused", "http_settings", "open_gateway", "problem_of"]

_PAGE: Final = 200
_SECONDS: Final = 10.0
_SILENCE_SECONDS: Final = 45.0
"""A stream says something every 15 s; one that doesn't is dead."""
_PAST_PENDING: Final = "urn:streamproc:problem:past-pending"
_RETRY_SECONDS: Final = (0.1, 0.5, 1.0, 2.0, 5.0)

Json = dict[str, Any]


class Refused(CallerError):
    """The gateway refused a request.

    Args:
        problem: its problem+json.
    """

    def __init__(self, problem: Json) -> None:
        self.problem = problem
        super().__init__(str(problem.get("detail") or problem.get("title") or "refused"))


class Message(msgspec.Struct, frozen=True):
    """One message of an SSE stream: its event, its data, and the token to resume after it."""

    event: str
    data: bytes
    id: str | None


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
            async for line in _lines(response):
                yield line

    async def log(self) -> AsyncIterator[bytes]:
        """The whole log, one partition after another: one line of JSON for each event."""
        async with self._request("GET", "/v1/log") as response:
            async for line in _lines(response):
                yield line

    async def watch(self, job: str) -> AsyncIterator[bytes]:
        """A job's snapshots as they come, up to a final one; broken connections are taken up where they broke."""
        token: str | None = None
        failures = 0
        while True:
            try:
                async for message in self._stream(job, token):
                    failures = 0
                    token = message.id or token
                    if message.event == "snapshot":
                        yield message.data
                    elif message.event == "reset":
                        token = None
                    elif message.event == "end":
                        return
            except ServerUnavailable:
                if token is None or failures == len(_RETRY_SECONDS):
                    raise
            # An ended stream without `end`: the gateway is stopping, and another may come.
            wait = _RETRY_SECONDS[min(failures, len(_RETRY_SECONDS) - 1)]
            failures += 1
            await anyio.sleep(wait * random.uniform(0.5, 1.5))  # noqa: S311 - to spread clients, not to keep secrets

    async def _stream(self, job: str, token: str | None) -> AsyncIterator[Message]:
        headers = {"accept": "text/event-stream"} | ({"last-event-id": token} if token else {})
        async with self._request("GET", f"{_path(job)}/stream", job=job, headers=headers) as response:
            async for message in _messages(_lines(response)):
                yield message

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


async def _lines(response: httpx.Response) -> AsyncIterator[bytes]:
    """Lines that end in LF or CRLF, and in nothing else: JSON may hold Unicode's other separators."""
    rest = b""
    async for chunk in response.aiter_bytes():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.removesuffix(b"\r")
    if rest:
        yield rest


async def _messages(lines: AsyncIterator[bytes]) -> AsyncIterator[Message]:
    """Parse server-sent events (WHATWG HTML, 9.2.6); comments keep the connection alive and say nothing."""
    event, token, data = "message", None, list[bytes]()
    async for line in lines:
        if not line:
            if data:
                yield Message(event, b"\n".join(data), token)
            event, data = "message", []
            continue
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        match field:
            case b"event":
                event = value.decode()
            case b"data":
                data.append(value)
            case b"id":
                token = value.decode()


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
