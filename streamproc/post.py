"""The blocking writer over HTTP: the SDK's way to a gateway."""

import logging
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote, urlsplit

import httpx

from streamproc.client import Refused, http_settings, problem_of
from streamproc.errors import ConfigError, ServerError, ServerUnavailable, UnknownJob

__all__ = ["Poster"]

_SECONDS: Final = 10.0
_NDJSON: Final = {"content-type": "application/x-ndjson"}

_log = logging.getLogger("streamproc")


def _is_the_works(record: logging.LogRecord) -> bool:
    """httpx logs each request; those of the SDK's threads would drown what the work logs."""
    return record.threadName is None or not record.threadName.startswith("streamproc-")


logging.getLogger("httpx").addFilter(_is_the_works)


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
            httpx.URL(url)
        except httpx.InvalidURL as error:
            raise ConfigError(f"url: {error}") from error
        if not urlsplit(url).hostname:
            raise ConfigError(f"url: {url!r} names no host")
        self.name = url
        self._token = token
        self._http: httpx.Client | None = None

    def open(self) -> None:
        """See that a gateway is there and takes us.

        Raises:
            ServerUnavailable: nothing answers, or it can't serve now.
            ServerError: it isn't a gateway, or refuses the token.
        """
        try:
            self._ask("GET", "/v1/jobs", params={"limit": 1})
        except Refused as error:
            raise self._refusal(error) from error

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
                self._ask("POST", "/v1/events", content=b"\n".join(payloads), headers=_NDJSON)
            except Refused as error:
                problems = error.problem.get("errors")
                if problems:
                    payloads = _without(payloads, problems)
                elif error.problem.get("status") == 413 and len(payloads) > 1:  # a proxy may take less than we do
                    half = len(payloads) // 2
                    self._post(payloads[:half])
                    payloads = payloads[half:]
                else:
                    raise self._refusal(error) from error
            else:
                return

    def snapshot(self, job: str) -> bytes | None:
        """A job's snapshot, or None where there is no such job. Raises `ServerError`."""
        try:
            return self._ask("GET", f"/v1/jobs/{quote(job, safe='')}", job=job)
        except UnknownJob:
            return None
        except Refused as error:
            raise self._refusal(error) from error

    def disconnect(self) -> None:
        """Close the connection; the next use opens it again."""
        if self._http is not None:
            self._http.close()
            self._http = None

    def _ask(self, method: str, path: str, *, job: str | None = None, **attributes: Any) -> bytes:
        if self._http is None:
            self._http = httpx.Client(base_url=self.name, timeout=_SECONDS, **http_settings(self.name, self._token))
        try:
            response = self._http.request(method, path, **attributes)
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise ServerUnavailable(f"no answer from the gateway at {self.name}: {reason}") from error
        if response.is_success:
            return response.content
        problem = problem_of(response.status_code, response.content, job)
        if isinstance(problem, Refused):
            problem.problem.setdefault("status", response.status_code)
        raise problem

    def _refusal(self, error: Refused) -> ServerError:
        status = error.problem.get("status")
        if status == 429:
            return ServerUnavailable(f"the gateway at {self.name} asks to wait: {error}")
        return ServerError(f"the gateway at {self.name} refuses us ({status}): {error}")


def _without(payloads: list[bytes], problems: list[dict[str, Any]]) -> list[bytes]:
    """The events that no problem is about."""
    for problem in problems:
        payload = payloads[problem["index"]]
        _log.error("an event is refused and left out, %s: %s: %.300r", problem["field"], problem["detail"], payload)
    bad = {problem["index"] for problem in problems}
    return [payload for at, payload in enumerate(payloads) if at not in bad]
