"""The blocking writer over HTTP: the SDK's way to a gateway."""

import logging
from collections.abc import Sequence
from typing import Any, Final, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from streamproc.client import Refused, http_settings, problem_of
from streamproc.errors import ConfigError, ServerError, ServerUnavailable, UnknownJob

__all__ = ["Poster"]

_SECONDS: Final = 10.0
_NDJSON: Final = {"content-type": "application/x-ndjson"}
_IN_JSON: Final = {"content-type": "application/json"}

A = TypeVar("A")

_log = logging.getLogger("streamproc")


def _is_the_works(record: logging.LogRecord) -> bool:
    """httpx logs each request; those of the SDK's threads would drown what the work logs."""
    return record.threadName is None or not record.threadName.startswith("streamproc-")


logging.getLogger("httpx").addFilter(_is_the_works)


class _Jobs(msgspec.Struct):
    """A page of jobs."""

    jobs: list[msgspec.Raw]


class _Appended(msgspec.Struct):
    """What was appended, event by event."""

    events: list[msgspec.Raw]


class _BadEvent(msgspec.Struct):
    """Why one event of many is refused."""

    index: int
    field: str | None
    detail: str


class Poster:
    """One connection, for one thread, to a gateway. It connects when it is first used.

    Args:
        url: ``http://`` or ``https://``.
        token: is sent as ``Authorization: Bearer``; None for a gateway without authentication.

    Raises:
        ConfigError: the URL can't be one.
    """

    def __init__(self, url: str, token: str | None) -> None:
        try:
            parsed = httpx.URL(url)
        except httpx.InvalidURL as error:
            raise ConfigError(f"url: {error}") from error
        if not parsed.host:
            raise ConfigError(f"url: {url!r} names no host")
        self.name = str(parsed.copy_with(userinfo=b""))
        self._url = url
        self._token = token
        self._http: httpx.Client | None = None

    def open(self) -> None:
        """See that a gateway is there and takes us.

        Raises:
            ServerUnavailable: nothing answers, or it can't serve now.
            ServerError: it isn't a gateway, or refuses the token.
        """
        try:
            answer = self._ask("GET", "/v1/jobs", params={"limit": 1})
        except Refused as error:
            if str(error.problem.get("type")).endswith(":insufficient-scope"):
                return  # it knows us; a key that only writes needn't read
            raise self._refusal(error) from error
        self._read(answer, _Jobs)

    def append(self, batch: Sequence[tuple[str, bytes]]) -> dict[int, ServerError]:
        """Append payloads, each with its job id, in their order.

        What the gateway finds to be no event is logged and left out, as it would be refused for ever.

        Returns:
            Nothing: over HTTP all are appended.

        Raises:
            ServerError: nobody knows how many were appended. Sending them again is harmless.
        """
        self._post([payload for _, payload in batch])
        return {}

    def _post(self, payloads: list[bytes]) -> None:
        while payloads:
            try:
                answer = self._ask("POST", "/v1/events", content=b"\n".join(payloads), headers=_NDJSON)
            except Refused as error:
                left = _without(payloads, error.problem.get("errors"))
                if len(left) < len(payloads):
                    payloads = left
                elif error.problem["status"] == 413 and len(payloads) > 1:  # a proxy may take less than we do
                    half = len(payloads) // 2
                    self._post(payloads[:half])
                    payloads = payloads[half:]
                else:
                    raise self._refusal(error) from error
            else:
                if len(self._read(answer, _Appended).events) != len(payloads):
                    raise ServerError(f"the gateway at {self.name} says nothing of some events")
                return

    def snapshot(self, job: str) -> bytes | None:
        """A job's snapshot, or None where there is no such job. Raises `ServerError`."""
        try:
            return self._ask("GET", f"/v1/jobs/{quote(job, safe='')}", job=job)
        except UnknownJob:
            return None
        except Refused as error:
            raise self._refusal(error) from error

    def claim(self, body: bytes, seconds: float) -> bytes:
        """What a gateway answers to a claim within some seconds; empty where there is no job. Raises `ServerError`."""
        try:
            return self._ask("POST", "/v1/claims", content=body, headers=_IN_JSON, timeout=_SECONDS + seconds)
        except Refused as error:
            raise self._refusal(error) from error

    def disconnect(self) -> None:
        """Close the connection; the next use opens it again."""
        if self._http is not None:
            self._http.close()
            self._http = None

    def _ask(self, method: str, path: str, *, job: str | None = None, **attributes: Any) -> bytes:
        if self._http is None:
            self._http = httpx.Client(base_url=self._url, timeout=_SECONDS, **http_settings(self._url, self._token))
        try:
            response = self._http.request(method, path, **attributes)
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise ServerUnavailable(f"no answer from the gateway at {self.name}: {reason}") from error
        if response.is_success:
            return response.content
        problem = problem_of(response.status_code, response.content, job)
        if isinstance(problem, Refused):
            problem.problem["status"] = response.status_code
        raise problem

    def _read(self, answer: bytes, of: type[A]) -> A:
        """An answer, which may as well be the page on which a proxy wants one to log in."""
        try:
            return msgspec.json.decode(answer, type=of)
        except msgspec.DecodeError as error:
            raise ServerError(f"what answers at {self.name} isn't a streamproc gateway") from error

    def _refusal(self, error: Refused) -> ServerError:
        status = error.problem["status"]
        if status == 429:
            return ServerUnavailable(f"the gateway at {self.name} asks to wait: {error}")
        hint = "; set token=, or STREAMPROC_TOKEN" if status == 401 else ""
        return ServerError(f"the gateway at {self.name} refuses us ({status}): {error}{hint}")


def _without(payloads: list[bytes], errors: Any) -> list[bytes]:
    """The events that the errors of a problem aren't about. All of them where those aren't a gateway's."""
    try:
        bad = {error.index: error for error in msgspec.convert(errors, list[_BadEvent])}
    except msgspec.ValidationError:
        return payloads
    for at, error in bad.items():
        if at < len(payloads):
            _log.error("an event is refused and left out, %s: %s: %.300r", error.field, error.detail, payloads[at])
    return [payload for at, payload in enumerate(payloads) if at not in bad]
